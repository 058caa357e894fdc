//! A story for each way of deploying: contract is refused while an old version can be bitten, passes
//! afterwards, and no statement of any version fails from the first step to the last.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, Project, attach, unique};

/// A table, a role of the application's own, and both versions' manifests, published.
struct Shop {
    // Dropped before its role.
    database: Database,
    project: Project,
    url: String,
    role: String,
}

impl Shop {
    async fn open(name: &str, config: &str) -> Self {
        let (database, role) = (Database::postgres(name).await, unique(name));
        let town = format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'zdmig';
             CREATE TABLE users (id int PRIMARY KEY, username text NOT NULL);
             INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 600) g;
             GRANT SELECT, INSERT, UPDATE ON users TO {role};"
        );
        database.script(&town).await;
        let (_, address) = database.url.rsplit_once('@').expect("an address");
        let url = format!("postgres://{role}:zdmig@{address}");
        let project = Project::new(&database)
            .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
            .config(&format!(
                "heartbeat_ttl = \"1s\"\ndrain = \"2s\"\n[[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n\
                 [[consumer]]\nname = \"shop\"\nroles = [\"{role}\"]\n{config}"
            ));
        project.run("snapshot").done();
        for (version, column) in [("1", "username"), ("2", "email")] {
            let text = format!(
                "{{\"zdmig_usage\": 1, \"service\": \"shop\", \"version\": \"{version}\", \"complete\": true, \
                 \"items\": [{{\"table\": \"users\", \"read\": [\"{column}\"], \"write\": [\"{column}\"], \
                 \"nulls\": [], \"upsert\": []}}]}}"
            );
            project.write("usage.json", &text);
            project.run("usage publish usage.json").done();
        }
        Self { database, project, url, role }
    }

    /// A process of a version, which reads and writes until it is told to end, and counts what failed.
    fn process(&self, name: &str, column: &'static str) -> Process {
        let (url, name, stop) = (self.url.clone(), name.to_owned(), CancellationToken::new());
        let stopped = stop.clone();
        let at = tokio::spawn(async move {
            let mut client = attach(&url, &name).await.client;
            let (mut done, mut failed) = (0, Vec::new());
            while !stopped.is_cancelled() {
                for sql in [
                    format!(
                        "UPDATE users SET {column} = '{name} {done}' WHERE id = 1 + {done} % 500"
                    ),
                    format!("SELECT {column} FROM users WHERE id = 1 + {done} % 500"),
                ] {
                    match client.script(&sql).await {
                        Ok(()) => done += 1,
                        Err(error) => failed.push(error.to_string()),
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (done, failed)
        });
        Process { stop, at }
    }

    /// Refused, and nothing has changed for anybody.
    fn refused(&self, words: &[&str]) {
        self.project.run("contract --soak 0s").exits(11).says(words);
    }

    async fn close(self) {
        let left = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'users'";
        let mut client = self.database.client().await;
        assert_eq!(crate::support::ask(&mut *client, left).await, "2");
        drop(client);
        let (role, project) = (self.role, self.project);
        drop(self.database);
        drop(project);
        let mut server = attach(&crate::support::server(), "test").await.client;
        server.script(&format!("DROP ROLE {role}")).await.expect("nothing is left of it");
    }
}

struct Process {
    stop: CancellationToken,
    at: JoinHandle<(u64, Vec<String>)>,
}

impl Process {
    async fn end(self) {
        self.stop.cancel();
        let (done, failed) = self.at.await.expect("it counts");
        assert!(done > 0 && failed.is_empty(), "{} of {done} failed: {failed:?}", failed.len());
    }
}

/// A server that says its version, until it is closed.
struct Web {
    address: String,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Web {
    fn open(version: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if stopped.is_cancelled() {
                    return;
                }
                let body = format!("{{\"version\": \"{version}\"}}");
                let _ = stream.read(&mut [0; 1024]);
                let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
                let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    fn close(&mut self) {
        self.stop.cancel();
        let _ = TcpStream::connect(&self.address);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blue_green_the_old_colour_is_idle_and_its_cron_runs_on() {
    let shop = Shop::open(
        "blue_green",
        "[[consumer.source]]\ntype = \"nginx\"\nfiles = [\"blue.conf\", \"green.conf\"]\ntimeout = \"2s\"\n",
    )
    .await;
    let (mut blue, green) = (Web::open("1"), Web::open("2"));
    for (file, web) in [("blue.conf", &blue), ("green.conf", &green)] {
        shop.project.write(file, &format!("upstream shop {{ server {}; }}\n", web.address));
    }
    let (web, cron) =
        (shop.process("shop@1#blue", "username"), shop.process("shop@1#cron", "username"));
    shop.project.run("expand").done();
    let new = shop.process("shop@2#green", "email");
    shop.project.run("backfill").done();
    shop.refused(&["shop@1 is live"]);
    // Requests go to green from now on. Blue is kept for a way back, and answers when it is asked.
    web.end().await;
    shop.refused(&["shop@1 is live", &blue.address]);
    // It is shut down, but for its cron, which nobody thinks of.
    blue.close();
    shop.refused(&["shop@1 is live (session"]);
    cron.end().await;
    shop.project.run("gate 1").done();
    shop.project.run("contract --soak 0s").done();
    new.end().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_update_a_pod_ends_after_its_rollout_is_complete() {
    let shop = Shop::open(
        "rolling",
        "unnamed_sessions = true\n[[consumer.source]]\ntype = \"kubernetes\"\nkubectl = \"./kubectl\"\n\
         namespaces = [\"shop\"]\n",
    )
    .await;
    let kubectl = "#!/bin/sh\ncase \"$1\" in rollout) echo 'successfully rolled out';; *) cat pods.json;; esac\n";
    shop.project.write("kubectl", kubectl);
    let program = shop.project.path("kubectl");
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755)).expect("it runs");
    let pods = |pods: &[(&str, bool)]| {
        let one = |(version, ends): &(&str, bool)| {
            let ends = if *ends { ", \"deletionTimestamp\": \"2026-11-23T12:00:00Z\"" } else { "" };
            format!(
                "{{\"kind\": \"Pod\", \"metadata\": {{\"name\": \"shop-{version}\", \"labels\": \
                 {{\"app.kubernetes.io/version\": \"{version}\"}}{ends}}}, \"status\": {{\"phase\": \"Running\"}}}}"
            )
        };
        let all: Vec<_> = pods.iter().map(one).collect();
        let list = format!("{{\"kind\": \"List\", \"items\": [{}]}}", all.join(", "));
        shop.project.write("pods.json", &list);
    };
    let beat = |version: &str, more: &str| {
        let line =
            format!("heartbeat --service shop --version {version} --instance p{version}{more}");
        shop.project.run(&line);
    };
    // Its sessions have no names: the pods say what runs.
    let old = shop.process("", "username");
    pods(&[("1", false)]);
    shop.project.run("expand").done();
    let new = shop.process("", "email");
    pods(&[("1", false), ("2", false)]);
    shop.project.run("backfill").done();
    beat("2", "");
    shop.refused(&["shop@1 is live"]);
    // The rollout is complete, and the old pod ends what it has begun.
    pods(&[("1", true), ("2", false)]);
    shop.refused(&["shop@1 is draining"]);
    beat("2", "");
    shop.refused(&["shop@1 is draining"]);
    old.end().await;
    pods(&[("2", false)]);
    beat("2", "");
    shop.project.run("contract --soak 0s").done();
    new.end().await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_load_balancer_a_request_outlives_the_switch() {
    let shop = Shop::open("drained", "unnamed_sessions = true\n").await;
    let beat = |version: &str, more: &str, code: i32| {
        let line =
            format!("heartbeat --service shop --version {version} --instance i{version}{more}");
        shop.project.run(&line).exits(code);
    };
    let old = shop.process("", "username");
    let mut sign =
        shop.project.command("heartbeat --service shop --version 1 --instance i1 --every 200ms");
    let mut sign = sign.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    shop.project.run("expand").done();
    let new = shop.process("", "email");
    shop.project.run("backfill").done();
    beat("2", "", 0);
    shop.refused(&["shop@1 is live (heartbeat"]);
    // One request has begun and takes its time; the balancer sends no more, and the instance stops
    // giving signs of life without a goodbye.
    let mut request = attach(&shop.url, "").await.client;
    request
        .script("BEGIN; SELECT username FROM users WHERE id = 555 FOR UPDATE")
        .await
        .expect("it reads");
    old.end().await;
    sign.kill().expect("killed");
    sign.wait().expect("it ended");
    let mut seen = Vec::new();
    for _ in 0..60 {
        beat("2", "", 0);
        let ran = shop.project.run("gate 1");
        let state = ["is live", "is draining", "E_OBSERVED", "PASS"]
            .into_iter()
            .find(|words| ran.out.contains(words))
            .unwrap_or_else(|| panic!("{}", ran.out));
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        // After its statement of a minute ago only its transaction is left to tell of it.
        if state == "E_OBSERVED" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A slow machine may look for the first time when it drains already.
    let expected = ["is live", "is draining", "E_OBSERVED"];
    assert!(seen.len() > 1 && expected.ends_with(&seen), "{seen:?}");
    // The instance's time is over, the request's is not: it is seen by what it ran.
    shop.refused(&["E_OBSERVED", "FOR UPDATE"]);
    request
        .script("UPDATE users SET username = 'late' WHERE id = 555; COMMIT")
        .await
        .expect("it writes");
    drop(request);
    for tries in 0.. {
        beat("2", "", 0);
        if shop.project.run("contract --soak 0s").code == Some(0) {
            break;
        }
        assert!(tries < 50, "it is seen still");
    }
    let mut client = shop.database.client().await;
    let late = "SELECT email FROM users WHERE id = 555";
    assert_eq!(crate::support::ask(&mut *client, late).await, "late");
    new.end().await;
    shop.close().await;
}
