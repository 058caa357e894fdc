//! One chunk of a fill: its statement, and what is written down of it in the same transaction.

use std::time::Instant;

use sqlx::AssertSqlSafe;

use super::catalog::get;
use super::connect::wrap;
use super::fill::{Locked, chunk_end, chunk_update, pages_update};
use super::filler::{CHUNKS, LEASE, Part, PostgresFiller};
use crate::dialect::{ChunkDone, SessionError};

/// When locked rows are tried again that had to be left out.
const LATER: &str = "1 s";

impl PostgresFiller {
    /// A chunk of pages, in the transaction at hand.
    pub(super) async fn pages(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let passes = f64::from(part.passes);
        let pages = to_pages(f64::from(rows_max) * passes / part.leaf.density);
        let upto = part.hi.min(part.page + pages.min((part.hi - part.lo) / CHUNKS + 1));
        let sql = pages_update(&self.order.fill, &part.leaf.name, part.passes, locked);
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(format!("({},0)", part.page))
            .bind(format!("({upto},0)"));
        if part.passes > 1 {
            query = query.bind(i32::try_from(part.pass).unwrap_or_default());
        }
        let begun = Instant::now();
        let rows = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
        let took = begun.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let walked = (upto - part.page) as f64 * part.leaf.density / passes;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
        let walked = walked as u64;
        // The first pass finds no room, and one alone has nothing to lose.
        let telling = part.pass > 0 && part.passes > 1;
        part.page = upto;
        part.skipped |= locked == Locked::Skipped;
        let mut ended = upto >= part.hi;
        if ended && part.pass + 1 < part.passes {
            (part.pass, part.page, ended) = (part.pass + 1, part.lo, false);
        }
        let (moved, counted) = self.note_pages(part, rows, ended).await?;
        self.moved = moved;
        self.stayed(part, counted, telling);
        Ok(ChunkDone { rows, walked, took, ended: ended || self.moved })
    }

    /// Writes down how far a part has come; whether its relation was written anew meanwhile, and
    /// the server's counters of new versions and of those that stayed on their page.
    async fn note_pages(
        &mut self,
        part: &mut Part,
        rows: u64,
        ended: bool,
    ) -> Result<(bool, (i64, i64)), SessionError> {
        let step = self.order.step.as_str();
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let watched = "pg_relation_filenode($1::text::regclass)::bigint, \
             pg_stat_get_xact_tuples_updated($1::text::regclass), \
             pg_stat_get_xact_tuples_hot_updated($1::text::regclass)";
        let again = ended && part.skipped;
        let row = if ended && !part.skipped {
            let sql = format!(
                "WITH done AS (DELETE FROM zdmig.part WHERE step = $2 AND no = $3 AND token = $4
                               RETURNING rows)
                 UPDATE zdmig.fill f SET rows = f.rows + done.rows + $5, at = clock_timestamp()
                   FROM done WHERE f.step = $2 RETURNING {watched}"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(&part.leaf.name).bind(step);
            let query = query.bind(part.no).bind(part.token).bind(rows);
            query.fetch_optional(&mut self.conn).await
        } else {
            if again {
                (part.passes, part.pass, part.page) = (1, 0, part.lo);
            }
            let lease = if again {
                format!("pid = NULL, lease_until = clock_timestamp() + interval '{LATER}'")
            } else {
                format!("lease_until = clock_timestamp() + interval '{LEASE}'")
            };
            let sql = format!(
                "UPDATE zdmig.part SET rows = rows + $5, pass = $6, passes = $7, page = $8,
                        skipped = $9, {lease}
                  WHERE step = $2 AND no = $3 AND token = $4 RETURNING {watched}"
            );
            let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
            let query = sqlx::query(AssertSqlSafe(sql)).bind(&part.leaf.name).bind(step);
            let query = query.bind(part.no).bind(part.token).bind(rows);
            let query = query.bind(number(part.pass)).bind(number(part.passes)).bind(part.page);
            query.bind(part.skipped && !again).fetch_optional(&mut self.conn).await
        };
        let row = row.map_err(wrap)?.ok_or(SessionError::Fenced)?;
        let moved = get::<Option<i64>>(&row, 0)?.is_some_and(|node| node != part.leaf.node);
        Ok((moved, (get(&row, 1)?, get(&row, 2)?)))
    }

    /// A chunk along the key, in the transaction at hand.
    pub(super) async fn along(
        &mut self,
        part: &mut Part,
        rows_max: u32,
    ) -> Result<ChunkDone, SessionError> {
        let fill = &self.order.fill;
        let first = part.upto.is_empty();
        let mut query = sqlx::query(AssertSqlSafe(chunk_end(fill, first)));
        for value in &part.upto {
            query = query.bind(value.clone());
        }
        let end = query
            .bind(i64::from(rows_max) - 1)
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?;
        let mut upto = Vec::new();
        for at in 0..end.as_ref().map_or(0, |_| fill.key.len()) {
            upto.extend(end.as_ref().map(|row| get::<String>(row, at)).transpose()?);
        }
        let ended = end.is_none();
        let mut query = sqlx::query(AssertSqlSafe(chunk_update(fill, first, ended)));
        for value in part.upto.iter().chain(&upto) {
            query = query.bind(value.clone());
        }
        let begun = Instant::now();
        let rows = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
        let took = begun.elapsed();
        if !ended {
            part.upto = upto;
        }
        self.note_key(part, rows, ended).await?;
        Ok(ChunkDone { rows, walked: u64::from(rows_max), took, ended })
    }

    async fn note_key(&mut self, part: &Part, rows: u64, ended: bool) -> Result<(), SessionError> {
        let sql = if ended {
            "WITH done AS (DELETE FROM zdmig.part WHERE step = $1 AND no = $2 AND token = $3
                           RETURNING rows)
             UPDATE zdmig.fill f SET rows = f.rows + done.rows + $4, at = clock_timestamp()
               FROM done WHERE f.step = $1 AND $5::text[] IS NOT NULL"
                .to_owned()
        } else {
            format!(
                "UPDATE zdmig.part SET rows = rows + $4, upto = $5,
                        lease_until = clock_timestamp() + interval '{LEASE}'
                  WHERE step = $1 AND no = $2 AND token = $3"
            )
        };
        let query = sqlx::query(AssertSqlSafe(sql)).bind(self.order.step.as_str()).bind(part.no);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let query = query.bind(part.token).bind(rows).bind(&part.upto);
        let done = query.execute(&mut self.conn).await.map_err(wrap)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(SessionError::Fenced) }
    }
}

/// So many whole pages, at least one.
fn to_pages(pages: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let pages = pages.ceil().clamp(1.0, 1e9) as i64;
    pages
}
