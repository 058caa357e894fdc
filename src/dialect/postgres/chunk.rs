//! One chunk of a fill: its statement, and what is written down of it in the same transaction.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::catalog::get;
use super::connect::wrap;
use super::fill::{
    Locked, chunk_end, chunk_proved, chunk_update, pages_chunk, pages_proved, pages_update,
};
use super::filler::{CHUNKS, LEASE, Part, PostgresFiller};
use super::singly::Counted;
use crate::dialect::{ChunkDone, SessionError};
use crate::plan::Walk;

/// When locked rows are tried again that had to be left out, in seconds.
const LATER: f64 = 1.0;

/// What the server says while a chunk is written down.
struct Noted {
    /// The file of the relation.
    node: Option<i64>,
    /// This session's new versions, and those that stayed on their page.
    counted: (i64, i64),
    /// Whether somebody wants the fill to pause.
    paused: bool,
}

impl Noted {
    fn read(row: &PgRow) -> Result<Self, SessionError> {
        Ok(Self {
            node: get(row, 0)?,
            counted: (get(row, 1)?, get(row, 2)?),
            paused: get::<Option<bool>>(row, 3)?.unwrap_or_default(),
        })
    }
}

/// The pages of a chunk.
struct Range {
    /// The pass that it is of.
    pass: u32,
    /// The first page behind it.
    upto: i64,
    /// About so many rows.
    walked: u64,
    /// The pass and the page that come next.
    next: (u32, i64),
    /// Whether it is the last one of its part.
    ended: bool,
}

impl Range {
    fn of(part: &Part, rows_max: u32) -> Self {
        let passes = f64::from(part.passes);
        let pages = to_pages(f64::from(rows_max) * passes / part.leaf.density);
        let upto = part.hi.min(part.page + pages.min((part.hi - part.lo) / CHUNKS + 1));
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let walked = (upto - part.page) as f64 * part.leaf.density / passes;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
        let walked = walked as u64;
        let last = upto >= part.hi;
        let ended = last && part.pass + 1 >= part.passes;
        let next = if last && !ended { (part.pass + 1, part.lo) } else { (part.pass, upto) };
        Self { pass: part.pass, upto, walked, next, ended }
    }
}

impl PostgresFiller {
    /// A chunk of pages that is a statement by itself, if it is one of the many that nothing
    /// special is to be done about.
    pub(super) async fn pages_in_one(
        &mut self,
        part: &mut Part,
        rows_max: u32,
    ) -> Result<Option<ChunkDone>, SessionError> {
        let range = Range::of(part, rows_max);
        let plain = !self.pooled && self.order.prove.is_none() && !range.ended;
        if !plain || !matches!(self.order.fill.walk, Walk::Pages { .. }) {
            return Ok(None);
        }
        let sql = pages_chunk(&self.order.fill, &part.leaf.name, part.passes);
        let number = |value: u32| i32::try_from(value).unwrap_or_default();
        let row = self
            .query(AssertSqlSafe(sql))
            .bind(format!("({},0)", part.page))
            .bind(format!("({},0)", range.upto))
            .bind(number(part.pass))
            .bind(self.order.step.as_str())
            .bind(part.no)
            .bind(part.token)
            .bind(number(range.next.0))
            .bind(range.next.1)
            .bind(LEASE)
            .bind(&part.leaf.name)
            .bind(self.order.step.migration_prefix())
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?
            .ok_or(SessionError::Fenced)?;
        let rows = get::<i64>(&row, 4)?.unsigned_abs();
        let took = Duration::try_from_secs_f64(get(&row, 5)?).unwrap_or_default();
        let done = ChunkDone { rows, walked: range.walked, took, ..ChunkDone::default() };
        Ok(Some(self.went(part, &range, Noted::read(&row)?, done)))
    }

    /// A chunk of pages, in the transaction at hand.
    pub(super) async fn pages(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let range = Range::of(part, rows_max);
        let begun = Instant::now();
        let (seen, clean) = self.pages_proved(part, range.upto).await?;
        let counted = match locked {
            _ if clean => Counted::default(),
            Locked::Singly => self.pages_singly(part, range.upto).await?,
            _ => self.pages_at_once(part, range.upto, locked).await?,
        };
        let took = begun.elapsed();
        let before = part.clone();
        (part.pass, part.page) = range.next;
        part.skipped |= locked == Locked::Skipped && !clean;
        let noted = self.note(part, (counted.filled, seen), range.ended).await?;
        let (rows, failed, ended) = (counted.filled, counted.failed, range.ended);
        let walked = range.walked;
        let done = ChunkDone { rows, walked, took, ended, failed, seen, ..ChunkDone::default() };
        if ended {
            // What is left of it begins anew.
            self.moved = noted.node.is_some_and(|node| node != part.leaf.node);
            self.stayed(&mut before.clone(), noted.counted, false);
            return Ok(ChunkDone { paused: noted.paused, ..done });
        }
        Ok(self.went(part, &range, noted, done))
    }

    /// Takes in that a chunk was done which was not the last one.
    fn went(&mut self, part: &mut Part, range: &Range, noted: Noted, done: ChunkDone) -> ChunkDone {
        // The first pass finds no room, and one alone has nothing to lose.
        let telling = part.passes > 1 && range.pass > 0;
        (part.pass, part.page) = range.next;
        self.moved = noted.node.is_some_and(|node| node != part.leaf.node);
        self.stayed(part, noted.counted, telling);
        ChunkDone { ended: done.ended || self.moved, paused: noted.paused, ..done }
    }

    /// Where something is proved: the rows of a range of pages, and whether all obey.
    async fn pages_proved(&mut self, part: &Part, upto: i64) -> Result<(u64, bool), SessionError> {
        let Some(rule) = &self.order.prove else { return Ok((0, false)) };
        let query = self
            .query(AssertSqlSafe(pages_proved(rule, &part.leaf.name)))
            .bind(format!("({},0)", part.page))
            .bind(format!("({upto},0)"));
        proved(&query.fetch_one(&mut self.conn).await.map_err(wrap)?)
    }

    async fn pages_at_once(
        &mut self,
        part: &Part,
        upto: i64,
        locked: Locked,
    ) -> Result<Counted, SessionError> {
        let sql = pages_update(&self.order.fill, &part.leaf.name, part.passes, locked);
        let mut query = self
            .query(AssertSqlSafe(sql))
            .bind(format!("({},0)", part.page))
            .bind(format!("({upto},0)"));
        if part.passes > 1 {
            query = query.bind(i32::try_from(part.pass).unwrap_or_default());
        }
        let filled = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
        Ok(Counted { filled, failed: 0 })
    }

    /// Writes down how far a part has come.
    async fn note(
        &mut self,
        part: &mut Part,
        (rows, seen): (u64, u64),
        ended: bool,
    ) -> Result<Noted, SessionError> {
        let (done, again) = (ended && !part.skipped, ended && part.skipped);
        if again {
            (part.passes, part.pass, part.page, part.skipped) = (1, 0, part.lo, false);
        }
        let change = if done {
            "WITH done AS (DELETE FROM zdmig.part WHERE step = $2 AND no = $3 AND token = $4
                           RETURNING rows, seen)
             UPDATE zdmig.fill f SET rows = f.rows + done.rows + $5, seen = f.seen + done.seen + $6, at = clock_timestamp()
               FROM done WHERE f.step = $2"
        } else {
            "UPDATE zdmig.part SET rows = rows + $5, seen = seen + $6, pass = $7, passes = $8,
                    page = $9, upto = $10, skipped = $11, pid = CASE WHEN $12 THEN NULL ELSE pid END,
                    lease_until = clock_timestamp() + make_interval(secs => $13)
              WHERE step = $2 AND no = $3 AND token = $4"
        };
        let sql = format!(
            "{change} RETURNING pg_relation_filenode($1::text::regclass)::bigint,
                    pg_stat_get_xact_tuples_updated($1::text::regclass),
                    pg_stat_get_xact_tuples_hot_updated($1::text::regclass),
                    (SELECT paused_by IS NOT NULL FROM zdmig.steering
                      WHERE prefix = left($2, strpos($2, '/')))"
        );
        let number = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let query = self.query(AssertSqlSafe(sql)).bind(&part.leaf.name);
        let query = query.bind(self.order.step.as_str()).bind(part.no).bind(part.token);
        let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut query = query.bind(count(rows)).bind(count(seen));
        if !done {
            query = query.bind(number(part.pass)).bind(number(part.passes)).bind(part.page);
            query = query.bind(&part.upto).bind(part.skipped).bind(again);
            query = query.bind(if again { LATER } else { LEASE });
        }
        let row = query.fetch_optional(&mut self.conn).await.map_err(wrap)?;
        Noted::read(&row.ok_or(SessionError::Fenced)?)
    }

    /// A chunk along the key, in the transaction at hand.
    pub(super) async fn along(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let fill = &self.order.fill;
        let first = part.upto.is_empty();
        let mut query = self.query(AssertSqlSafe(chunk_end(fill, first)));
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
        let begun = Instant::now();
        let (mut seen, mut clean) = (0, false);
        if let Some(rule) = &self.order.prove {
            let mut query = self.query(AssertSqlSafe(chunk_proved(fill, rule, first, ended)));
            for value in part.upto.iter().chain(&upto) {
                query = query.bind(value.clone());
            }
            (seen, clean) = proved(&query.fetch_one(&mut self.conn).await.map_err(wrap)?)?;
        }
        let counted = if clean {
            Counted::default()
        } else if locked == Locked::Singly {
            self.along_singly(&part.upto, &upto).await?
        } else {
            let mut query = self.query(AssertSqlSafe(chunk_update(fill, first, ended)));
            for value in part.upto.iter().chain(&upto) {
                query = query.bind(value.clone());
            }
            let filled = query.execute(&mut self.conn).await.map_err(wrap)?.rows_affected();
            Counted { filled, failed: 0 }
        };
        let took = begun.elapsed();
        if !ended {
            part.upto = upto;
        }
        let (rows, failed) = (counted.filled, counted.failed);
        let paused = self.note(part, (rows, seen), ended).await?.paused;
        let walked = u64::from(rows_max);
        Ok(ChunkDone { rows, walked, took, ended, paused, failed, seen })
    }
}

/// How many rows were seen, and whether none breaks the rule.
fn proved(row: &PgRow) -> Result<(u64, bool), SessionError> {
    Ok((get::<i64>(row, 0)?.unsigned_abs(), get::<i64>(row, 1)? == 0))
}

/// So many whole pages, at least one.
fn to_pages(pages: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    let pages = pages.ceil().clamp(1.0, 1e9) as i64;
    pages
}
