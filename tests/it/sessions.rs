//! Sessions that the primary does not see: behind a pooler, and on a replica.

use crate::join::Pooler;
use crate::own_server::counts;
use crate::replica::Pair;
use crate::support::{Database, Project, ask, attach, until};

const CONSUMER: &str = "[[consumer]]\nname = \"api\"\nroles = [\"postgres\"]\n";

const OLD: &str = "{\"zdmig_usage\": 1, \"service\": \"api\", \"version\": \"1\", \"complete\": true, \"items\": \
                   [{\"table\": \"users\", \"read\": [\"username\"], \"write\": [], \"nulls\": [], \"upsert\": []}]}";

fn filled(project: &Project) {
    project.run("expand").done();
    project.run("backfill").done();
    project.write("1.json", OLD);
    project.run("usage publish 1.json").done();
    project.write("2.json", &OLD.replace("\"1\"", "\"2\"").replace("username", "email"));
    project.run("usage publish 2.json").done();
    project.run("heartbeat --service api --version 2 --instance i").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_pooler_are_seen_whose_turn_it_is_not() {
    let Some(pooler) = Pooler::start() else { return };
    let database = Database::postgres("pooled").await;
    database.script("CREATE TABLE users (id int PRIMARY KEY, username text)").await;
    let name = database.url.rsplit('/').next().expect("a name").to_owned();
    let through = format!("postgres://postgres@127.0.0.1:{}/{name}", pooler.port);
    let console = through.replace(&name, "pgbouncer");
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(&format!("poolers = [\"env:POOLER\"]\n{CONSUMER}"));
    let gate = |code: i32, words: &[&str]| {
        let mut command = project.command("gate 1");
        command.env("POOLER", &console);
        crate::support::Ran::from("gate 1", command.output().expect("it runs"))
            .exits(code)
            .says(words);
    };
    let config = std::fs::read_to_string(project.path("zdmig.toml")).expect("a file");
    project.write("zdmig.toml", CONSUMER);
    filled(&project);
    project.write("zdmig.toml", &config);
    pooler.ready().await;
    gate(0, &["PASS"]);
    // Two share one session of the server, which has the name of the last one.
    let mut old = attach(&through, "api@1#pod-1").await.client;
    old.script("SELECT 1").await.expect("an answer");
    let mut new = attach(&through, "api@2#pod-2").await.client;
    new.script("SELECT 1").await.expect("an answer");
    gate(11, &["E_VERSION_USES", "api@1 is live (a client of the pooler"]);
    drop(old);
    let mut tries = 0;
    while project.command("gate 1").env("POOLER", &console).output().expect("it runs").status.code()
        != Some(0)
    {
        tries += 1;
        assert!(tries < 50, "it is seen still");
    }
    // A name that was reset is nobody's.
    new.script("SET application_name = ''").await.expect("reset");
    gate(12, &["U_UNVERSIONED"]);
    drop(new);
    drop(pooler);
    gate(12, &["U_GAP", "of the pooler"]);
    project.run("gate 1").exits(2).says(&["the variable POOLER is not set"]);
    project.run("status").done();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_replica_is_seen_there() {
    if !counts().await {
        return;
    }
    let Some(pair) =
        Pair::start_with("-c wal_keep_size=1GB -c shared_preload_libraries=pg_stat_statements")
            .await
    else {
        return;
    };
    let (primary, replica) = (pair.primary.url(), pair.replica.url());
    let mut client = attach(&primary, "api@2#test").await.client;
    let town = "CREATE TABLE users (id int PRIMARY KEY, username text);
                CREATE ROLE bi LOGIN; GRANT SELECT ON users TO bi; CREATE EXTENSION pg_stat_statements;";
    client.script(town).await.expect("a town");
    let bi = "[[consumer]]\nname = \"bi\"\nroles = [\"bi\"]\nusage = \"observed\"\n\
              [[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n";
    let consumers = "min_observation = \"0s\"\n[[consumer]]\nname = \"api\"\nroles = []\n";
    let project = Project::at(&primary)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(&format!("{consumers}{bi}"));
    filled(&project);
    // Everything was seen on the primary, and nobody looked at the replica.
    project.run("observe start").done();
    let mut here = attach(&primary.replace("postgres@", "bi@"), "Metabase").await.client;
    here.script("SELECT count(*) FROM users").await.expect("it reads");
    project.run("gate 1").exits(12).says(&["1 replicas follow it, and `replicas` names 0"]);
    project.run("doctor").done().says(&["who reads the others is not seen"]);
    let lists = format!("replicas = [\"{replica}\"]\n");
    project.write("zdmig.toml", &format!("{lists}{consumers}{bi}"));
    project.run("gate 1").exits(12).says(&["it was not observed from the beginning"]);
    let lsn = ask(&mut *client, "SELECT pg_current_wal_lsn()::text").await;
    let mut there = attach(&replica, "test").await.client;
    until(&mut *there, &format!("SELECT pg_last_wal_replay_lsn() >= '{lsn}'")).await;
    project.run("observe start").done().says(&["primary", "127.0.0.1"]);
    here.script("SELECT count(*) FROM users").await.expect("it reads");
    project.run("gate 1").done().says(&["PASS"]);
    let mut metabase = attach(&replica.replace("postgres@", "bi@"), "Metabase").await.client;
    metabase.script("SELECT max(username) FROM users").await.expect("it reads");
    project
        .run("gate 1")
        .exits(11)
        .says(&["E_OBSERVED", "role `bi` ran on postgres://postgres@127.0.0.1"]);
    project.run("observe start").done();
    here.script("SELECT count(*) FROM users").await.expect("it reads");
    project.run("gate 1").done();
    // A session of an old version there counts like one here.
    let old = attach(&replica, "api@1#reader").await.client;
    project.run("gate 1").exits(11).says(&["api@1 is live", "on the replica"]);
    drop(old);
    drop(pair.replica);
    project.run("gate 1").exits(12).says(&["U_GAP", "of the replica"]);
}
