//! Who did what and when, and what is open.

use serde_json::Value;

use crate::support::{Database, OPEN_GATE, Project, Ran, attach, until};

fn lines(project: &Project, line: &str) -> Vec<Value> {
    let out = project.run(line).done().out;
    let history: Value = serde_json::from_str(&out).expect("JSON");
    history["lines"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_told_with_who_and_when() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "history").await;
        let rows = "INSERT INTO users VALUES (1, 'ann'), (2, 'bob')";
        let create = "CREATE TABLE users (id integer PRIMARY KEY, username text)";
        database.script(&format!("{create}; {rows}")).await;
        let project = Project::new(&database)
            .config(OPEN_GATE)
            .migration("1_users", &format!("{create};"))
            .migration("2_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
        project.run("history").done().says(&["nothing was done here yet"]);
        project.run("baseline 1").done();
        for line in ["expand", "rollback", "expand", "backfill", "contract"] {
            let mut command = project.command(line);
            let output = command.env("USER", "ann").output().expect("it runs");
            assert!(output.status.success(), "{line}");
        }
        let ran = project.run("history").done();
        let found: Vec<_> = ran.out.lines().skip(1).collect();
        let words = [
            "held for run: baseline",
            "planned: ",
            "expand: ",
            "took back expand: ",
            "rolled back",
            "planned: ",
            "expand: ",
            "backfill: ",
            "the gate passed for contract",
            "contract: ",
            "the gate passed for purge",
            "purge: ",
        ];
        assert_eq!(found.len(), words.len(), "{}", ran.out);
        for (line, word) in found.iter().zip(words) {
            assert!(line.contains(word), "no `{word}` in {line}");
            let author = if word.contains("baseline") { "unknown@" } else { "ann@" };
            assert!(line.contains(author), "{line}");
            assert!(line.contains(env!("CARGO_PKG_VERSION")), "{line}");
        }
        assert!(found[7].contains("2 rows"), "{}", found[7]);
        assert!(found[0].contains("1_users") && found[1].contains("2_rename"));
        // Each step, and one migration.
        let all = lines(&project, "history --format json");
        assert!(all.len() > words.len(), "{all:?}");
        assert!(
            all.iter()
                .any(|line| line["step"].as_str().is_some_and(|step| step.contains("/backfill/")))
        );
        assert_eq!(lines(&project, "history users --format json").len(), 1);
        assert_eq!(lines(&project, "history -n 2 --format json").len(), 2);
        project.run("history -n 2").done().says(&["10 lines before these"]);
        project.run("history 3").exits(2).says(&["no migration is called `3`"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_part_of_the_history() {
    let database = Database::postgres("history_failed").await;
    database
        .script("CREATE TABLE a (id integer PRIMARY KEY, b text); INSERT INTO a VALUES (1, 'x')")
        .await;
    let change = "-- zdmig:expand\nSELECT 1 / (count(*) - 1) FROM a;\n-- zdmig:end\n";
    let allowed = format!("-- zdmig:allow opaque because \"a test\"\n{change}");
    let project = Project::new(&database).config(OPEN_GATE).migration("1_a", &allowed);
    project.run("expand").exits(15);
    project.run("history").done().says(&["planned: ", "failed: ", "division by zero"]);
}

/// An open migration says whom it waits for, and one that was forgotten fails CI.
#[tokio::test(flavor = "multi_thread")]
async fn status_says_who_is_in_the_way() {
    let database = Database::postgres("in_the_way").await;
    database.script("CREATE TABLE users (id integer PRIMARY KEY, username text)").await;
    let config = "[[consumer]]\nname = \"shop\"\nroles = []\nunnamed_sessions = true\n\
                  [[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n";
    let project = Project::new(&database)
        .config(config)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    project.run("expand").done();
    project.run("backfill").done();
    project.run("deploy record --service shop --version 1").done();
    let ran = project.run("status").done();
    ran.says(&["1_rename waits for", "shop@1", "zdmig contract 1_rename"]);
    let json = project.run("status --format json").done().out;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let waits = json["migrations"][0]["waits_for"].as_array().expect("a list");
    assert!(
        waits.iter().any(|one| one.as_str().is_some_and(|one| one.contains("shop@1"))),
        "{json}"
    );
    let quick = project.run("status --no-gate").done();
    assert!(!quick.out.contains("waits for"), "{}", quick.out);
    // What was forgotten.
    project.run("status --max-open-days 14").done();
    database.script("UPDATE zdmig.journal SET at = at - interval '15 days'").await;
    project
        .run("status --max-open-days 14")
        .exits(20)
        .says(&["`1_rename` has been open for 15 days", "zdmig contract 1_rename"]);
    project.run("status --max-open-days 15").done();
}

/// Another zdmig that is at work, and the session that it waits for.
#[tokio::test(flavor = "multi_thread")]
async fn status_says_who_is_at_work() {
    let database = Database::postgres("at_work").await;
    database.script("CREATE TABLE users (id integer PRIMARY KEY, username text)").await;
    let project = Project::new(&database)
        .config("lock_timeout = \"20s\"\n")
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;");
    let mut slow = attach(&database.url, "slow report").await.client;
    slow.script("BEGIN; SELECT 1 FROM users").await.expect("it holds the table");
    let child = project.command("expand").spawn().expect("it starts");
    let mut client = database.client().await;
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'zdmig' \
                 AND cardinality(pg_blocking_pids(pid)) > 0";
    until(&mut *client, waits).await;
    let ran = project.run("status").done();
    slow.script("COMMIT").await.expect("it lets go");
    Ran::from("expand", child.wait_with_output().expect("it ends")).done();
    ran.says(&["at work: ", "zdmig/", "waits for pid", "slow report", "idle in transaction"]);
    let after = project.run("status").done();
    assert!(!after.out.contains("at work"), "{}", after.out);
}

/// A purge of whatever is due leaves alone what still soaks.
#[tokio::test(flavor = "multi_thread")]
async fn what_still_soaks_is_not_due() {
    for product in ["postgres", "sqlite"] {
        let database = Database::of(product, "due").await;
        database.script("CREATE TABLE users (id integer PRIMARY KEY, a text, b text)").await;
        let project = Project::new(&database)
            .config(&OPEN_GATE.replace("soak = \"0s\"", "soak = \"24h\""))
            .migration("1_a", "ALTER TABLE users DROP COLUMN a;");
        project.run("purge").done().says(&["nothing to purge"]);
        for verb in ["expand", "backfill", "contract"] {
            project.run(verb).done();
        }
        project.run("purge").done().says(&["nothing to purge"]);
        project.run("purge 1").exits(11).says(&["E_SOAK"]);
        let older = if product == "sqlite" {
            "UPDATE zdmig_journal SET at = strftime('%Y-%m-%dT%H:%M:%fZ', at, '-25 hours')"
        } else {
            "UPDATE zdmig.journal SET at = at - interval '25 hours'"
        };
        database.script(older).await;
        project.run("purge").done().says(&["1_a: purged"]);
        project.run("purge").done().says(&["nothing to purge"]);
    }
}

/// A contract without a soak that was stopped between retire and purge is gone on with.
#[tokio::test(flavor = "multi_thread")]
async fn a_contract_without_a_soak_ends_what_it_began() {
    let database = Database::postgres("stopped_contract").await;
    database.script("CREATE TABLE users (id integer PRIMARY KEY, a text, b text)").await;
    let project = Project::new(&database)
        .config(&OPEN_GATE.replace("soak = \"0s\"", "soak = \"24h\""))
        .migration("1_a", "ALTER TABLE users DROP COLUMN a;");
    for verb in ["expand", "backfill", "contract"] {
        project.run(verb).done();
    }
    project.run("contract").done().says(&["nothing to contract"]);
    project.run("contract --soak 0s").done().says(&["1_a: purged"]);
    project.run("contract --soak 0s").done().says(&["nothing to contract"]);
}
