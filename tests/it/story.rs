//! Two versions of an application write throughout, and nothing fails or is lost.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use zdmig::demo::{App, Done, FILE, Ledger, MIGRATION, SCHEMA, Version};
use zdmig::dialect::{DatabaseUrl, Value};

use crate::support::{Database, Project, attach, unique};

const SEEDED: i64 = 20_000;

/// The database, the project in front of it, and the memory of what was acknowledged.
struct Stage {
    database: Database,
    project: Project,
    ledger: Arc<Ledger>,
    app: App,
    done: Done,
}

impl Stage {
    async fn set(product: &str, migration: &str) -> Self {
        let database = Database::of(product, "story").await;
        let mut client = database.client().await;
        client.script(SCHEMA).await.expect("a schema");
        let seed = "WITH RECURSIVE n (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < $1) \
                    INSERT INTO users (id, username) SELECT id, 'user ' || id FROM n";
        client.run(seed, &[Value::Int(SEEDED)]).await.expect("rows");
        let ledger = Arc::new(Ledger::default());
        for id in 1..=SEEDED {
            ledger.seeded(id, format!("user {id}"));
        }
        // On a server with roles the application has one that privileges bind.
        let (mut url, mut config) = (
            database.url.clone(),
            String::from(
                "soak = \"0s\"\nheartbeat_ttl = \"2s\"\ndrain = \"0s\"\n[[consumer]]\nname = \"shop\"\n",
            ),
        );
        if product == "postgres" {
            let role = unique("story_app");
            let grants = format!(
                "CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON users TO {role};"
            );
            client.script(&grants).await.expect("a role");
            url = url.replacen("postgres@", &format!("{role}@"), 1);
            config.push_str(&format!(
                "roles = [\"{role}\"]\n[[waive]]\nrole = \"postgres\"\nreason = \"the test\"\n"
            ));
        }
        let project = Project::new(&database)
            .migration(FILE.trim_end_matches(".sql"), migration)
            .config(&config.replace("soak = \"0s\"", "soak = \"1s\""));
        for (version, column) in [(1, "username"), (2, "email")] {
            let manifest = format!(
                "{{\"zdmig_usage\":1,\"service\":\"shop\",\"version\":\"{version}\",\"complete\":true,\
                 \"items\":[{{\"table\":\"users\",\"read\":[\"id\",\"{column}\"],\"write\":[\"id\",\"{column}\"]}}]}}"
            );
            project.write(&format!("shop-{version}.json"), &manifest);
        }
        let app = App {
            dialect: database.dialect(),
            url: DatabaseUrl::new(url).expect("an address"),
            env: "production".into(),
            version: Version::Old,
            ledger: ledger.clone(),
            phase: Arc::new(AtomicUsize::new(0)),
            seeded: SEEDED,
            first_turn: 0,
            pause: Duration::from_millis(1),
        };
        Self { database, project, ledger, app, done: Done::default() }
    }

    fn start(&mut self, version: Version) -> zdmig::demo::Running {
        let app = App { version, ..self.app.clone() };
        self.app.first_turn += 700_000;
        app.start()
    }

    async fn holds(&mut self, column: &str) {
        let mut client = self.database.client().await;
        let missing = self.ledger.missing_meanwhile(&mut *client, column).await.expect("a table");
        assert!(missing.is_empty(), "in {column}: {:?}", &missing[..missing.len().min(5)]);
    }
}

async fn moment() {
    tokio::time::sleep(Duration::from_millis(700)).await;
}

async fn story(product: &str, migration: &str) {
    let mut stage = Stage::set(product, migration).await;
    let run = |line: &str| stage.project.run(line);
    run("deploy record --service shop --version 1 --usage shop-1.json").done();
    let before = stage.database.catalog().await;
    let old = stage.start(Version::Old);
    moment().await;

    stage.project.run("expand").done();
    let new = stage.start(Version::New);
    moment().await;
    // The new version goes before its column does.
    stage.done.add(new.drain().await);
    stage.project.run("rollback").done().says(&["rolled back", "pending"]);
    stage.holds("username").await;
    assert_eq!(stage.database.catalog().await, before);
    assert_eq!(stage.database.leftovers().await, Vec::<String>::new());

    stage.project.run("expand").done();
    let new = stage.start(Version::New);
    let record = "deploy record --service shop --version 2 --keep-previous --usage shop-2.json";
    stage.project.run(record).done();
    stage.project.run("backfill").done().says(&["backfilled"]);
    moment().await;
    stage.holds("email").await;
    stage.holds("username").await;

    let refused = stage.project.run("contract rename_username").exits(11);
    refused.says(&["REFUSE", "E_VERSION_USES", "shop@1 is live"]);
    stage.done.add(old.drain().await);
    stage.project.run("gate rename_username").exits(11).says(&["recorded as deployed"]);
    stage.project.run("deploy end --service shop --version 1").done();
    stage.project.run("gate rename_username").exits(0).says(&["PASS"]);

    stage.project.run("contract rename_username").done().says(&["retired"]);
    moment().await;
    let url = stage.app.url.clone();
    let mut late = stage.database.dialect().attach(&url, "shop@2").await.expect("attached").client;
    let scream = late.rows("SELECT username FROM users WHERE id = 1", &[]).await;
    assert!(scream.is_err(), "a retired column can still be read");
    drop(late);
    stage.project.run("restore rename_username").done().says(&["restored"]);
    let old = stage.start(Version::Old);
    moment().await;
    stage.done.add(old.drain().await);
    stage.holds("username").await;

    stage.project.run("contract rename_username").done().says(&["retired"]);
    stage.project.run("purge rename_username --soak 1h").exits(11).says(&["E_SOAK"]);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    stage.project.run("purge rename_username").done().says(&["purged", "done"]);
    moment().await;
    stage.done.add(new.drain().await);

    assert_eq!((stage.done.failed, stage.done.lost), (0, 0), "{:?}", stage.done);
    assert!(stage.done.statements > 200, "{:?}", stage.done);
    stage.holds("email").await;
    assert_eq!(stage.database.leftovers().await, Vec::<String>::new());
    same_as_plain(product, migration, &stage.database).await;
    stage.project.run("rollback rename_username").exits(10).says(&["dropped for good"]);
}

/// The schema is the one that the author's statement would have made.
async fn same_as_plain(product: &str, migration: &str, database: &Database) {
    let plain = Database::of(product, "plain").await;
    // SQLite drops no column that is indexed; zdmig lists the index, and drops it first.
    let migration = match (product, migration == MIGRATION) {
        ("sqlite", false) => format!("DROP INDEX users_username; {migration}"),
        _ => migration.to_owned(),
    };
    plain.script(&format!("{SCHEMA} {migration}")).await;
    let mut expected = plain.catalog().await;
    let mut found = database.catalog().await;
    for catalog in [&mut expected, &mut found] {
        for table in catalog.tables.values_mut() {
            // The story's role has privileges that the plain table has not.
            table.guarded = false;
            table.grants.clear();
        }
    }
    assert_eq!(found.tables, expected.tables);
    assert_eq!(grants(database).await, vec![] as Vec<String>, "column grants are left");
}

/// Privileges on single columns; empty where there are none, or no privileges at all.
async fn grants(database: &Database) -> Vec<String> {
    if database.url.starts_with("sqlite") {
        return Vec::new();
    }
    let query = "SELECT attname::text FROM pg_attribute WHERE attrelid = 'users'::regclass \
                 AND attacl IS NOT NULL AND NOT attisdropped";
    let rows = attach(&database.url, "test").await.client.rows(query, &[]).await.expect("rows");
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

/// The ordinary form, with expressions in both directions. The applications write lower case
/// only, so that what must be there is known.
const THREE_STATEMENTS: &str = "-- zdmig:reverse users.username = lower(email)
ALTER TABLE users ADD COLUMN email VARCHAR(255);
UPDATE users SET email = lower(username) WHERE email IS NULL;
ALTER TABLE users DROP COLUMN username;
";

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    story("postgres", MIGRATION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    story("sqlite", MIGRATION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_three_statements() {
    story("postgres", THREE_STATEMENTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_three_statements() {
    story("sqlite", THREE_STATEMENTS).await;
}
