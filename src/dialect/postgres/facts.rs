//! Facts that are written down for the gate.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use super::session::{exists, make_bookkeeping};
use super::statements;
use crate::dialect::{Approval, Fact, SessionError};

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
        Fact::Withdrawn { env, service, version } => {
            let sql = "UPDATE zdmig.release SET ended = clock_timestamp()
                        WHERE env = $1 AND service = $2 AND version = $3 AND ended IS NULL";
            return told(conn, sql, [env, service, version]).await;
        }
        Fact::Ended { env, service, version } => {
            let sql = "UPDATE zdmig.deployment SET ended = clock_timestamp()
                        WHERE env = $1 AND service = $2 AND version = $3 AND ended IS NULL";
            return told(conn, sql, [env, service, version]).await;
        }
        Fact::Alive { env, service, version, instance } => {
            let sql = "SELECT zdmig.heartbeat($1, $2, $3, $4)";
            return told(conn, sql, [env, service, version, instance]).await;
        }
        Fact::Gone { env, service, version, instance } => {
            let sql = "SELECT zdmig.goodbye($1, $2, $3, $4)";
            return told(conn, sql, [env, service, version, instance]).await;
        }
        Fact::Fenced { env, migration, alive, cleared, admitted } => {
            return raise(conn, [env, migration], *alive, cleared, admitted).await;
        }
        Fact::Cleared { env, migration, service, version } => {
            let sql = "INSERT INTO zdmig.cleared (env, migration, service, version)
                       VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            return told(conn, sql, [env, migration, service, version]).await;
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
            let sql = "INSERT INTO zdmig.approval (migration, fingerprint, who, plan)
                       VALUES ($1, $2, $3, $4) ON CONFLICT (migration, fingerprint, who) DO NOTHING";
            return told(conn, sql, [migration, fingerprint, who, plan]).await;
        }
        Fact::Unapproved { migration, fingerprint, who } => {
            let sql =
                "DELETE FROM zdmig.approval WHERE migration = $1 AND fingerprint = $2 AND who = $3";
            return told(conn, sql, [migration, fingerprint, who]).await;
        }
        Fact::Rehearsed { migration, fingerprint, report } => {
            let sql =
                "INSERT INTO zdmig.rehearsal (migration, fingerprint, report) VALUES ($1, $2, $3)";
            return told(conn, sql, [migration, fingerprint, report]).await;
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

/// Runs a statement with texts for its values.
async fn told<const N: usize>(
    conn: &mut PgConnection,
    sql: &'static str,
    of: [&str; N],
) -> Result<(), SessionError> {
    let query = sqlx::query(sql);
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

pub(super) async fn rehearsals(
    conn: &mut PgConnection,
    migration: &str,
) -> Result<Vec<String>, SessionError> {
    if !exists(conn, "zdmig.rehearsal").await? {
        return Ok(Vec::new());
    }
    let query = sqlx::query("SELECT report FROM zdmig.rehearsal WHERE migration = $1 ORDER BY at");
    let rows = query.bind(migration).fetch_all(conn).await.map_err(wrap)?;
    rows.iter().map(|row| get(row, 0)).collect()
}
