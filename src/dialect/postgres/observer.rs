use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row, TypeInfo, ValueRef};

use super::catalog::get;
use super::connect::{connect_through, wrap};
use super::quote;
use super::session::{exists, make_bookkeeping};
use crate::dialect::{
    Beat, Client, Connected, DatabaseUrl, Deployed, Fact, Manifest, Observer, RoleAccess,
    SessionError, Value, Witness,
};
use crate::plan::{Target, Use};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Asks a PostgreSQL database who runs and who may.
pub(super) struct PostgresObserver {
    conn: PgConnection,
}

impl PostgresObserver {
    pub(super) async fn open(url: &DatabaseUrl, name: &str) -> Result<Self, SessionError> {
        Ok(Self { conn: connect_through(url, name, CONNECT_LIMIT).await?.conn })
    }

    async fn facts(&mut self, env: &str, witness: &mut Witness) -> Result<(), SessionError> {
        if !exists(&mut self.conn, "zdmig.heartbeat").await? {
            return Ok(());
        }
        let rows = sqlx::query(
            "SELECT service, version, instance,
                    greatest(extract(epoch FROM clock_timestamp() - last_seen), 0)::float8
               FROM zdmig.heartbeat WHERE env = $1 ORDER BY 1, 2, 3",
        )
        .bind(env)
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        for row in &rows {
            witness.heartbeats.push(Beat {
                service: get(row, 0)?,
                version: get(row, 1)?,
                instance: get(row, 2)?,
                age: Duration::try_from_secs_f64(get(row, 3)?).unwrap_or_default(),
            });
        }
        let rows = sqlx::query(
            "SELECT service, version, since FROM zdmig.deployment
              WHERE env = $1 AND ended IS NULL ORDER BY 1, 2",
        )
        .bind(env)
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        for row in &rows {
            witness.deployments.push(Deployed {
                service: get(row, 0)?,
                version: get(row, 1)?,
                since: get(row, 2)?,
            });
        }
        let rows = sqlx::query("SELECT service, version, manifest FROM zdmig.usage ORDER BY 1, 2")
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
        for row in &rows {
            witness.manifests.push(Manifest {
                service: get(row, 0)?,
                version: get(row, 1)?,
                text: get(row, 2)?,
            });
        }
        Ok(())
    }

    async fn sessions(&mut self) -> Result<Vec<Connected>, SessionError> {
        // Our own sessions are known by their role and name together: a name alone could
        // be anybody's.
        let rows = sqlx::query(
            "SELECT coalesce(application_name, ''), coalesce(usename::text, ''), pid
               FROM pg_stat_activity
              WHERE datname = current_database() AND usesysid IS NOT NULL
                -- NULL: a session of a role whose state we may not see. Its name we may.
                AND coalesce(backend_type, 'client backend') = 'client backend'
                AND pid <> pg_backend_pid()
                AND NOT (usename = session_user
                         AND application_name IN ('zdmig', 'zdmig lock', 'zdmig watch', 'zdmig gate'))
              ORDER BY 1, 2, 3",
        )
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        rows.iter()
            .map(|row| {
                Ok(Connected { application: get(row, 0)?, role: get(row, 1)?, pid: get(row, 2)? })
            })
            .collect()
    }

    async fn roles(&mut self, targets: &[Target]) -> Result<Vec<RoleAccess>, SessionError> {
        let mut access: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for target in targets {
            let rows = sqlx::query(
                // A member may SET ROLE, whether it inherits the privileges or not.
                "SELECT r.rolname::text,
                        bool_or(has_column_privilege(m.oid, c.oid, a.attnum, 'SELECT')),
                        bool_or(has_column_privilege(m.oid, c.oid, a.attnum, 'INSERT, UPDATE'))
                   FROM pg_roles r JOIN pg_roles m ON pg_has_role(r.oid, m.oid, 'MEMBER'),
                        pg_class c, pg_attribute a
                  WHERE r.rolcanlogin AND c.oid = to_regclass($1)
                    AND a.attrelid = c.oid AND NOT a.attisdropped
                    AND (a.attname = $2 OR $2 = '*' AND a.attnum > 0)
                  GROUP BY r.rolname",
            )
            .bind(quote::table(&target.column.table))
            .bind(target.column.column.as_str())
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
            for row in &rows {
                let how = match (get::<bool>(row, 1)?, get::<bool>(row, 2)?) {
                    (true, true) => "read and write",
                    (true, false) => "read",
                    (false, true) => "write",
                    (false, false) => continue,
                };
                let words = format!("{how} {}", target.column);
                access.entry(get(row, 0)?).or_default().push(words);
            }
        }
        Ok(access
            .into_iter()
            .map(|(role, words)| RoleAccess { role, access: words.join(", ") })
            .collect())
    }

    /// What sends changes of a target to others. Whoever reads them by the built-in plugin sees
    /// what is published; any other plugin sees every table.
    async fn streams(&mut self, targets: &[Target]) -> Result<Vec<String>, SessionError> {
        let mut found = Vec::new();
        let columns = targets.iter().filter(|target| target.ends == Use::Any);
        for target in columns {
            let rows = sqlx::query(
                // The view has no names of columns before 15, and all of them are sent there.
                "WITH family AS (
                     SELECT to_regclass($1)::oid AS oid
                     UNION SELECT relid FROM pg_partition_tree(to_regclass($1))
                     UNION SELECT relid FROM pg_partition_ancestors(to_regclass($1)))
                 SELECT DISTINCT 'publication ' || p.pubname
                   FROM pg_publication_tables p
                   JOIN pg_namespace n ON n.nspname = p.schemaname
                   JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
                  WHERE c.oid IN (SELECT oid FROM family)
                    AND ($2 = '*' OR coalesce(to_jsonb(p) -> 'attnames' ? $2, true))
                 UNION
                 SELECT 'replication slot ' || slot_name FROM pg_replication_slots
                  WHERE slot_type = 'logical' AND database = current_database()
                    AND plugin <> 'pgoutput' AND to_regclass($1) IS NOT NULL
                  ORDER BY 1",
            )
            .bind(quote::table(&target.column.table))
            .bind(target.column.column.as_str())
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
            for row in &rows {
                found.push(get(row, 0)?);
            }
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Functions whose text names both the table and the column: the server does not know
    /// that they would break.
    async fn late_bound(&mut self, targets: &[Target]) -> Result<Vec<String>, SessionError> {
        let mut found = Vec::new();
        let goes = |target: &&Target| matches!(target.ends, Use::Any | Use::Names);
        // A function that goes as well breaks nobody, where its name says which one it is.
        let named = targets.iter().filter(|one| one.ends == Use::Names);
        let gone: Vec<&str> = named.map(|one| one.column.table.name.as_str()).collect();
        for target in targets.iter().filter(goes) {
            let rows = sqlx::query(
                "SELECT 'function ' || p.oid::regprocedure::text
                   FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'zdmig')
                    AND p.prosrc ~* ('\\m' || regexp_replace($1, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M')
                    AND ($2 = '*' OR p.prosrc ~* ('\\m' || regexp_replace($2, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M'))
                    AND NOT (p.proname = ANY ($3) AND NOT EXISTS (SELECT FROM pg_proc o
                             WHERE o.proname = p.proname AND o.oid <> p.oid))
                  ORDER BY 1",
            )
            .bind(target.column.table.name.as_str())
            .bind(target.column.column.as_str())
            .bind(&gone)
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
            for row in &rows {
                found.push(format!("{} names {}", get::<String>(row, 0)?, target.shown()));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Observer for PostgresObserver {
    async fn witness(&mut self, env: &str, targets: &[Target]) -> Result<Witness, SessionError> {
        let row = sqlx::query("SELECT clock_timestamp()")
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let mut witness = Witness {
            now: get(&row, 0)?,
            heartbeats: Vec::new(),
            sessions: None,
            deployments: Vec::new(),
            manifests: Vec::new(),
            roles: None,
            dependents: Vec::new(),
            streams: Vec::new(),
        };
        self.facts(env, &mut witness).await?;
        witness.sessions = Some(self.sessions().await?);
        witness.roles = Some(self.roles(targets).await?);
        witness.dependents = self.late_bound(targets).await?;
        witness.streams = self.streams(targets).await?;
        Ok(witness)
    }

    async fn fenced(
        &mut self,
        env: &str,
        service: &str,
        version: &str,
    ) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig.fence").await? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query("SELECT * FROM zdmig.fenced($1, $2, $3)")
            .bind(env)
            .bind(service)
            .bind(version)
            .fetch_all(&mut self.conn)
            .await
            .map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn record(&mut self, fact: &Fact<'_>) -> Result<(), SessionError> {
        make_bookkeeping(&mut self.conn).await?;
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
                let (services, versions): (Vec<String>, Vec<String>) =
                    cleared.iter().cloned().unzip();
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
                .bind(*env)
                .bind(*migration)
                .bind(alive.as_secs_f64())
                .bind(services)
                .bind(versions)
                .bind(others)
                .bind(theirs)
            }
            Fact::Cleared { env, migration, service, version } => sqlx::query(
                "INSERT INTO zdmig.cleared (env, migration, service, version)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(*env)
            .bind(*migration)
            .bind(*service)
            .bind(*version),
            Fact::Unfenced { migration } => sqlx::query(
                "WITH c AS (DELETE FROM zdmig.cleared WHERE migration = $1),
                      a AS (DELETE FROM zdmig.admitted WHERE migration = $1)
                 DELETE FROM zdmig.fence WHERE migration = $1",
            )
            .bind(*migration),
            Fact::Usage { service, version, text } => sqlx::query(
                "INSERT INTO zdmig.usage (service, version, manifest) VALUES ($1, $2, $3)
                 ON CONFLICT (service, version) DO NOTHING",
            )
            .bind(*service)
            .bind(*version)
            .bind(*text),
        };
        query.execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }
}

/// An application's connection.
pub(super) struct PostgresClient {
    conn: PgConnection,
}

impl PostgresClient {
    pub(super) async fn open(url: &DatabaseUrl, name: &str) -> Result<Self, SessionError> {
        Ok(Self { conn: connect_through(url, name, CONNECT_LIMIT).await?.conn })
    }
}

fn bound<'q>(
    sql: &str,
    values: &[Value<'_>],
) -> sqlx::query::Query<'q, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for value in values {
        query = match value {
            Value::Int(number) => query.bind(*number),
            Value::Text(text) => query.bind((*text).to_owned()),
        };
    }
    query
}

fn as_text(row: &PgRow, at: usize) -> Result<Option<String>, SessionError> {
    let raw = row.try_get_raw(at).map_err(wrap)?;
    if raw.is_null() {
        return Ok(None);
    }
    let type_name = raw.type_info().name().to_owned();
    Ok(Some(match type_name.as_str() {
        "INT8" => get::<i64>(row, at)?.to_string(),
        "INT4" => get::<i32>(row, at)?.to_string(),
        "INT2" => get::<i16>(row, at)?.to_string(),
        "BOOL" => get::<bool>(row, at)?.to_string(),
        "FLOAT8" => get::<f64>(row, at)?.to_string(),
        _ => row.try_get_unchecked(at).map_err(wrap)?,
    }))
}

#[async_trait]
impl Client for PostgresClient {
    async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SessionError> {
        Ok(bound(sql, values).execute(&mut self.conn).await.map_err(wrap)?.rows_affected())
    }

    async fn rows(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Option<String>>>, SessionError> {
        let rows = bound(sql, values).fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| (0..row.len()).map(|at| as_text(row, at)).collect()).collect()
    }

    async fn script(&mut self, sql: &str) -> Result<(), SessionError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }
}
