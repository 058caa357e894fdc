//! A proof looks at every row, mends what it finds, and goes on where it was.

use std::process::Stdio;

use crate::support::{OPEN_GATE, ask, renamed, until};

/// What somebody breaks behind the fill, past the triggers, is found, mended and counted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_behind_a_fill_is_mended() {
    let (database, project) = renamed("postgres", "prove_mend", 200_000).await;
    let mut command = project.command("backfill -v --pace gentle");
    let child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut client = database.client().await;
    let filled = "SELECT count(*) = 5 FROM users WHERE id <= 5 AND email = username";
    until(&mut *client, filled).await;
    client
        .script(
            "SET session_replication_role = replica;
             UPDATE users SET email = 'broken' WHERE id <= 5; RESET session_replication_role",
        )
        .await
        .expect("past the triggers");
    let ended = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    for words in [" and filled them; it looks again", "200,000 rows looked at"] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let wrong = "SELECT count(*) FROM users WHERE email IS DISTINCT FROM username";
    assert_eq!(ask(&mut *client, wrong).await, "0");
    let counted = "SELECT detail->>'rows' FROM zdmig.journal
                    WHERE kind = 'finished' AND step LIKE '%/prove-%'";
    // One that has come to lie where the fill had not been yet was found by the fill itself.
    let mended: u32 = ask(&mut *client, counted).await.parse().expect("a number");
    assert!((1..=5).contains(&mended), "{mended}");
}

/// A proof that is killed goes on where it was: every row is looked at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_proof_goes_on_where_it_was() {
    let (database, project) = renamed("postgres", "prove_kill", 200_000).await;
    let mut client = database.client().await;
    // What other tests do to the server is no reason to wait.
    let limits = "checkpoint = \"off\"\nactive_sessions = \"off\"\nfree_disk = \"off\"\n";
    project.write("zdmig.toml", &format!("{OPEN_GATE}[limits]\n{limits}"));
    // It pauses after its first rows, wherever that is: where a fill could not use the room of the
    // versions that it replaced, its first pages hold no row.
    client
        .script(
            "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
                 INSERT INTO zdmig.steering (prefix, paused_by) VALUES ('1_rename/', 'the test')
                     ON CONFLICT (prefix) DO NOTHING;
                 RETURN NULL;
             END$$;
             CREATE TRIGGER pause AFTER UPDATE ON zdmig.part FOR EACH ROW
                 WHEN (NEW.seen > 0 AND OLD.seen = 0) EXECUTE FUNCTION pause()",
        )
        .await
        .expect("a trigger");
    let mut command = project.command("backfill");
    let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
    let paused = "SELECT count(*) = 1 FROM zdmig.part WHERE seen > 0 AND pid IS NULL";
    until(&mut *client, paused).await;
    child.kill().expect("killed");
    child.wait().expect("gone");
    let seen = "SELECT (f.seen + coalesce(sum(p.seen), 0))::text
                  FROM zdmig.fill f LEFT JOIN zdmig.part p USING (step)
                 WHERE step LIKE '%/prove-equal%' GROUP BY f.seen";
    let some: u32 = ask(&mut *client, seen).await.parse().expect("a number");
    assert!((1..200_000).contains(&some), "{some}");
    client.script("DROP TRIGGER pause ON zdmig.part").await.expect("gone");
    project.run("resume").done();
    project.run("backfill --wait 30s").done();
    assert_eq!(ask(&mut *client, seen).await, "200000");
}
