//! The parts of a fill that workers lease.

use std::time::Instant;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use super::catalog::get;
use super::connect::wrap;
use super::filler::{LEASE, Leaf, Part, PostgresFiller, WINDOWS, leaves};
use super::session::unreadable;
use crate::dialect::{Filled, SessionError, Taken};

/// What makes a part this session's: `token, pid, born`.
const MINE: &str = "nextval('zdmig.token'), pg_backend_pid(), \
     (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())";
/// The same where a session is not tied to a process: then its lease alone says that it is there.
const MINE_POOLED: &str = "nextval('zdmig.token'), 0, NULL";
/// A part, in the order of [`leased`].
const COLUMNS: &str = "no, token, leaf, lo, hi, passes, pass, page, upto, skipped";
/// Pages of a window: few enough to stay in the server's memory from one pass to the next, and
/// many enough for what a pass replaced to be dead to everybody when the next one comes.
const WINDOW: i64 = 4_000;

impl PostgresFiller {
    fn mine(&self) -> &'static str {
        if self.pooled { MINE_POOLED } else { MINE }
    }

    /// The fill's own row, which whoever leases a part holds meanwhile.
    async fn fill(&mut self) -> Result<PgRow, SessionError> {
        let row = self.query(
            "SELECT leaves::text, leaf, page, parts, complete, rows, seen FROM zdmig.fill WHERE step = $1
                FOR UPDATE",
        )
        .bind(self.order.step.as_str())
        .fetch_optional(&mut self.conn)
        .await
        .map_err(wrap)?;
        // It was taken back.
        row.ok_or(SessionError::Fenced)
    }

    pub(super) async fn lease(&mut self) -> Result<Taken, SessionError> {
        let mut fill = self.fill().await?;
        if self.moved {
            self.again().await?;
            fill = self.fill().await?;
        }
        let (step, mine) = (self.order.step.as_str(), self.mine());
        if get(&fill, 4)? {
            return self.complete(get(&fill, 5)?, get(&fill, 6)?).await;
        }
        let leaves: Vec<Leaf> =
            serde_json::from_str(&get::<String>(&fill, 0)?).map_err(unreadable)?;
        // One whose worker is gone, or that had to be left for a while.
        let left = self
            .query(AssertSqlSafe(format!(
                "UPDATE zdmig.part SET (token, pid, born) = ({mine}),
                    lease_until = clock_timestamp() + make_interval(secs => $2)
              WHERE step = $1 AND no = (
                    SELECT no FROM zdmig.part p
                     WHERE step = $1 AND (lease_until < clock_timestamp()
                        OR pid <> 0 AND NOT EXISTS (
                           SELECT FROM pg_stat_activity a WHERE a.pid = p.pid
                              AND (a.backend_start = p.born OR a.backend_start IS NULL)))
                     ORDER BY no LIMIT 1)
             RETURNING {COLUMNS}"
            )))
            .bind(step)
            .bind(LEASE)
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?;
        let leaf = |at: i32| leaves.get(usize::try_from(at).unwrap_or(usize::MAX));
        if let Some(row) = left {
            let of = leaf(get(&row, 2)?).ok_or_else(|| SessionError::Bookkeeping {
                message: format!("a part of `{step}` is of no relation"),
            })?;
            self.part = Some(leased(&row, of)?);
            return Ok(Taken::Part(None));
        }
        let (at, page): (i32, i64) = (get(&fill, 1)?, get(&fill, 2)?);
        match leaf(at) {
            Some(leaf) => self.next(leaf, at, page, get(&fill, 3)?).await,
            None => self.last(get(&fill, 5)?, get(&fill, 6)?).await,
        }
    }

    /// The part of the table that begins where the last one ended.
    async fn next(
        &mut self,
        leaf: &Leaf,
        at: i32,
        page: i64,
        no: i32,
    ) -> Result<Taken, SessionError> {
        let window = (leaf.pages / WINDOWS).clamp(WINDOW / WINDOWS, WINDOW);
        let hi = leaf.pages.min(page + window);
        let (passes, why) = self.passes().await?;
        let mine = self.mine();
        let row = self.query(AssertSqlSafe(format!(
            "WITH f AS (UPDATE zdmig.fill SET parts = parts + 1, leaf = $3, page = $4,
                               at = clock_timestamp() WHERE step = $1)
             INSERT INTO zdmig.part (step, no, leaf, lo, hi, passes, page, token, pid, born, lease_until)
             SELECT $1, $2, $5, $6, $7, $8, $6, {mine},
                    clock_timestamp() + make_interval(secs => $9)
             RETURNING {COLUMNS}"
        )))
        .bind(self.order.step.as_str())
        .bind(no)
        .bind(if hi < leaf.pages { at } else { at + 1 })
        .bind(if hi < leaf.pages { hi } else { 0 })
        .bind(at)
        .bind(page)
        .bind(hi)
        .bind(i32::try_from(passes).unwrap_or(1))
        .bind(LEASE)
        .fetch_one(&mut self.conn)
        .await
        .map_err(wrap)?;
        self.part = Some(leased(&row, leaf)?);
        Ok(Taken::Part(why))
    }

    /// Nothing is left to begin with: the end, or what others are at.
    async fn last(&mut self, rows: i64, seen: i64) -> Result<Taken, SessionError> {
        let row = self
            .query("SELECT count(*), count(pid) FROM zdmig.part WHERE step = $1")
            .bind(self.order.step.as_str())
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let (left, leased): (i64, i64) = (get(&row, 0)?, get(&row, 1)?);
        if left > 0 {
            return Ok(Taken::Wait { locked: leased == 0 });
        }
        self.query("UPDATE zdmig.fill SET complete = true, at = clock_timestamp() WHERE step = $1")
            .bind(self.order.step.as_str())
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
        self.complete(rows, seen).await
    }

    /// Every row was met. Those that failed before this run are tried again.
    async fn complete(&mut self, rows: i64, seen: i64) -> Result<Taken, SessionError> {
        if self.try_again().await? > 0 {
            return Ok(Taken::Again);
        }
        let row = self
            .query("SELECT count(*) FROM zdmig.failed WHERE step = $1")
            .bind(self.order.step.as_str())
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let failed = get::<i64>(&row, 0)?.unsigned_abs();
        let (rows, seen) = (rows.unsigned_abs(), seen.unsigned_abs());
        Ok(Taken::Complete(Filled { rows, failed, seen }))
    }

    /// A relation was written anew, so rows that were left are anywhere: all of it once more.
    async fn again(&mut self) -> Result<(), SessionError> {
        let leaves = serde_json::to_string(&leaves(&mut self.conn, &self.order).await?)
            .map_err(unreadable)?;
        self.query(
            "WITH gone AS (DELETE FROM zdmig.part WHERE step = $1 RETURNING rows)
             UPDATE zdmig.fill SET leaves = $2::text::jsonb, leaf = 0, page = 0, seen = 0,
                    rows = rows + (SELECT coalesce(sum(gone.rows), 0) FROM gone)
              WHERE step = $1",
        )
        .bind(self.order.step.as_str())
        .bind(leaves)
        .execute(&mut self.conn)
        .await
        .map_err(wrap)?;
        Ok(())
    }
}

fn leased(row: &PgRow, leaf: &Leaf) -> Result<Part, SessionError> {
    let count = |value: i32| u32::try_from(value).unwrap_or_default();
    Ok(Part {
        no: get(row, 0)?,
        token: get(row, 1)?,
        leaf: leaf.clone(),
        lo: get(row, 3)?,
        hi: get(row, 4)?,
        passes: count(get(row, 5)?),
        pass: count(get(row, 6)?),
        page: get(row, 7)?,
        upto: get(row, 8)?,
        skipped: get(row, 9)?,
        renewed: Instant::now(),
        updated: (0, 0),
    })
}
