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
use super::places::{Places, Queue};
use super::quote;
use super::session::{exists, unreadable};
use super::singly::AT_ONCE;
use crate::dialect::{ChunkDone, DatabaseUrl, FillOrder, Filler, Options, SessionError, Taken};
use crate::journal::Watermark;
use crate::plan::Walk;

/// How long a part stays a worker's that does not say anything, in seconds. Each chunk renews
/// it, and a session that is seen to be gone loses it at once.
pub(super) const LEASE: f64 = 30.0;
/// A table has at least so many windows if it can, so that there is something for each worker.
pub(super) const WINDOWS: i64 = 8;
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
    /// When its lease was renewed last.
    pub(super) renewed: Instant,
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
    /// Its rows that are still to be filled, where it is filled by their places.
    pub(super) queue: Option<Queue>,
    /// Windows that are still to be walked in one pass.
    pub(super) plain: u32,
    /// How many that will be the next time.
    pub(super) plain_next: u32,
    /// The number that the next transaction had, a while ago.
    pub(super) seen: Option<(Instant, i64)>,
    /// Whether somebody kept old versions of rows alive then.
    pub(super) kept: bool,
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
pub(super) async fn leaves(
    conn: &mut PgConnection,
    order: &FillOrder,
) -> Result<Vec<Leaf>, SessionError> {
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

/// The driver looks up a type that it does not know when it first meets it, and forgets a statement
/// that has no name over it: so it meets it here.
async fn get_to_know_places(conn: &mut PgConnection) -> Result<(), SessionError> {
    sqlx::raw_sql("BEGIN").execute(&mut *conn).await.map_err(wrap)?;
    let _ = unprepared("SELECT $1").bind(Places::default()).execute(&mut *conn).await;
    sqlx::raw_sql("ROLLBACK").execute(conn).await.map_err(wrap)?;
    Ok(())
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
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await.map_err(wrap)?;
    compress_the_log(conn).await
}

/// Half of what a fill writes to the log is each page as it was when it was first touched after a
/// checkpoint, and replicas read all of it: what compresses that costs less than it saves. It is
/// of this session alone, and asks for a privilege that not every role has.
async fn compress_the_log(conn: &mut PgConnection) -> Result<(), SessionError> {
    let knows = "SELECT 1 FROM pg_settings WHERE name = 'wal_compression' AND setting = 'off'
                    AND 'lz4' = ANY(enumvals)";
    if sqlx::query(knows).fetch_optional(&mut *conn).await.map_err(wrap)?.is_some() {
        let set = "SELECT set_config('wal_compression', 'lz4', false)
                    WHERE has_parameter_privilege('wal_compression', 'SET')";
        sqlx::query(set).execute(conn).await.map_err(wrap)?;
    }
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
        if pooled {
            get_to_know_places(&mut conn).await?;
        } else {
            settle(&mut conn, "off").await?;
            for_chunks(&mut conn, order, row_waits).await?;
        }
        Ok(Self {
            conn,
            pooled,
            order: order.clone(),
            row_waits,
            part: None,
            queue: None,
            plain: 0,
            plain_next: 1,
            seen: None,
            kept: false,
            counted: (0, 0),
            why: None,
            moved: false,
        })
    }

    /// Opens a transaction in which triggers know the fill.
    pub(super) async fn begin(&mut self, lock_timeout: Duration) -> Result<(), SessionError> {
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
    pub(super) async fn ended<T>(
        &mut self,
        outcome: Result<T, SessionError>,
    ) -> Result<T, SessionError> {
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

    async fn is_there(&mut self, leaf: &Leaf) -> Result<bool, SessionError> {
        exists(&mut self.conn, &leaf.name).await
    }

    async fn one(
        &mut self,
        part: &mut Part,
        rows_max: u32,
        locked: Locked,
    ) -> Result<ChunkDone, SessionError> {
        let proves = self.order.prove.is_some();
        if let (Walk::Pages { .. }, false) = (self.order.fill.walk, proves) {
            return self.places(part, rows_max, locked).await;
        }
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
        (self.part, self.queue) = (None, None);
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
        let mut done = self.one(&mut next, rows_max, Locked::Awaited).await;
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
            // Along a key there is but the table, and to begin again would copy rows twice.
            Err(error)
                if error.is_missing()
                    && self.order.fill.walk != Walk::Key
                    && !self.is_there(&part.leaf).await? =>
            {
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
        self.begin(Duration::from_secs(2)).await?;
        let left = self
            .query(
                "UPDATE zdmig.part SET pid = NULL, lease_until = clock_timestamp()
                  WHERE step = $1 AND no = $2 AND token = $3",
            )
            .bind(self.order.step.as_str())
            .bind(part.no)
            .bind(part.token)
            .execute(&mut self.conn)
            .await
            .map_err(wrap);
        self.ended(left).await.map(|_| ())
    }
}
