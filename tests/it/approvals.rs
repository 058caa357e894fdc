//! Plans that people must approve, and what becomes of an approval when the plan changes.

use crate::support::{Database, OPEN_GATE, Project, ask, attach};

const SCHEMA: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(40))";
const RENAME: &str = "ALTER TABLE users RENAME COLUMN username TO email;";

async fn project(product: &str, required: u32) -> (Database, Project) {
    let database = Database::of(product, "approvals").await;
    database.script(SCHEMA).await;
    let config = format!("require_approval = {required}\n{OPEN_GATE}");
    let project = Project::new(&database).migration("1_rename", RENAME).config(&config);
    (database, project)
}

/// The fingerprint that a plan would have now.
fn fingerprint(project: &Project) -> String {
    let plan = project.run("plan 1 --format json").done().out;
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    plan["fingerprint"].as_str().expect("a fingerprint")[..10].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_as_many_people_as_are_asked_for() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product, 2).await;
        let name = fingerprint(&project);
        project.run("expand").exits(10).says(&["approved by nobody", "wants 2", "zdmig approve"]);
        assert_eq!(database.leftovers().await, Vec::<String>::new());
        let approve = format!("approve 1 --fingerprint {name} --as");
        project.run(&format!("{approve} ann")).done().says(&["1 of 2 approvals"]);
        project.run(&format!("{approve} ann")).done();
        project.run("expand").exits(10).says(&["approved by ann", "wants 2"]);
        project.run("plan").done().says(&["approved by ann", "1 approval still to be given"]);
        let json = project.run(&format!("{approve} ben --format json")).done().out;
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["approved_by"], serde_json::json!(["ann", "ben"]));
        let page = project.run("plan --format html").done().out;
        assert!(page.contains("approved by ann") && page.contains("approved by ben"), "{page}");
        project.run("expand").done();
        project.run("backfill").done();
        // Whoever thinks better of it stops what is still to come.
        project.run(&format!("{approve} ann --withdraw")).done().says(&["no longer approved"]);
        project.run("contract").exits(10).says(&["approved by ben", "wants 2"]);
        project.run(&format!("{approve} cid")).done();
        project.run("contract").done();
        project.run("status").done().says(&["done"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_of_one_plan_and_tells_what_has_changed_since() {
    for product in ["postgres", "sqlite"] {
        let (database, project) = project(product, 1).await;
        let name = fingerprint(&project);
        project.run("approve 1 --fingerprint 0123456789 --as ann").exits(13).says(&[&name]);
        project.run(&format!("approve 1 --fingerprint {} --as ann", &name[..6])).exits(13);
        project.run("approve 1 --as ann").exits(2).says(&["--fingerprint"]);
        project.run("plan 1 -o plan.json").done();
        project.run("approve 1 --plan plan.json --as ann").done().says(&["zdmig expand 1_rename"]);
        let more = format!("{RENAME}\nCREATE INDEX users_email ON users (email);");
        project.write("migrations/1_rename.sql", &more);
        let ran = project.run("expand").exits(13).says(&[
            "changed since ann approved it",
            &name,
            "the file's text",
        ]);
        assert!(ran.out.contains("+ ") && ran.out.contains("users_email"), "{}", ran.out);
        // The tables count as much as the file.
        project.write("migrations/1_rename.sql", RENAME);
        database.script("ALTER TABLE users ADD COLUMN more INTEGER").await;
        project.run("expand").exits(13).says(&["changed since ann approved it"]);
        let anew = fingerprint(&project);
        project.run(&format!("approve 1 --fingerprint {anew} --as ben")).done();
        project.run("expand").done();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_denied_hazard_is_approved_by_nobody() {
    let (database, project) = project("postgres", 1).await;
    database.script("ALTER TABLE users ADD CONSTRAINT only_one UNIQUE (username)").await;
    let plan = project.run("plan 1 --format json").exits(10).out;
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    let name = &plan["fingerprint"].as_str().expect("a fingerprint")[..10];
    let ran = project.run(&format!("approve 1 --fingerprint {name} --as ann"));
    ran.exits(10).says(&["unique-copy"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_approves_needs_few_privileges_and_waits_for_nobody() {
    let (database, project) = project("postgres", 1).await;
    let name = fingerprint(&project);
    // The schema of ours is there once any verb has written.
    project.run("deploy record --service nobody --version 1").done();
    let role = format!("dba_{}", std::process::id());
    database
        .script(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA zdmig TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA zdmig TO {role};
             GRANT INSERT (migration, fingerprint, who, plan) ON zdmig.approval TO {role};"
        ))
        .await;
    let theirs = database.url.replacen("postgres://postgres", &format!("postgres://{role}"), 1);
    let mut holder = database.client().await;
    assert_eq!(ask(&mut *holder, "SELECT pg_advisory_lock(525670902119)::text").await, "");
    let mut command = project.command(&format!("approve 1 --fingerprint {name} --as ann"));
    let ran = command.env("ZDMIG_DATABASE_URL", &theirs).output().expect("it runs");
    crate::support::Ran::from("approve", ran).done();
    // Who it was is the server's word.
    project.run("plan").done().says(&[&format!("approved by ann (role `{role}`)")]);
    let mut forger = attach(&theirs, "forger").await.client;
    let forged = "INSERT INTO zdmig.approval (migration, fingerprint, who, plan, role)
                  VALUES ('1_rename', 'x', 'ben', '{}', 'postgres')";
    assert!(forger.script(forged).await.is_err());
    drop(forger);
    database.script(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
