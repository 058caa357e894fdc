use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection, TypeInfo, ValueRef};

use super::catalog::get;
use super::quote;
use super::session::{connect, exists, make_bookkeeping, time, wrap};
use crate::dialect::{
    Approval, AtWork, Beat, ByTexts, Client, Connected, Counted, DatabaseUrl, Deployed, Fact,
    Finding, Manifest, Observation, Observer, SessionError, StatementLog, Strain, Value, Witness,
};
use crate::migration::Row;
use crate::plan::Target;
use crate::sql::{Ident, TableName};

/// Writers of an application wait for each other this long.
const BUSY: Duration = Duration::from_secs(10);

/// Asks a SQLite file who runs. It has no roles and knows no sessions.
pub(super) struct SqliteObserver {
    conn: SqliteConnection,
}

impl SqliteObserver {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, SessionError> {
        Ok(Self { conn: connect(url, BUSY).await?.0 })
    }

    /// Forgets in a copy who runs on the original: nobody does here.
    pub(super) async fn forget(&mut self) -> Result<(), SessionError> {
        for table in ["zdmig_heartbeat", "zdmig_deployment", "zdmig_release"] {
            if exists(&mut self.conn, table).await? {
                let delete = AssertSqlSafe(format!("DELETE FROM {table}"));
                sqlx::query(delete).execute(&mut self.conn).await.map_err(wrap)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Observer for SqliteObserver {
    async fn witness(&mut self, env: &str, _targets: &[Target]) -> Result<Witness, SessionError> {
        let row = sqlx::query("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
            .fetch_one(&mut self.conn)
            .await
            .map_err(wrap)?;
        let now = time(&get::<String>(&row, 0)?)?;
        let mut witness = Witness {
            now,
            heartbeats: Vec::new(),
            sessions: None,
            deployments: Vec::new(),
            manifests: Vec::new(),
            roles: None,
            dependents: Vec::new(),
            bound: Vec::new(),
            streams: Vec::new(),
        };
        if !exists(&mut self.conn, "zdmig_heartbeat").await? {
            return Ok(witness);
        }
        let rows = sqlx::query(
            "SELECT service, version, instance, last_seen FROM zdmig_heartbeat WHERE env = ?1 \
             ORDER BY 1, 2, 3",
        )
        .bind(env)
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        for row in &rows {
            let seen = time(&get::<String>(row, 3)?)?;
            witness.heartbeats.push(Beat {
                service: get(row, 0)?,
                version: get(row, 1)?,
                instance: get(row, 2)?,
                age: (now - seen).to_std().unwrap_or_default(),
            });
        }
        // Of a file that an older zdmig has kept so far.
        let releases = exists(&mut self.conn, "zdmig_release").await?;
        for (table, released) in [("deployment", false), ("release", true)] {
            if released && !releases {
                continue;
            }
            let sql = format!(
                "SELECT service, version, since, ended FROM zdmig_{table} WHERE env = ?1 ORDER BY 1, 2"
            );
            let query = sqlx::query(AssertSqlSafe(sql)).bind(env.to_owned());
            for row in &query.fetch_all(&mut self.conn).await.map_err(wrap)? {
                witness.deployments.push(Deployed {
                    service: get(row, 0)?,
                    version: get(row, 1)?,
                    since: time(&get::<String>(row, 2)?)?,
                    ended: get::<Option<String>>(row, 3)?.map(|text| time(&text)).transpose()?,
                    released,
                });
            }
        }
        let rows = sqlx::query("SELECT service, version, manifest FROM zdmig_usage ORDER BY 1, 2")
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
        Ok(witness)
    }

    async fn fenced(
        &mut self,
        env: &str,
        service: &str,
        version: &str,
    ) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig_fence").await? {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT migration FROM zdmig_fence f WHERE env = ?1 AND NOT EXISTS \
             (SELECT 1 FROM zdmig_cleared c WHERE c.env = ?1 AND c.migration = f.migration \
              AND c.service = ?2 AND c.version = ?3) ORDER BY 1",
        )
        .bind(env)
        .bind(service)
        .bind(version)
        .fetch_all(&mut self.conn)
        .await
        .map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn fences(&mut self, env: &str) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig_fence").await? {
            return Ok(Vec::new());
        }
        let query = sqlx::query("SELECT migration FROM zdmig_fence WHERE env = ?1 ORDER BY 1");
        let rows = query.bind(env.to_owned()).fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn dark(&mut self) -> Result<Vec<String>, SessionError> {
        Ok(Vec::new())
    }

    async fn sessions(&mut self) -> Result<Option<Vec<Connected>>, SessionError> {
        Ok(None)
    }

    async fn running(&mut self, _passed: &[String]) -> Result<Vec<Counted>, SessionError> {
        Ok(Vec::new())
    }

    async fn statements(&mut self) -> Result<Result<StatementLog, String>, SessionError> {
        Ok(Err("a file does not count the statements that are run on it".into()))
    }

    async fn examine(&mut self, _roles: &[String]) -> Result<Vec<Finding>, SessionError> {
        let found = "a file knows no sessions: heartbeats and recorded deployments say who runs";
        Ok(vec![Finding::well("sessions", found)])
    }

    async fn observations(&mut self, _env: &str) -> Result<Vec<Observation>, SessionError> {
        Ok(Vec::new())
    }

    async fn approvals(&mut self, migration: &str) -> Result<Vec<Approval>, SessionError> {
        if !exists(&mut self.conn, "zdmig_approval").await? {
            return Ok(Vec::new());
        }
        let query = sqlx::query(
            "SELECT fingerprint, who, at, plan FROM zdmig_approval WHERE migration = ?1 ORDER BY at, who",
        );
        let rows =
            query.bind(migration.to_owned()).fetch_all(&mut self.conn).await.map_err(wrap)?;
        let approval = |row| {
            Ok(Approval {
                fingerprint: get(row, 0)?,
                who: get(row, 1)?,
                role: None,
                at: time(&get::<String>(row, 2)?)?,
                plan: get(row, 3)?,
            })
        };
        rows.iter().map(approval).collect()
    }

    async fn rehearsals(&mut self, migration: &str) -> Result<Vec<String>, SessionError> {
        if !exists(&mut self.conn, "zdmig_rehearsal").await? {
            return Ok(Vec::new());
        }
        let query = "SELECT report FROM zdmig_rehearsal WHERE migration = ?1 ORDER BY at";
        let query = sqlx::query(query).bind(migration.to_owned());
        let rows = query.fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    async fn strain(&mut self, _: &str, _: &[TableName]) -> Result<Strain, SessionError> {
        // Who waits for the one lock there is cannot be seen from outside, and tables have no size of their own.
        let query =
            "SELECT p.page_count * s.page_size FROM pragma_page_count p, pragma_page_size s";
        let row = sqlx::query(query).fetch_one(&mut self.conn).await.map_err(wrap)?;
        let bytes = u64::try_from(get::<i64>(&row, 0)?).unwrap_or_default();
        Ok(Strain { bytes, ..Strain::default() })
    }

    async fn values(
        &mut self,
        _table: &TableName,
        _column: &Ident,
        _most: u32,
    ) -> Result<Vec<String>, SessionError> {
        // Statements are not counted here, so nobody asks.
        Ok(Vec::new())
    }

    async fn largest(&mut self, _: &TableName, _: &Ident) -> Result<Option<i64>, SessionError> {
        Ok(None)
    }

    async fn at_work(&mut self) -> Result<Option<AtWork>, SessionError> {
        // Whether a file's lock is held is known to those alone who try to take it.
        Ok(None)
    }

    async fn has_schema(&mut self, _: &str) -> Result<Option<bool>, SessionError> {
        Ok(None)
    }

    async fn schemas(&mut self, _: &str) -> Result<Vec<String>, SessionError> {
        Ok(Vec::new())
    }

    async fn foreign(
        &mut self,
        table: &TableName,
        columns: &[&str],
    ) -> Result<Option<Vec<Row>>, SessionError> {
        if !exists(&mut self.conn, table.name.as_str()).await? {
            return Ok(None);
        }
        let text = |name: &&str| {
            let name = quote::ident(&Ident::new(*name));
            format!(
                "CASE typeof({name}) WHEN 'blob' THEN hex({name}) ELSE CAST({name} AS text) END"
            )
        };
        let texts: Vec<_> = columns.iter().map(text).collect();
        let first = columns.first().map(|name| quote::ident(&Ident::new(*name)));
        let table = quote::ident(&table.name);
        let first = first.unwrap_or_default();
        let sql = format!("SELECT {} FROM {table} ORDER BY {table}.{first}", texts.join(", "));
        let query = sqlx::query(AssertSqlSafe(sql));
        let rows = query.fetch_all(&mut self.conn).await.map_err(wrap)?;
        let row = |row: &SqliteRow| (0..columns.len()).map(|at| get(row, at)).collect();
        rows.iter().map(row).collect::<Result<_, _>>().map(Some)
    }

    async fn record(&mut self, fact: &Fact<'_>) -> Result<(), SessionError> {
        make_bookkeeping(&mut self.conn).await?;
        match fact {
            Fact::Deployed { env, service, version, keep_previous } => {
                self.run("BEGIN IMMEDIATE", &[]).await?;
                let done = self.deployed([env, service, version], *keep_previous).await;
                self.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }, &[]).await?;
                done
            }
            Fact::Released { env, service, version } => {
                let sql = "INSERT INTO zdmig_release (env, service, version) VALUES (?1, ?2, ?3) \
                           ON CONFLICT DO UPDATE SET ended = NULL";
                self.run(sql, &[env, service, version]).await
            }
            Fact::Withdrawn { env, service, version } => {
                let sql = format!(
                    "UPDATE zdmig_release SET ended = {NOW} \
                     WHERE env = ?1 AND service = ?2 AND version = ?3 AND ended IS NULL"
                );
                self.run(&sql, &[env, service, version]).await
            }
            Fact::Ended { env, service, version } => {
                let sql = format!(
                    "UPDATE zdmig_deployment SET ended = {NOW} \
                     WHERE env = ?1 AND service = ?2 AND version = ?3 AND ended IS NULL"
                );
                self.run(&sql, &[env, service, version]).await
            }
            Fact::Alive { env, service, version, instance } => {
                let sql = format!(
                    "INSERT INTO zdmig_heartbeat (env, service, version, instance) \
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET last_seen = {NOW}"
                );
                self.run(&sql, &[env, service, version, instance]).await
            }
            Fact::Gone { env, service, version, instance } => {
                let sql = "DELETE FROM zdmig_heartbeat \
                           WHERE env = ?1 AND service = ?2 AND version = ?3 AND instance = ?4";
                self.run(sql, &[env, service, version, instance]).await
            }
            Fact::Fenced { env, migration, alive, cleared, admitted } => {
                self.run("BEGIN IMMEDIATE", &[]).await?;
                let done = self.fence([env, migration], *alive, cleared, admitted).await;
                self.run(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }, &[]).await?;
                done
            }
            Fact::Cleared { env, migration, service, version } => {
                let sql = "INSERT OR IGNORE INTO zdmig_cleared VALUES (?1, ?2, ?3, ?4)";
                self.run(sql, &[env, migration, service, version]).await
            }
            Fact::Unfenced { migration } => {
                self.run("DELETE FROM zdmig_fence WHERE migration = ?1", &[migration]).await?;
                self.run("DELETE FROM zdmig_admitted WHERE migration = ?1", &[migration]).await?;
                self.run("DELETE FROM zdmig_cleared WHERE migration = ?1", &[migration]).await
            }
            // There is nothing to observe, and no way to begin.
            Fact::Observing { .. } | Fact::Unobserved { .. } => Ok(()),
            Fact::Approved { migration, fingerprint, who, plan } => {
                let sql = "INSERT OR IGNORE INTO zdmig_approval (migration, fingerprint, who, plan) \
                           VALUES (?1, ?2, ?3, ?4)";
                self.run(sql, &[migration, fingerprint, who, plan]).await
            }
            Fact::Unapproved { migration, fingerprint, who } => {
                let sql = "DELETE FROM zdmig_approval \
                           WHERE migration = ?1 AND fingerprint = ?2 AND who = ?3";
                self.run(sql, &[migration, fingerprint, who]).await
            }
            Fact::Rehearsed { migration, fingerprint, report } => {
                let sql = "INSERT INTO zdmig_rehearsal (migration, fingerprint, report) \
                           VALUES (?1, ?2, ?3)";
                self.run(sql, &[migration, fingerprint, report]).await
            }
            Fact::Usage { service, version, text } => {
                let sql = "INSERT INTO zdmig_usage (service, version, manifest) \
                           VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                self.run(sql, &[service, version, text]).await
            }
        }
    }
}

/// The file's clock, as our tables keep times.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

impl SqliteObserver {
    async fn run(&mut self, sql: &str, values: &[&str]) -> Result<(), SessionError> {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for value in values {
            query = query.bind((*value).to_owned());
        }
        query.execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }

    async fn fence(
        &mut self,
        of: [&str; 2],
        alive: Duration,
        cleared: &[(String, String)],
        admitted: &[(String, String)],
    ) -> Result<(), SessionError> {
        for (table, versions) in [("zdmig_cleared", cleared), ("zdmig_admitted", admitted)] {
            let sql = format!("DELETE FROM {table} WHERE env = ?1 AND migration = ?2");
            self.run(&sql, &of).await?;
            for (service, version) in versions {
                let sql = format!("INSERT OR IGNORE INTO {table} VALUES (?1, ?2, ?3, ?4)");
                self.run(&sql, &[of[0], of[1], service, version]).await?;
            }
        }
        let alive = alive.as_secs_f64().to_string();
        self.run("INSERT OR REPLACE INTO zdmig_fence VALUES (?1, ?2, ?3)", &[of[0], of[1], &alive])
            .await
    }

    async fn deployed(&mut self, of: [&str; 3], keep_previous: bool) -> Result<(), SessionError> {
        if !keep_previous {
            let sql = format!(
                "UPDATE zdmig_deployment SET ended = {NOW} \
                 WHERE env = ?1 AND service = ?2 AND version <> ?3 AND ended IS NULL"
            );
            self.run(&sql, &of).await?;
        }
        let sql = format!(
            "INSERT INTO zdmig_deployment (env, service, version) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET ended = NULL, since = {NOW}"
        );
        self.run(&sql, &of).await
    }
}

/// An application's connection.
pub(super) struct SqliteClient {
    conn: SqliteConnection,
}

impl SqliteClient {
    pub(super) async fn open(url: &DatabaseUrl) -> Result<Self, SessionError> {
        Ok(Self { conn: connect(url, BUSY).await?.0 })
    }
}

fn bound<'q>(
    sql: &str,
    values: &[Value<'_>],
) -> sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for value in values {
        query = match value {
            Value::Int(number) => query.bind(*number),
            Value::Text(text) => query.bind((*text).to_owned()),
        };
    }
    query
}

fn as_text(row: &SqliteRow, at: usize) -> Result<Option<String>, SessionError> {
    let raw = row.try_get_raw(at).map_err(wrap)?;
    if raw.is_null() {
        return Ok(None);
    }
    let type_name = raw.type_info().name().to_owned();
    Ok(Some(match type_name.as_str() {
        "INTEGER" => get::<i64>(row, at)?.to_string(),
        "REAL" => get::<f64>(row, at)?.to_string(),
        _ => row.try_get_unchecked(at).map_err(wrap)?,
    }))
}

#[async_trait]
impl Client for SqliteClient {
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

    async fn by_texts(&mut self, _sql: &str) -> Result<Option<ByTexts>, SessionError> {
        Ok(None)
    }

    async fn script(&mut self, sql: &str) -> Result<(), SessionError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }
}
