//! A folder a case: `schema.sql` is there before, `migration.sql` is the change, `plan.txt`
//! is the plan that must come out (`plan.md` and `plan.html` are the same in other forms, and
//! `check.txt` is what `check` says in each of its own). Where the change can be made, all phases are run, and
//! the schema must be the one that the plain statements make (`plain.sql` where the author's
//! file is more than that), and the rows that `rows.sql` finds too; and from every phase (from one
//! of them without `ZDMIG_EVERY=1`) a rollback must lead back, to the rows of `back.sql` as well. Where it cannot,
//! `refused.txt` holds what must be said. `ZDMIG_BLESS=1` writes what comes out.

use std::path::{Path, PathBuf};

use crate::support::{Database, OPEN_GATE, Project, way};

pub fn cases(product: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(product);
    let entries = std::fs::read_dir(&folder).expect("the cases' folder");
    let mut cases: Vec<_> = entries.map(|entry| entry.expect("a case").path()).collect();
    cases.sort();
    assert!(cases.len() > 5, "the cases are gone");
    cases
}

pub fn read(case: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(case.join(name)).ok()
}

/// Compares with a golden file, or writes it where that is asked for.
fn golden(case: &Path, name: &str, found: &str) {
    if std::env::var_os("ZDMIG_BLESS").is_some() {
        std::fs::write(case.join(name), found).expect("written");
    }
    let expected = read(case, name).unwrap_or_else(|| {
        panic!("{} has no {name}; ZDMIG_BLESS=1 writes it:\n{found}", case.display())
    });
    assert_eq!(found, expected, "{}", case.join(name).display());
}

async fn case(product: &str, case: &Path) {
    let schema = read(case, "schema.sql").expect("schema.sql");
    let migration = read(case, "migration.sql").expect("migration.sql");
    let database = Database::of(product, "case").await;
    database.script(&schema).await;
    if product == "postgres" {
        // The server does it by itself some time, and a plan says what is known by then.
        database.script("ANALYZE").await;
    }
    let project = Project::new(&database).migration("1_case", &migration).config(OPEN_GATE);
    let before = database.catalog().await;
    golden(case, "check.txt", &checks(&project));
    if read(case, "refused.txt").is_some() {
        let ran = project.run("plan").exits(10);
        golden(case, "refused.txt", &ran.out);
        project.run("expand").exits(10);
        assert_eq!(database.catalog().await, before, "{}", case.display());
        return;
    }
    let plan = project.run("plan 1_case");
    golden(case, "plan.txt", &plan.done().out);
    golden(case, "plan.md", &project.run("plan 1_case --format markdown").done().out);
    golden(case, "plan.html", &body(&project.run("plan 1_case --format html").done().out));
    // Every other one, and those from which nobody goes back below.
    if product == "postgres" && way(case, 6).is_none_or(|way| way >= 3) {
        let scratch = Database::postgres("scratch").await;
        scratch.script(&schema).await;
        let ran = project.run(&format!("plan 1_case --verify --scratch {}", scratch.url));
        assert_eq!(
            ran.code,
            Some(0),
            "{}: predicted ≠ measured\n{}\n{}",
            case.display(),
            ran.out,
            ran.err
        );
    }
    let back = read(case, "back.sql");
    let rows_before = rows(&database, back.as_deref()).await;
    let reversible = read(case, "irreversible").is_none();
    if reversible {
        // Every other one, from one of the phases.
        for upto in (1..=3).filter(|upto| way(case, 6).is_none_or(|way| way + 1 == *upto)) {
            for verb in ["expand", "backfill", "contract --soak 1h"].iter().take(upto) {
                project.run(verb).done();
            }
            project.run("rollback 1_case").done();
            assert_eq!(
                database.catalog().await,
                before,
                "{}: back from phase {upto}",
                case.display()
            );
            assert_eq!(database.leftovers().await, Vec::<String>::new(), "{}", case.display());
            let found = rows(&database, back.as_deref()).await;
            assert_eq!(found, rows_before, "{}", case.display());
        }
    }
    for verb in ["expand", "backfill", "contract"] {
        project.run(verb).done();
    }
    project.run("status").done().says(&["done"]);
    let plain = Database::of(product, "plain").await;
    plain.script(&schema).await;
    plain.script(&read(case, "plain.sql").unwrap_or(migration)).await;
    let (found, expected) = (database.catalog().await, plain.catalog().await);
    assert_eq!(found.tables, expected.tables, "{}", case.display());
    assert_eq!(database.leftovers().await, Vec::<String>::new(), "{}", case.display());
    let query = read(case, "rows.sql");
    let (found, expected) =
        (rows(&database, query.as_deref()).await, rows(&plain, query.as_deref()).await);
    assert_eq!(found, expected, "{}", case.display());
}

/// What `check` says in every form, beside a snapshot of the database.
fn checks(project: &Project) -> String {
    project.run("snapshot -o catalog.json").done();
    let mut text = String::new();
    for format in ["human", "markdown", "sarif", "gitlab", "github", "junit"] {
        let ran = project.run(&format!("check -v --catalog catalog.json --format {format}"));
        assert!([Some(0), Some(10)].contains(&ran.code), "{}", ran.err);
        text.push_str(&format!("== {format}, exit {}\n{}\n", ran.code.unwrap_or(-1), ran.out));
    }
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// A page without what is the same in all of them.
fn body(page: &str) -> String {
    let (_, rest) = page.split_once("<main>\n").expect("a main part");
    rest.split_once("</main>").expect("its end").0.to_owned()
}

/// What a case's query finds; nothing where it has none.
async fn rows(database: &Database, query: Option<&str>) -> Vec<Vec<Option<String>>> {
    let Some(query) = query else { return Vec::new() };
    database.client().await.rows(query, &[]).await.expect("rows")
}

/// Every case of a product, a few at once; all that fail are told. `ZDMIG_CASE` picks those
/// whose name holds a word.
async fn all(product: &'static str) {
    let wanted = std::env::var("ZDMIG_CASE").unwrap_or_default();
    let mut waiting: Vec<_> = cases(product);
    waiting.retain(|path| path.display().to_string().contains(&wanted));
    let mut failed = Vec::new();
    for some in waiting.chunks(4) {
        let running: Vec<_> = some
            .iter()
            .map(|path| {
                let path = path.clone();
                tokio::spawn(async move { case(product, &path).await })
            })
            .collect();
        for (path, run) in some.iter().zip(running) {
            if run.await.is_err() {
                failed.push(path.file_name().expect("a name").to_string_lossy().into_owned());
            }
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    all("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    all("sqlite").await;
}
