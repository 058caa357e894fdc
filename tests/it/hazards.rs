//! Each hazard's page has an example: zdmig finds it there, and the file as written is run under
//! measurement, so that the page shows what the server would have locked. The examples are in
//! `tests/hazards.sql`; `ZDMIG_BLESS=1` writes the pages.

use std::path::Path;
use std::process::{Command, Stdio};

use zdmig::plan::CARDS;

use crate::support::{Database, OPEN_GATE, Project};

struct Example {
    code: String,
    product: String,
    before: String,
    /// What its tables hold; what the seeder finds fit where nothing is said.
    rows: Option<String>,
    file: String,
}

fn examples() -> Vec<Example> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hazards.sql");
    let text = std::fs::read_to_string(path).expect("the examples");
    let blocks = text.split("-- hazard: ").skip(1);
    blocks
        .map(|block| {
            let (code, rest) = block.split_once('\n').expect("a code");
            let said = |word: &str| {
                let line = rest.lines().find_map(|line| line.strip_prefix(word));
                line.map(ToOwned::to_owned)
            };
            let file = rest.lines().filter(|line| {
                ["product", "before", "rows"]
                    .iter()
                    .all(|word| !line.starts_with(&format!("-- {word}: ")))
            });
            Example {
                code: code.to_owned(),
                product: said("-- product: ").unwrap_or_else(|| "postgres".to_owned()),
                before: said("-- before: ").unwrap_or_default(),
                rows: said("-- rows: "),
                file: file.collect::<Vec<_>>().join("\n").trim().to_owned(),
            }
        })
        .collect()
}

/// A lock in the server's words, and whom it blocks.
fn lock(mode: &str) -> (String, &'static str) {
    let bare = mode.trim_end_matches("Lock");
    let mut words = String::new();
    for c in bare.chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_uppercase());
    }
    let blocks = match bare {
        "AccessExclusive" => "reads and writes",
        "Exclusive" | "ShareRowExclusive" | "Share" => "writes",
        "RowExclusive" => "writes of the same rows",
        _ => "no query",
    };
    (words, blocks)
}

/// The strongest lock on each relation that was there before. That an index or a sequence was looked at is
/// left out: it blocks nobody, and minor versions differ in it (15.18 and 15.20).
const LOCKS: &str = "SELECT 'lock|' || c.relname || '|' || (array_agg(l.mode ORDER BY array_position(ARRAY[\
    'AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock', \
    'ShareUpdateExclusiveLock', 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'], l.mode)))[1] \
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE l.pid = pg_backend_pid() AND l.granted AND n.nspname = 'public' AND c.oid <= :before \
    AND NOT (c.relkind IN ('i', 'I', 'S') AND l.mode = 'AccessShareLock') \
    GROUP BY c.relname ORDER BY c.relname;";

/// What the server locks, says and refuses when the file is run as written.
fn trace(database: &Database, file: &str) -> String {
    let script = format!(
        "SELECT max(oid::bigint) AS before FROM pg_class \\gset\nBEGIN;\n\
         SET LOCAL client_min_messages = debug1;\n{file}\n\
         SET LOCAL client_min_messages = notice;\n{LOCKS}\nROLLBACK;\n"
    );
    let mut child = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-d", &database.url, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql is installed");
    let mut input = child.stdin.take().expect("an input");
    std::io::Write::write_all(&mut input, script.as_bytes()).expect("written");
    drop(input);
    let ran = child.wait_with_output().expect("it ends");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    let mut rows = String::new();
    for line in out.lines().filter_map(|line| line.strip_prefix("lock|")) {
        let (relation, mode) = line.split_once('|').expect("a relation and a mode");
        let (words, blocks) = lock(mode);
        rows.push_str(&format!("| `{relation}` | {words} | {blocks} |\n"));
    }
    let mut text = match rows.as_str() {
        "" => "It locks no relation that was there before.\n".to_owned(),
        rows => format!("| relation | lock | blocks |\n|---|---|---|\n{rows}"),
    };
    let told = ["rewriting table", "verifying table", "building index"];
    let said: Vec<_> = err
        .lines()
        .filter_map(|line| line.split_once("DEBUG:  ").map(|(_, said)| said))
        .filter(|said| told.iter().any(|words| said.starts_with(words)))
        .filter(|said| !said.contains("pg_toast"))
        .map(|said| format!("`{}`", said.trim_end_matches(" serially")))
        .collect();
    if !said.is_empty() {
        text.push_str(&format!("\nThe server's own words: {}.\n", said.join(", ")));
    }
    let failed = err.lines().find_map(|line| line.split_once("ERROR:  "));
    if let Some((_, why)) = failed {
        text.push_str(&format!("\nIt fails: `{why}`.\n"));
    }
    text
}

/// The message and the remedy, as a plan or a check gives them.
fn found(project: &Project, code: &str) -> Option<(String, String)> {
    for line in ["plan --format json", "check --format json"] {
        let ran = project.run(line);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_default();
        let mut all = vec![&report];
        while let Some(value) = all.pop() {
            if value["code"] == *code {
                let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
                let next = if value["next"].is_string() { "next" } else { "remedy" };
                return Some((text("message"), text(next)));
            }
            match value {
                serde_json::Value::Array(items) => all.extend(items),
                serde_json::Value::Object(items) => all.extend(items.values()),
                _ => {}
            }
        }
    }
    None
}

async fn page(example: &Example) -> String {
    let card = zdmig::plan::card(&example.code).expect("a card");
    let database = Database::of(&example.product, "hazard").await;
    database.script(&example.before).await;
    if example.product == "postgres" {
        match &example.rows {
            Some(rows) => database.script(rows).await,
            None => crate::seed::seed(&database).await,
        }
        database.script("ANALYZE").await;
    }
    let project = Project::new(&database).migration("1_example", &example.file).config(OPEN_GATE);
    let (message, remedy) = found(&project, &example.code)
        .unwrap_or_else(|| panic!("{}: not found in its example", example.code));
    let mut page = zdmig::report::hazard_page(card);
    page.push_str("\n## An example\n");
    if !example.before.is_empty() {
        page.push_str(&format!(
            "\nThere before:\n\n```sql\n{}\n```\n",
            example.before.replace("; CREATE", ";\nCREATE")
        ));
    }
    page.push_str(&format!("\nThe file:\n\n```sql\n{}\n```\n", example.file));
    page.push_str(&format!("\nWhat zdmig says: {message}. Next: {remedy}.\n"));
    page.push_str(&match example.product.as_str() {
        "postgres" => format!(
            "\nWhat the server does when the file is run as written, measured on version 15:\n\n{}",
            trace(&database, &example.file)
        ),
        _ => "\nThe database has one lock for all of it: while the file is run as written, every \
              other writer waits.\n"
            .to_owned(),
    });
    page
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_has_an_example_that_was_run() {
    let examples = examples();
    for card in CARDS {
        let count = examples.iter().filter(|one| one.code == card.code).count();
        assert_eq!(count, 1, "{}: one example", card.code);
    }
    let database = Database::postgres("version").await;
    let mut client = database.client().await;
    let version = client.rows("SHOW server_version_num", &[]).await.expect("a version");
    let measured = version[0][0].as_deref().is_some_and(|number| number.starts_with("15"));
    let mut wrong = Vec::new();
    for example in &examples {
        let page = page(example).await;
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/hazards/{}.md", example.code));
        if std::env::var_os("ZDMIG_BLESS").is_some() {
            std::fs::write(&path, &page).expect("written");
        }
        // Another version may lock otherwise; the pages hold what one did.
        if measured && std::fs::read_to_string(&path).unwrap_or_default() != page {
            wrong.push(example.code.clone());
        }
    }
    assert!(wrong.is_empty(), "not what came out, ZDMIG_BLESS=1 writes it: {wrong:?}");
}
