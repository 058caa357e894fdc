//! Processes that work on one fill together, also through a pooler.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{ask, attach, renamed, server, until};

const WRONG: &str = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
const ROWS: u32 = 400_000;

fn started(mut command: Command) -> Child {
    command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts")
}

fn well(child: Child) -> (String, String) {
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), said)
}

/// As a Kubernetes Job with `parallelism: 3` does it, of which the first is killed.
#[tokio::test(flavor = "multi_thread")]
async fn pods_share_a_fill_and_one_takes_over() {
    let (database, project) = renamed("postgres", "join", ROWS).await;
    let mut client = database.client().await;
    let mut leader = started(project.command("backfill --join --pace gentle"));
    until(&mut *client, "SELECT count(*) > 0 FROM zdmig.part").await;
    let pods: Vec<_> =
        (0..2).map(|_| started(project.command("backfill 1 --join --pace gentle"))).collect();
    until(&mut *client, "SELECT count(*) = 3 FROM zdmig.runner").await;
    project.run("status").done().says(&["3 workers"]);
    leader.kill().expect("killed");
    leader.wait().expect("gone");
    project.run("tune --pace fast").done();
    let ended: Vec<_> = pods.into_iter().map(well).collect();
    for (out, _) in &ended {
        assert!(out.contains("1_rename: backfilled"), "{out}");
    }
    assert!(ended.iter().any(|(_, err)| err.contains("(with others)")), "{ended:?}");
    assert_eq!(ask(&mut *client, WRONG).await, "0");
    let filled = "SELECT detail->>'rows' FROM zdmig.journal
                   WHERE kind = 'finished' AND step LIKE '%/fill-%'";
    assert_eq!(ask(&mut *client, filled).await, ROWS.to_string(), "each row once, by whomever");
    project.run("backfill --join").done().says(&["nothing to backfill"]);
}

/// A pooler in transaction mode before the test server, with few connections; gone at the end.
pub struct Pooler {
    child: Child,
    pub port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// `None` where there is no such program here.
    pub fn start() -> Option<Self> {
        let server = server();
        let address = server.rsplit_once('/')?.0.rsplit_once('@')?.1;
        let (host, port) = address.split_once(':')?;
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        drop(listener);
        let users = folder.path().join("users");
        std::fs::write(&users, "\"postgres\" \"\"\n").expect("written");
        let config = format!(
            "[databases]\n* = host={host} port={port} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {own}\nunix_socket_dir =\nauth_type = any\n\
             auth_file = {}\npool_mode = transaction\ndefault_pool_size = 8\n\
             ignore_startup_parameters = extra_float_digits\n",
            users.display()
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, config).expect("written");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("open to its user");
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"];
        let program = program.into_iter().find(|path| std::path::Path::new(path).exists())?;
        let mut command = Command::new(program);
        // It refuses to run as root, and takes on another user itself.
        if std::fs::write("/proc/self/oom_score_adj", "0").is_ok() {
            command.args(["-u", "nobody"]);
        }
        let child = command.arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Some(Self { child: child.expect("it starts"), port: own, _folder: folder })
    }

    /// Waits until it listens.
    pub async fn ready(&self) {
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Workers behind a pooler fill along; what needs a session of its own is refused there, and no
/// session of the pool is left with a setting of ours.
#[tokio::test(flavor = "multi_thread")]
async fn workers_may_come_through_a_pooler() {
    let Some(pooler) = Pooler::start() else {
        // There is no such program here.
        return;
    };
    let (database, project) = renamed("postgres", "join_pool", ROWS).await;
    let mut client = database.client().await;
    let name = database.url.rsplit('/').next().expect("a name").to_owned();
    let url = format!("postgres://postgres@127.0.0.1:{}/{name}", pooler.port);
    pooler.ready().await;
    let through = |line: &str| {
        let mut command = project.command(line);
        command.env("ZDMIG_DATABASE_URL", &url);
        command
    };
    for line in ["backfill", "status", "expand", "contract"] {
        let output = through(line).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{line}: {said}");
        assert!(said.contains("connection pooler") && said.contains("own address"), "{said}");
    }
    let early = through("backfill --join --max-duration 1s").output().expect("it starts");
    assert_eq!(early.status.code(), Some(20), "{}", String::from_utf8_lossy(&early.stderr));

    let leader = started(project.command("backfill --pace gentle"));
    until(&mut *client, "SELECT count(*) > 0 FROM zdmig.part").await;
    let pods: Vec<_> =
        (0..2).map(|_| started(through("backfill --join --workers 2 --pace gentle"))).collect();
    until(&mut *client, "SELECT count(*) >= 2 FROM zdmig.part WHERE pid = 0").await;
    // A pod that is killed loses its lease, and only that.
    let mut pods = pods.into_iter();
    let mut one = pods.next().expect("a pod");
    one.kill().expect("killed");
    one.wait().expect("gone");
    project.run("pause").done();
    until(
        &mut *client,
        "SELECT bool_and(held_by LIKE 'paused%') FROM zdmig.runner
                          WHERE at > clock_timestamp() - interval '2 s'",
    )
    .await;
    project.run("resume").done();
    project.run("tune --pace fast").done();
    // What others do in the same pool meanwhile is as it was.
    let mut other = attach(&url, "an application").await.client;
    for setting in
        ["default_transaction_read_only", "row_security", "zdmig.backfill", "lock_timeout"]
    {
        let said = format!("coalesce(current_setting('{setting}', true), '')");
        let direct = ask(&mut *client, &format!("SELECT {said}")).await;
        let same = format!("DO $$BEGIN ASSERT {said} = '{direct}', '{setting}'; END$$");
        for _ in 0..10 {
            other.script(&same).await.expect("as it was");
        }
    }
    well(leader);
    for pod in pods {
        let (out, said) = well(pod);
        assert!(out.contains("1_rename: backfilled") && said.contains("(with others)"), "{said}");
    }
    assert_eq!(ask(&mut *client, WRONG).await, "0");
    let filled = "SELECT detail->>'rows' FROM zdmig.journal
                   WHERE kind = 'finished' AND step LIKE '%/fill-%'";
    assert_eq!(ask(&mut *client, filled).await, ROWS.to_string(), "each row once, by whomever");
}
