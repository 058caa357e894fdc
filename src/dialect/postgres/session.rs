use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::bookkeeping::{CREATE, FILLS, FORMAT, RUN_LOCK};
use super::catalog::{self, get};
use super::connect::{Door, connect, connect_through, settle, unprepared, wrap};
use super::filler::{self, PostgresFiller};
use super::monitor::PostgresMonitor;
use super::watch::{blockers, doing};
use super::{measure, quote, run_lock, said, singly, steering};
use crate::catalog::{Catalog, Server};
use crate::dialect::{
    Answer, DatabaseUrl, Doing, FailedRow, FillOrder, FillState, Filler, Measure, Measured,
    Monitor, MonitorOptions, Options, Session, SessionError, Steer, Steering, Work,
};
use crate::journal::{Entry, EntryKind, Journal, Watermark};
use crate::plan::{Check, Expect, Fingerprint, StepId};
use crate::sql::Sql;

/// How long a statement runs before we look who is in its way.
const WATCH_AFTER: Duration = Duration::from_millis(60);
/// How often we ask how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// An autovacuum worker yields only after the waiter's `deadlock_timeout`, 1 s by default.
const AUTOVACUUM_YIELDS: Duration = Duration::from_millis(1_600);

/// The door to one PostgreSQL database: one connection that works, one that holds the run
/// lock, and one that watches while the first waits.
pub(super) struct PostgresSession {
    url: DatabaseUrl,
    options: Options,
    conn: PgConnection,
    /// Behind a pooler it may be another process at each transaction.
    pooled: bool,
    pid: i32,
    watcher: Option<PgConnection>,
    run_lock: Option<PgConnection>,
    token: i64,
    behind_autovacuum: bool,
    measured: Option<Measured>,
}

impl PostgresSession {
    pub(super) async fn open(url: &DatabaseUrl, options: &Options) -> Result<Self, SessionError> {
        let Door { mut conn, pooled } =
            connect_through(url, "zdmig", options.connect_timeout).await?;
        let pid = match (pooled, options.pooled) {
            (true, false) => return Err(SessionError::Pooled { url: url.to_string() }),
            (true, true) => 0,
            // Until the run lock is ours nothing of ours writes.
            (false, _) => settle(&mut conn, "on").await?,
        };
        Ok(Self {
            url: url.clone(),
            options: options.clone(),
            conn,
            pooled,
            pid,
            watcher: None,
            run_lock: None,
            token: 0,
            behind_autovacuum: false,
            measured: None,
        })
    }

    /// The one of several schemas that it works in.
    fn scope(&self) -> &str {
        self.options.beside.as_deref().unwrap_or_default()
    }

    /// Runs statements and looks meanwhile who is in the way, and how far they are.
    async fn watched(
        &mut self,
        sql: &Sql,
        waits: Duration,
        told: &mut (dyn FnMut(Doing) + Send),
    ) -> Result<(), SessionError> {
        let (mut seen, mut looked) = (Vec::new(), Instant::now());
        let outcome = {
            let text = AssertSqlSafe(sql.as_str().to_owned());
            let mut run = pin!(sqlx::raw_sql(text).execute(&mut self.conn));
            loop {
                tokio::select! {
                    outcome = &mut run => break outcome,
                    () = tokio::time::sleep(WATCH_AFTER) => {
                        if self.watcher.is_none() {
                            let limit = self.options.connect_timeout;
                            self.watcher = connect(&self.url, "zdmig watch", limit).await.ok();
                        }
                        let Some(watcher) = &mut self.watcher else { continue };
                        let now = blockers(watcher, self.pid).await.unwrap_or_default();
                        if looked.elapsed() >= LOOK_EVERY {
                            looked = Instant::now();
                            if let Ok(Some(doing)) = doing(watcher, self.pid).await {
                                told(Doing { blockers: now.clone(), ..doing });
                            }
                        }
                        if !now.is_empty() {
                            seen = now;
                        }
                    }
                }
            }
        };
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => Err(match wrap(error) {
                SessionError::LockTimeout { .. } => {
                    self.behind_autovacuum =
                        !seen.is_empty() && seen.iter().all(|one| one.state == "autovacuum worker");
                    SessionError::LockTimeout { waited: waits, blockers: seen }
                }
                SessionError::Failed { message, code, .. } => {
                    SessionError::Failed { message, code, statement: Some(sql.to_string()) }
                }
                other => other,
            }),
        }
    }

    /// Opens a transaction under a lock timeout and makes sure that we still are the one.
    async fn begin(&mut self, lock_timeout: Duration) -> Result<(), SessionError> {
        let sql = format!(
            "BEGIN; SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = \
             '10s'; SELECT 1 FROM zdmig.lease WHERE scope = {} AND token = {} FOR SHARE",
            lock_timeout.as_millis(),
            quote::literal(self.scope()),
            self.token
        );
        let held = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_optional(&mut self.conn).await;
        let held = match held {
            Ok(held) => held,
            Err(error) => {
                self.rollback().await;
                return Err(wrap(error));
            }
        };
        if held.is_none() {
            self.rollback().await;
            return Err(SessionError::Fenced);
        }
        Ok(())
    }

    async fn rollback(&mut self) {
        // A connection that cannot roll back is lost, and the next call says so.
        let _ = sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await;
    }

    async fn commit_all(&mut self) -> Result<(), SessionError> {
        sqlx::query("COMMIT").execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }

    async fn run_all(&mut self, all: &[Sql], waits: Duration) -> Result<(), SessionError> {
        for sql in all {
            self.watched(sql, waits, &mut |_| {}).await?;
        }
        Ok(())
    }

    /// Runs the statements of a transaction; since when they ask for locks, where that is measured.
    async fn locking(
        &mut self,
        all: &[Sql],
        waits: Duration,
    ) -> Result<Option<Instant>, SessionError> {
        if self.options.measure == Measure::Nothing || all.is_empty() {
            self.run_all(all, waits).await?;
            return Ok(None);
        }
        let before = measure::before(&mut self.conn).await?;
        let begun = Instant::now();
        self.measured = Some(if self.options.measure == Measure::Locks {
            self.run_all(all, waits).await?;
            measure::held(&mut self.conn, &before).await?
        } else {
            sqlx::query(said::ASK).execute(&mut self.conn).await.map_err(wrap)?;
            let (done, lines) = said::listening(self.run_all(all, waits)).await;
            done?;
            measure::after(&mut self.conn, &before, lines).await?
        });
        Ok(Some(begun))
    }

    /// What a transaction of ours does; since when it asks for locks, where that is measured.
    async fn work(
        &mut self,
        work: &Work<'_>,
        waits: Duration,
    ) -> Result<Option<Instant>, SessionError> {
        let begun = self.locking(work.sql, waits).await?;
        let kind = &work.entry.kind;
        let detail = serde_json::to_string(kind).map_err(unreadable)?;
        sqlx::query(
            "INSERT INTO zdmig.journal (step, plan, kind, detail, written_by)
             VALUES ($1, $2, $3, $4::text::jsonb, $5)",
        )
        .bind(work.entry.step.as_str())
        .bind(work.entry.plan.as_str())
        .bind(kind.word())
        .bind(detail)
        .bind(&work.entry.by)
        .execute(&mut self.conn)
        .await
        .map_err(wrap)?;
        let takes_away = work.entry.step.takes_away() && !work.sql.is_empty();
        if takes_away && matches!(kind, EntryKind::Finished { .. }) {
            let migration = work.entry.step.migration_prefix().trim_end_matches('/');
            let entered = sqlx::query("SELECT * FROM zdmig.entered($1)")
                .bind(migration)
                .fetch_optional(&mut self.conn)
                .await
                .map_err(wrap)?;
            if let Some(row) = entered {
                return Err(SessionError::Entered { why: get(&row, 0)? });
            }
        }
        if *kind == EntryKind::RolledBack {
            sqlx::query(
                "WITH s AS (DELETE FROM zdmig.steering WHERE prefix = $1)
                 DELETE FROM zdmig.fill WHERE left(step, length($1)) = $1",
            )
            .bind(work.entry.step.migration_prefix())
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
        }
        if *kind == EntryKind::Undone {
            sqlx::query("DELETE FROM zdmig.fill WHERE step = $1")
                .bind(work.entry.step.as_str())
                .execute(&mut self.conn)
                .await
                .map_err(wrap)?;
        }
        Ok(begun)
    }
}

#[async_trait]
impl Session for PostgresSession {
    async fn catalog(&mut self) -> Result<Catalog, SessionError> {
        catalog::read(&mut self.conn).await
    }

    async fn server(&mut self) -> Result<Server, SessionError> {
        catalog::server(&mut self.conn).await
    }

    async fn journal(&mut self) -> Result<Journal, SessionError> {
        // In one transaction, and so of one instant, and of one server process behind a pooler.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        sqlx::raw_sql(begin).execute(&mut self.conn).await.map_err(wrap)?;
        let journal = read_journal(&mut self.conn).await;
        self.rollback().await;
        journal
    }

    async fn check(&mut self, check: &Check) -> Result<Answer, SessionError> {
        self.suppose(&[], check).await
    }

    async fn suppose(&mut self, after: &[Sql], check: &Check) -> Result<Answer, SessionError> {
        if check.expect == Expect::Journal {
            return Ok(Answer { yes: false, detail: None });
        }
        // Expressions of the author's are computed by some, and must leave nothing behind.
        let (begin, then) = match after {
            [] => ("BEGIN READ ONLY", None),
            _ => ("BEGIN", Some("SET TRANSACTION READ ONLY")),
        };
        for statement in [begin].into_iter().chain(after.iter().map(Sql::as_str)).chain(then) {
            let sql = AssertSqlSafe(statement.to_owned());
            if let Err(error) = sqlx::raw_sql(sql).execute(&mut self.conn).await {
                self.rollback().await;
                return Err(wrap(error));
            }
        }
        let row = sqlx::query(AssertSqlSafe(check.sql.as_str().to_owned()))
            .fetch_optional(&mut self.conn)
            .await;
        self.rollback().await;
        let row = row.map_err(wrap)?;
        let yes = row.is_some() == (check.expect == Expect::Rows);
        Ok(Answer { yes, detail: row.and_then(|row| row.try_get(0).ok()) })
    }

    async fn exclusive(&mut self, owner: &str) -> Result<(), SessionError> {
        if self.pooled {
            return Err(SessionError::Pooled { url: self.url.to_string() });
        }
        make_bookkeeping(&mut self.conn).await?;
        let mut lock = connect(&self.url, "zdmig lock", self.options.connect_timeout).await?;
        self.token = run_lock::take(&mut lock, owner, self.options.beside.as_deref()).await?;
        // Who was at a brownout had this lock, so it is no more.
        sqlx::query("SELECT zdmig.end_brownout()").execute(&mut lock).await.map_err(wrap)?;
        self.run_lock = Some(lock);
        Ok(())
    }

    async fn execute(
        &mut self,
        sql: &[Sql],
        told: &mut (dyn FnMut(Doing) + Send),
    ) -> Result<(), SessionError> {
        for one in sql {
            if self.options.measure == Measure::Nothing {
                self.watched(one, Duration::ZERO, told).await?;
                continue;
            }
            let (limit, pid) = (self.options.connect_timeout, self.pid);
            let mut other = connect(&self.url, "zdmig measure", limit).await?;
            let done = if self.options.measure == Measure::Locks {
                let before = self.measured.take();
                let run = self.watched(one, Duration::ZERO, told);
                measure::beside(&mut other, pid, before, run).await?
            } else {
                measure::outside(&mut self.conn, &mut other, pid, one).await?
            };
            self.measured = Some(done);
        }
        Ok(())
    }

    async fn commit(&mut self, work: &Work<'_>) -> Result<(), SessionError> {
        let mut waits = self.options.lock_timeout;
        if self.behind_autovacuum {
            waits = waits.max(AUTOVACUUM_YIELDS);
        }
        self.begin(waits).await?;
        match self.work(work, waits).await {
            Ok(begun) => {
                self.commit_all().await?;
                self.behind_autovacuum = false;
                if let (Some(begun), Some(measured)) = (begun, &mut self.measured) {
                    measured.held = begun.elapsed();
                }
                Ok(())
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    async fn begin_fill(
        &mut self,
        order: &FillOrder,
        anew: bool,
    ) -> Result<Watermark, SessionError> {
        self.begin(self.options.lock_timeout).await?;
        match filler::begin(&mut self.conn, order, anew).await {
            Ok(mark) => {
                self.commit_all().await?;
                Ok(mark)
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    async fn retry_failed(&mut self, step: &StepId) -> Result<(), SessionError> {
        singly::mark(&mut self.conn, step).await
    }

    async fn failed_rows(
        &mut self,
        step: &StepId,
        most: u32,
    ) -> Result<Vec<FailedRow>, SessionError> {
        singly::failed(&mut self.conn, step, most).await
    }

    async fn filler(&mut self, order: &FillOrder) -> Result<Box<dyn Filler>, SessionError> {
        Ok(Box::new(PostgresFiller::open(&self.url, &self.options, order).await?))
    }

    fn monitor(&mut self, order: &FillOrder, options: &MonitorOptions) -> Box<dyn Monitor> {
        let limit = self.options.connect_timeout;
        Box::new(PostgresMonitor::new(&self.url, limit, order, options))
    }

    async fn steer(&mut self, prefix: &str, change: &Steer) -> Result<(), SessionError> {
        make_bookkeeping(&mut self.conn).await?;
        steering::steer(&mut self.conn, prefix, change).await
    }

    async fn steering(&mut self, prefix: &str) -> Result<Steering, SessionError> {
        steering::read(&mut self.conn, prefix).await
    }

    async fn fills(&mut self) -> Result<Vec<FillState>, SessionError> {
        sqlx::raw_sql("BEGIN READ ONLY").execute(&mut self.conn).await.map_err(wrap)?;
        let fills = steering::fills(&mut self.conn).await;
        self.rollback().await;
        fills
    }

    fn measured(&mut self) -> Option<Measured> {
        self.measured.take()
    }
}

/// Whether a table is there.
pub(super) async fn exists(conn: &mut PgConnection, table: &str) -> Result<bool, SessionError> {
    let row = unprepared("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(conn)
        .await
        .map_err(wrap)?;
    get(&row, 0)
}

/// Makes our schema where it is missing, and refuses one that a newer zdmig made.
pub(super) async fn make_bookkeeping(conn: &mut PgConnection) -> Result<(), SessionError> {
    sqlx::query("SELECT set_config('default_transaction_read_only', 'off', false)")
        .execute(&mut *conn)
        .await
        .map_err(wrap)?;
    if check_format(conn).await? {
        return Ok(());
    }
    let sql = format!("BEGIN; SELECT pg_advisory_xact_lock({}); {CREATE} COMMIT;", RUN_LOCK + 1);
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await;
    if made.is_err() {
        let _ = sqlx::query("ROLLBACK").execute(&mut *conn).await;
    }
    match made.map_err(wrap) {
        Ok(_) => Ok(()),
        Err(SessionError::Denied { message }) => Err(SessionError::Denied {
            message: format!(
                "{message}; zdmig keeps its journal in the schema `zdmig`: let the role that \
                 owns the tables run it, with CREATE on this database"
            ),
        }),
        Err(error) => Err(error),
    }
}

/// Whether our schema is there and of a format that we know.
async fn check_format(conn: &mut PgConnection) -> Result<bool, SessionError> {
    if !exists(conn, "zdmig.format").await? {
        return Ok(false);
    }
    let row =
        unprepared("SELECT version FROM zdmig.format").fetch_one(&mut *conn).await.map_err(wrap)?;
    let found: i32 = get(&row, 0)?;
    if found > FORMAT {
        return Err(SessionError::Bookkeeping {
            message: format!("it has format {found}, and this zdmig knows up to {FORMAT}"),
        });
    }
    Ok(found == FORMAT)
}

async fn read_journal(conn: &mut PgConnection) -> Result<Journal, SessionError> {
    if !exists(conn, "zdmig.journal").await? {
        return Ok(Journal::default());
    }
    check_format(conn).await?;
    let rows = unprepared(
        "SELECT step, plan, detail::text, written_by, at FROM zdmig.journal ORDER BY seq",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(wrap)?;
    let entry = |row: &PgRow| {
        Ok::<_, SessionError>(Entry {
            step: StepId::stored(get::<String>(row, 0)?),
            plan: Fingerprint::stored(get::<String>(row, 1)?),
            kind: serde_json::from_str(&get::<String>(row, 2)?).map_err(unreadable)?,
            by: get(row, 3)?,
            at: get(row, 4)?,
        })
    };
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    if !exists(conn, "zdmig.fill").await? {
        return Ok(Journal::replay(entries, BTreeMap::new())?);
    }
    let rows = unprepared(FILLS).fetch_all(&mut *conn).await.map_err(wrap)?;
    let mut watermarks = BTreeMap::new();
    for row in &rows {
        watermarks.insert(StepId::stored(get::<String>(row, 0)?), filler::watermark(row)?);
    }
    Ok(Journal::replay(entries, watermarks)?)
}

pub(super) fn unreadable(error: serde_json::Error) -> SessionError {
    SessionError::Bookkeeping { message: error.to_string() }
}
