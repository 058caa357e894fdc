use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Postgres, Row, SqlSafeStr};

use super::catalog::get;
use crate::dialect::{DatabaseUrl, SessionError};

/// A connection, and whether it may be another server process at each transaction.
pub(super) struct Door {
    pub(super) conn: PgConnection,
    pub(super) pooled: bool,
}

/// A parameter that means nothing to the server, and that only a server passes on: poolers refuse
/// or drop what they do not know, and a session of theirs is not ours alone.
const MARK: &str = "zdmig.direct";

/// Connects to the server itself, and turns every way in which that can fail into words without
/// secrets.
pub(super) async fn connect(
    url: &DatabaseUrl,
    name: &str,
    limit: Duration,
) -> Result<PgConnection, SessionError> {
    let door = connect_through(url, name, limit).await?;
    if door.pooled {
        return Err(SessionError::Pooled { url: url.to_string() });
    }
    Ok(door.conn)
}

/// Connects to the server, or to a pooler before it.
pub(super) async fn connect_through(
    url: &DatabaseUrl,
    name: &str,
    limit: Duration,
) -> Result<Door, SessionError> {
    let unreachable = |message: String| SessionError::Unreachable { url: url.to_string(), message };
    let plain = PgConnectOptions::from_str(url.with_secrets())
        .map_err(|_| unreachable("the address cannot be read as a PostgreSQL URL".into()))?
        .application_name(name)
        .disable_statement_logging();
    let marked = plain.clone().options([(MARK, "on")]);
    let both = async {
        match PgConnection::connect_with(&marked).await {
            Ok(mut conn) => {
                let sql =
                    format!("SELECT current_setting('{MARK}', true) IS NOT DISTINCT FROM 'on'");
                let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut conn).await?;
                Ok(Door { conn, pooled: !row.try_get::<bool, _>(0)? })
            }
            // A violation of the protocol, or a feature that they have not: how poolers put it.
            Err(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("08P01" | "0A000")) =>
            {
                Ok(Door { conn: PgConnection::connect_with(&plain).await?, pooled: true })
            }
            Err(error) => Err(error),
        }
    };
    match tokio::time::timeout(limit, both).await {
        Ok(Ok(door)) => Ok(door),
        Ok(Err(sqlx::Error::Database(error))) => Err(unreachable(error.message().to_owned())),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// A statement of ours.
pub(super) type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// A statement for a connection that may be pooled: a prepared one would be known to one server
/// process and not to the next.
pub(super) fn unprepared<'q>(sql: impl SqlSafeStr) -> PgQuery<'q> {
    sqlx::query(sql).persistent(false)
}

/// Makes a session independent of what its role has set; the number of its process.
pub(super) async fn settle(conn: &mut PgConnection, read_only: &str) -> Result<i32, SessionError> {
    let row = sqlx::query(
        "SELECT pg_backend_pid(), set_config('default_transaction_read_only', $1, false),
                set_config('statement_timeout', '0', false),
                set_config('lock_timeout', '0', false),
                -- A policy would hide rows from the fill and from its proof alike: fail.
                set_config('row_security', 'off', false),
                CASE WHEN current_setting('server_version_num')::int >= 140000
                     THEN set_config('client_connection_check_interval', '500ms', false) END",
    )
    .bind(read_only)
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    get(&row, 0)
}

/// Puts a driver's error into our words.
pub(super) fn wrap(error: sqlx::Error) -> SessionError {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().map(|code| code.into_owned());
            let message = error.message().to_owned();
            match code.as_deref() {
                // A deadlock ends like a lock that was not to be had: try again.
                Some("55P03" | "40P01") => {
                    SessionError::LockTimeout { waited: Duration::ZERO, blockers: Vec::new() }
                }
                Some("42501" | "25006") => SessionError::Denied { message },
                Some("57P01" | "57P02" | "57P03" | "25P03") => SessionError::Lost { message },
                _ => SessionError::Failed { message, code, statement: None },
            }
        }
        sqlx::Error::Io(error) => SessionError::Lost { message: error.to_string() },
        sqlx::Error::Protocol(message) => SessionError::Lost { message },
        other => SessionError::Failed { message: other.to_string(), code: None, statement: None },
    }
}
