//! Who did what and when, and what is open.

use serde_json::Value;

use crate::support::{Database, OPEN_GATE, Project};

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
