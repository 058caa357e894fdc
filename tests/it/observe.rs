//! Windows on what really runs: what uses the column is found, and whatever a window may have missed
//! is named.

use crate::brownout::Town;
use crate::own_server::counts;
use crate::support::{attach, until};

const COUNTING: &str = "-c shared_preload_libraries=pg_stat_statements -c wal_level=logical \
                        -c pg_stat_statements.max=1000 -c logging_collector=on -c log_destination=jsonlog";

/// The consumer `metabase` has no manifest and names no version.
const METABASE: &str = "min_observation = \"0s\"\nheartbeat_ttl = \"1h\"\n[[consumer]]\nname = \"metabase\"\n\
                        roles = [\"bi\"]\nusage = \"observed\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_refutes_and_what_may_be_missed_is_unknown() {
    if !counts().await {
        return;
    }
    let Some(mut town) = Town::start(METABASE, true, COUNTING).await else { return };
    let project = &town.project;
    project.run("observe start").exits(2).says(&["is not made in this database"]);
    project.run("doctor").done().says(&["observe", "is not made in this database", "roles"]);
    let mut admin = attach(&town.server.url(), "test").await.client;
    admin.script("CREATE EXTENSION pg_stat_statements SCHEMA public;").await.expect("counted");
    for statement in [
        "ALTER SYSTEM SET pg_stat_statements.track = 'all'",
        "SELECT pg_reload_conf(), pg_sleep(0.3)",
    ] {
        admin.script(statement).await.expect("set");
    }
    town.second_version();
    project.run("gate 1").exits(12).says(&["U_COVERAGE", "no window is open"]);
    project.run("observe start").done().says(&["primary"]);
    project.run("gate 1").exits(12).says(&["none of its roles (bi) ran anything"]);
    let mut bi = attach(&town.of("bi"), "Metabase").await.client;
    bi.script("SELECT count(*) FROM users WHERE email LIKE 'user%'").await.expect("it reads");
    // Everything that this role ran was seen, and nothing of it uses the column.
    project.run("gate 1").done().says(&["what ran on primary was watched", "all of it was seen"]);
    for (what, name) in [
        ("VIEW names AS SELECT id, username AS nm FROM users", "VIEW names"),
        ("VIEW names AS SELECT id, to_jsonb(u) AS it FROM users u", "VIEW names"),
        ("MATERIALIZED VIEW names AS SELECT username FROM users", "MATERIALIZED VIEW names"),
        (
            "FUNCTION names() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT max(username) FROM users; END",
            "FUNCTION names()",
        ),
        ("POLICY names ON users USING (username <> 'x')", "POLICY names ON users"),
        (
            "TRIGGER names AFTER UPDATE OF username ON users FOR EACH ROW EXECUTE FUNCTION \
             suppress_redundant_updates_trigger()",
            "TRIGGER names ON users",
        ),
    ] {
        admin
            .script(&format!("CREATE {what}"))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        project.run("gate 1").exits(11).says(&["E_DEPENDENT", "names"]);
        admin.script(&format!("DROP {name}")).await.expect("dropped");
    }
    let generated = "ALTER TABLE users ADD names text GENERATED ALWAYS AS (lower(username)) STORED";
    admin.script(generated).await.expect("a column");
    project
        .run("gate 1")
        .exits(11)
        .says(&["E_DEPENDENT", "generated column names of users rests on"]);
    admin.script("ALTER TABLE users DROP names").await.expect("dropped");
    for (statement, code, word) in [
        ("SELECT * FROM users u LIMIT 1", 11, "E_OBSERVED"),
        ("WITH c AS (SELECT username FROM users) SELECT 1", 11, "E_OBSERVED"),
        ("PREPARE p AS SELECT username FROM users WHERE id = $1; EXECUTE p(1)", 11, "E_OBSERVED"),
        ("DO $$ BEGIN PERFORM username FROM users WHERE id = 1; END $$", 11, "E_OBSERVED"),
        ("SELECT extract(year FROM now()), id FROM users WHERE note = 'username'", 0, "PASS"),
        ("SELECT 1 FROM users WHERE id = 1 FOR UPDATE OF users", 0, "PASS"),
    ] {
        bi.script(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        project.run("gate 1").exits(code).says(&[word]);
        project.run("observe start").done();
        bi.script("SELECT count(id) FROM users").await.expect("it reads");
    }
    project.run("gate 1").done();

    // A slot of a plugin that reads every table, where the server has one to make it with.
    let slot = "SELECT pg_create_logical_replication_slot('feed', 'test_decoding')";
    if admin.script(slot).await.is_ok() {
        project.run("gate 1").exits(11).says(&["E_CDC", "replication slot feed"]);
        project.run("doctor").done().says(&["feed (idle)"]);
        admin.script("SELECT pg_drop_replication_slot('feed')").await.expect("dropped");
        project.run("gate 1").done();
    }
    // What a session runs just now is seen without any window, and whatever its version.
    project.run("gate 1").done();
    let mut app = attach(&town.of("app"), "api@2#x").await.client;
    let running = tokio::spawn(async move {
        app.script("SELECT pg_sleep(3) FROM users WHERE username = 'user 3'").await
    });
    let seen =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND usename = 'app')";
    until(&mut *admin, seen).await;
    project.run("gate 1").exits(11).says(&["E_OBSERVED", "a session of role `app` runs"]);
    running.abort();
    until(&mut *admin, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'app')")
        .await;
    // An index on the column that is scanned is a use, whoever does it.
    admin.script("CREATE INDEX users_username ON users (username)").await.expect("an index");
    bi.script("SELECT count(id) FROM users").await.expect("it reads");
    project.run("observe start").done();
    bi.script("SELECT count(id) FROM users").await.expect("it reads");
    project.run("gate 1").done();
    admin
        .script("SET enable_seqscan = off; SELECT id FROM users WHERE username = 'user 5'; RESET enable_seqscan")
        .await
        .expect("it reads");
    admin.script("SELECT pg_stat_force_next_flush()").await.expect("told");
    project.run("gate 1").exits(12).says(&["U_UNPARSED", "a scan of the index `users_username`"]);
    admin.script("DROP INDEX users_username").await.expect("dropped");
    project.run("observe start").done();
    bi.script("SELECT count(id) FROM users").await.expect("it reads");

    // A role that may see, and nothing else, is enough to look.
    admin.script("CREATE ROLE dba LOGIN; GRANT pg_read_all_stats TO dba").await.expect("a role");
    let mut doctor = project.command("doctor");
    let doctor = doctor.env("ZDMIG_DATABASE_URL", town.of("dba")).output().expect("it runs");
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.status.success() && told.contains("statements are counted"), "{told}");

    // Each way in which a window misses something is told, and makes the gate unsure.
    for (what, back, flaw) in [
        ("SELECT pg_stat_statements_reset()", "", "begun to count anew"),
        (
            "SELECT pg_stat_statements_reset(0, 0, max(queryid)) FROM pg_stat_statements WHERE query LIKE '%count(id)%'",
            "",
            "have gone",
        ),
        (
            "ALTER ROLE bi SET pg_stat_statements.track = 'none'",
            "ALTER ROLE bi RESET pg_stat_statements.track",
            "pg_stat_statements.track=none for bi",
        ),
        (
            "ALTER SYSTEM SET pg_stat_statements.track = 'none'; SELECT pg_reload_conf(); SELECT pg_sleep(0.3)",
            "ALTER SYSTEM SET pg_stat_statements.track = 'all'; SELECT pg_reload_conf(); SELECT pg_sleep(0.3)",
            "so nothing is counted",
        ),
        (
            "ALTER SYSTEM SET pg_stat_statements.track = 'top'; SELECT pg_reload_conf(); SELECT pg_sleep(0.3); \
             CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER SYSTEM SET pg_stat_statements.track = 'all'; SELECT pg_reload_conf(); DROP FUNCTION f(); SELECT pg_sleep(0.3)",
            "functions run is not counted",
        ),
    ] {
        for statement in what.split("; ") {
            admin.script(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        project.run("observe status").done().says(&[flaw]);
        project.run("gate 1").exits(12).says(&["U_COVERAGE", flaw]);
        for statement in back.split("; ") {
            admin.script(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        bi.script("SELECT count(id) FROM users").await.expect("it reads");
        project.run("observe start").done();
        bi.script("SELECT count(id) FROM users").await.expect("it reads");
        project.run("gate 1").done();
    }
    for number in 0..1300 {
        let columns = vec!["1"; number + 1].join(", ");
        admin.script(&format!("SELECT {columns}")).await.expect("a statement");
    }
    project.run("gate 1").exits(12).says(&["U_COVERAGE", "had to make room"]);

    // A crash forgets what was counted, and an application's role is no role for zdmig.
    project.run("observe start").done();
    town.server.stop();
    town.server.start_again();
    let project = &town.project;
    project.run("gate 1").exits(12).says(&["U_COVERAGE"]);
    project.run("observe start").done();
    let mut bi = attach(&town.of("bi"), "Metabase").await.client;
    bi.script("SELECT count(id) FROM users").await.expect("it reads");
    project.run("gate 1").done();
    let config = std::fs::read_to_string(project.path("zdmig.toml")).expect("a file");
    project.write("zdmig.toml", &config.replace("\"bi\"]", "\"bi\", \"postgres\"]"));
    project.run("gate 1").exits(12).says(&["zdmig's own role `postgres`"]);
    project.run("doctor").done().says(&["zdmig logs in as `postgres`"]);
    let long = config.replace("min_observation = \"0s\"", "min_observation = \"26h\"");
    project.write("zdmig.toml", &format!("require_window = true\n{long}"));
    project.run("gate 1").exits(12).says(&["`require_window` is set", "1day 2h"]);
    project.write("zdmig.toml", &config);
    project.run("observe stop").done();
    project.run("observe status").done().says(&["no window is open"]);
    project.run("gate 1").exits(12).says(&["U_COVERAGE"]);
}
