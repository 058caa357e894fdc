//! Migration histories of real projects, as they are: `ZDMIG_CORPUS` names a folder with one
//! folder of numbered files for each. After `zdmig apply`, and after the phases one by one
//! with every gate open, the schema is the one that psql makes of the same files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Database, Project};

/// What an author would allow in a project whose files were written for another runner.
const ALLOWED: [&str; 19] = [
    "alias-view",
    "body-names-column",
    "cascade",
    "destroys",
    "drops-constraint",
    "empty-file",
    "late-writes",
    "long-lock",
    "loses-index",
    "not-repeatable",
    "null-default",
    "one-way-sync",
    "opaque",
    "renames-value",
    "required-until-purge",
    "row-security",
    "stops-triggers",
    "unique-copy",
    "whole-statement",
];

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn projects() -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("ZDMIG_CORPUS") else {
        eprintln!("SKIPPED: ZDMIG_CORPUS is not set, so no real history was run");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&folder).expect("ZDMIG_CORPUS is a folder");
    let mut projects: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    projects.retain(|path| path.is_dir());
    projects.sort();
    assert!(!projects.is_empty(), "ZDMIG_CORPUS holds no project");
    projects
}

fn psql(database: &Database, arguments: &[&str]) {
    let ran = Command::new("psql")
        .args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", &database.url])
        .args(arguments)
        .output()
        .expect("psql is installed");
    assert!(ran.status.success(), "psql {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}

/// The schema as the server's own tool prints it, columns in the order of their names.
pub fn dump(database: &Database) -> BTreeMap<String, usize> {
    let ran = Command::new("pg_dump")
        .args(["--schema-only", "--no-owner", "-N", "zdmig", "-d", &database.url])
        .output()
        .expect("pg_dump is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    let mut statements = BTreeMap::new();
    for block in text.split("\n\n") {
        let lines = block.lines().filter(|line| {
            !line.starts_with("--")
                && !line.starts_with("\\restrict")
                && !line.starts_with("\\unrestrict")
        });
        let mut lines: Vec<_> = lines.map(|line| line.trim_end_matches(',').to_owned()).collect();
        if lines.first().is_some_and(|line| line.starts_with("CREATE TABLE")) {
            lines[1..].sort();
        }
        // In the order in which they were granted.
        if lines.iter().all(|line| line.starts_with("GRANT") || line.starts_with("REVOKE")) {
            lines.sort();
        }
        if lines.first().is_some_and(|line| line.starts_with("CREATE VIEW")) {
            sort_inner_lists(&mut lines);
        }
        // Columns in the order in which the table has them.
        if let Some((head, rest)) =
            lines.first().filter(|line| line.starts_with("CREATE STATISTICS")).and_then(|line| {
                let (head, rest) = line.split_once(" ON ")?;
                Some((head, rest.rsplit_once(" FROM ")?))
            })
        {
            let mut columns: Vec<_> = rest.0.split(", ").collect();
            columns.sort_unstable();
            lines = vec![format!("{head} ON {} FROM {}", columns.join(", "), rest.1)];
        }
        *statements.entry(lines.join("\n")).or_default() += 1;
    }
    statements
}

/// `t.*` within a query of a view lists the columns in the table's order, which nobody outside of
/// the query sees. What the view itself shows stays in its order.
fn sort_inner_lists(lines: &mut [String]) {
    let inner = |line: &String| {
        let bare = line.trim_start();
        line.len() - bare.len() >= 12 && bare.contains('.') && !bare.contains([' ', '('])
    };
    for run in lines.chunk_by_mut(|a, b| inner(a) == inner(b)) {
        if run.first().is_some_and(inner) {
            run.sort();
        }
    }
}

/// What psql makes of a history. A file that needs a transaction of its own gets one, as the
/// runner it was written for gives it.
async fn reference(project: &Path) -> Database {
    let database = Database::postgres("reference").await;
    for file in files(project) {
        let text = std::fs::read_to_string(&file).expect("a text");
        let name = file.display().to_string();
        let locks = text.lines().any(|line| line.starts_with("LOCK TABLE"));
        let mut arguments = vec!["-f", &name];
        arguments.extend(locks.then_some("--single-transaction"));
        psql(&database, &arguments);
    }
    database
}

fn files(project: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project).expect("a project");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "sql"));
    files.sort();
    files
}

fn config(project: &Path, more: Option<&str>) -> String {
    let mut toml = crate::support::OPEN_GATE.to_owned();
    toml = format!("migrations = \"{}\"\n{toml}", project.display());
    for hazard in ALLOWED.iter().copied().chain(more) {
        toml.push_str(&format!("[[allow]]\nhazard = \"{hazard}\"\nreason = \"a test\"\n"));
    }
    toml.push_str("[[waive]]\nfunction = \"*\"\nreason = \"a test\"\n");
    toml
}

/// A type is changed behind a hidden column where that is possible, and rewritten where not.
fn allow_rewrite(project: Project, path: &Path, id: &str) -> Project {
    let project = project.config(&config(path, None));
    let plan = project.run(&format!("plan {id}"));
    if plan.code == Some(10) && plan.err.contains("table-rewrite") {
        return project.config(&config(path, Some("table-rewrite")));
    }
    project
}

#[track_caller]
fn same(found: &Database, expected: &BTreeMap<String, usize>, project: &Path) {
    let found = dump(found);
    assert!(
        found == *expected,
        "{}\nonly here:\n{}\nmissing:\n{}",
        project.display(),
        differs(&found, expected),
        differs(expected, &found)
    );
}

/// The statements of one dump that the other lacks.
pub fn differs(a: &BTreeMap<String, usize>, b: &BTreeMap<String, usize>) -> String {
    let only = a.iter().filter(|(statement, count)| b.get(*statement) != Some(*count));
    only.map(|(statement, _)| statement.clone()).collect::<Vec<_>>().join("\n")
}

/// `zdmig apply` over the whole folder.
async fn applied(path: &Path, expected: &BTreeMap<String, usize>) {
    let database = Database::postgres("applied").await;
    let project = Project::new(&database).config(&config(path, Some("table-rewrite")));
    let ran = project.run("apply").done();
    assert_eq!(
        ran.out.lines().filter(|line| line.contains(": applied")).count(),
        files(path).len()
    );
    same(&database, expected, path);
    project.run("apply").done().says(&["nothing to apply"]);
}

/// Every phase of every file, one by one.
async fn phased(path: &Path, expected: &BTreeMap<String, usize>) {
    let database = Database::postgres("phased").await;
    let mut project = Project::new(&database);
    for file in files(path) {
        let id = file.file_stem().expect("a name").to_string_lossy().into_owned();
        project = allow_rewrite(project, path, &id);
        let before = dump(&database);
        // A plan says what a rollback does not take back: a value of an enum, what a call made.
        let stays = project.run(&format!("plan {id}")).out.contains("undo  none: ");
        project.run(&format!("expand {id}")).done();
        project.run(&format!("backfill {id}")).done();
        let back = project.run(&format!("rollback {id}"));
        match back.code {
            // A plan says beforehand what cannot be taken back.
            Some(10) => {
                back.says(&["cannot be taken back"]);
            }
            _ => {
                back.done();
                if !stays {
                    assert_eq!(differs(&dump(&database), &before), "", "{id}");
                    assert_eq!(differs(&before, &dump(&database)), "", "{id}");
                }
                project.run(&format!("expand {id}")).done();
                project.run(&format!("backfill {id}")).done();
            }
        }
        project.run(&format!("contract {id}")).done();
    }
    same(&database, expected, path);
    assert_eq!(database.leftovers().await, Vec::<String>::new(), "{}", path.display());
}

/// Once more with rows: before each file every empty table gets some, and psql runs the file
/// on a copy. Where it accepts the file, schema and rows are the same after `zdmig apply`;
/// where it does not, zdmig refuses before it changes anything, and the file is run without rows.
#[expect(clippy::print_stdout, reason = "what psql itself refuses is worth reading")]
async fn with_rows(path: &Path) {
    let database = Database::postgres("rows").await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut project = Project::new(&database);
    let (mut refused, mut late) = (Vec::new(), Vec::new());
    for file in files(path) {
        let id = file.file_stem().expect("a name").to_string_lossy().into_owned();
        crate::seed::seed(&database).await;
        let copy = Database::postgres_like("copy", Some(&database)).await;
        // What two runs of psql make differently, no third need make the same.
        let twin = Database::postgres_like("twin", Some(&database)).await;
        let name = file.display().to_string();
        let ran = Command::new("psql")
            .args(["-q", "-X", "-v", "ON_ERROR_STOP=1", "-1", "-d", &copy.url, "-f", &name])
            .output()
            .expect("psql is installed");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        let outside = ["transaction block", "must be committed before"]
            .iter()
            .any(|words| said.contains(words));
        if outside {
            psql(&copy, &["-f", &name]);
            psql(&twin, &["-f", &name]);
        } else if ran.status.success() {
            psql(&twin, &["-1", "-f", &name]);
        }
        std::fs::copy(&file, folder.path().join(file.file_name().expect("a name")))
            .expect("copied");
        project = allow_rewrite(project, folder.path(), &id);
        let before = dump(&database);
        let applied = project.run("apply");
        if ran.status.success() || outside {
            applied.done();
            let (ours, theirs) = (dump(&database), dump(&copy));
            assert_eq!(differs(&ours, &theirs), "", "{id}");
            assert_eq!(differs(&theirs, &ours), "", "{id}");
            let (mut ours, mut theirs) = (rows(&database).await, rows(&copy).await);
            for (table, other) in rows(&twin).await {
                if theirs.get(&table) != Some(&other) {
                    theirs.remove(&table);
                    ours.remove(&table);
                }
            }
            assert_eq!(ours, theirs, "{id}");
        } else {
            assert_ne!(applied.code, Some(0), "{id}: psql says: {said}");
            let changed = differs(&dump(&database), &before);
            refused.push(format!(
                "{id} ({:?}): {}",
                applied.code,
                said.lines().next().unwrap_or_default()
            ));
            if applied.code != Some(10) || !changed.is_empty() {
                late.push(format!("{id} ({:?}): {}\n{changed}", applied.code, applied.err));
            }
            empty(&database).await;
            let again = project.run("apply");
            if again.code != Some(0) {
                project.run(&format!("rollback {id}")).done();
                project.run("apply").done();
            }
        }
    }
    println!("{}: {} refused with rows\n{}", path.display(), refused.len(), refused.join("\n"));
    assert!(late.is_empty(), "found too late:\n{}", late.join("\n"));
}

/// Every row of every table, as the server prints it; what is made up anew at each run apart.
async fn rows(database: &Database) -> BTreeMap<String, Vec<String>> {
    let catalog = database.catalog().await;
    let mut client = database.client().await;
    let mut found = BTreeMap::new();
    for table in catalog.tables.values() {
        if table.kind == zdmig::catalog::TableKind::View {
            continue;
        }
        let made_up = |column: &&zdmig::catalog::Column| {
            ["timestamp", "uuid", "date"].iter().any(|kind| column.type_name.starts_with(kind))
        };
        let columns = table.columns.iter().filter(|column| !made_up(column));
        let columns: Vec<_> = columns
            .map(|one| format!("\"{}\"::text", one.name.as_str().replace('"', "\"\"")))
            .collect();
        if columns.is_empty() {
            continue;
        }
        let schema = table.name.schema.as_ref().expect("a schema");
        let query = format!(
            "SELECT concat_ws('|', {}) FROM \"{schema}\".\"{}\" ORDER BY 1",
            columns.join(", "),
            table.name.name
        );
        let rows = client.rows(&query, &[]).await.expect("rows");
        let rows = rows.into_iter().filter_map(|row| row.into_iter().next().flatten());
        found.insert(table.name.to_string(), rows.collect());
    }
    found
}

async fn empty(database: &Database) {
    let catalog = database.catalog().await;
    let tables =
        catalog.tables.values().filter(|one| one.kind == zdmig::catalog::TableKind::Ordinary);
    let names: Vec<_> = tables
        .map(|table| {
            let schema = table.name.schema.as_ref().expect("a schema");
            format!("\"{schema}\".\"{}\"", table.name.name)
        })
        .collect();
    database.script(&format!("TRUNCATE {} CASCADE", names.join(", "))).await;
}

/// What cannot be read is refused unless its author says what it is, so it has to be rare: less
/// than one statement in a hundred.
#[test]
fn hardly_a_statement_is_opaque() {
    for project in projects() {
        let folder = tempfile::tempdir().expect("a folder");
        let toml = format!("migrations = \"{}\"\n", project.display());
        std::fs::write(folder.path().join("zdmig.toml"), toml).expect("written");
        let ran = crate::support::program(folder.path())
            .args(["check", "--dialect", "postgres", "--format", "json"])
            .output()
            .expect("it runs");
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&ran.stderr)));
        let checked = report["files"].as_array().expect("files");
        assert_eq!(checked.len(), files(&project).len(), "{}", project.display());
        let statements: u64 = checked.iter().filter_map(|file| file["statements"].as_u64()).sum();
        let findings = checked.iter().filter_map(|file| file["findings"].as_array()).flatten();
        let opaque: Vec<_> = findings.filter(|finding| finding["code"] == "opaque").collect();
        assert!(
            opaque.len() as u64 * 100 < statements,
            "{}: of {statements}: {opaque:?}",
            project.display()
        );
    }
}

async fn history(name: &str) {
    for project in projects().iter().filter(|path| path.ends_with(name)) {
        let expected = dump(&reference(project).await);
        applied(project, &expected).await;
        if std::env::var_os("ZDMIG_CORPUS_PHASES").is_some() {
            phased(project, &expected).await;
        }
        if std::env::var_os("ZDMIG_CORPUS_ROWS").is_some() {
            with_rows(project).await;
        }
    }
}

/// One that takes its time: with `ZDMIG_EVERY=1`, or where phases or rows are wanted.
async fn long_history(name: &str) {
    let wanted = ["ZDMIG_EVERY", "ZDMIG_CORPUS_PHASES", "ZDMIG_CORPUS_ROWS"];
    if wanted.iter().any(|name| std::env::var_os(name).is_some()) {
        history(name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concourse() {
    history("concourse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crates_io() {
    long_history("crates-io").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hatchet() {
    long_history("hatchet").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langfuse() {
    long_history("langfuse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zksync_era() {
    long_history("zksync-era").await;
}
