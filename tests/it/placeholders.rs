//! One file in several environments.

use crate::support::{Database, OPEN_GATE, Project, Ran, ask};

fn run(project: &Project, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = project.command(line);
    command.envs(variables.iter().copied());
    Ran::from(line, command.output().expect("the program starts"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_is_filled_in_where_the_file_declares_it() {
    let database = Database::postgres("placeholders").await;
    let schema = "CREATE SCHEMA eu; CREATE TABLE eu.users (id integer PRIMARY KEY, username text); \
                  CREATE TABLE users (id integer PRIMARY KEY, username text)";
    database.script(schema).await;
    let project = Project::new(&database).config(OPEN_GATE).migration(
        "1_rename",
        "-- zdmig:env REGION=public, OWNER\n\
         ALTER TABLE ${REGION}.users RENAME COLUMN username TO email;\n\
         COMMENT ON TABLE ${REGION}.users IS 'of ${OWNER}, not ${OTHER}';\n",
    );
    for verb in ["check", "plan", "expand"] {
        run(&project, verb, &[])
            .exits(2)
            .says(&["migrations/1_rename.sql", "`OWNER`, which is not set"]);
        let ran = run(&project, verb, &[("OWNER", "x'; DROP TABLE users; --")]).exits(2);
        assert!(!format!("{}{}", ran.out, ran.err).contains("DROP"), "a value was printed");
        ran.says(&["`OWNER`", "set it to one word"]);
    }
    run(&project, "check", &[("OWNER", "ann")]).done();
    let fingerprint = |variables: &[(&str, &str)]| {
        let plan = run(&project, "plan 1 --format json", variables).done().out;
        let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
        (plan["fingerprint"].to_string(), plan["checksum"].to_string())
    };
    let (at_home, checksum) = fingerprint(&[("OWNER", "ann")]);
    let (eu, same) = fingerprint(&[("OWNER", "ann"), ("REGION", "eu")]);
    assert!(at_home != eu && checksum == same);
    let variables = [("OWNER", "ann"), ("REGION", "eu")];
    run(&project, "expand", &variables).done();
    // The plan that was taken up is run, whatever is set since.
    run(&project, "backfill", &[("OWNER", "bob")]).done();
    // Nor does it matter that it is not set at all.
    for line in ["status", "contract", "wait --for contracted --timeout 0s"] {
        run(&project, line, &[]).done();
    }
    let mut client = database.client().await;
    let comment = "SELECT obj_description('eu.users'::regclass)";
    assert_eq!(ask(&mut *client, comment).await, "of ann, not ${OTHER}");
    assert_eq!(ask(&mut *client, "SELECT count(email) FROM eu.users").await, "0");
    assert_eq!(ask(&mut *client, "SELECT count(username) FROM public.users").await, "0");
}
