use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::{connect_through, wrap};
use super::facts;
use super::session::exists;
use super::{bound, examine, foreign, invent, quote, statements, watch};
use crate::dialect::{
    Approval, AtWork, Beat, Connected, Counted, DatabaseUrl, Deployed, Fact, Finding, Manifest,
    Observation, Observer, RoleAccess, SessionError, StatementLog, Strain, Witness,
};
use crate::migration::Row;
use crate::plan::{Target, Use};
use crate::sql::{Ident, TableName};

pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(10);

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
        // Of a database that an older zdmig has kept so far.
        let releases = exists(&mut self.conn, "zdmig.release").await?;
        for (table, released) in [("deployment", false), ("release", true)] {
            if released && !releases {
                continue;
            }
            let sql = format!(
                "SELECT service, version, since, ended FROM zdmig.{table} WHERE env = $1 ORDER BY 1, 2"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(env);
            for row in &query.fetch_all(&mut self.conn).await.map_err(wrap)? {
                witness.deployments.push(Deployed {
                    service: get(row, 0)?,
                    version: get(row, 1)?,
                    since: get(row, 2)?,
                    ended: get(row, 3)?,
                    released,
                });
            }
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

    async fn connected(&mut self) -> Result<Vec<Connected>, SessionError> {
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
                let place = format!("session {}", get::<i32>(row, 2)?);
                Ok(Connected { application: get(row, 0)?, role: get(row, 1)?, place })
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
            bound: Vec::new(),
            streams: Vec::new(),
        };
        self.facts(env, &mut witness).await?;
        witness.sessions = Some(self.connected().await?);
        witness.roles = Some(self.roles(targets).await?);
        witness.dependents = self.late_bound(targets).await?;
        witness.bound = bound::read(&mut self.conn, targets).await?;
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

    async fn fences(&mut self, env: &str) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig.fence").await? {
            return Ok(Vec::new());
        }
        let query = sqlx::query("SELECT migration FROM zdmig.fence WHERE env = $1 ORDER BY 1");
        let rows = query.bind(env).fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn dark(&mut self) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig.brownout").await? {
            return Ok(Vec::new());
        }
        let query = sqlx::query("SELECT DISTINCT migration FROM zdmig.brownout ORDER BY 1");
        let rows = query.fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn sessions(&mut self) -> Result<Option<Vec<Connected>>, SessionError> {
        Ok(Some(self.connected().await?))
    }

    async fn running(&mut self, passed: &[String]) -> Result<Vec<Counted>, SessionError> {
        statements::running(&mut self.conn, passed).await
    }

    async fn statements(&mut self) -> Result<Result<StatementLog, String>, SessionError> {
        statements::read(&mut self.conn).await
    }

    async fn examine(&mut self, roles: &[String]) -> Result<Vec<Finding>, SessionError> {
        examine::examine(&mut self.conn, roles).await
    }

    async fn observations(&mut self, env: &str) -> Result<Vec<Observation>, SessionError> {
        statements::observations(&mut self.conn, env).await
    }

    async fn approvals(&mut self, migration: &str) -> Result<Vec<Approval>, SessionError> {
        facts::approvals(&mut self.conn, migration).await
    }

    async fn rehearsals(&mut self, migration: &str) -> Result<Vec<String>, SessionError> {
        facts::rehearsals(&mut self.conn, migration).await
    }

    async fn strain(&mut self, name: &str, tables: &[TableName]) -> Result<Strain, SessionError> {
        watch::strain(&mut self.conn, name, tables).await
    }

    async fn values(
        &mut self,
        table: &TableName,
        column: &Ident,
        most: u32,
    ) -> Result<Vec<String>, SessionError> {
        invent::values(&mut self.conn, table, column, most).await
    }

    async fn largest(
        &mut self,
        table: &TableName,
        column: &Ident,
    ) -> Result<Option<i64>, SessionError> {
        invent::largest(&mut self.conn, table, column).await
    }

    async fn at_work(&mut self) -> Result<Option<AtWork>, SessionError> {
        watch::at_work(&mut self.conn).await
    }

    async fn has_schema(&mut self, name: &str) -> Result<Option<bool>, SessionError> {
        foreign::has_schema(&mut self.conn, name).await
    }

    async fn schemas(&mut self, pattern: &str) -> Result<Vec<String>, SessionError> {
        foreign::schemas(&mut self.conn, pattern).await
    }

    async fn foreign(
        &mut self,
        table: &TableName,
        columns: &[&str],
    ) -> Result<Option<Vec<Row>>, SessionError> {
        foreign::rows(&mut self.conn, table, columns).await
    }

    async fn record(&mut self, fact: &Fact<'_>) -> Result<(), SessionError> {
        facts::record(&mut self.conn, fact).await
    }
}
