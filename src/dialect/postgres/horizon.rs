//! Whether passes over a window are worth it: only while what they replace dies soon enough for
//! its room to be used again, and new versions stay on their pages.

use std::time::{Duration, Instant};

use super::catalog::get;
use super::connect::wrap;
use super::filler::{Part, PostgresFiller};
use crate::dialect::SessionError;
use crate::plan::Walk;

/// Below this share of new versions that stayed on their page, passes cost more than they save.
const WORTH: f64 = 0.4;
/// At most so many windows are walked in one pass before passes are tried again: one at first, and
/// twice as many each time that they were of no use.
const PLAIN_MAX: u32 = 16;
/// What a transaction replaced that long ago should be dead to everybody.
const OLD: Duration = Duration::from_secs(1);

impl PostgresFiller {
    /// In how many passes the next window is walked, and why not in those of the plan.
    pub(super) async fn passes(&mut self) -> Result<(u32, Option<String>), SessionError> {
        let Walk::Pages { passes } = self.order.fill.walk else { return Ok((1, None)) };
        if passes == 1 {
            return Ok((1, None));
        }
        if self.plain > 0 {
            self.plain -= 1;
            return Ok((1, self.why.take()));
        }
        let row = self
            .query("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let next: i64 = get(&row, 0)?;
        // At first nothing of ours is old, so others are asked how old they are.
        let since = match self.seen {
            Some((at, _)) if at.elapsed() < OLD => {
                return Ok((if self.kept { 1 } else { passes }, None));
            }
            Some((_, then)) => Some(next - then),
            None => None,
        };
        self.seen = Some((Instant::now(), next));
        let keeper = self.keeper(since).await?;
        self.kept = keeper.is_some();
        match keeper {
            Some(keeper) => {
                let why = format!("one pass from here: {keeper} keeps old versions of rows alive");
                Ok((1, Some(why)))
            }
            None => Ok((passes, None)),
        }
    }

    /// Who keeps alive what was replaced so many transactions ago, or a second ago, as far as we may
    /// see it.
    async fn keeper(&mut self, transactions: Option<i64>) -> Result<Option<String>, SessionError> {
        let row = self.query(
            "SELECT what FROM (
                 SELECT format('pid %s (%s as %s)', pid, coalesce(nullif(application_name, ''), 'unnamed'),
                               usename) AS what, age(backend_xmin) AS age, xact_start AS since
                   FROM pg_stat_activity
                  WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
                    AND (datname = current_database() OR datid IS NULL)
                    AND backend_type <> 'autovacuum worker'
                 UNION ALL SELECT format('the replication slot %s', slot_name), age(xmin), NULL
                   FROM pg_replication_slots WHERE xmin IS NOT NULL
                 UNION ALL SELECT format('the prepared transaction %s', gid), age(transaction),
                        prepared
                   FROM pg_prepared_xacts WHERE database = current_database()) AS keepers
              WHERE CASE WHEN $1::bigint IS NULL THEN since < clock_timestamp() - interval '1 second'
                         ELSE age >= $1::bigint END
              ORDER BY age DESC LIMIT 1",
        )
        .bind(transactions.map(|count| count.max(1)))
        .fetch_optional(&mut self.conn)
        .await
        .map_err(wrap)?;
        row.map(|row| get(&row, 0)).transpose()
    }

    /// Looks whether new versions stay on their pages, and gives passes up where they do not.
    pub(super) fn stayed(&mut self, part: &mut Part, now: (i64, i64), telling: bool) {
        let since = |now: i64, then: i64| if now >= then { now - then } else { now };
        let updated = since(now.0, self.counted.0).unsigned_abs();
        let stayed = since(now.1, self.counted.1).unsigned_abs();
        self.counted = now;
        if !telling {
            return;
        }
        part.updated.0 += updated;
        part.updated.1 += stayed;
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = part.updated.1 as f64 / part.updated.0.max(1) as f64;
        if part.updated.0 >= 1_000 && share < WORTH {
            part.passes = 1;
            if let Some(queue) = &mut self.queue {
                queue.flatten();
            }
            self.plain = self.plain_next;
            self.plain_next = (self.plain_next * 2).min(PLAIN_MAX);
            self.why =
                Some("one pass from here: new versions of rows do not stay on their pages".into());
        }
    }
}
