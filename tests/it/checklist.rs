//! The checklist before a deploy: each line says what was looked at, and fails where it is not as it should be.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Database, Project, ask};

/// Takes one message after another, and keeps them.
fn webhook() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let kept = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&kept);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 4_096];
            let mut text = String::new();
            while !text.ends_with('}') {
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => text.push_str(&String::from_utf8_lossy(&bytes[..length])),
                }
            }
            told.lock().expect("a list").push(text);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (address, kept)
}

fn state(list: &Value, about: &str) -> String {
    let items = list["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["about"] == about).expect("a line");
    assert!(item["looked_at"].as_str().is_some_and(|text| !text.is_empty()), "{item}");
    item["state"].as_str().expect("a state").to_owned()
}

fn list(project: &Project, arguments: &str) -> Value {
    let ran = project.run(&format!("doctor --deploy --format json {arguments}")).done();
    serde_json::from_str(&ran.out).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checklist_is_kept_line_by_line() {
    let database = Database::sqlite().await;
    database.script("CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT)").await;
    database.script("INSERT INTO users (username) VALUES ('ann')").await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config("[[consumer]]\nname = \"shop\"\nidle = true\n");
    let bare = list(&project, "");
    for (about, wanted) in [
        ("health", "not-checked"),
        ("draining", "not-checked"),
        ("phases", "kept"),
        ("rehearsal", "broken"),
        ("way back", "broken"),
        ("runbook", "broken"),
        ("alerts", "broken"),
    ] {
        assert_eq!(state(&bare, about), wanted, "{about}: {bare}");
    }
    project
        .run("doctor --deploy --exit-code")
        .exits(10)
        .says(&["4 things to change, 2 not checked"]);
    // One after the other is seen to.
    project.write("old.sql", "SELECT username FROM users WHERE id = 1;");
    project.write("both.sql", "SELECT id FROM users WHERE id = 1;");
    let rehearse = "rehearse 1 --workload old.sql --workload both.sql --hold 200ms --rate 50";
    project.run(&format!("{rehearse} --max-p99-ratio 10000")).done();
    // Who allowed more than others do is told so, whatever was found; on a machine as quiet as this one is not, it
    // would have been this.
    let mut client = database.client().await;
    let kept = ask(&mut *client, "SELECT report FROM zdmig_rehearsal").await;
    let mut report: Value = serde_json::from_str(&kept).expect("JSON");
    for (ratio, wanted) in [(9.0, "broken"), (1.0, "kept")] {
        for phase in report["phases"].as_array_mut().expect("phases") {
            phase["p99_ratio"] = ratio.into();
        }
        let text = report.to_string();
        let update = "UPDATE zdmig_rehearsal SET report = $1";
        client.run(update, &[zdmig::dialect::Value::Text(&text)]).await.expect("it is kept");
        assert_eq!(state(&list(&project, ""), "rehearsal"), wanted);
    }
    let runbook = project.run("plan 1 --format markdown").done().out;
    for words in [
        "### Runbook",
        "`zdmig expand 1_rename`",
        "zdmig rollback 1_rename",
        "The gate waits for `shop`",
    ] {
        assert!(runbook.contains(words), "no `{words}` in {runbook}");
    }
    std::fs::create_dir_all(project.path("runbooks")).expect("a folder");
    project.write("runbooks/1_rename.md", &runbook);
    let front = "http { server { listen 80; keepalive_timeout 0; } }";
    project.write("nginx.conf", front);
    let (address, told) = webhook();
    let told_of = |arguments: &str| {
        let mut command = project.command(&format!("doctor --deploy --format json {arguments}"));
        let output = command.env("ZDMIG_WEBHOOK", &address).output().expect("it runs");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let all = told_of("--nginx nginx.conf");
    for about in ["draining", "phases", "rehearsal", "way back", "runbook", "alerts"] {
        assert_eq!(state(&all, about), "kept", "{about}: {all}");
    }
    assert!(!all.to_string().contains(&address), "{all}");
    let message = told.lock().expect("a list").pop().expect("a message");
    assert!(message.contains("\"event\":\"tried\""), "{message}");
    // And what is not as it should be is seen again.
    project.write(
        "nginx.conf",
        "worker_shutdown_timeout 5s; http { server { listen 80; keepalive_timeout 0; } }",
    );
    assert_eq!(state(&told_of("--nginx nginx.conf"), "draining"), "broken");
    project.write("nginx.conf", "http { server { listen 80; } }");
    assert_eq!(state(&told_of("--nginx nginx.conf"), "draining"), "broken");
    let other = project.migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO login;");
    let changed = list(&other, "");
    for about in ["rehearsal", "way back", "runbook"] {
        assert_eq!(state(&changed, about), "broken", "{about}: {changed}");
    }
}

/// The shop's own health endpoint, with its database gone and there again; and one that always says that it is well.
#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_with_the_database_gone() {
    let database = Database::postgres("checklist").await;
    database.script("CREATE TABLE users (id bigint PRIMARY KEY, username text)").await;
    let project = Project::new(&database).migration("1_a", "CREATE TABLE a (id int);");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--example", "shop-v1"])
        .current_dir(root)
        .status();
    assert!(built.expect("cargo runs").success());
    let bin = Path::new(env!("CARGO_BIN_EXE_zdmig")).parent().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
    let (start, host) = database.url.split_once("://").expect("an address");
    let (user, rest) = host.rsplit_once('@').expect("a user");
    let name = rest.rsplit_once('/').expect("a name").1;
    let script = format!(
        "#!/bin/sh\nexport SHOP_DATABASE_URL={start}://{user}@$1/{name} SHOP_LISTEN=127.0.0.1:{port} SHOP_INSTANCE=scratch\n\
         exec {}\n",
        bin.join("examples/shop-v1").display()
    );
    project.write("start.sh", &script);
    let asked = |start: &str, port: u16| {
        let mut command = project.command("doctor --deploy --format json");
        let url = format!("http://127.0.0.1:{port}/health");
        let output = command.args(["--health", &url, "--start", start]).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str::<Value>(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    };
    let found = asked("sh start.sh {database}", port);
    assert_eq!(state(&found, "health"), "kept", "{found}");
    assert!(
        found.to_string().contains("then 503 with its database gone, then 200 again"),
        "{found}"
    );
    // Nothing is left of the instance: neither its port nor a process that was told where to listen.
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free again");
    let wanted = format!("SHOP_LISTEN=127.0.0.1:{port}");
    let left = std::fs::read_dir("/proc").expect("processes").flatten().any(|one| {
        let told = std::fs::read(one.path().join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&told).contains(&wanted)
    });
    assert!(!left, "a process of the instance is left");
    let always = format!("python3 -m http.server {port} --bind 127.0.0.1; : {{database}}");
    std::fs::create_dir_all(project.path("health")).expect("a folder");
    let found = asked(&always, port);
    assert_eq!(state(&found, "health"), "broken", "{found}");
    assert!(found.to_string().contains("with its database gone it answers 200"), "{found}");
}
