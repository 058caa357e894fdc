//! At least what other linters find: every rule of theirs in `tests/linters.sql` is a finding of
//! `zdmig check`, or the plan does away with the danger. `docs/other-linters.md` holds what
//! came out; `ZDMIG_BLESS=1` writes it.

use std::path::{Path, PathBuf};
use std::process::Command;

use zdmig::catalog::Catalog;
use zdmig::dialect::{Dialect, named};
use zdmig::migration::{Migration, read_file};
use zdmig::plan::{Blocks, Held, Phase, Plan, Severity};

const BEFORE: &str = "CREATE TABLE p (id bigint PRIMARY KEY); \
    CREATE TABLE t (id bigint PRIMARY KEY, a integer UNIQUE CHECK (a > 0), b text, \
    c text NOT NULL DEFAULT 'x', d varchar(10), p_id bigint);";

struct Rule<'a> {
    tool: &'a str,
    name: &'a str,
    before: &'a str,
    file: &'a str,
}

fn rules(text: &str) -> Vec<Rule<'_>> {
    let mut found = Vec::new();
    for block in text.split("\n\n").skip(1).filter(|block| !block.trim().is_empty()) {
        let mut lines = block.trim().lines();
        let (tool, name) = lines
            .next()
            .and_then(|line| line.strip_prefix("-- ")?.split_once(": "))
            .unwrap_or_else(|| panic!("no rule: {block}"));
        let rest: Vec<_> = lines.collect();
        let before = rest.iter().find_map(|line| line.strip_prefix("-- before: "));
        let file = rest.last().copied().expect("a file");
        found.push(Rule { tool, name, before: before.unwrap_or_default(), file });
    }
    found
}

/// A migrations folder, thrown away after use.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(rule: &Rule<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("migrations")).expect("a folder");
        std::fs::write(folder.path().join("zdmig.toml"), "").expect("written");
        let new = Self(folder);
        std::fs::write(new.file("1_before"), format!("{BEFORE}\n{}", rule.before))
            .expect("written");
        std::fs::write(new.file("2_file"), rule.file).expect("written");
        new
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("migrations").join(format!("{name}.sql"))
    }

    /// The codes that `zdmig check` finds in the file.
    fn findings(&self) -> Vec<String> {
        let ran = Command::new(env!("CARGO_BIN_EXE_zdmig"))
            .args(["check", "--dialect", "postgres", "--format", "json"])
            .current_dir(self.0.path())
            .output()
            .expect("it runs");
        let report: serde_json::Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&ran.stderr)));
        let files = report["files"].as_array().expect("files");
        let file = files.iter().find(|file| file["path"].as_str().unwrap_or("").contains("2_file"));
        let findings = file.expect("the file")["findings"].as_array().expect("findings");
        let mut codes: Vec<_> =
            findings.iter().filter_map(|one| one["code"].as_str()).map(ToOwned::to_owned).collect();
        codes.sort();
        codes.dedup();
        codes
    }

    /// The file's plan, for tables with rows; `None` where there is none.
    fn plan(&self, dialect: &dyn Dialect) -> Option<Plan> {
        let before = parsed(&self.file("1_before"), dialect);
        let mut world: Catalog = zdmig::planner::after(&before, dialect.empty(), dialect);
        for table in world.tables.values_mut() {
            (table.rows, table.bytes) = (100_000, 10_000_000);
        }
        let file = parsed(&self.file("2_file"), dialect);
        zdmig::planner::plan(&file, &world, &[], dialect).ok().map(|(plan, _)| plan)
    }
}

fn parsed(path: &Path, dialect: &dyn Dialect) -> Migration {
    let file = read_file(path).expect("a file");
    Migration::parse(&file, |source| dialect.split(source)).expect("a migration")
}

/// Whether running code waits for longer than an instant.
fn waits(plan: &Plan) -> bool {
    let locks = plan.steps.iter().flat_map(|step| &step.lowered.locks);
    let mut strong = locks.filter(|lock| lock.blocks >= Blocks::Writes);
    strong.any(|lock| lock.held != Held::Instant)
}

/// What stops a plan stands out.
fn shown(code: &str) -> String {
    let severity = zdmig::plan::card(code).map_or(Severity::Deny, |card| card.severity);
    if severity == Severity::Deny { format!("**`{code}`**") } else { format!("`{code}`") }
}

/// Where the steps are, and what waits for the gate.
fn phases(plan: &Plan) -> String {
    let of = |phase: Phase| plan.phase(phase).count();
    let counted = Phase::ALL.into_iter().filter(|phase| of(*phase) > 0);
    let counted: Vec<_> = counted.map(|phase| format!("{phase} {}", of(phase))).collect();
    if counted.is_empty() { "nothing to do".to_owned() } else { counted.join(", ") }
}

#[test]
fn what_others_find_is_found_or_made_safe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/linters.sql")).expect("the rules");
    let rules = rules(&text);
    assert!(rules.len() > 100, "{} rules", rules.len());
    let dialect = named("postgres").expect("spoken");
    let mut page = std::fs::read_to_string(root.join("docs/other-linters.md")).unwrap_or_default();
    let head = page.find("\n## ").unwrap_or(page.len());
    page.truncate(head);
    let (mut tool, mut missed) = ("", Vec::new());
    for rule in &rules {
        let folder = Folder::new(rule);
        let (codes, plan) = (folder.findings(), folder.plan(dialect));
        let safe = plan.as_ref().is_some_and(|plan| !waits(plan));
        if codes.is_empty() && !safe {
            missed.push(format!("{}: {}", rule.tool, rule.name));
        }
        if tool != rule.tool {
            tool = rule.tool;
            page.push_str(&format!(
                "\n## {tool}\n\n| rule | a file that breaks it | `check` says | the plan | running code waits |\n|---|---|---|---|---|\n"
            ));
        }
        let codes: Vec<_> = codes.iter().map(|code| shown(code)).collect();
        page.push_str(&format!(
            "| {} | `{}` | {} | {} | {} |\n",
            rule.name,
            rule.file,
            codes.join(" "),
            plan.as_ref().map_or_else(|| "none".to_owned(), phases),
            match &plan {
                Some(plan) if waits(plan) => "if it is allowed",
                Some(_) => "no",
                None => "no, it is not run",
            },
        ));
    }
    assert!(missed.is_empty(), "neither found nor safe:\n{}", missed.join("\n"));
    let path = root.join("docs/other-linters.md");
    if std::env::var_os("ZDMIG_BLESS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, page, "docs/other-linters.md: ZDMIG_BLESS=1 writes it");
}
