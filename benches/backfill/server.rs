//! The server of a benchmark: its tables, and what they cost.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use zdmig::dialect::{self, Client, DatabaseUrl, Dialect};

/// What something cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) time: Duration,
    /// Of the server and of us, in seconds.
    pub(crate) cpu: f64,
    /// Bytes of log.
    pub(crate) log: f64,
    /// Bytes of table and indexes.
    pub(crate) growth: f64,
}

impl Cost {
    /// The best of both in each.
    pub(crate) fn best(&self, other: &Self) -> Self {
        Self {
            time: self.time.min(other.time),
            cpu: self.cpu.min(other.cpu),
            log: self.log.min(other.log),
            growth: self.growth.min(other.growth),
        }
    }

    /// As shares of another: time, CPU, log, growth.
    pub(crate) fn shares(&self, of: &Self) -> [f64; 4] {
        [
            self.time.as_secs_f64() / of.time.as_secs_f64(),
            self.cpu / of.cpu,
            self.log / of.log,
            self.growth / of.growth,
        ]
    }
}

/// What a whole backfill cost.
pub(crate) struct Ran {
    pub(crate) cost: Cost,
    /// The most memory that the process had, in kilobytes.
    pub(crate) memory: u64,
}

pub(crate) struct Server {
    dialect: &'static dyn Dialect,
    pub(crate) url: String,
    drop: (DatabaseUrl, String),
    postmaster: u32,
    project: tempfile::TempDir,
}

/// So many checkpoints until a server keeps as few log files as it may.
const CALM: u32 = 60;

const CONFIG: &str = "soak = \"0s\"\n[[consumer]]\nname = \"nobody\"\nidle = true\nroles = []\n";

impl Server {
    pub(crate) async fn new() -> Self {
        let url = std::env::var("ZDMIG_TEST_POSTGRES_URL").expect("run it with `just`");
        let server = DatabaseUrl::new(url.clone()).unwrap();
        let dialect = dialect::for_url(&server).unwrap();
        let name = format!("zdmig_bench_{}", std::process::id());
        let mut client = dialect.attach(&server, "bench").await.unwrap().client;
        client.script(&format!("CREATE DATABASE {name}")).await.unwrap();
        let project = tempfile::tempdir().unwrap();
        std::fs::create_dir(project.path().join("migrations")).unwrap();
        let rename = "ALTER TABLE users RENAME COLUMN username TO email;";
        std::fs::write(project.path().join("migrations/1_rename.sql"), rename).unwrap();
        std::fs::write(project.path().join("zdmig.toml"), CONFIG).unwrap();
        let mut one = Self {
            dialect,
            url: format!("{}/{name}", url.rsplit_once('/').unwrap().0),
            drop: (server, format!("DROP DATABASE {name} WITH (FORCE)")),
            postmaster: 0,
            project,
        };
        let pid = one.ask("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)").await;
        one.postmaster = pid.parse().unwrap();
        one
    }

    pub(crate) async fn gone(self) {
        let (url, sql) = self.drop;
        self.dialect.attach(&url, "bench").await.unwrap().client.script(&sql).await.unwrap();
    }

    pub(crate) async fn client(&self) -> Box<dyn Client> {
        let url = DatabaseUrl::new(self.url.clone()).unwrap();
        self.dialect.attach(&url, "bench").await.unwrap().client
    }

    pub(crate) async fn ask(&self, query: &str) -> String {
        self.client().await.rows(query, &[]).await.unwrap()[0][0].clone().unwrap_or_default()
    }

    /// The table anew, vacuumed and checkpointed.
    pub(crate) async fn seed(&self, rows: u64, then: &str) {
        let mut client = self.client().await;
        let sql = format!(
            "DROP SCHEMA IF EXISTS zdmig CASCADE; DROP TABLE IF EXISTS users;
             CREATE TABLE users (id bigint PRIMARY KEY, username varchar(255) NOT NULL, bio text,
                 created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
             INSERT INTO users SELECT g, 'user ' || g, 'Someone who wrote ' || md5(g::text) || ' and ' || md5((-g)::text) || ', and then went on to write some more',
                 timestamptz '2020-01-01' + g * interval '1 minute' FROM generate_series(1, {rows}) g;
             CREATE INDEX ON users (created_at); {then}"
        );
        client.script(&sql).await.unwrap();
        client.run("VACUUM ANALYZE users", &[]).await.unwrap();
        client.run("CHECKPOINT", &[]).await.unwrap();
    }

    /// Lets the server forget how much was written before: what it keeps of old log files to write
    /// into again follows what it wrote between the last checkpoints, and a file that it has to
    /// make anew costs more. Most servers write far less on other days than on that of a backfill.
    pub(crate) async fn calm(&self) {
        let mut client = self.client().await;
        for _ in 0..CALM {
            client.run("SELECT pg_switch_wal()", &[]).await.unwrap();
            client.run("CHECKPOINT", &[]).await.unwrap();
        }
    }

    /// Seconds of CPU that the server has had, and we.
    fn cpu(&self) -> f64 {
        let ticks = |path: &Path, fields: std::ops::Range<usize>| -> u64 {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
            let numbers: Vec<u64> =
                rest.split_whitespace().map(|one| one.parse().unwrap_or_default()).collect();
            numbers.get(fields).map_or(0, |numbers| numbers.iter().sum())
        };
        let parent = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest).to_owned();
            rest.split_whitespace().nth(1).and_then(|one| one.parse::<u32>().ok())
        };
        // After the name: state, parent, …; utime is the 12th, cstime the 15th.
        let own = format!("/proc/{}/stat", self.postmaster);
        let mut all = ticks(Path::new(&own), 11..15) + ticks(Path::new("/proc/self/stat"), 13..15);
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let path = entry.path().join("stat");
            if parent(&path) == Some(self.postmaster) {
                all += ticks(&path, 11..13);
            }
        }
        all as f64 / 100.0
    }

    async fn size(&self) -> f64 {
        self.ask("SELECT pg_total_relation_size('users')::text").await.parse().unwrap()
    }

    async fn log(&self) -> f64 {
        self.ask("SELECT (pg_current_wal_lsn() - '0/0')::text").await.parse().unwrap()
    }

    /// What it costs until something is done.
    async fn costs<T>(&self, work: impl Future<Output = T>) -> (T, Cost) {
        let (size, log, cpu) = (self.size().await, self.log().await, self.cpu());
        let begun = Instant::now();
        let done = work.await;
        let time = begun.elapsed();
        let cost = Cost {
            time,
            cpu: self.cpu() - cpu,
            log: self.log().await - log,
            growth: self.size().await - size,
        };
        (done, cost)
    }

    /// What people do today.
    pub(crate) async fn one_update(&self) -> Cost {
        let mut client = self.client().await;
        client.script("ALTER TABLE users ADD COLUMN email varchar(255)").await.unwrap();
        self.costs(client.run("UPDATE users SET email = username", &[])).await.1
    }

    pub(crate) fn zdmig(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zdmig"));
        command.args(line.split_whitespace()).current_dir(self.project.path()).env_clear();
        command.env("ZDMIG_DATABASE_URL", &self.url).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    pub(crate) fn run(&self, line: &str) {
        let output = self.zdmig(line).stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The whole phase, proof and all, as a process of its own.
    pub(crate) async fn backfill(&self, arguments: &str) -> Ran {
        self.run("expand");
        let (memory, cost) = self
            .costs(async {
                let mut child = self.zdmig(&format!("backfill {arguments}")).spawn().unwrap();
                let mut memory = 0;
                let status = format!("/proc/{}/status", child.id());
                loop {
                    let text = std::fs::read_to_string(&status).unwrap_or_default();
                    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
                    let size = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
                    memory = memory.max(size.unwrap_or(0));
                    if let Some(status) = child.try_wait().unwrap() {
                        assert!(status.success());
                        return memory;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
        assert_eq!(self.ask(wrong).await, "0");
        Ran { cost, memory }
    }

    /// As pgroll 0.14 does it: a flag, a trigger that computes and clears it, and a statement that
    /// touches rows in the order of the key.
    pub(crate) async fn pgroll(&self, batch: u32) -> Cost {
        let mut client = self.client().await;
        client
            .script(
                "ALTER TABLE users ADD COLUMN _pgroll_new_email varchar(255),
                     ADD COLUMN _pgroll_needs_backfill boolean DEFAULT true;
                 CREATE FUNCTION _pgroll_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
                 DECLARE
                     \"id\" users.id%TYPE := NEW.id;
                     \"username\" users.username%TYPE := NEW.username;
                     \"bio\" users.bio%TYPE := NEW.bio;
                     \"created_at\" users.created_at%TYPE := NEW.created_at;
                     \"updated_at\" users.updated_at%TYPE := NEW.updated_at;
                     latest text := 'public_2';
                     search_path text := current_setting('search_path');
                 BEGIN
                     IF search_path <> latest THEN
                         NEW._pgroll_new_email = username;
                         NEW._pgroll_needs_backfill = false;
                     END IF;
                     RETURN NEW;
                 END $$;
                 CREATE TRIGGER _pgroll BEFORE INSERT OR UPDATE ON users
                     FOR EACH ROW EXECUTE FUNCTION _pgroll_trigger();",
            )
            .await
            .unwrap();
        let fill = async {
            let mut last = "0".to_owned();
            loop {
                let sql = format!(
                    "WITH batch AS (SELECT id FROM users WHERE _pgroll_needs_backfill = true
                             AND id > '{last}' ORDER BY id LIMIT {batch} FOR NO KEY UPDATE),
                          update AS (UPDATE users SET id = users.id FROM batch
                             WHERE users.id = batch.id RETURNING users.id)
                     SELECT (last_value(id) OVER ())::text FROM update LIMIT 1"
                );
                let rows = client.rows(&sql, &[]).await.unwrap();
                match rows.first().and_then(|row| row[0].clone()) {
                    Some(upto) => last = upto,
                    None => break,
                }
            }
        };
        let cost = self.costs(fill).await.1;
        let mut client = self.client().await;
        client.script("DROP TABLE users; DROP FUNCTION _pgroll_trigger()").await.unwrap();
        cost
    }
}
