//! Versions that only those know who run them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Database, Project};

/// A renamed column, a version that uses the old one and one that does not, and a consumer with a
/// source.
async fn town(source: &str) -> (Database, Project) {
    let database = Database::sqlite().await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT)").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(&format!("[[consumer]]\nname = \"api\"\n[[consumer.source]]\n{source}\n"));
    project.run("expand").done();
    project.run("backfill").done();
    for (version, column) in [("1.4", "username"), ("1.5", "email")] {
        let text = format!(
            "{{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"{version}\", \"complete\": true, \
             \"items\": [{{\"table\": \"users\", \"read\": [\"{column}\"]}}]}}"
        );
        project.write("usage.json", &text);
        project.run("usage publish usage.json").done();
    }
    (database, project)
}

fn program(project: &Project, name: &str, script: &str) {
    project.write(name, &format!("#!/bin/sh\n{script}\n"));
    let path = project.path(name);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
}

fn pod(name: &str, version: &str, more: &str) -> String {
    format!(
        "{{\"kind\": \"Pod\", \"metadata\": {{\"name\": \"{name}\", \"labels\": \
         {{\"app.kubernetes.io/version\": \"{version}\"}}{more}}}, \"status\": {{\"phase\": \"Running\"}}}}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_says_which_versions_can_run() {
    let source = "type = \"kubernetes\"\nkubectl = \"./kubectl\"\nnamespaces = [\"shop\"]\nselector = \
                  \"app=api\"\ntimeout = \"2s\"";
    let (_database, project) = town(source).await;
    let says = |items: &[String]| {
        let list = format!("{{\"kind\": \"List\", \"items\": [{}]}}", items.join(", "));
        project.write("list.json", &list);
        // What it was asked is looked at, too.
        program(
            &project,
            "kubectl",
            "case \"$*\" in 'get pods,'*' -n shop -o json -l app=api') /bin/cat list.json;; *) exit 9;; esac",
        );
    };
    says(&[pod("new", "1.5", "")]);
    project.run("gate 1").done().says(&["PASS", "pod new"]);
    // A rollout is complete, and an old pod still answers what it has begun.
    let terminating = ", \"deletionTimestamp\": \"2026-11-23T12:00:00Z\"";
    says(&[pod("new", "1.5", ""), pod("old", "1.4", terminating)]);
    project.run("gate 1").exits(11).says(&[
        "E_VERSION_USES",
        "api@1.4 is draining",
        "terminating pod old",
    ]);
    let cron = "{\"kind\": \"CronJob\", \"metadata\": {\"name\": \"nightly\"}, \"spec\": {\"jobTemplate\": \
                {\"spec\": {\"template\": {\"metadata\": {\"labels\": {\"app.kubernetes.io/version\": \
                \"1.4\"}}}}}}}";
    says(&[pod("new", "1.5", ""), cron.to_owned()]);
    project.run("gate 1").exits(11).says(&[
        "E_VERSION_USES",
        "can start at any time",
        "cronjob nightly",
    ]);
    let kept = "{\"kind\": \"ReplicaSet\", \"metadata\": {\"name\": \"before\"}, \"spec\": {\"replicas\": 0, \
                \"template\": {\"metadata\": {\"labels\": {\"app.kubernetes.io/version\": \"1.4\"}}}}}";
    says(&[pod("new", "1.5", ""), kept.to_owned()]);
    project.run("gate 1").exits(11).says(&["E_ROLLBACK", "kept replicaset before"]);

    // Whatever it does not say is not known.
    says(&[]);
    project.run("gate 1").exits(12).says(&["U_EMPTY"]);
    says(&[pod("new", "", "")]);
    project.run("gate 1").exits(12).says(&["U_GAP", "no version of pod new"]);
    for (script, said) in [
        ("echo 'Error from server (Forbidden): pods is forbidden' >&2; exit 1", "Forbidden"),
        ("/bin/sleep 60", "within 2s"),
        ("echo '{\"items\": ['", "no JSON"),
        ("echo '{\"items\": [], \"metadata\": {\"continue\": \"x\"}}'", "part of the list"),
    ] {
        program(&project, "kubectl", script);
        project.run("gate 1").exits(12).says(&["U_GAP", said]);
    }
    std::fs::remove_file(project.path("kubectl")).expect("removed");
    project.run("gate 1").exits(12).says(&["U_GAP", "does not run"]);
    // All phases at once ask it too, and go on only where nobody is known, and nothing unknown.
    project.write("migrations/2_more.sql", "ALTER TABLE users ADD COLUMN age INT;");
    project.run("apply").exits(11).says(&["does not run"]);
    says(&[pod("new", "1.5", "")]);
    project.run("apply").exits(11).says(&["api 1.5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_says_which_versions_can_run() {
    let (_database, project) = town("type = \"exec\"\ncommand = [\"./who\", \"api\"]").await;
    let says = |complete: bool, version: &str| {
        let now = "$(/bin/date -u +%Y-%m-%dT%H:%M:%SZ)";
        program(
            &project,
            "who",
            &format!(
                "echo '{{\"complete\": {complete}, \"observed_at\": \"'\"{now}\"'\", \"instances\": \
                 [{{\"service\": \"'\"$1\"'\", \"version\": \"{version}\", \"instance\": \"i-1\", \
                 \"state\": \"live\"}}]}}'"
            ),
        );
    };
    says(true, "1.5");
    project.run("gate 1").done();
    says(true, "1.4");
    project.run("gate 1").exits(11).says(&["instance `i-1`"]);
    says(false, "1.5");
    project.run("gate 1").exits(12).says(&["not complete"]);
    // It waits until the old one is gone, and says for whom.
    says(true, "1.4");
    let waiting = {
        let mut command = project.command("gate 1 --wait 30s --interval 100ms");
        std::thread::spawn(move || command.output().expect("it runs"))
    };
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    says(true, "1.5");
    let ran = waiting.join().expect("it ends");
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{told}");
    assert!(told.contains("waiting: E_VERSION_USES api@1.4 is live"), "{told}");
    project.run("gate 1 --wait 1s --interval 100ms").done();
}

/// Answers every request with a version, until it is dropped with its thread.
fn instance(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}/health")
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_say_their_own_version() {
    let (new, old, mute) = (
        instance("{\"build\": {\"version\": \"1.5\"}}"),
        instance("{\"build\": {\"version\": \"1.4\"}}"),
        instance("{\"ok\": true}"),
    );
    // Bound and let go of: nobody listens there.
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let gone = format!("http://{gone}/health");
    for (urls, code, said) in [
        (vec![&new, &gone], 0, "PASS"),
        (vec![&new, &old], 11, "E_VERSION_USES"),
        (vec![&new, &mute], 12, "has no version at `/build/version`"),
        (vec![&gone], 12, "nobody answers at any"),
    ] {
        let source = format!(
            "type = \"http\"\nversion = \"/build/version\"\nurls = {urls:?}\ntimeout = \"2s\""
        );
        let (_database, project) = town(&source).await;
        project.run("gate 1").exits(code).says(&[said]);
    }
    // Somebody is there and says nothing: it may be at work all the same.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("an address"));
    let source = format!("type = \"http\"\nurls = [\"{url}\"]\ntimeout = \"1s\"");
    let (_database, project) = town(&source).await;
    project.run("gate 1").exits(12).says(&["U_GAP"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colour_that_gets_no_requests_is_asked_all_the_same() {
    let (blue, green) = (instance("{\"version\": \"1.4\"}"), instance("{\"version\": \"1.5\"}"));
    let server =
        |url: &str| url.trim_start_matches("http://").trim_end_matches("/health").to_owned();
    let (_database, project) =
        town("type = \"nginx\"\nfiles = [\"active.conf\", \"idle.conf\"]\ntimeout = \"2s\"").await;
    let write = |active: &str, idle: &str| {
        project
            .write("active.conf", &format!("upstream app {{\n  server {};\n}}\n", server(active)));
        project.write("idle.conf", &format!("server {}; # the other colour\n", server(idle)));
    };
    write(&green, &blue);
    // Its cron and its queues may still be at work.
    project.run("gate 1").exits(11).says(&["api@1.4 is live", "E_VERSION_USES"]);
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    write(&green, &format!("http://{gone}"));
    project.run("gate 1").done().says(&["PASS"]);
    project.write("idle.conf", "server unix:/run/app.sock;\n");
    project.run("gate 1").exits(12).says(&["U_GAP", "cannot be asked"]);
    std::fs::remove_file(project.path("idle.conf")).expect("removed");
    project.run("gate 1").exits(12).says(&["U_GAP", "cannot be read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_run_goes_on_beside_what_is_deployed() {
    let database = Database::sqlite().await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT)").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config("[[consumer]]\nname = \"app\"\n");
    project.run("expand").done();
    project.run("backfill").done();
    for (version, column) in [("1", "username"), ("2", "email"), ("3", "email")] {
        let text = format!(
            "{{\"zdmig_usage\": 1, \"service\": \"app\", \"version\": \"{version}\", \"complete\": true, \
             \"items\": [{{\"table\": \"users\", \"read\": [\"{column}\"]}}]}}"
        );
        project.write("usage.json", &text);
        project.run("usage publish usage.json").done();
        project.run(&format!("release record --service app --version {version}")).done();
        project.run(&format!("deploy record --service app --version {version}")).done();
    }
    // A deployment replaces the one before it, and a release does not.
    project.run("gate 1").exits(11).says(&["app@1 is in the hands of others", "release end"]);
    project.run("release end --service app --version 1").done();
    project.run("gate 1").done();
    // Of one without a manifest it is said how that one ends.
    project.run("release record --service app --version 9").done();
    let ends = "release end --service app --version 9";
    project.run("gate 1").exits(12).says(&["U_NO_USAGE", ends]);
    project.run(ends).done();
    project.run("gate 1").done();
    // What was deployed a moment ago may be gone back to, where that is wanted.
    project.write("zdmig.toml", "rollback_window = \"1h\"\n[[consumer]]\nname = \"app\"\n");
    project.run("gate 1").exits(11).says(&["E_ROLLBACK", "app@1 is kept to be gone back to"]);
    project.write("zdmig.toml", "[[consumer]]\nname = \"app\"\n");

    for (format, words) in [
        ("markdown", &["## Gate: PASS for `1_rename`", "| app | 3 | released |"][..]),
        ("html", &["<!doctype html>", "default-src 'none'", "<td>released</td>"][..]),
    ] {
        project.run(&format!("gate 1 --format {format}")).done().says(words);
        project.run(&format!("status --format {format}")).exits(2);
    }
    // Whatever a version is called, it is text.
    project.run("deploy record --service app --version <script>alert(1)</script>|x").done();
    let page = project.run("gate 1 --format html").exits(12).out;
    assert!(page.contains("&lt;script&gt;alert(1)") && !page.contains("<script"), "{page}");
    let markdown = project.run("gate 1 --format markdown").exits(12).out;
    assert!(markdown.contains("\\<script\\>alert(1)") && markdown.contains("\\|x"), "{markdown}");
}
