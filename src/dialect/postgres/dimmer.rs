//! A column that is away for a while. One connection runs a loop in the server, which goes on when
//! we are killed and gives the column back; the other one watches.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tokio::task::JoinHandle;

use super::catalog::get;
use super::connect::{connect, settle, wrap};
use super::observer::CONNECT_LIMIT;
use super::quote;
use super::server_log::ServerLog;
use crate::dialect::{Dark, DatabaseUrl, Dimmer, Dimming, Refused, SessionError};
use crate::sql::ColumnRef;

/// What tells a statement that we let fail from those of others.
const MARK: &str = "zdmig control";

/// How long such a statement may take to be seen in the log.
const HEARD: Duration = Duration::from_secs(3);

/// How often giving back is tried again.
const TRIES: u32 = 20;

/// Between two looks at whether it is dark yet.
const POLL: Duration = Duration::from_millis(5);

/// What the server does by itself: takes the columns away, and gives them back once nobody renews
/// the lease, or the time is over. Each round is a transaction, so that it holds no snapshot.
const GUARD: &str = "
DO $zdmig$
DECLARE
    wanted jsonb := current_setting('zdmig.dimming')::jsonb;
    one record;
BEGIN
    FOR one IN SELECT c->>0 AS relation, c->>1 AS col FROM jsonb_array_elements(wanted->'columns') c LOOP
        INSERT INTO zdmig.brownout (migration, relation, column_name, owner, until, lease_until)
        VALUES (wanted->>'migration', one.relation, one.col, wanted->>'owner',
                clock_timestamp() + make_interval(secs => (wanted->>'lasts')::float8),
                clock_timestamp() + make_interval(secs => (wanted->>'lease')::float8));
        PERFORM zdmig.retire_column(one.relation, one.col);
    END LOOP;
    COMMIT;
    WHILE EXISTS (SELECT FROM zdmig.brownout) LOOP
        BEGIN
            IF EXISTS (SELECT FROM zdmig.brownout WHERE least(until, lease_until) < clock_timestamp()) THEN
                PERFORM zdmig.end_brownout();
            END IF;
        EXCEPTION WHEN OTHERS THEN
            -- A lock that is not to be had, somebody who grants at the same moment: tried again.
            NULL;
        END;
        COMMIT;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $zdmig$";

pub(super) struct PostgresDimmer {
    url: DatabaseUrl,
    conn: PgConnection,
    database: String,
    tables: BTreeSet<String>,
    log: Option<ServerLog>,
    guard: Option<JoinHandle<Result<(), SessionError>>>,
    lease: Duration,
    renewed: Instant,
    columns: Vec<ColumnRef>,
    /// Whether our own failed statement was seen.
    heard: bool,
    /// What was seen while we waited for that.
    kept: Vec<Refused>,
}

impl PostgresDimmer {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, SessionError> {
        let mut conn = connect(url, "zdmig watch", CONNECT_LIMIT).await?;
        settle(&mut conn, "off").await?;
        let row = sqlx::query("SELECT current_database()::text").fetch_one(&mut conn).await;
        Ok(Self {
            url: url.clone(),
            database: get(&row.map_err(wrap)?, 0)?,
            conn,
            tables: BTreeSet::new(),
            log: None,
            guard: None,
            lease: Duration::ZERO,
            renewed: Instant::now(),
            columns: Vec::new(),
            heard: false,
            kept: Vec::new(),
        })
    }

    /// A connection for the loop, which must outlive us.
    async fn guard(&self, order: &Dimming) -> Result<PgConnection, SessionError> {
        let mut conn = connect(&self.url, "zdmig", CONNECT_LIMIT).await?;
        settle(&mut conn, "off").await?;
        let columns: Vec<[String; 2]> = order
            .columns
            .iter()
            .map(|one| [quote::table(&one.table), one.column.as_str().to_owned()])
            .collect();
        let wanted = serde_json::json!({
            "migration": order.migration, "owner": order.owner, "columns": columns,
            // A little longer than we look, so that it is we who say how it ended.
            "lasts": (order.lasts + order.lease).as_secs_f64(), "lease": order.lease.as_secs_f64(),
        });
        sqlx::query(
            "SELECT set_config('zdmig.dimming', $1, false),
                    set_config('search_path', 'pg_catalog, pg_temp', false),
                    set_config('lock_timeout', '5s', false),
                    set_config('default_transaction_isolation', 'read committed', false),
                    (SELECT count(set_config(name, '0', false)) FROM pg_settings
                      WHERE name IN ('idle_session_timeout', 'client_connection_check_interval',
                                     'transaction_timeout'))",
        )
        .bind(wanted.to_string())
        .execute(&mut conn)
        .await
        .map_err(wrap)?;
        Ok(conn)
    }

    /// Waits until it is dark, or did not become so.
    async fn dark(&mut self) -> Result<(), SessionError> {
        loop {
            let row = sqlx::query("SELECT EXISTS (SELECT FROM zdmig.brownout)")
                .fetch_one(&mut self.conn)
                .await
                .map_err(wrap)?;
            if get::<bool>(&row, 0)? {
                return Ok(());
            }
            if let Some(guard) = self.guard.take_if(|guard| guard.is_finished()) {
                guard.await.map_err(|error| lost(error.to_string()))??;
                return Err(lost("it ended before it began".into()));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

fn lost(message: String) -> SessionError {
    SessionError::Lost { message }
}

#[async_trait]
impl Dimmer for PostgresDimmer {
    async fn begin(&mut self, order: &Dimming) -> Result<Dark, SessionError> {
        self.lease = order.lease;
        self.columns.clone_from(&order.columns);
        self.tables = order.columns.iter().map(|one| one.table.name.as_str().to_owned()).collect();
        self.log = match &order.log {
            Some(path) => {
                Some(ServerLog::of_file(path.clone()).map_err(|error| SessionError::Failed {
                    message: format!("the log `{}` cannot be read: {error}", path.display()),
                    code: None,
                    statement: None,
                })?)
            }
            None => ServerLog::of_server(&mut self.conn).await,
        };
        let mut guard = self.guard(order).await?;
        let begun = Instant::now();
        self.guard = Some(tokio::spawn(async move {
            let text = AssertSqlSafe(GUARD.to_owned());
            sqlx::raw_sql(text).execute(&mut guard).await.map(drop).map_err(wrap)
        }));
        self.dark().await?;
        let took = begun.elapsed();
        self.renewed = Instant::now();
        let rows = sqlx::query(
            "SELECT DISTINCT r.rolname::text
               FROM pg_roles r JOIN pg_roles m ON pg_has_role(r.oid, m.oid, 'MEMBER'),
                    zdmig.brownout b
              WHERE r.rolcanlogin
                AND has_column_privilege(m.oid, to_regclass(b.relation), b.column_name,
                                         'SELECT, INSERT, UPDATE')
              ORDER BY 1",
        )
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        let unstopped = rows.iter().map(|row| get(row, 0)).collect::<Result<_, _>>()?;
        Ok(Dark { took, log: self.log.as_ref().map(ServerLog::name), unstopped })
    }

    async fn look(&mut self) -> Result<Vec<Refused>, SessionError> {
        if self.guard.as_ref().is_none_or(JoinHandle::is_finished) {
            return Err(lost("the server's loop that would give it back has ended".into()));
        }
        if self.renewed.elapsed() > self.lease / 4 {
            let done = sqlx::query(
                "UPDATE zdmig.brownout SET lease_until = clock_timestamp() + make_interval(secs => $1)",
            )
            .bind(self.lease.as_secs_f64())
            .execute(&mut self.conn)
            .await
            .map_err(wrap)?;
            if done.rows_affected() == 0 {
                return Err(lost("the brownout was ended by somebody else".into()));
            }
            self.renewed = Instant::now();
        }
        let Some(log) = &mut self.log else { return Ok(Vec::new()) };
        let mut found = std::mem::take(&mut self.kept);
        found.extend(log.look(&mut self.conn, &self.database, &self.tables).await?);
        let all = found.len();
        found.retain(|one| !one.statement.contains(MARK));
        self.heard |= found.len() < all;
        Ok(found)
    }

    async fn control(&mut self) -> Result<bool, SessionError> {
        let Some(column) = self.columns.first().cloned() else { return Ok(false) };
        self.heard = false;
        // A superuser is denied nothing, and a role that nobody logs in as has no right to it.
        let sql = format!(
            "BEGIN; SELECT set_config('role', 'pg_signal_backend', true) FROM pg_roles WHERE rolname = \
             current_user AND rolsuper; SELECT {} FROM {} /* {MARK} */ LIMIT 0",
            quote::ident(&column.column),
            quote::table(&column.table),
        );
        let failed = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.conn).await.is_err();
        sqlx::raw_sql("ROLLBACK").execute(&mut self.conn).await.map_err(wrap)?;
        let begun = Instant::now();
        while failed && !self.heard && begun.elapsed() < HEARD {
            let found = self.look().await?;
            self.kept.extend(found);
            tokio::time::sleep(POLL).await;
        }
        Ok(self.heard)
    }

    async fn end(&mut self) -> Result<(), SessionError> {
        let mut tries = 0;
        loop {
            let ended = sqlx::query("SELECT zdmig.end_brownout()").execute(&mut self.conn).await;
            match ended.map_err(wrap) {
                Ok(_) => return Ok(()),
                Err(SessionError::Lost { message }) => return Err(SessionError::Lost { message }),
                Err(error) if tries == TRIES => return Err(error),
                Err(_) => tries += 1,
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
