//! Watches the server while a fill runs, and lets through who waits for it.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::{Door, PgQuery, connect_through, settle, unprepared, wrap};
use super::{quote, steering};
use crate::dialect::{
    DatabaseUrl, FillOrder, Look, Monitor, MonitorOptions, Reading, Report, SessionError, Signal,
    disk,
};

/// A look takes no longer than that, or the connection is no good.
const LOOK: Duration = Duration::from_secs(5);
/// The sizes of databases are asked so often: the server looks at every file.
const SELDOM: Duration = Duration::from_secs(5);
/// How many places of the log are remembered: two minutes of looks.
const PLACES: usize = 600;

/// A connection that watches; it connects again when it is lost.
pub(super) struct PostgresMonitor {
    url: DatabaseUrl,
    connect_timeout: Duration,
    order: FillOrder,
    options: MonitorOptions,
    conn: Option<PgConnection>,
    /// Whether each look may be in another server process.
    pooled: bool,
    /// The table and its partitions.
    relations: Vec<i64>,
    /// Where the log ended at each look.
    places: VecDeque<(Instant, f64)>,
    /// Replicas and slots that were at work once while we watched.
    known: BTreeSet<String>,
    /// Who waited for a chunk of ours at the last look: the waiter, our process, and when its chunk
    /// began.
    waiting: BTreeSet<(i32, i32, Option<String>)>,
    /// Whether the server collects its counters in a file.
    collects: bool,
    /// What was read of the table and the checkpoints last.
    counters: Option<(Instant, Vec<Reading>)>,
    /// What the databases and the log took of the disk, in bytes.
    used: Option<(Instant, u64)>,
    /// Where the server's files are, if we may know it and see it.
    data: Option<PathBuf>,
    unseen: Vec<String>,
}

impl PostgresMonitor {
    pub(super) fn new(
        url: &DatabaseUrl,
        connect_timeout: Duration,
        order: &FillOrder,
        options: &MonitorOptions,
    ) -> Self {
        Self {
            url: url.clone(),
            connect_timeout,
            order: order.clone(),
            options: options.clone(),
            conn: None,
            pooled: false,
            relations: Vec::new(),
            places: VecDeque::new(),
            known: BTreeSet::new(),
            waiting: BTreeSet::new(),
            collects: false,
            counters: None,
            used: None,
            data: None,
            unseen: Vec::new(),
        }
    }

    async fn connected(&mut self) -> Result<PgConnection, SessionError> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let Door { mut conn, pooled } =
            connect_through(&self.url, "zdmig watch", self.connect_timeout).await?;
        self.pooled = pooled;
        if !pooled {
            settle(&mut conn, "off").await?;
            // Looks are the same each time, and to plan them takes longer than to run them.
            execute(&mut conn, "SET plan_cache_mode = force_generic_plan").await?;
        }
        // One transaction is in one server process, also behind a pooler.
        execute(&mut conn, "BEGIN").await?;
        self.relations = relations(&mut conn, &quote::table(&self.order.fill.table)).await?;
        let row = unprepared(
            "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),
                    pg_has_role(current_user, 'pg_read_all_settings', 'USAGE'),
                    quote_ident(current_user),
                    current_setting('server_version_num')::int < 150000",
        )
        .fetch_one(&mut conn)
        .await
        .map_err(wrap)?;
        let (stats, settings): (bool, bool) = (get(&row, 0)?, get(&row, 1)?);
        self.collects = get(&row, 3)?;
        self.unseen.clear();
        if !stats {
            let role: String = get(&row, 2)?;
            self.unseen.push(format!(
                "{role} cannot see replica_lag, nor what other roles do (active_sessions, \
                 oldest_snapshot), so they hold nothing back: GRANT pg_monitor TO {role}"
            ));
        }
        if settings && self.options.disk_size.is_none() {
            let row = unprepared(
                "SELECT current_setting('data_directory'), inet_server_addr() IS NULL
                        OR inet_server_addr() = inet_client_addr()",
            )
            .fetch_one(&mut conn)
            .await
            .map_err(wrap)?;
            // Only where the server is on this machine is the path one of ours.
            let here: bool = get(&row, 1)?;
            self.data = here.then(|| get::<String>(&row, 0).map(PathBuf::from)).transpose()?;
        }
        execute(&mut conn, "COMMIT").await?;
        Ok(conn)
    }

    /// A statement of every look.
    fn query(&self, sql: &'static str) -> PgQuery<'static> {
        sqlx::query(sql).persistent(!self.pooled)
    }

    async fn read(&mut self, conn: &mut PgConnection) -> Result<Look, SessionError> {
        execute(conn, "BEGIN").await?;
        let look = self.read_all(conn).await?;
        execute(conn, "COMMIT").await?;
        Ok(look)
    }

    async fn read_all(&mut self, conn: &mut PgConnection) -> Result<Look, SessionError> {
        let mut readings = self.sessions(conn).await?;
        readings.extend(self.replicas(conn).await?);
        readings.extend(self.table(conn).await?);
        readings.extend(match self.options.disk_size {
            Some(size) => Some(disk::left(size, self.used(conn).await?)),
            None => self.data.as_deref().and_then(disk::free),
        });
        self.let_through(conn).await?;
        let steering = steering::read(conn, self.order.step.migration_prefix()).await?;
        Ok(Look { readings, remarks: self.unseen.clone(), steering })
    }

    /// What other sessions do.
    async fn sessions(&self, conn: &mut PgConnection) -> Result<Vec<Reading>, SessionError> {
        let row = self
            .query(
                "WITH ours AS (SELECT pid FROM zdmig.part WHERE pid IS NOT NULL),
                  waits AS (
                  SELECT count(DISTINCT w.pid) AS n FROM pg_locks w JOIN pg_locks t USING (pid)
                   WHERE NOT w.granted AND t.relation = ANY ($1::text::oid[])
                     AND w.pid NOT IN (SELECT pid FROM ours)),
                  oldest AS (
                  SELECT format('pid %s', pid) AS whose,
                         extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age
                    FROM pg_stat_activity
                   WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
                     AND pid NOT IN (SELECT pid FROM ours) AND xact_start IS NOT NULL
                     AND (datname = current_database() OR datid IS NULL)
                   UNION ALL
                  SELECT 'the prepared transaction ' || gid,
                         extract(epoch FROM clock_timestamp() - prepared)::float8
                    FROM pg_prepared_xacts WHERE database = current_database()
                   ORDER BY age DESC LIMIT 1)
             SELECT (SELECT n FROM waits)::float8,
                    (SELECT count(*) FROM pg_stat_activity
                      WHERE state = 'active' AND backend_type = 'client backend'
                        AND pid <> pg_backend_pid() AND pid NOT IN (SELECT pid FROM ours))::float8,
                    current_setting('max_connections')::float8,
                    (SELECT whose FROM oldest), coalesce((SELECT age FROM oldest), 0)",
            )
            .bind(oids(&self.relations))
            .fetch_one(&mut *conn)
            .await
            .map_err(wrap)?;
        let reading = |signal, value, of, whose| Reading { signal, value, of, whose };
        Ok(vec![
            reading(Signal::LockWaits, get(&row, 0)?, None, String::new()),
            reading(Signal::ActiveSessions, get(&row, 1)?, Some(get(&row, 2)?), String::new()),
            reading(
                Signal::OldestSnapshot,
                get(&row, 4)?,
                None,
                get::<Option<String>>(&row, 3)?.unwrap_or_default(),
            ),
        ])
    }

    /// How far replicas are behind, in time: a replica that stands still tells no lag of its own,
    /// so we remember when the log ended where it is now.
    async fn replicas(&mut self, conn: &mut PgConnection) -> Result<Vec<Reading>, SessionError> {
        let now = Instant::now();
        let rows = self.query(
            "WITH here AS (SELECT CASE WHEN pg_is_in_recovery() THEN NULL
                                       ELSE pg_current_wal_lsn() END AS lsn)
             SELECT NULL::text, (lsn - '0/0')::float8, NULL::float8, NULL::float8, true FROM here
             UNION ALL
             SELECT format('replica %s%s', application_name, ' at ' || host(client_addr)), NULL,
                    (replay_lsn - '0/0')::float8, extract(epoch FROM replay_lag)::float8, true
               FROM pg_stat_replication WHERE state <> 'backup' AND replay_lsn IS NOT NULL
             UNION ALL
             SELECT format('replication slot %s', slot_name), NULL,
                    (coalesce(confirmed_flush_lsn, restart_lsn) - '0/0')::float8, NULL, active
               FROM pg_replication_slots WHERE coalesce(confirmed_flush_lsn, restart_lsn) IS NOT NULL",
        )
        .fetch_all(&mut *conn)
        .await
        .map_err(wrap)?;
        let mut readings = Vec::new();
        for row in &rows {
            let Some(whose) = get::<Option<String>>(row, 0)? else {
                if let Some(end) = get::<Option<f64>>(row, 1)? {
                    self.places.push_back((now, end));
                    if self.places.len() > PLACES {
                        self.places.pop_front();
                    }
                }
                continue;
            };
            // A slot that nobody uses is no replica that could catch up, unless one did so.
            if get::<bool>(row, 4)? {
                self.known.insert(whose.clone());
            } else if !self.known.contains(&whose) {
                continue;
            }
            let Some(replayed) = get::<Option<f64>>(row, 2)? else { continue };
            let behind = self.places.iter().find(|(_, end)| *end > replayed);
            let seen = behind.map_or(0.0, |(at, _)| now.duration_since(*at).as_secs_f64());
            let told: Option<f64> = get(row, 3)?;
            let value = if behind.is_some() { seen.max(told.unwrap_or_default()) } else { 0.0 };
            readings.push(Reading { signal: Signal::ReplicaLag, value, of: None, whose });
        }
        Ok(readings)
    }

    /// How the checkpoints and the table itself bear it.
    async fn table(&mut self, conn: &mut PgConnection) -> Result<Vec<Reading>, SessionError> {
        // Before version 15 whoever asks for a table's counters has a file of them written anew.
        if self.collects
            && let Some((at, readings)) = &self.counters
            && at.elapsed() < SELDOM
        {
            return Ok(readings.clone());
        }
        let row = self.query(
            "SELECT CASE WHEN pg_is_in_recovery() THEN 0
                         ELSE (pg_current_wal_lsn() - (SELECT redo_lsn FROM pg_control_checkpoint()))
                    END::float8,
                    pg_size_bytes(current_setting('max_wal_size'))::float8,
                    coalesce(sum(pg_stat_get_dead_tuples(oid)), 0)::float8,
                    coalesce(sum(pg_stat_get_dead_tuples(oid) + pg_stat_get_live_tuples(oid)), 0)::float8
               FROM unnest($1::text::oid[]) AS r (oid)",
        )
        .bind(oids(&self.relations))
        .fetch_one(conn)
        .await
        .map_err(wrap)?;
        let reading = |signal, at| {
            let (value, of) = (get(&row, at)?, Some(get(&row, at + 1)?));
            Ok::<_, SessionError>(Reading { signal, value, of, whose: String::new() })
        };
        let readings = vec![reading(Signal::Checkpoint, 0)?, reading(Signal::DeadRows, 2)?];
        self.counters = Some((Instant::now(), readings.clone()));
        Ok(readings)
    }

    /// What databases and log take of the disk, as far as we may know it.
    async fn used(&mut self, conn: &mut PgConnection) -> Result<u64, SessionError> {
        if let Some((at, used)) = self.used
            && at.elapsed() < SELDOM
        {
            return Ok(used);
        }
        let row = unprepared(
            "SELECT (SELECT sum(pg_database_size(oid)) FROM pg_database
                      WHERE has_database_privilege(oid, 'CONNECT')
                         OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'))::bigint,
                    has_function_privilege('pg_ls_waldir()', 'EXECUTE')",
        )
        .fetch_one(&mut *conn)
        .await
        .map_err(wrap)?;
        let mut used = get::<i64>(&row, 0)?.unsigned_abs();
        // A function that may not be called may not even be named in a query that runs.
        if get(&row, 1)? {
            let log = unprepared("SELECT coalesce(sum(size), 0)::bigint FROM pg_ls_waldir()");
            let row = log.fetch_one(conn).await.map_err(wrap)?;
            used += get::<i64>(&row, 0)?.unsigned_abs();
        }
        self.used = Some((Instant::now(), used));
        Ok(used)
    }

    /// Takes chunks back for which somebody has waited since the last look.
    async fn let_through(&mut self, conn: &mut PgConnection) -> Result<(), SessionError> {
        let rows = self
            .query(
                "SELECT w.pid, b.pid, ours.xact_start::text
               FROM (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted) w
               LEFT JOIN pg_stat_activity a ON a.pid = w.pid,
                    unnest(pg_blocking_pids(w.pid)) AS b (pid)
               LEFT JOIN pg_stat_activity ours ON ours.pid = b.pid
              WHERE b.pid IN (SELECT pid FROM zdmig.part WHERE step = $1)
                AND coalesce(a.application_name, '') NOT LIKE 'zdmig%'",
            )
            .bind(self.order.step.as_str())
            .fetch_all(&mut *conn)
            .await
            .map_err(wrap)?;
        let one = |row| Ok((get(row, 0)?, get(row, 1)?, get(row, 2)?));
        let waiting: BTreeSet<(i32, i32, Option<String>)> =
            rows.iter().map(one).collect::<Result<_, SessionError>>()?;
        let late: BTreeSet<i32> =
            waiting.intersection(&self.waiting).map(|(_, ours, _)| *ours).collect();
        self.waiting = waiting;
        for pid in late {
            let cancel = unprepared("SELECT pg_cancel_backend($1)").bind(pid);
            cancel.execute(&mut *conn).await.map_err(wrap)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Monitor for PostgresMonitor {
    async fn look(&mut self) -> Result<Look, SessionError> {
        let mut conn = self.connected().await?;
        let look = tokio::time::timeout(LOOK, self.read(&mut conn)).await;
        match look {
            Ok(Ok(look)) => {
                self.conn = Some(conn);
                Ok(look)
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let message = format!("no answer within {} s", LOOK.as_secs());
                Err(SessionError::Lost { message })
            }
        }
    }

    async fn report(&mut self, report: &Report) -> Result<(), SessionError> {
        let Some(conn) = &mut self.conn else { return Ok(()) };
        execute(conn, "BEGIN READ WRITE").await?;
        let said = steering::report(conn, &self.order.step, &self.options.owner, report).await;
        execute(conn, if said.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        said
    }

    async fn leave(&mut self) -> Result<(), SessionError> {
        let Some(conn) = &mut self.conn else { return Ok(()) };
        execute(conn, "BEGIN READ WRITE").await?;
        let left = steering::leave(conn, &self.order.step, &self.options.owner).await;
        execute(conn, if left.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        left
    }
}

async fn execute(conn: &mut PgConnection, sql: &'static str) -> Result<(), SessionError> {
    sqlx::raw_sql(sql).execute(conn).await.map_err(wrap)?;
    Ok(())
}

/// The table and its partitions.
async fn relations(conn: &mut PgConnection, table: &str) -> Result<Vec<i64>, SessionError> {
    let rows = unprepared(
        "WITH RECURSIVE tree (oid) AS (
             SELECT to_regclass($1)::oid
             UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)
         SELECT oid::bigint FROM tree WHERE oid IS NOT NULL",
    )
    .bind(table)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    rows.iter().map(|row| get(row, 0)).collect()
}

fn oids(of: &[i64]) -> String {
    let text: Vec<_> = of.iter().map(ToString::to_string).collect();
    format!("{{{}}}", text.join(","))
}
