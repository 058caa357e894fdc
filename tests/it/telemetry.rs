//! Machines are told: metrics are served, traces are sent, a webhook is posted to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tiny_http::{Response, Server};

use crate::support::{Database, OPEN_GATE, Project, renamed};

/// What was posted: where to, and the body.
type Posted = (String, Vec<u8>);

/// A server that keeps what is posted to it, and answers with a status.
struct Post {
    server: Arc<Server>,
    kept: Arc<Mutex<Vec<Posted>>>,
}

impl Post {
    fn answering(status: u16) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").expect("a port"));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (serving, keeping) = (Arc::clone(&server), Arc::clone(&kept));
        std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let mut body = Vec::new();
                request.as_reader().read_to_end(&mut body).expect("a body");
                keeping.lock().expect("unharmed").push((request.url().to_owned(), body));
                let _ = request.respond(Response::empty(status));
            }
        });
        Self { server, kept }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.server_addr())
    }

    fn kept(&self) -> Vec<Posted> {
        self.kept.lock().expect("unharmed").clone()
    }

    /// What was posted as JSON.
    fn messages(&self) -> Vec<Value> {
        let kept = self.kept();
        kept.iter().map(|(_, body)| serde_json::from_slice(body).expect("JSON")).collect()
    }

    fn wait_for(&self, event: &str) -> Value {
        for _ in 0..300 {
            if let Some(found) = self.messages().into_iter().find(|one| one["event"] == event) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("no `{event}` in {:?}", self.messages());
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .expect("asked");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

/// Starts a backfill that serves metrics; the address is the first that it says.
fn serving(project: &Project) -> (Child, String) {
    let mut child = project
        .command("backfill --pace gentle --metrics-listen 127.0.0.1:0")
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("its stderr")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.strip_prefix("metrics are served at http://").expect(&line).to_owned();
    std::thread::spawn(move || lines.count());
    (child, address.trim_end_matches("/metrics").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_served_while_it_runs() {
    for product in ["postgres", "sqlite"] {
        let (_database, project) = renamed(product, "telemetry_metrics", 60_000).await;
        project.run("pause --reason lunch").done();
        let (mut child, address) = serving(&project);
        let scraped = |what: &str| {
            for _ in 0..300 {
                let text = get(&address, "/metrics");
                if text.contains(what) {
                    return text;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            panic!("never `{what}` in {}", get(&address, "/metrics"));
        };
        let held = scraped("by=\"paused\"} 1");
        assert!(held.contains("application/openmetrics-text"), "{held}");
        assert!(held.contains("zdmig_build_info{version="), "{held}");
        assert!(get(&address, "/other").starts_with("HTTP/1.1 404"));
        // Who promises more than comes keeps nobody waiting: not the others, and not the end.
        let mut slow = TcpStream::connect(&address).expect("it listens");
        let promise = "GET /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 5000\r\n\r\n";
        slow.write_all(promise.as_bytes()).expect("asked");
        project.run("resume").done();
        let walking = scraped("zdmig_fill_chunk_seconds_bucket{");
        let rows = "zdmig_fill_rows_total{migration=\"1_rename\",step=\"fill-";
        assert!(walking.contains(rows), "{walking}");
        assert!(walking.contains("zdmig_fill_walked_rows{"), "{walking}");
        assert!(!walking.contains("by=\"paused\""), "{walking}");
        assert!(walking.trim_end().ends_with("# EOF"), "{walking}");
        assert!(child.wait().expect("it ends").success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_is_told_before_anything_is_done() {
    let (_database, project) = renamed("postgres", "telemetry_taken", 10).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    project
        .run(&format!("backfill --metrics-listen {address}"))
        .exits(2)
        .says(&[&address.to_string(), "--metrics-listen"]);
    project
        .run(&format!("expand --metrics-listen {address}"))
        .exits(2)
        .says(&[&address.to_string(), "--metrics-listen"]);
    project.run("backfill --metrics-listen nowhere").exits(2).says(&["`nowhere`"]);
    project.run("status").done().says(&["expanded"]);
}

/// A project whose webhook is that one.
async fn posting(post: &Post, rows: u32) -> (Database, Project) {
    let (database, project) = renamed("postgres", "telemetry_webhook", rows).await;
    let url = post.url("/s3cret");
    let config = format!("webhook = \"{url}\"\nstalled_after = \"1s\"\n{OPEN_GATE}");
    (database, project.config(&config))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_how_phases_end() {
    let post = Post::answering(204);
    let (database, project) = posting(&post, 30_000).await;
    project.run("pause --reason lunch").done();
    let mut command = project.command("backfill");
    command.stderr(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let stalled = post.wait_for("stalled");
    assert!(stalled["text"].as_str().expect("text").contains("lunch"), "{stalled}");
    project.run("resume").done();
    assert!(child.wait().expect("it ends").success());
    let finished = post.wait_for("finished");
    assert_eq!(finished["rows"], 30_000);
    assert_eq!(
        (&finished["migration"], &finished["phase"]),
        (&"1_rename".into(), &"backfill".into())
    );
    assert_eq!((&finished["env"], &finished["zdmig_webhook"]), (&"production".into(), &1.into()));
    assert_eq!(post.messages().len(), 2, "each once: {:?}", post.messages());

    project.write("migrations/2_more.sql", "ALTER TABLE users ALTER COLUMN email SET NOT NULL;");
    project.run("contract 1_rename").done();
    project.run("purge 1_rename").done();
    assert_eq!(post.messages().len(), 4);
    database.script("INSERT INTO users VALUES (0, NULL)").await;
    // Rows that do not fit are an answer, and nothing was begun.
    project.run("expand").exits(10);
    assert_eq!(post.messages().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_of_failures_and_of_time_that_is_up() {
    let post = Post::answering(200);
    let (database, project) = posting(&post, 60_000).await;
    project.run("backfill --pace gentle --max-duration 500ms").exits(20);
    let stopped = post.wait_for("stopped");
    assert!(stopped["message"].as_str().expect("why").contains("time is up"), "{stopped}");
    assert!(stopped["step"].as_str().expect("where").starts_with("fill-"), "{stopped}");
    database.script("ALTER TABLE users ADD CHECK (email <> 'user 60000') NOT VALID").await;
    project.run("backfill --pace fast").exits(15);
    let failed = post.wait_for("failed");
    assert!(failed["message"].as_str().expect("why").contains("left 1 row out"), "{failed}");
    assert!(failed["text"].as_str().expect("text").contains("1_rename"), "{failed}");
}

/// It says so and does not fail, and never says where it would have posted.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_heard_is_a_warning() {
    let post = Post::answering(500);
    let (_database, project) = posting(&post, 10).await;
    let ran = project.run("backfill").done().says(&["warning:", "`finished`", "500"]);
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    assert_eq!(post.messages().len(), 3, "it is tried again");
    let mut wrong = project.command("status");
    wrong.env("ZDMIG_WEBHOOK", "hooks.example/s3cret");
    let ran = crate::support::Ran::from("status", wrong.output().expect("it runs"));
    assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    ran.exits(2).says(&["ZDMIG_WEBHOOK", "https://"]);
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn holds(body: &[u8], what: &[u8]) -> bool {
    body.windows(what.len()).any(|window| window == what)
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_are_sent_as_the_variables_say() {
    let post = Post::answering(200);
    let (_database, project) = renamed("postgres", "telemetry_traces", 5_000).await;
    let mut command = project.command("backfill");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", post.url("")).env("TRACEPARENT", PARENT);
    assert!(command.output().expect("it runs").status.success());
    let kept = post.kept();
    let spans: Vec<_> = kept.iter().filter(|(path, _)| path == "/v1/traces").collect();
    assert!(!spans.is_empty() && spans.len() == kept.len(), "{kept:?}");
    let all: Vec<u8> = spans.iter().flat_map(|(_, body)| body.clone()).collect();
    for word in ["service.name", "zdmig backfill", "backfill 1_rename", "fill-public.users.email"] {
        assert!(holds(&all, word.as_bytes()), "no `{word}`");
    }
    let trace = [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd];
    assert!(holds(&all, &trace), "it is part of the trace that it was started in");

    let mut command = project.command("rollback --anyway");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", post.url("")).env("OTEL_SDK_DISABLED", "true");
    assert!(command.output().expect("it runs").status.success());
    assert_eq!(post.kept().len(), kept.len(), "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_that_cannot_be_sent_are_a_warning() {
    let post = Post::answering(503);
    let (_database, project) = renamed("sqlite", "telemetry_no_traces", 10).await;
    let with = |name: &str, value: &str, line: &str| {
        let mut command = project.command(line);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", post.url("")).env(name, value);
        crate::support::Ran::from(line, command.output().expect("it runs")).done()
    };
    with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "backfill").says(&[
        "warning:",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "4318",
    ]);
    assert!(post.kept().is_empty());
    with("OTEL_SERVICE_NAME", "ours", "rollback --anyway").says(&["warning:", "traces"]);
}
