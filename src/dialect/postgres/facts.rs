//! Facts that are written down for the gate.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use super::catalog::get;
use super::connect::wrap;
use super::session::{exists, make_bookkeeping};
use super::{quote, statements};
use crate::dialect::{Approval, Fact, SessionError};
use crate::migration::Row;
use crate::sql::{Ident, TableName};

pub(super) async fn record(conn: &mut PgConnection, fact: &Fact<'_>) -> Result<(), SessionError> {
    make_bookkeeping(conn).await?;
    let query = match fact {
        Fact::Deployed { env, service, version, keep_previous } => {
            // One statement: a deployment replaces what it replaces, or nothing happens.
            sqlx::query(
                "WITH ended AS (UPDATE zdmig.deployment SET ended = clock_timestamp()
                     WHERE env = $1 AND service = $2 AND version <> $3 AND ended IS NULL
                       AND NOT $4)
                 INSERT INTO zdmig.deployment (env, service, version) VALUES ($1, $2, $3)
                 ON CONFLICT (env, service, version) DO UPDATE
                     SET ended = NULL, since = clock_timestamp()",
            )
            .bind(*env)
            .bind(*service)
            .bind(*version)
            .bind(*keep_previous)
        }
        Fact::Released { env, service, version } => sqlx::query(
            "INSERT INTO zdmig.release (env, service, version) VALUES ($1, $2, $3)
             ON CONFLICT (env, service, version) DO UPDATE SET ended = NULL",
        )
        .bind(*env)
        .bind(*service)
        .bind(*version),
        Fact::Withdrawn { env, service, version } => sqlx::query(
            "UPDATE zdmig.release SET ended = clock_timestamp()
              WHERE env = $1 AND service = $2 AND version = $3 AND ended IS NULL",
        )
        .bind(*env)
        .bind(*service)
        .bind(*version),
        Fact::Ended { env, service, version } => sqlx::query(
            "UPDATE zdmig.deployment SET ended = clock_timestamp()
              WHERE env = $1 AND service = $2 AND version = $3 AND ended IS NULL",
        )
        .bind(*env)
        .bind(*service)
        .bind(*version),
        Fact::Alive { env, service, version, instance } => {
            sqlx::query("SELECT zdmig.heartbeat($1, $2, $3, $4)")
                .bind(*env)
                .bind(*service)
                .bind(*version)
                .bind(*instance)
        }
        Fact::Gone { env, service, version, instance } => {
            sqlx::query("SELECT zdmig.goodbye($1, $2, $3, $4)")
                .bind(*env)
                .bind(*service)
                .bind(*version)
                .bind(*instance)
        }
        Fact::Fenced { env, migration, alive, cleared, admitted } => {
            return raise(conn, [env, migration], *alive, cleared, admitted).await;
        }
        Fact::Cleared { env, migration, service, version } => {
            return clear(conn, [env, migration, service, version]).await;
        }
        Fact::Unfenced { migration } => sqlx::query(
            "WITH c AS (DELETE FROM zdmig.cleared WHERE migration = $1),
                  a AS (DELETE FROM zdmig.admitted WHERE migration = $1)
             DELETE FROM zdmig.fence WHERE migration = $1",
        )
        .bind(*migration),
        Fact::Observing { env, node, log } => {
            return statements::observe(conn, env, node, log).await;
        }
        Fact::Unobserved { env } => {
            sqlx::query("DELETE FROM zdmig.observation WHERE env = $1").bind(*env)
        }
        Fact::Approved { migration, fingerprint, who, plan } => {
            return approve(conn, [migration, fingerprint, who, plan]).await;
        }
        Fact::Unapproved { migration, fingerprint, who } => {
            return withdraw(conn, [migration, fingerprint, who]).await;
        }
        Fact::Usage { service, version, text } => sqlx::query(
            "INSERT INTO zdmig.usage (service, version, manifest) VALUES ($1, $2, $3)
             ON CONFLICT (service, version) DO NOTHING",
        )
        .bind(*service)
        .bind(*version)
        .bind(*text),
    };
    query.execute(&mut *conn).await.map_err(wrap)?;
    Ok(())
}

async fn clear(conn: &mut PgConnection, of: [&str; 4]) -> Result<(), SessionError> {
    let query = sqlx::query(
        "INSERT INTO zdmig.cleared (env, migration, service, version)
         VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    );
    let query = of.into_iter().fold(query, |query, value| query.bind(value.to_owned()));
    query.execute(conn).await.map_err(wrap)?;
    Ok(())
}

async fn approve(conn: &mut PgConnection, of: [&str; 4]) -> Result<(), SessionError> {
    let query = sqlx::query(
        "INSERT INTO zdmig.approval (migration, fingerprint, who, plan) VALUES ($1, $2, $3, $4)
         ON CONFLICT (migration, fingerprint, who) DO NOTHING",
    );
    let query = of.into_iter().fold(query, |query, value| query.bind(value.to_owned()));
    query.execute(conn).await.map_err(wrap)?;
    Ok(())
}

async fn withdraw(conn: &mut PgConnection, of: [&str; 3]) -> Result<(), SessionError> {
    let query = sqlx::query(
        "DELETE FROM zdmig.approval WHERE migration = $1 AND fingerprint = $2 AND who = $3",
    );
    let query = of.into_iter().fold(query, |query, value| query.bind(value.to_owned()));
    query.execute(conn).await.map_err(wrap)?;
    Ok(())
}

async fn raise(
    conn: &mut PgConnection,
    of: [&str; 2],
    alive: Duration,
    cleared: &[(String, String)],
    admitted: &[(String, String)],
) -> Result<(), SessionError> {
    let (services, versions): (Vec<String>, Vec<String>) = cleared.iter().cloned().unzip();
    let (others, theirs): (Vec<String>, Vec<String>) = admitted.iter().cloned().unzip();
    // In one statement, because a fence that clears nobody must not be seen alone.
    sqlx::query(
        "WITH f AS (INSERT INTO zdmig.fence (env, migration, alive)
                    VALUES ($1, $2, make_interval(secs => $3))
                    ON CONFLICT (env, migration) DO UPDATE SET alive = excluded.alive),
              gone AS (DELETE FROM zdmig.cleared c WHERE c.env = $1 AND c.migration = $2
                   AND (c.service, c.version) NOT IN (SELECT * FROM unnest($4::text[], $5::text[]))),
              past AS (DELETE FROM zdmig.admitted c WHERE c.env = $1 AND c.migration = $2
                   AND (c.service, c.version) NOT IN (SELECT * FROM unnest($6::text[], $7::text[]))),
              may AS (INSERT INTO zdmig.admitted (env, migration, service, version)
                   SELECT DISTINCT $1, $2, s, v FROM unnest($6::text[], $7::text[]) AS c (s, v)
                   ON CONFLICT DO NOTHING)
         INSERT INTO zdmig.cleared (env, migration, service, version)
         SELECT DISTINCT $1, $2, s, v FROM unnest($4::text[], $5::text[]) AS c (s, v)
         ON CONFLICT DO NOTHING",
    )
    .bind(of[0])
    .bind(of[1])
    .bind(alive.as_secs_f64())
    .bind(services)
    .bind(versions)
    .bind(others)
    .bind(theirs)
    .execute(conn)
    .await
    .map_err(wrap)?;
    Ok(())
}

pub(super) async fn approvals(
    conn: &mut PgConnection,
    migration: &str,
) -> Result<Vec<Approval>, SessionError> {
    if !exists(conn, "zdmig.approval").await? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT fingerprint, who, role::text, at, plan FROM zdmig.approval
          WHERE migration = $1 ORDER BY at, who",
    )
    .bind(migration)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let approval = |row| {
        Ok(Approval {
            fingerprint: get(row, 0)?,
            who: get(row, 1)?,
            role: get(row, 2)?,
            at: get(row, 3)?,
            plan: get(row, 4)?,
        })
    };
    rows.iter().map(approval).collect()
}

/// Some columns of a table that is not ours, as text; `None` where there is none.
pub(super) async fn foreign(
    conn: &mut PgConnection,
    table: &TableName,
    columns: &[&str],
) -> Result<Option<Vec<Row>>, SessionError> {
    let table = quote::table(table);
    if !exists(conn, &table).await? {
        return Ok(None);
    }
    let names = columns.iter().map(|name| quote::ident(&Ident::new(*name)));
    // Whatever the server is set to.
    sqlx::raw_sql("SET bytea_output = 'hex'").execute(&mut *conn).await.map_err(wrap)?;
    let texts: Vec<_> = names.map(|name| format!("{name}::text")).collect();
    let first = columns.first().map(|name| quote::ident(&Ident::new(*name))).unwrap_or_default();
    let sql = format!("SELECT {} FROM {table} ORDER BY {table}.{first}", texts.join(", "));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *conn).await.map_err(wrap)?;
    let value = |row: &PgRow, at| -> Result<Option<String>, SessionError> {
        let text: Option<String> = get(row, at)?;
        Ok(text.map(|text| text.strip_prefix("\\x").map(ToOwned::to_owned).unwrap_or(text)))
    };
    let row = |row: &PgRow| (0..columns.len()).map(|at| value(row, at)).collect();
    rows.iter().map(row).collect::<Result<_, _>>().map(Some)
}

/// Schemas that are neither the server's nor ours.
const OF_APPLICATIONS: &str = "FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    AND nspname NOT IN ('information_schema', 'zdmig')";

/// Whether there is one of this name, and whether the role may use it.
pub(super) async fn has_schema(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<bool>, SessionError> {
    let sql =
        format!("SELECT has_schema_privilege(oid, 'USAGE') {OF_APPLICATIONS} AND nspname = $1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(name.to_owned());
    let row = query.fetch_optional(conn).await.map_err(wrap)?;
    row.map(|row| get(&row, 0)).transpose()
}

/// Their names, by a pattern.
pub(super) async fn schemas(
    conn: &mut PgConnection,
    pattern: &str,
) -> Result<Vec<String>, SessionError> {
    let escaped = pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let like = escaped.replace('*', "%").replace('?', "_");
    let sql = format!("SELECT nspname::text {OF_APPLICATIONS} AND nspname LIKE $1 ORDER BY 1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(like);
    let rows = query.fetch_all(conn).await.map_err(wrap)?;
    rows.iter().map(|row| get(row, 0)).collect()
}
