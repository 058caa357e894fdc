//! A fill and a streaming replica: servers of its own, from the binaries of the test server.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{OPEN_GATE, Project, ask, attach, server};

/// A server that is stopped at the end.
struct Server {
    bin: PathBuf,
    data: PathBuf,
    port: u16,
}

/// Runs a program of the server's: it refuses to run as root.
fn run(folder: &Path, program: &Path, arguments: &[&str]) {
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt;
        own.uid() == 0
    });
    let mut command = if root {
        let mut command = Command::new("runuser");
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = users.lines().any(|line| line.starts_with("postgres:"));
        command.args(["-u", if known { "postgres" } else { "nobody" }, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let log = std::fs::File::create(folder.join("log")).expect("a log");
    let status = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .status()
        .expect("it starts");
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(status.success(), "{}: {log}", program.display());
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Server {
    fn start(bin: &Path, data: &Path) -> Self {
        let port = free_port();
        let options =
            format!("-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off", data.display());
        let path = data.display().to_string();
        let log = data.join("server.log").display().to_string();
        let arguments = ["-D", &path, "-l", &log, "-w", "-t", "60", "-o", &options, "start"];
        run(data.parent().expect("a folder"), &bin.join("pg_ctl"), &arguments);
        Self { bin: bin.to_owned(), data: data.to_owned(), port }
    }

    fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let path = self.data.display().to_string();
        let folder = self.data.parent().expect("a folder");
        run(folder, &self.bin.join("pg_ctl"), &["-D", &path, "-m", "immediate", "-w", "stop"]);
    }
}

/// A replica that stands still holds the fill, and once it has caught up the fill goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_falls_behind_holds_the_fill() {
    let mut test = attach(&server(), "test").await.client;
    let bin = ask(&mut *test, "SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let bin = PathBuf::from(bin);
    if !bin.join("pg_basebackup").exists() {
        // The test server is elsewhere, or was installed without its programs.
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("open to the server's user");
    let at = |name: &str| folder.path().join(name);
    let text = |name: &str| at(name).display().to_string();
    run(folder.path(), &bin.join("initdb"), &["-D", &text("one"), "-U", "postgres", "-A", "trust"]);
    let primary = Server::start(&bin, &at("one"));
    let port = primary.port.to_string();
    let backup =
        ["-D", &text("two"), "-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R", "-c", "fast"];
    run(folder.path(), &bin.join("pg_basebackup"), &backup);
    let replica = Server::start(&bin, &at("two"));

    let mut client = attach(&primary.url(), "test").await.client;
    client
        .script(
            "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 200000) g; ANALYZE;",
        )
        .await
        .expect("rows");
    let limits = "[limits]\nreplica_lag = \"1s\"\n";
    let project = Project::at(&primary.url())
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(&format!("{OPEN_GATE}{limits}"));
    project.run("expand").done();
    let mut standby = attach(&replica.url(), "test").await.client;
    standby.rows("SELECT pg_wal_replay_pause()", &[]).await.expect("it stands still");
    let mut command = project.command("backfill --pace gentle");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");

    let mut tries = 0;
    loop {
        let status = project.run("status --format json").done().out;
        if status.contains("replica_lag of replica") {
            break;
        }
        tries += 1;
        assert!(tries < 300, "{status}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is eased off first, and then held.
    let mut then = String::new();
    for _ in 0..100 {
        let now = ask(&mut *client, "SELECT count(email) FROM users").await;
        if now == then {
            break;
        }
        then = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_ne!(then, "200000", "it was too late");
    project
        .run("status")
        .done()
        .says(&["held back: replica_lag of replica walreceiver at 127.0.0.1"]);
    standby.rows("SELECT pg_wal_replay_resume()", &[]).await.expect("it goes on");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("waits: replica_lag") || said.contains("slower: replica_lag"), "{said}");
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(ask(&mut *client, wrong).await, "0");
}
