//! Going on although the gate does not pass: on the word of somebody who has seen why not.

use crate::fence::{beat, may, town};
use crate::support::Project;

fn verdict(project: &Project, code: i32) -> serde_json::Value {
    let json = project.run("gate 1 --format json").exits(code).out;
    serde_json::from_str(&json).expect("JSON")
}

fn over(id: &str, codes: &str) -> String {
    format!(
        "contract 1 --soak 1h --override {id} --ack {codes} --reason nobody-uses-it --ticket OPS-7"
    )
}

async fn on_somebodys_word(product: &str) {
    let (database, project) = town(product).await;
    project.run("expand").done();
    project.run("backfill").done();
    beat(&project, "1", 0);
    beat(&project, "2", 0);
    let seen = verdict(&project, 11);
    assert_eq!(seen["reasons"][0]["subject"], "api@1 live");
    assert_eq!(seen["reasons"][0]["overridable"], true);
    let id = seen["id"].as_str().expect("an id").to_owned();

    // Never a boolean: every part of it is needed, and each is looked at.
    project.run("contract 1 --override yes").exits(2);
    project.run(&over("yes", "E_VERSION_USES")).exits(11).says(&["no verdict"]);
    project.run(&over(&id, "U_GAP")).exits(11).says(&["the reasons are E_VERSION_USES"]);
    project.run("contract --override x --ack y --reason z --ticket z").exits(2);
    let old = format!("v{:x}-{}", 1, id.split_once('-').expect("two parts").1);
    project.run(&over(&old, "E_VERSION_USES")).exits(11).says(&["expired"]);
    // Somebody else turns up: that is another verdict.
    beat(&project, "7", 0);
    project.run(&over(&id, "E_VERSION_USES")).exits(11).says(&["has changed"]);
    project.run("heartbeat --service api --version 7 --instance i7 --bye").done();

    project
        .run(&over(&id, "E_VERSION_USES"))
        .done()
        .says(&["overridden, for OPS-7: nobody-uses-it"]);
    // It went on, and only that: the old version may still not start.
    may(&project, "1", 11, "E_FENCED");
    beat(&project, "1", 11);
    let (table, detail) = match product {
        "postgres" => ("zdmig.journal", "detail::text"),
        _ => ("zdmig_journal", "detail"),
    };
    let kept = database
        .client()
        .await
        .rows(&format!("SELECT {detail} FROM {table} WHERE kind = 'permitted'"), &[])
        .await
        .expect("the journal");
    let kept = kept[0][0].as_deref().expect("a detail");
    for words in [id.as_str(), "nobody-uses-it", "OPS-7", "E_VERSION_USES api@1"] {
        assert!(kept.contains(words), "{words}: {kept}");
    }
    // One verdict, one time.
    project.run("restore 1").done();
    project.run(&over(&id, "E_VERSION_USES")).exits(11).says(&["overridden before"]);
    project.run("heartbeat --service api --version 1 --instance i1 --bye").done();
    project.run("contract --soak 0s").done();
    assert_eq!(database.leftovers().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_answers_for_what_speaks_against_it() {
    on_somebodys_word("postgres").await;
    on_somebodys_word("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_itself_would_lose_nobody_answers_for() {
    let (database, project) = town("postgres").await;
    project.run("expand").done();
    let seen = verdict(&project, 11);
    let id = seen["id"].as_str().expect("an id");
    assert_eq!(seen["reasons"][0]["code"], "E_BACKFILL");
    assert_eq!(seen["reasons"][0]["overridable"], false);
    project
        .run(&over(id, "E_BACKFILL,U_EMPTY"))
        .exits(11)
        .says(&["nobody can answer for E_BACKFILL"]);
    project.run("backfill").done();
    beat(&project, "2", 0);
    for (make, drop, code) in [
        ("CREATE PUBLICATION feed FOR TABLE users", "DROP PUBLICATION feed", "E_CDC"),
        (
            "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT NULL::text $$; CREATE FUNCTION \
             g() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT username FROM users); END $$",
            "DROP FUNCTION f(); DROP FUNCTION g()",
            "E_DEPENDENT",
        ),
    ] {
        database.script(make).await;
        let seen = verdict(&project, 11);
        assert_eq!(seen["reasons"][0]["code"], code);
        let id = seen["id"].as_str().expect("an id");
        project.run(&over(id, code)).exits(11).says(&["nobody can answer for", code]);
        database.script(drop).await;
    }
    project.run("contract --soak 1h").done();
}
