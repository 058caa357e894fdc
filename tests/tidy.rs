//! Keeps the house as ARCHITECTURE.md says it is.

use std::path::{Path, PathBuf};

/// The floors, from the ground up; rooms on one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["sql"],
    &["catalog", "migration"],
    &["change"],
    &["plan"],
    &["journal"],
    &["dialect"],
    &["planner", "backfill", "gate"],
    &["engine", "rehearsal"],
    &["config", "report", "demo", "telemetry"],
    &["cli"],
];

struct Source {
    path: String,
    /// The text before `mod tests`.
    code: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("a text");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            let path = path.strip_prefix(root()).expect("inside").display().to_string();
            found.push(Source { path, code });
        }
    }
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    assert!(found.len() > 50, "the sources are gone");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The lines of code that hold one of the words, comments apart.
fn lines_with(source: &Source, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in source.code.lines().enumerate() {
        let code = line.trim_start();
        if !code.starts_with("//") && words.iter().any(|word| code.contains(word)) {
            found.push(format!("{}:{}: {code}", source.path, at + 1));
        }
    }
    found
}

#[track_caller]
fn none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

fn room(path: &str) -> Option<&str> {
    path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

#[test]
fn imports_point_down() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(here) = room(&source.path) else { continue };
        let mine = floor(here).unwrap_or_else(|| panic!("src/{here} is on no floor"));
        for (at, line) in source.code.lines().enumerate() {
            for used in line.match_indices("crate::").map(|(at, _)| &line[at + 7..]) {
                let name: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let theirs = floor(&name);
                if name != here && theirs.is_some_and(|theirs| theirs >= mine) {
                    found.push(format!("{}:{}: {line}", source.path, at + 1));
                }
            }
        }
    }
    none("imports that point up or sideways", found);
}

#[test]
fn products_are_named_in_dialect_only() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|one| !one.path.starts_with("src/dialect/")) {
        let lines =
            lines_with(source, &["postgres", "Postgres", "mysql", "mariadb", "sqlite", "Sqlite"]);
        // Help texts and hints are words for people.
        let code =
            lines.into_iter().filter(|line| !line.contains("://") && !line.contains("`postgres"));
        found.extend(code);
    }
    none("product names outside of dialect/", found);
}

#[test]
fn the_lower_floors_and_the_judges_are_pure() {
    let pure = |path: &str| {
        let floors = ["sql", "catalog", "migration", "change", "plan", "journal", "planner"];
        room(path).is_some_and(|room| floors.contains(&room)) && path != "src/migration/load.rs"
            || [
                "src/gate/judge.rs",
                "src/gate/admission.rs",
                "src/gate/verdict.rs",
                "src/gate/evidence.rs",
                "src/backfill/pace.rs",
                "src/backfill/brake.rs",
            ]
            .contains(&path)
            || path.starts_with("src/gate/usage/")
    };
    let words = [
        "async ",
        ".await",
        "Utc::now",
        "Instant::now",
        "SystemTime",
        "std::env",
        "std::fs",
        "fs::read",
        "tokio::",
    ];
    let found = sources()
        .iter()
        .filter(|one| pure(&one.path))
        .flat_map(|one| lines_with(one, &words))
        .collect();
    none("a clock, the environment, a file or waiting where only thinking belongs", found);
}

#[test]
fn only_the_engine_and_the_fill_change_a_schema() {
    let allowed =
        ["src/engine/", "src/backfill/runner.rs", "src/backfill/worker.rs", "src/dialect/"];
    let words =
        ["session.execute(", "session.commit(", ".begin_fill(", ".filler.chunk(", ".commit(&Work"];
    let found = sources()
        .iter()
        .filter(|one| !allowed.iter().any(|path| one.path.starts_with(path)))
        .flat_map(|one| lines_with(one, &words))
        .collect();
    none("changes to a schema outside of the engine", found);
}

#[test]
fn only_report_writes_to_a_stream_and_only_main_ends() {
    let words = ["println!", "eprintln!", "print!(", "io::stdout", "io::stderr", "process::exit"];
    let found = sources()
        .iter()
        .filter(|one| !one.path.starts_with("src/report/"))
        .flat_map(|one| lines_with(one, &words))
        .filter(|line| !line.contains("with_writer(std::io::stderr)"))
        .collect();
    none("writes to a stream outside of report/", found);
}

#[test]
fn nothing_unfinished_and_no_weak_names() {
    let words =
        ["todo!", "unimplemented!", "dbg!", "FIXME", "XXX", "anyhow", ".unwrap()", ".expect(\""];
    let found = sources().iter().flat_map(|one| lines_with(one, &words)).collect();
    none("unfinished or careless code", found);
    let banned = ["Manager", "Helper", "Util", "Handler", "Service", "Processor", "Info", "Common"];
    let mut found = Vec::new();
    for source in sources() {
        for (at, line) in source.code.lines().enumerate() {
            let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric()).collect();
            for pair in words.windows(2) {
                let kind = ["struct", "enum", "trait"].contains(&pair[0]);
                if kind && banned.iter().any(|name| pair[1].contains(name)) {
                    found.push(format!("{}:{}: {line}", source.path, at + 1));
                }
            }
        }
    }
    none("names that say nothing", found);
}

#[test]
fn files_and_functions_are_short() {
    let mut found = Vec::new();
    for source in sources() {
        let lines: Vec<_> = source.code.lines().collect();
        // Long literals (SQL that we install, the hazard cards) are read as lists.
        let listed = ["src/dialect/postgres/bookkeeping.rs"];
        if lines.len() > 500 && !listed.contains(&source.path.as_str()) {
            found.push(format!("{} has {} lines, and may have 500", source.path, lines.len()));
        }
        let mut start = None;
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let opens = [
                "fn ",
                "pub fn ",
                "pub(super) fn ",
                "async fn ",
                "pub async fn ",
                "pub(super) async fn ",
            ]
            .iter()
            .any(|head| code.starts_with(head));
            if opens && !code.ends_with(';') {
                start = Some((at, indent));
            }
            if let Some((from, depth)) = start
                && code == "}"
                && indent == depth
            {
                if at - from >= 90 {
                    found.push(format!("{}:{}: {} lines", source.path, from + 1, at - from + 1));
                }
                start = None;
            }
        }
    }
    none("too long to be read at once", found);
}

#[test]
fn the_hazard_pages_are_those_of_the_cards() {
    for card in zdmig::plan::CARDS {
        let path = root().join(format!("docs/hazards/{}.md", card.code));
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found.starts_with(&zdmig::report::hazard_page(card)),
            "{} is not what its card says; `just bless` writes it",
            path.display()
        );
    }
    let pages = std::fs::read_dir(root().join("docs/hazards")).expect("the pages").count();
    assert_eq!(pages, zdmig::plan::CARDS.len(), "a page without a card");
}

#[test]
fn the_recipes_are_those_that_are_tested() {
    let page = std::fs::read_to_string(root().join("docs/by-sections.md")).expect("the page");
    let cases = std::fs::read_dir(root().join("tests/cases/postgres")).expect("the cases");
    let mut count = 0;
    for case in cases.map(|one| one.expect("a case").path()) {
        if case.display().to_string().contains("by_sections_") {
            let file = std::fs::read_to_string(case.join("migration.sql")).expect("a file");
            let whole = format!("```sql\n{}\n```", file.trim_end());
            assert!(page.contains(&whole), "docs/by-sections.md does not hold {}", case.display());
            count += 1;
        }
    }
    assert_eq!(page.matches("\nThe file:\n").count(), count, "a recipe that is not tested");
}

#[test]
fn every_variable_is_in_the_readme_or_the_docs() {
    let page = std::fs::read_to_string(root().join("docs/configuration.md")).expect("the page");
    for variable in zdmig::config::VARIABLES {
        assert!(page.contains(variable.name), "docs/configuration.md lacks {}", variable.name);
    }
}

#[test]
fn every_failure_elsewhere_has_a_test_that_is_there() {
    let page = std::fs::read_to_string(root().join("docs/failures-elsewhere.md")).expect("it");
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let tests = line.trim_end_matches('|').rsplit('|').next().expect("a last column");
        let named: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {line}");
        rows += 1;
        for name in named {
            let there = match name.rsplit_once("::") {
                _ if name.starts_with("just ") => true,
                Some((module, test)) => {
                    let (of_tests, of_sources) =
                        (format!("tests/it/{module}.rs"), module.replace("::", "/"));
                    let text = std::fs::read_to_string(root().join(of_tests)).unwrap_or_default();
                    text.contains(&format!("fn {test}("))
                        || root().join(format!("src/{of_sources}/{test}.rs")).exists()
                }
                None => root().join("tests/cases/postgres").join(name).is_dir(),
            };
            assert!(there, "{name} is not there: {line}");
        }
    }
    assert!(rows > 40, "{rows} rows");
}
