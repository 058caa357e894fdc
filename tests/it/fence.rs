//! The other side of the gate: who may start while something is taken away, and who had started
//! between the verdict and the lock.

use crate::support::{Database, Project, until};

const CONSUMER: &str =
    "[[consumer]]\nname = \"api\"\nroles = [\"postgres\"]\nunnamed_sessions = true\n";

fn manifest(version: &str, column: &str) -> String {
    format!(
        "{{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"{version}\", \"complete\": true, \
         \"items\": [{{\"table\": \"users\", \"read\": [\"id\", \"{column}\"], \"write\": [\"{column}\"], \
         \"nulls\": [], \"upsert\": []}}]}}"
    )
}

/// A table, a rename of its column, and the manifests of an old and a new version, published.
pub async fn town(product: &str) -> (Database, Project) {
    let database = Database::of(product, "fence").await;
    database
        .script(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(20)); \
             INSERT INTO users VALUES (1, 'a'), (2, 'b')",
        )
        .await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(CONSUMER);
    for (version, column) in [("1", "username"), ("2", "email"), ("3", "email")] {
        project.write(&format!("{version}.json"), &manifest(version, column));
    }
    for version in ["1", "2"] {
        project.run(&format!("usage publish {version}.json")).done();
    }
    (database, project)
}

pub fn may(project: &Project, version: &str, code: i32, word: &str) {
    let line = format!("can-deploy --service api --version {version}");
    project.run(&line).exits(code).says(&[word]);
}

pub fn beat(project: &Project, version: &str, code: i32) {
    let line = format!("heartbeat --service api --version {version} --instance i{version}");
    project.run(&line).exits(code);
}

async fn both_sides(product: &str) {
    let (database, project) = town(product).await;
    may(&project, "1", 0, "PASS");
    may(&project, "2", 11, "E_SCHEMA");
    project.run("expand").done();
    may(&project, "1", 0, "PASS");
    may(&project, "2", 11, "E_BACKFILL");
    project.run("backfill").done();
    may(&project, "2", 0, "PASS");
    may(&project, "4", 12, "U_NO_USAGE");

    beat(&project, "1", 0);
    beat(&project, "2", 0);
    project.run("matrix").done().says(&["1_rename", "reads it", "REFUSE"]);
    let json = project.run("matrix --format json").done().out;
    let matrix: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(matrix["migrations"]["1_rename"], "REFUSE");
    assert_eq!(matrix["versions"][0]["uses"]["1_rename"], "reads it");
    assert_eq!(matrix["versions"][1]["uses"]["1_rename"], "-");
    project.run("heartbeat --service api --version 1 --instance i1 --bye").done();
    project.run("contract --soak 1h").done();
    may(&project, "1", 11, "E_FENCED");
    may(&project, "2", 0, "PASS");
    beat(&project, "2", 0);
    beat(&project, "1", 11);
    if product == "postgres" {
        let mut client = database.client().await;
        for (version, expected) in
            [("1", "fenced: 1_rename"), ("2", "ok"), ("9", "fenced: 1_rename")]
        {
            let sql = format!("SELECT zdmig.heartbeat('production', 'api', '{version}', 'x')");
            let rows = client.rows(&sql, &[]).await.expect("a heartbeat");
            assert_eq!(rows[0][0].as_deref(), Some(expected), "{version}");
            let bye = format!("SELECT zdmig.goodbye('production', 'api', '{version}', 'x')");
            client.script(&bye).await.expect("a goodbye");
        }
    }
    // One that was built later, and does without.
    beat(&project, "3", 11);
    project.run("usage publish 3.json").done();
    beat(&project, "3", 0);
    may(&project, "3", 0, "PASS");

    project.run("restore 1_rename").done();
    may(&project, "1", 0, "PASS");
    beat(&project, "1", 0);
    project.run("heartbeat --service api --version 1 --instance i1 --bye").done();
    project.run("contract --soak 0s").done();
    // What is purged stays so: a rollback to the old version is refused for good.
    may(&project, "1", 11, "E_FENCED");
    project.run("matrix").done().says(&["no open migration"]);
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_start_is_asked_on_both_sides() {
    both_sides("postgres").await;
    both_sides("sqlite").await;
}

/// What makes an old version's heartbeat appear at a moment that no test could hit by itself: when
/// a row comes into one of our own tables.
async fn starts_when(database: &Database, product: &str, table: &str, when: &str) {
    let beat = "INSERT INTO HEARTBEAT (env, service, version, instance) VALUES ('production', \
                'api', '1', 'late')";
    let sql = if product == "postgres" {
        let beat = beat.replace("HEARTBEAT", "zdmig.heartbeat");
        format!(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {beat} ON CONFLICT DO \
             NOTHING; RETURN NULL; END $$; CREATE TRIGGER late AFTER INSERT ON zdmig.{table} FOR EACH \
             ROW WHEN ({when}) EXECUTE FUNCTION late()"
        )
    } else {
        let beat =
            beat.replace("HEARTBEAT", "zdmig_heartbeat").replace("INSERT", "INSERT OR IGNORE");
        format!("CREATE TRIGGER late AFTER INSERT ON zdmig_{table} WHEN {when} BEGIN {beat}; END")
    };
    database.script(&sql).await;
}

async fn late(product: &str, table: &str, when: &str) {
    let (database, project) = town(product).await;
    project.run("expand").done();
    project.run("backfill").done();
    beat(&project, "2", 0);
    project.run("gate 1").done();
    starts_when(&database, product, table, when).await;
    let ran = project.run("contract --soak 1h").exits(13);
    assert!(ran.out.contains("api@1"), "{}", ran.out);
    // Nothing is gone: the old version reads and writes.
    database.script("UPDATE users SET username = 'c' WHERE id = 1").await;
    let drop = match product {
        "postgres" => format!("DROP TRIGGER late ON zdmig.{table}"),
        _ => "DROP TRIGGER late".to_owned(),
    };
    database.script(&drop).await;
    project.run("gate 1").exits(11).says(&["E_VERSION_USES", "api@1"]);
    // And no fence stands without need: it may go on.
    beat(&project, "1", 0);
    for instance in ["i1", "late"] {
        let line = format!("heartbeat --service api --version 1 --instance {instance} --bye");
        project.run(&line).done();
    }
    project.run("contract --soak 0s").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_starts_before_the_fence_is_seen_behind_it() {
    late("postgres", "fence", "true").await;
    late("sqlite", "fence", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_starts_behind_the_fence_is_seen_in_the_lock() {
    late("postgres", "journal", "new.kind = 'permitted'").await;
    late("sqlite", "journal", "new.kind = 'permitted'").await;
}

async fn streamed(database: &Database, project: &Project) {
    project.run("expand").done();
    project.run("backfill").done();
    beat(project, "2", 0);
    database.script("CREATE TABLE other (id int PRIMARY KEY)").await;
    for (publication, told) in [
        ("FOR TABLE other", false),
        ("FOR TABLE users (id)", false),
        ("FOR TABLE users", true),
        ("FOR ALL TABLES", true),
    ] {
        database.script(&format!("CREATE PUBLICATION feed {publication}")).await;
        let ran = project.run("gate 1");
        assert_eq!(ran.out.contains("E_CDC  publication feed"), told, "{publication}: {}", ran.out);
        assert_eq!(ran.code, Some(if told { 11 } else { 0 }), "{publication}: {}", ran.out);
        database.script("DROP PUBLICATION feed").await;
    }
    database.script("CREATE PUBLICATION feed FOR TABLE users").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_changes_from_afar_is_asked_about() {
    let claims = "streams = [\"publication feed\"]\n";
    let (database, project) = town("postgres").await;
    streamed(&database, &project).await;
    project.write("zdmig.toml", &format!("{CONSUMER}{claims}"));
    // No privilege would stop anybody here, so it would go by a rename, and no claim helps with that.
    project.run("gate 1").exits(11).says(&["E_CDC", "would stop at the rename"]);

    let (database, project) = town("postgres").await;
    let role = crate::support::unique("streamed");
    database
        .script(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE ON users TO {role}"
        ))
        .await;
    let roles = CONSUMER.replace("[\"postgres\"]", &format!("[\"postgres\", \"{role}\"]"));
    project.write("zdmig.toml", &roles);
    streamed(&database, &project).await;
    project.write("zdmig.toml", &format!("{roles}{claims}"));
    project.run("gate 1").done();
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// Whoever waits for the very lock under which something goes, with a statement that names it, is
/// seen there: nothing goes.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_our_lock_is_asked_what_for() {
    let (database, project) = town("postgres").await;
    project.run("expand").done();
    project.run("backfill").done();
    beat(&project, "2", 0);
    // The lock is held for a while, behind the statement and before the last look.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); \
                RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON zdmig.journal FOR EACH ROW WHEN \
                (new.kind = 'finished') EXECUTE FUNCTION slow()";
    database.script(slow).await;
    let contract = || {
        let mut command = project.command("contract 1 --soak 1h");
        std::thread::spawn(move || command.output().expect("it runs"))
    };
    let mut client = database.client().await;
    let held = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'users'::regclass AND mode = \
                'AccessExclusiveLock' AND granted)";
    for (statement, code) in
        [("SELECT max(username) FROM users", 13), ("SELECT max(id) FROM users", 0)]
    {
        let running = contract();
        until(&mut *client, held).await;
        // Its name says a version that is cleared: only its statement gives it away.
        let mut waits = crate::support::attach(&database.url, "api@2#late").await.client;
        waits.script(statement).await.expect("it waited");
        let ran = running.join().expect("it ends");
        let told = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert_eq!(ran.status.code(), Some(code), "{statement}: {told}");
        assert_eq!(told.contains("waits with a statement that names `username`"), code == 13);
    }
}

/// Killed with the fence up and nothing taken away: the transaction is gone, the fence is told, and the
/// same command goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_that_is_killed_behind_its_fence_can_be_gone_on_with() {
    let (database, project) = town("postgres").await;
    project.run("expand").done();
    project.run("backfill").done();
    beat(&project, "2", 0);
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); \
                RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON zdmig.journal FOR EACH ROW WHEN \
                (new.kind = 'finished') EXECUTE FUNCTION slow()";
    database.script(slow).await;
    let mut command = project.command("contract 1 --soak 1h");
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    let held = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'users'::regclass AND mode = \
                'AccessExclusiveLock' AND granted)";
    until(&mut *client, held).await;
    child.kill().expect("killed");
    child.wait().expect("it ended");
    let free = held.replace("SELECT EXISTS", "SELECT NOT EXISTS");
    until(&mut *client, &free).await;
    database.script("UPDATE users SET username = 'c' WHERE id = 1").await;
    project.run("status").done().says(&["its fence stands"]);
    beat(&project, "1", 11);
    project.run("heartbeat --service api --version 1 --instance i1 --bye").done();
    database.script("DROP TRIGGER slow ON zdmig.journal").await;
    project.run("contract 1 --soak 0s").done();
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}
