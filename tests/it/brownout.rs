//! A column that is away for a while: given back at the first failure, by the server itself where
//! zdmig is killed, and exactly as it was.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::own_server::{Server, fresh};
use crate::support::{Project, ask, attach, until};

const LOG: &str = "-c logging_collector=on -c log_destination=jsonlog,stderr";

pub const CONSUMER: &str = "[[consumer]]\nname = \"api\"\nroles = [\"app\"]\nunnamed_sessions = true\n\
                        [[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n\
                        [[waive]]\nrole = \"bi\"\nreason = \"a test\"\n";

const SECOND: &str = "{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"2\", \"complete\": true, \"items\": \
     [{\"table\": \"users\", \"read\": [\"email\"], \"write\": [\"email\"], \"nulls\": [], \"upsert\": []}]}";

/// Privileges of every kind on the table, and none on the other: the default ones.
const TOWN: &str = "
    CREATE ROLE app LOGIN; CREATE ROLE bi LOGIN; CREATE ROLE readers; GRANT readers TO bi;
    CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL, note text);
    INSERT INTO users SELECT g, 'user ' || g, 'n' FROM generate_series(1, 1000) g;
    GRANT SELECT, INSERT, UPDATE, DELETE ON users TO app;
    GRANT SELECT ON users TO readers WITH GRANT OPTION;
    GRANT UPDATE (username, note) ON users TO bi; GRANT REFERENCES (id) ON users TO PUBLIC;
    GRANT TRIGGER, TRUNCATE ON users TO bi;";

pub struct Town {
    pub server: Server,
    bin: PathBuf,
    pub project: Project,
    // Removed last.
    _folder: tempfile::TempDir,
}

impl Town {
    pub async fn start(config: &str, filled: bool, options: &str) -> Option<Self> {
        let (bin, folder) = fresh().await?;
        let server = Server::start(&bin, &folder.path().join("one"), options);
        attach(&server.url(), "test").await.client.script(TOWN).await.expect("a town");
        let project = Project::at(&server.url())
            .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
            .config(&format!("{config}{CONSUMER}"));
        project.run("expand").done();
        if filled {
            project.run("backfill").done();
        }
        Some(Self { server, bin, project, _folder: folder })
    }

    /// A version that does without the old column is at work.
    pub fn second_version(&self) {
        self.project.write("2.json", SECOND);
        self.project.run("usage publish 2.json").done();
        self.project.run("heartbeat --service api --version 2 --instance i").done();
    }

    /// What a dump says of the table and who may what. In which order the server lists those who may
    /// is nobody's business.
    fn dump(&self) -> Vec<String> {
        let dump = Command::new(self.bin.join("pg_dump"))
            .args(["--schema-only", "-t", "users", &self.server.url()])
            .output()
            .expect("a dump");
        assert!(dump.status.success());
        let dump = String::from_utf8(dump.stdout).expect("text");
        let mut lines: Vec<_> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
        lines.sort_unstable();
        lines.into_iter().map(ToOwned::to_owned).collect()
    }

    pub fn of(&self, role: &str) -> String {
        self.server.url().replace("postgres@", &format!("{role}@"))
    }
}

/// What a version does: it reads a column and writes it, again and again, and counts.
struct Worker {
    stop: tokio_util::sync::CancellationToken,
    at: tokio::task::JoinHandle<(u64, u64)>,
}

impl Worker {
    fn start(url: String, name: &str, column: &'static str) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        let (stopped, name) = (stop.clone(), name.to_owned());
        let at = tokio::spawn(async move {
            let mut client = attach(&url, &name).await.client;
            let (mut good, mut bad) = (0, 0);
            while !stopped.is_cancelled() {
                for sql in [
                    format!("SELECT id, {column} FROM users WHERE id = 7"),
                    format!("UPDATE users SET {column} = 'new {good}' WHERE id = 7"),
                ] {
                    match client.script(&sql).await {
                        Ok(()) => good += 1,
                        Err(_) => bad += 1,
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            (good, bad)
        });
        Self { stop, at }
    }

    async fn stop(self) -> (u64, u64) {
        self.stop.cancel();
        self.at.await.expect("it counts")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_still_reads_it_is_found_at_one_failed_statement() {
    let Some(town) = Town::start("require_brownout = \"2s\"\n", true, LOG).await else { return };
    let mut client = attach(&town.server.url(), "test").await.client;
    let project = &town.project;
    town.second_version();
    project.run("gate 1").exits(12).says(&["U_BROWNOUT"]);
    let before = town.dump();

    let (old, new) = (
        Worker::start(town.of("app"), "api@1#pod-7", "username"),
        Worker::start(town.of("app"), "api@2#pod-8", "email"),
    );
    let ran = project.run("brownout 1 --duration 30s").exits(16);
    ran.says(&["tripped", "api@1#pod-7 (role app)", "given back in"]);
    assert_eq!(town.dump(), before);
    let (good, bad) = old.stop().await;
    // One, and what the same client sent until that one was seen.
    assert!((1..100).contains(&bad) && good > 0, "{bad} of {good} failed");
    project.run("gate 1").exits(11).says(&["E_BROWNOUT", "api@1#pod-7"]);

    // The old one is gone: it passes, and what is written meanwhile is in both columns.
    let ran = project.run("brownout 1 --duration 2s --format json").done();
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(json["result"], "passed");
    let (good, bad) = new.stop().await;
    assert!(bad == 0 && good > 10, "{bad} of {good} failed");
    assert_eq!(town.dump(), before);
    let same = "SELECT bool_and(username = email) FROM users";
    assert_eq!(ask(&mut *client, same).await, "true");
    assert_eq!(ask(&mut *client, "SELECT count(*) FROM zdmig.retired").await, "0");
    project.run("gate 1").done();
    // The default privileges come back as such, too.
    client
        .script(
            "REVOKE ALL ON users FROM app, bi, readers, PUBLIC; REVOKE ALL (id, username, note) ON users \
             FROM app, bi, readers, PUBLIC; GRANT SELECT ON users TO app",
        )
        .await
        .expect("revoked");
    let before = town.dump();
    project.run("brownout 1 --duration 1s").done();
    assert_eq!(town.dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_brownout_and_a_crashed_server_leave_nothing_dark() {
    let Some(mut town) = Town::start("", true, LOG).await else { return };
    let before = town.dump();
    let dark = "SELECT EXISTS (SELECT FROM zdmig.brownout)";
    let begin = |town: &Town| {
        let mut command = town.project.command("brownout 1 --duration 1h --lease 2s");
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let mut killed = begin(&town);
    let mut client = attach(&town.server.url(), "test").await.client;
    until(&mut *client, dark).await;
    let mut app = attach(&town.of("app"), "old").await.client;
    app.script("SELECT username FROM users").await.expect_err("it is dark");
    killed.kill().expect("killed");
    killed.wait().expect("it ended");
    let begun = Instant::now();
    // Nobody asks zdmig: the server does it.
    until(&mut *client, "SELECT NOT EXISTS (SELECT FROM zdmig.brownout)").await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    app.script("SELECT username FROM users").await.expect("it is back");
    assert_eq!(town.dump(), before);

    // A crash takes the server's loop along. Who only looks tells of it, and who may write gives it back.
    let mut killed = begin(&town);
    until(&mut *client, dark).await;
    killed.kill().expect("killed");
    killed.wait().expect("it ended");
    town.server.stop();
    town.server.start_again();
    let mut client = attach(&town.server.url(), "test").await.client;
    assert_eq!(ask(&mut *client, dark).await, "true");
    until(
        &mut *client,
        "SELECT bool_and(lease_until < now() - interval '1 s') FROM zdmig.brownout",
    )
    .await;
    town.project.run("status").done().says(&["its column is away", "zdmig restore 1_rename"]);
    assert_eq!(ask(&mut *client, dark).await, "true");
    town.project.run("restore 1").done();
    assert_eq!(town.dump(), before);
    town.project.run("restore 1").exits(2);

    // Ctrl-C gives it back as well.
    let running = begin(&town);
    until(&mut *client, dark).await;
    let pid = i32::try_from(running.id()).expect("a pid");
    Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("a signal");
    let ended = running.wait_with_output().expect("it ended");
    assert_eq!(ended.status.code(), Some(130));
    assert_eq!(town.dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_brownout_that_would_show_nothing_says_so() {
    let Some(town) = Town::start("", false, LOG).await else { return };
    let project = &town.project;
    project.run("brownout 1 --duration 1s").exits(2).says(&["backfill is not done"]);
    project.run("backfill").done();
    let before = town.dump();
    project.run("brownout 1 --duration 1s --lease 10ms").exits(2);
    let missing = "brownout 1 --duration 2s --probe true --log none";
    project.run(missing).exits(15).says(&["the log `none` cannot be read"]);
    // A log of text on this machine, and who fails is in it.
    let logs = town.server.folder().join("log");
    let newest = std::fs::read_dir(&logs).expect("a folder").flatten().map(|one| one.path());
    let text = newest.filter(|path| path.extension().is_some_and(|end| end == "log")).max();
    let text = text.expect("a log").display().to_string();
    let mut running = project.command(&format!("brownout 1 --duration 1h --log {text}"));
    let running = running.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut client = attach(&town.server.url(), "test").await.client;
    let old = Worker::start(town.of("app"), "old", "username");
    let ended = running.wait_with_output().expect("it ended");
    let told = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(16), "{told}");
    assert!(told.contains("permission denied") || told.contains("FROM users"), "{told}");
    old.stop().await;
    // One that does not tell of failures tells of nobody's.
    let silent = "brownout 1 --duration 1h --log zdmig.toml";
    project.run(silent).exits(12).says(&["does not tell of a statement that failed"]);
    client.script("ALTER SYSTEM SET log_min_messages = 'panic'").await.expect("set");
    client.script("SELECT pg_reload_conf(), pg_sleep(0.3)").await.expect("set");
    project.run("brownout 1 --duration 1h").exits(12).says(&["does not tell"]);
    client.script("ALTER SYSTEM RESET log_min_messages").await.expect("reset");
    client.script("SELECT pg_reload_conf(), pg_sleep(0.3)").await.expect("reset");
    // Whoever ends the server's loop ends the brownout.
    let mut running = project.command("brownout 1 --duration 1h");
    let running = running.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    until(&mut *client, "SELECT EXISTS (SELECT FROM zdmig.brownout)").await;
    let kill = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%zdmig.dimming%' AND \
                application_name = 'zdmig' AND state = 'active'";
    client.script(kill).await.expect("cancelled");
    let ended = running.wait_with_output().expect("it ended");
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    // A probe that fails ends it, whatever the log says.
    project.run("brownout 1 --duration 1h --probe false").exits(15).says(&["the probe ended with"]);
    project.write("probe", "once");
    // It passes before, and no more.
    project.write("probe.sh", "[ -e probe ] && rm probe");
    let line = "brownout 1 --duration 1h --probe ./probe.sh";
    let path = project.path("probe.sh");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it runs");
    project.run(line).exits(16).says(&["the probe ended with"]);
    // No privilege stops a superuser.
    client.script("ALTER ROLE app SUPERUSER").await.expect("a superuser");
    let ran = project.run("brownout 1 --duration 1h").exits(12);
    ran.says(&["no privilege stops the role app"]);
    client.script("ALTER ROLE app NOSUPERUSER").await.expect("none");
    assert_eq!(town.dump(), before);
    project.run("contract").exits(11).says(&["E_BROWNOUT"]);
    // On SQLite there are no privileges at all.
    let (_database, other) = crate::support::renamed("sqlite", "dim", 10).await;
    other.run("backfill").done();
    other.run("brownout 1 --duration 1s").exits(2).says(&["takes no column away by privileges"]);
}
