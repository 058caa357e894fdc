use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use super::bookkeeping::{CREATE, ENTERED, FILLS, FORMAT};
use super::catalog::{self, get};
use super::filler::{self, SqliteFiller};
use super::monitor::{self, SqliteMonitor};
use super::singly;
use crate::catalog::{Catalog, Server};
use crate::dialect::{
    Answer, DatabaseUrl, Doing, FailedRow, FillOrder, FillState, Filler, Monitor, MonitorOptions,
    Options, Scratch, Session, SessionError, Steer, Steering, Work,
};
use crate::journal::{Entry, EntryKind, Journal, Watermark};
use crate::plan::{Check, Expect, Fingerprint, StepId};
use crate::sql::Sql;

/// The door to one SQLite file.
pub(super) struct SqliteSession {
    conn: SqliteConnection,
    url: DatabaseUrl,
    path: PathBuf,
    lock_timeout: Duration,
    /// Held while we are the only zdmig; the system lets go of it when we die.
    run_lock: Option<File>,
    token: i64,
}

impl SqliteSession {
    pub(super) async fn open(url: &DatabaseUrl, options: &Options) -> Result<Self, SessionError> {
        let (conn, path) = connect(url, options.lock_timeout).await?;
        let mut session = Self {
            conn,
            url: url.clone(),
            path,
            lock_timeout: options.lock_timeout,
            run_lock: None,
            token: 0,
        };
        session.run("PRAGMA query_only = ON").await?;
        Ok(session)
    }

    async fn run(&mut self, sql: &str) -> Result<(), SessionError> {
        let outcome = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await;
        outcome.map(|_| ()).map_err(|error| self.explain(error, sql))
    }

    fn explain(&self, error: sqlx::Error, sql: &str) -> SessionError {
        match wrap(error) {
            SessionError::LockTimeout { .. } => {
                SessionError::LockTimeout { waited: self.lock_timeout, blockers: Vec::new() }
            }
            SessionError::Failed { message, code, .. } => {
                SessionError::Failed { message, code, statement: Some(sql.to_owned()) }
            }
            other => other,
        }
    }

    async fn begin(&mut self) -> Result<(), SessionError> {
        self.run("BEGIN IMMEDIATE").await?;
        let held = at_work(&mut self.conn, self.token).await;
        if held.is_err() {
            self.rollback().await;
        }
        held
    }

    async fn rollback(&mut self) {
        let _ = self.run("ROLLBACK").await;
    }

    async fn work(&mut self, work: &Work<'_>) -> Result<(), SessionError> {
        for sql in work.sql {
            self.run(sql.as_str()).await?;
        }
        let kind = &work.entry.kind;
        let detail = serde_json::to_string(kind).map_err(unreadable)?;
        sqlx::query(
            "INSERT INTO zdmig_journal (step, plan, kind, detail, written_by) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
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
            let entered = sqlx::query(ENTERED)
                .bind(migration)
                .fetch_optional(&mut self.conn)
                .await
                .map_err(wrap)?;
            if let Some(row) = entered {
                return Err(SessionError::Entered { why: get(&row, 0)? });
            }
        }
        if *kind == EntryKind::RolledBack {
            sqlx::query("DELETE FROM zdmig_steering WHERE prefix = ?1")
                .bind(work.entry.step.migration_prefix())
                .execute(&mut self.conn)
                .await
                .map_err(wrap)?;
            for table in ["zdmig_watermark", "zdmig_failed", "zdmig_seen"] {
                let sql = format!("DELETE FROM {table} WHERE substr(step, 1, length(?1)) = ?1");
                sqlx::query(AssertSqlSafe(sql))
                    .bind(work.entry.step.migration_prefix())
                    .execute(&mut self.conn)
                    .await
                    .map_err(wrap)?;
            }
        }
        if *kind == EntryKind::Undone {
            for table in ["zdmig_watermark", "zdmig_failed", "zdmig_seen"] {
                let sql = format!("DELETE FROM {table} WHERE step = ?1");
                sqlx::query(AssertSqlSafe(sql))
                    .bind(work.entry.step.as_str())
                    .execute(&mut self.conn)
                    .await
                    .map_err(wrap)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Session for SqliteSession {
    async fn catalog(&mut self) -> Result<Catalog, SessionError> {
        catalog::read(&mut self.conn).await
    }

    async fn server(&mut self) -> Result<Server, SessionError> {
        catalog::server(&mut self.conn).await
    }

    async fn journal(&mut self) -> Result<Journal, SessionError> {
        read_journal(&mut self.conn).await
    }

    async fn suppose(&mut self, _after: &[Sql], check: &Check) -> Result<Answer, SessionError> {
        // Nothing that a question needs can be made here: there are no functions and no types.
        self.check(check).await
    }

    async fn check(&mut self, check: &Check) -> Result<Answer, SessionError> {
        if check.expect == Expect::Journal {
            return Ok(Answer { yes: false, detail: None });
        }
        let row = sqlx::query(AssertSqlSafe(check.sql.as_str().to_owned()))
            .fetch_optional(&mut self.conn)
            .await
            .map_err(wrap)?;
        let yes = row.is_some() == (check.expect == Expect::Rows);
        Ok(Answer { yes, detail: row.and_then(|row| row.try_get(0).ok()) })
    }

    async fn exclusive(&mut self, owner: &str) -> Result<(), SessionError> {
        let mut beside = self.path.clone().into_os_string();
        beside.push("-zdmig.lock");
        let denied = |error: std::io::Error| SessionError::Denied {
            message: format!("cannot open the run lock beside the database file: {error}"),
        };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&beside)
            .map_err(denied)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut self.conn).await;
                return Err(SessionError::Busy { holder });
            }
            Err(TryLockError::Error(error)) => return Err(denied(error)),
        }
        make_bookkeeping(&mut self.conn).await?;
        let row = sqlx::query(
            "UPDATE zdmig_lease SET token = token + 1, owner = ?1, \
             since = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') RETURNING token",
        )
        .bind(owner)
        .fetch_one(&mut self.conn)
        .await
        .map_err(wrap)?;
        self.token = get(&row, 0)?;
        self.run_lock = Some(file);
        Ok(())
    }

    async fn execute(
        &mut self,
        sql: &[Sql],
        _: &mut (dyn FnMut(Doing) + Send),
    ) -> Result<(), SessionError> {
        for one in sql {
            self.run(one.as_str()).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, work: &Work<'_>) -> Result<(), SessionError> {
        self.begin().await?;
        match self.work(work).await {
            Ok(()) => self.run("COMMIT").await,
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
        self.begin().await?;
        match filler::begin(&mut self.conn, order, anew).await {
            Ok(mark) => {
                self.run("COMMIT").await?;
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
        let (conn, _) = connect(&self.url, self.lock_timeout).await?;
        Ok(Box::new(SqliteFiller::new(conn, self.token, order)))
    }

    fn monitor(&mut self, order: &FillOrder, options: &MonitorOptions) -> Box<dyn Monitor> {
        let busy = self.lock_timeout;
        Box::new(SqliteMonitor::new(&self.url, busy, &order.step, &options.owner))
    }

    async fn steer(&mut self, prefix: &str, change: &Steer) -> Result<(), SessionError> {
        make_bookkeeping(&mut self.conn).await?;
        monitor::steer(&mut self.conn, prefix, change).await
    }

    async fn steering(&mut self, prefix: &str) -> Result<Steering, SessionError> {
        monitor::steering(&mut self.conn, prefix).await
    }

    async fn fills(&mut self) -> Result<Vec<FillState>, SessionError> {
        monitor::fills(&mut self.conn).await
    }
}

/// Whether the run of that token still is the one.
pub(super) async fn at_work(conn: &mut SqliteConnection, token: i64) -> Result<(), SessionError> {
    let held = sqlx::query("SELECT 1 FROM zdmig_lease WHERE token = ?1")
        .bind(token)
        .fetch_optional(conn)
        .await
        .map_err(wrap)?;
    held.map(|_| ()).ok_or(SessionError::Fenced)
}

/// Opens the file; it is made only where the URL says `mode=rwc`.
pub(super) async fn connect(
    url: &DatabaseUrl,
    busy: Duration,
) -> Result<(SqliteConnection, PathBuf), SessionError> {
    let unreachable = |message: String| SessionError::Unreachable { url: url.to_string(), message };
    let options = SqliteConnectOptions::from_str(url.with_secrets())
        .map_err(|error| unreachable(error.to_string()))?
        .busy_timeout(busy)
        .disable_statement_logging();
    let path = options.get_filename().to_owned();
    let conn = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| unreachable(wrap(error).to_string()))?;
    Ok((conn, path))
}

/// Makes an empty file in WAL mode, in which readers do not wait for writers.
pub(super) async fn scratch(folder: &Path) -> Result<Scratch, SessionError> {
    let url = DatabaseUrl::file(&folder.join("demo.db"));
    let create = DatabaseUrl::new(format!("{}?mode=rwc", url.with_secrets()));
    let create =
        create.map_err(|error| SessionError::Bookkeeping { message: error.to_string() })?;
    let (mut conn, _) = connect(&create, Duration::from_secs(1)).await?;
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut conn).await.map_err(wrap)?;
    Ok(Scratch { url, role: None, others: Vec::new(), drop: None })
}

pub(super) async fn exists(conn: &mut SqliteConnection, table: &str) -> Result<bool, SessionError> {
    let row = sqlx::query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")
        .bind(table)
        .fetch_optional(conn)
        .await
        .map_err(wrap)?;
    Ok(row.is_some())
}

/// Makes our tables where they are missing, and refuses those that a newer zdmig made.
pub(super) async fn make_bookkeeping(conn: &mut SqliteConnection) -> Result<(), SessionError> {
    sqlx::query("PRAGMA query_only = OFF").execute(&mut *conn).await.map_err(wrap)?;
    if check_format(conn).await? {
        return Ok(());
    }
    let sql = format!("BEGIN IMMEDIATE; {CREATE} COMMIT;");
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await;
    if made.is_err() {
        let _ = sqlx::query("ROLLBACK").execute(&mut *conn).await;
    }
    made.map_err(wrap)?;
    Ok(())
}

async fn check_format(conn: &mut SqliteConnection) -> Result<bool, SessionError> {
    if !exists(conn, "zdmig_format").await? {
        return Ok(false);
    }
    let row = sqlx::query("SELECT version FROM zdmig_format")
        .fetch_one(&mut *conn)
        .await
        .map_err(wrap)?;
    let found: i64 = get(&row, 0)?;
    if found > FORMAT {
        return Err(SessionError::Bookkeeping {
            message: format!("it has format {found}, and this zdmig knows up to {FORMAT}"),
        });
    }
    Ok(found == FORMAT)
}

async fn read_holder(conn: &mut SqliteConnection) -> String {
    let row = sqlx::query("SELECT owner || ', since ' || since FROM zdmig_lease")
        .fetch_optional(conn)
        .await;
    row.ok().flatten().and_then(|row| row.try_get(0).ok()).unwrap_or_default()
}

pub(super) fn time(text: &str) -> Result<DateTime<Utc>, SessionError> {
    text.parse().map_err(|_| SessionError::Bookkeeping { message: format!("`{text}` is no time") })
}

async fn read_journal(conn: &mut SqliteConnection) -> Result<Journal, SessionError> {
    if !exists(conn, "zdmig_journal").await? {
        return Ok(Journal::default());
    }
    check_format(conn).await?;
    let rows =
        sqlx::query("SELECT step, plan, detail, written_by, at FROM zdmig_journal ORDER BY seq")
            .fetch_all(&mut *conn)
            .await
            .map_err(wrap)?;
    let mut entries = Vec::new();
    for row in &rows {
        entries.push(Entry {
            step: StepId::stored(get::<String>(row, 0)?),
            plan: Fingerprint::stored(get::<String>(row, 1)?),
            kind: serde_json::from_str(&get::<String>(row, 2)?).map_err(unreadable)?,
            by: get(row, 3)?,
            at: time(&get::<String>(row, 4)?)?,
        });
    }
    if !exists(conn, "zdmig_seen").await? {
        return Ok(Journal::replay(entries, BTreeMap::new())?);
    }
    let rows = sqlx::query(FILLS).fetch_all(&mut *conn).await.map_err(wrap)?;
    let mut watermarks = BTreeMap::new();
    for row in &rows {
        watermarks.insert(StepId::stored(get::<String>(row, 0)?), filler::watermark(row)?);
    }
    Ok(Journal::replay(entries, watermarks)?)
}

pub(super) fn unreadable(error: serde_json::Error) -> SessionError {
    SessionError::Bookkeeping { message: error.to_string() }
}

/// Puts a driver's error into our words.
pub(super) fn wrap(error: sqlx::Error) -> SessionError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().map(|code| code.into_owned());
            let message = error.message().to_owned();
            // The low byte is the primary code: 5 busy, 6 locked, 8 read-only, 3 permission.
            let primary = code.as_deref().and_then(|code| code.parse::<i64>().ok());
            match primary.map(|code| code & 0xff) {
                Some(5 | 6) => {
                    SessionError::LockTimeout { waited: Duration::ZERO, blockers: Vec::new() }
                }
                Some(3 | 8) => SessionError::Denied { message },
                _ => SessionError::Failed { message, code, statement: None },
            }
        }
        sqlx::Error::Io(error) => SessionError::Lost { message: error.to_string() },
        other => SessionError::Failed { message: other.to_string(), code: None, statement: None },
    }
}
