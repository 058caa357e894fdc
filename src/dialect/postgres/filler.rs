//! One worker of a fill: leases parts of a table, and fills them chunk by chunk.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::bookkeeping::FILLS;
use super::catalog::get;
use super::connect::{Door, PgQuery, connect_through, settle, unprepared, wrap};
use super::fill::Locked;
use super::quote;
use super::session::{exists, unreadable};
use super::singly::AT_ONCE;
use crate::dialect::{
    ChunkDone, DatabaseUrl, FillOrder, Filled, Filler, Options, SessionError, Taken,
};
use crate::journal::Watermark;
use crate::plan::Walk;

/// How long a part stays a worker's that does not say anything, in seconds. Each chunk renews
/// it, and a session that is seen to be gone loses it at once.
pub(super) const LEASE: f64 = 30.0;
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
/// A pass takes at least so many chunks, and a table so many windows if it can: then other
/// workers' snapshots are younger than what the pass before replaced.
pub(super) const CHUNKS: i64 = 8;
/// A chunk that waits for one row holds others, so it waits no longer than that.
const ROW_WAITS: Duration = Duration::from_millis(50);
/// Rows on a page where the server has no idea.
const DENSITY: f64 = 30.0;

/// A relation that a fill goes over: the table, or one of its partitions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Leaf {
    /// Its name, quoted.
    pub(super) name: String,
    /// The file that its rows are in: another one once it was written anew.
    pub(super) node: i64,
    /// Its length when the fill began; what came later was filled by triggers.
    pub(super) pages: i64,
    /// How many rows a page holds.
    pub(super) density: f64,
}

/// A part of a fill that is leased.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) no: i32,
    pub(super) token: i64,
    pub(super) leaf: Leaf,
    pub(super) lo: i64,
    pub(super) hi: i64,
    pub(super) passes: u32,
    pub(super) pass: u32,
    pub(super) page: i64,
    pub(super) upto: Vec<String>,
    /// Whether locked rows of it were left out.
    pub(super) skipped: bool,
    /// New versions of this window's later passes, and those that stayed on their page.
    pub(super) updated: (u64, u64),
}

/// One worker of a fill.
pub(super) struct PostgresFiller {
    pub(super) conn: PgConnection,
    /// Whether each transaction may be in another server process.
    pub(super) pooled: bool,
    pub(super) order: FillOrder,
    pub(super) row_waits: Duration,
    pub(super) part: Option<Part>,
    /// Windows that are still to be walked in one pass.
    pub(super) plain: u32,
    /// How many that will be the next time.
    pub(super) plain_next: u32,
    /// The number that the next transaction had, a while ago.
    pub(super) seen: Option<(Instant, i64)>,
    /// The server's counters of versions that this session made, and of those that stayed on
    /// their page. It begins anew now and then.
    pub(super) counted: (i64, i64),
    /// Why passes were given up, to be told.
    pub(super) why: Option<String>,
    /// Whether the table was written anew meanwhile, and rows are elsewhere.
    pub(super) moved: bool,
}

/// Takes a fill up, on the session of the runner: makes its row, and says how far it has come.
pub(super) async fn begin(
    conn: &mut PgConnection,
    order: &FillOrder,
    anew: bool,
) -> Result<Watermark, SessionError> {
    if anew {
        let delete = sqlx::query("DELETE FROM zdmig.fill WHERE step = $1");
        delete.bind(order.step.as_str()).execute(&mut *conn).await.map_err(wrap)?;
    }
    let leaves = serde_json::to_string(&leaves(conn, order).await?).map_err(unreadable)?;
    sqlx::query(
        "INSERT INTO zdmig.fill (step, leaves) VALUES ($1, $2::text::jsonb) ON CONFLICT DO NOTHING",
    )
    .bind(order.step.as_str())
    .bind(leaves)
    .execute(&mut *conn)
    .await
    .map_err(wrap)?;
    let row = sqlx::query(AssertSqlSafe(format!("{FILLS} WHERE step = $1")))
        .bind(order.step.as_str())
        .fetch_one(&mut *conn)
        .await
        .map_err(wrap)?;
    watermark(&row)
}

/// What a row of [`FILLS`] says.
pub(super) fn watermark(row: &PgRow) -> Result<Watermark, SessionError> {
    Ok(Watermark {
        rows: get::<i64>(row, 1)?.unsigned_abs(),
        complete: get(row, 2)?,
        failed: get::<i64>(row, 3)?.unsigned_abs(),
        seen: get::<i64>(row, 4)?.unsigned_abs(),
    })
}

/// The table, or each of its partitions that holds rows itself.
async fn leaves(conn: &mut PgConnection, order: &FillOrder) -> Result<Vec<Leaf>, SessionError> {
    let table = quote::table(&order.fill.table);
    if order.fill.walk == Walk::Key {
        return Ok(vec![Leaf { name: table, node: 0, pages: 0, density: DENSITY }]);
    }
    let rows = unprepared(
        "WITH RECURSIVE tree (oid) AS (
             SELECT $1::text::regclass::oid
             UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)
         SELECT format('%I.%I', n.nspname, c.relname), c.relkind::text,
                coalesce(pg_relation_filenode(c.oid), 0)::bigint,
                (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint,
                CASE WHEN c.reltuples > 0 AND c.relpages > 0
                     THEN c.reltuples::float8 / c.relpages ELSE 0 END
           FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind <> 'p' ORDER BY 1",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await
    .map_err(wrap)?;
    let leaf = |row: &PgRow| {
        let name: String = get(row, 0)?;
        if get::<String>(row, 1)? == "f" {
            let message = format!("{name} is a foreign table: its rows are filled where they lie");
            return Err(SessionError::Failed { message, code: None, statement: None });
        }
        let density: f64 = get(row, 4)?;
        Ok(Leaf {
            name,
            node: get(row, 2)?,
            pages: get(row, 3)?,
            density: if density > 0.0 { density } else { DENSITY },
        })
    };
    rows.iter().map(leaf).collect()
}

/// Triggers of the user's can tell a fill from a write by it, and ours know their own.
fn tag(order: &FillOrder) -> &str {
    order.fill.does_for.as_deref().unwrap_or("fill")
}

/// Makes a session ready for chunks that are a statement each.
async fn for_chunks(
    conn: &mut PgConnection,
    order: &FillOrder,
    row_waits: Duration,
) -> Result<(), SessionError> {
    // The plan of a chunk is the same whatever its bounds, and to make it takes longer than to run
    // it over few rows. Along a key the server's own choice is the better one.
    let plans = if order.fill.walk == Walk::Key { "auto" } else { "force_generic_plan" };
    let sql = format!(
        "SET lock_timeout = {}; SET idle_in_transaction_session_timeout = '10s'; SET \
         zdmig.backfill = {}; SET plan_cache_mode = {plans}",
        row_waits.as_millis(),
        quote::literal(tag(order))
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.map_err(wrap)?;
    Ok(())
}

impl PostgresFiller {
    pub(super) async fn open(
        url: &DatabaseUrl,
        options: &Options,
        order: &FillOrder,
    ) -> Result<Self, SessionError> {
        let Door { mut conn, pooled } =
            connect_through(url, "zdmig", options.connect_timeout).await?;
        let row_waits = ROW_WAITS.min(options.lock_timeout);
        if !pooled {
            settle(&mut conn, "off").await?;
            for_chunks(&mut conn, order, row_waits).await?;
        }
        Ok(Self {
            conn,
            pooled,
            order: order.clone(),
            row_waits,
            part: None,
            plain: 0,
            plain_next: 1,
            seen: None,
            counted: (0, 0),
            why: None,
            moved: false,
        })
    }

    fn mine(&self) -> &'static str {
        if self.pooled { MINE_POOLED } else { MINE }
    }

    /// Opens a transaction in which triggers know the fill.
    async fn begin(&mut self, lock_timeout: Duration) -> Result<(), SessionError> {
        let settled = if self.pooled {
            // Of a session that others use nothing may be set for longer than a transaction.
            format!(
                "; SET TRANSACTION READ WRITE; SET LOCAL statement_timeout = 0; SET LOCAL \
                 row_security = off; SET LOCAL idle_in_transaction_session_timeout = '10s'; SET \
                 LOCAL zdmig.backfill = {}",
                quote::literal(tag(&self.order))
            )
        } else {
            String::new()
        };
        let sql = format!("BEGIN{settled}; SET LOCAL lock_timeout = {}", lock_timeout.as_millis());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }

    /// A statement for this connection, in a transaction.
    pub(super) fn query<'q>(&self, sql: impl SqlSafeStr) -> PgQuery<'q> {
        sqlx::query(sql).persistent(!self.pooled)
    }

    /// Commits what was done, or takes it back.
    async fn ended<T>(&mut self, outcome: Result<T, SessionError>) -> Result<T, SessionError> {
        match outcome {
            Ok(done) => {
                sqlx::raw_sql("COMMIT").execute(&mut self.conn).await.map_err(wrap)?;
                Ok(done)
            }
            Err(error) => {
                // A connection that cannot roll back is lost, and the next call says so.
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await;
                Err(error)
            }
        }
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

    async fn lease(&mut self) -> Result<Taken, SessionError> {
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
        let window = (leaf.pages / CHUNKS).clamp(WINDOW / CHUNKS, WINDOW);
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

    /// Every row was met. Those that failed are tried again if somebody asked for it.
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

    async fn is_there(&mut self, leaf: &Leaf) -> Result<bool, SessionError> {
        exists(&mut self.conn, &leaf.name).await
    }

    async fn one(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        self.begin(self.row_waits).await?;
        let done = match self.order.fill.walk {
            Walk::Key => self.along(part, rows_max, locked).await,
            Walk::Pages { .. } => self.pages(part, rows_max, locked).await,
        };
        self.ended(done).await
    }
}

#[async_trait]
impl Filler for PostgresFiller {
    async fn take(&mut self) -> Result<Taken, SessionError> {
        self.part = None;
        self.begin(Duration::from_secs(2)).await?;
        let taken = self.lease().await;
        let taken = self.ended(taken).await?;
        if std::mem::take(&mut self.moved)
            && let Taken::Part(why) = &taken
        {
            let anew = "it begins again: rows are elsewhere since the table was written anew, or \
                        lost a partition";
            return Ok(Taken::Part(why.clone().or(Some(anew.to_owned()))));
        }
        Ok(taken)
    }

    async fn chunk(&mut self, rows_max: u32) -> Result<ChunkDone, SessionError> {
        let part = self.part.clone().ok_or(SessionError::Fenced)?;
        // What failed was taken back, and so is what is remembered of it.
        let mut next = part.clone();
        let mut done = match self.pages_in_one(&mut next, rows_max).await {
            Ok(None) => self.one(&mut next, rows_max, Locked::Awaited).await,
            Ok(Some(done)) => Ok(done),
            Err(error) => Err(error),
        };
        if let Err(SessionError::LockTimeout { .. }) = &done
            && self.order.fill.walk != Walk::Key
        {
            next = part.clone();
            done = self.one(&mut next, rows_max, Locked::Skipped).await;
        }
        if done.as_ref().is_err_and(SessionError::is_of_a_row) {
            next = part.clone();
            done = self.one(&mut next, rows_max.min(AT_ONCE), Locked::Singly).await;
        }
        let done = match done {
            // A partition may be dropped or renamed at any time; what is left is looked up again.
            Err(error) if error.is_missing() && !self.is_there(&part.leaf).await? => {
                self.moved = true;
                ChunkDone { ended: true, ..ChunkDone::default() }
            }
            done => done?,
        };
        self.part = (!done.ended).then_some(next);
        Ok(done)
    }

    async fn leave(&mut self) -> Result<(), SessionError> {
        let Some(part) = self.part.take() else { return Ok(()) };
        self.query(
            "UPDATE zdmig.part SET pid = NULL, lease_until = clock_timestamp()
              WHERE step = $1 AND no = $2 AND token = $3",
        )
        .bind(self.order.step.as_str())
        .bind(part.no)
        .bind(part.token)
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
        updated: (0, 0),
    })
}
