//! The docs: what is rendered from the code is up to date, and what they tell to type works.

use std::path::{Path, PathBuf};

use crate::support::{Database, Project};

fn page(name: &str) -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let text = std::fs::read_to_string(&path).expect("a page");
    (path, text)
}

/// A page with what the code says between its marks.
fn rendered(text: &str, name: &str, with: &str) -> String {
    let mark = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&mark).expect("a mark");
    let (_, after) = rest.split_once("<!-- end -->\n").expect("its end");
    format!("{before}{mark}{with}<!-- end -->\n{after}")
}

/// `ZDMIG_BLESS=1` writes them.
#[test]
fn what_is_rendered_from_the_code_is_up_to_date() {
    for (name, parts) in [
        (
            "docs/configuration.md",
            vec![
                ("settings", zdmig::config::render_settings()),
                ("variables", zdmig::config::render_variables()),
            ],
        ),
        ("docs/exit-codes.md", vec![("exit codes", zdmig::cli::render_exit_codes())]),
    ] {
        let (path, text) = page(name);
        let mut now = text.clone();
        for (name, with) in parts {
            now = rendered(&now, name, &with);
        }
        if std::env::var_os("ZDMIG_BLESS").is_some() {
            std::fs::write(path, now).expect("written");
        } else {
            assert!(now == text, "{name} is not what the code says: ZDMIG_BLESS=1");
        }
    }
}

/// Every name in the example of a configuration file means something.
#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_in_the_docs_is_one() {
    let (_, text) = page("docs/configuration.md");
    let blocks = text.split("```toml\n").skip(1);
    let blocks: Vec<_> = blocks.map(|rest| rest.split("```").next().expect("an end")).collect();
    // What stands at the top of a file comes first.
    let top: String = blocks.concat();
    let database = Database::sqlite().await;
    let project = Project::new(&database).config(&top);
    let ran = project.run("status -v");
    assert!(!ran.err.contains("is no setting"), "{}", ran.err);
    ran.done().says(&["check_after", "20261123090000_add_email", "free_disk"]);
    let typo = Project::new(&database).config("soka = \"0s\"\n[env.staging]\nenvs = 1\n");
    typo.run("status").done().says(&["`soka`", "`env.staging.envs`", "is no setting"]);
}

/// A piece of a page that is run.
struct Block {
    line: usize,
    script: String,
    ends_with: i32,
}

/// What a page tells to type, in its order: blocks of `sh` that are not marked as `not run`, and
/// what a page needs before, in a comment that begins with `first:`.
fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let (mut skip, mut ends_with) = (false, 0);
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim();
        let until = |end: &str, lines: &mut dyn Iterator<Item = (usize, &str)>| -> String {
            let inner = lines.map(|(_, line)| line).take_while(|line| line.trim() != end);
            inner.collect::<Vec<_>>().join("\n")
        };
        if line.starts_with("<!-- not run: ") {
            skip = true;
        } else if let Some(rest) = line.strip_prefix("<!-- ends with ") {
            ends_with = rest.trim_end_matches(" -->").parse().expect("a code");
        } else if line == "<!-- first:" {
            let script = until("-->", &mut lines);
            found.push(Block { line: at + 1, script, ends_with: 0 });
        } else if line == "```sh" {
            let script = until("```", &mut lines);
            if !std::mem::take(&mut skip) {
                found.push(Block {
                    line: at + 1,
                    script,
                    ends_with: std::mem::take(&mut ends_with),
                });
            }
        }
    }
    found
}

fn pages() -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let entries = std::fs::read_dir(docs).expect("a folder").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| format!("docs/{}", entry.file_name().to_string_lossy()));
    let mut pages: Vec<_> = names.collect();
    pages.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "md"));
    pages.extend(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(ToOwned::to_owned));
    pages.sort();
    pages
}

/// Every command that a page tells to type is typed, in a project and on a database of its own.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_docs_tell_to_type_works() {
    let (mut count, mut wrong) = (0, Vec::new());
    for name in pages() {
        let (_, text) = page(&name);
        let blocks = blocks(&text);
        count += blocks.len();
        if blocks.is_empty() {
            continue;
        }
        let database = Database::postgres("docs").await;
        let project = Project::new(&database);
        std::fs::remove_dir(project.path("migrations")).expect("empty");
        for block in blocks {
            let output = crate::deploy::with_zdmig(&project, "bash")
                .args(["-euo", "pipefail", "-c", &block.script])
                .output()
                .expect("it starts");
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let place = format!("{name}:{}", block.line);
            if output.status.code() != Some(block.ends_with) {
                wrong.push(format!("{place}: {}\n{}\n{said}", output.status, block.script));
                break;
            }
        }
    }
    assert!(count >= 20, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The verb of a command line, its own verbs too, and its flags.
fn taken_apart(line: &str) -> (Vec<String>, Vec<String>) {
    let words: Vec<_> = line
        .split_whitespace()
        .take_while(|word| !["&&", "||", "|", ">", "#"].contains(word))
        .collect();
    let nested = ["deploy", "release", "usage", "observe"];
    let depth = words.first().map_or(0, |verb| if nested.contains(verb) { 2 } else { 1 });
    let verb = words.iter().take(depth).map(|word| (*word).to_owned()).collect();
    let flags = words.iter().filter(|word| word.starts_with("--"));
    let flag = |word: &&str| word.split(['=', ',', '`', ')']).next().unwrap_or_default().to_owned();
    (verb, flags.map(flag).collect())
}

/// Every `zdmig …` that a page names, in a sentence or in a block, has a verb and flags that there
/// are.
#[test]
fn every_command_in_the_docs_is_one() {
    let project = Project::at("sqlite://none.db");
    let mut helps = std::collections::BTreeMap::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for name in pages() {
        let (_, text) = page(&name);
        let inline = text.split('`').filter(|piece| !piece.contains('\n'));
        let inline = inline.map(|piece| (piece, true));
        let lines = text.lines().map(|line| line.trim_start_matches(['$', '-', ' ']));
        let lines = lines.map(|line| (line.trim_start_matches("run: "), false));
        for (line, quoted) in inline.chain(lines) {
            let Some(line) = line.strip_prefix("zdmig ") else { continue };
            let (verb, flags) = taken_apart(line);
            let verb = verb.join(" ");
            if !verb.starts_with(|c: char| c.is_ascii_lowercase()) || verb.contains(['…', '.', ':'])
            {
                continue;
            }
            let help = helps.entry(verb.clone()).or_insert_with(|| {
                let ran = project.run(&format!("{verb} --help"));
                (ran.code, ran.out)
            });
            // A sentence that begins with our name is no command.
            if help.0 != Some(0) && !quoted && !line.contains("--") {
                continue;
            }
            if help.0 != Some(0) {
                wrong.push(format!("{name}: no verb in `zdmig {line}`"));
            }
            for flag in flags {
                let there =
                    help.1.contains(&format!("{flag} ")) || help.1.contains(&format!("{flag}\n"));
                if !there {
                    wrong.push(format!("{name}: no `{flag}` in `zdmig {line}`"));
                }
            }
            count += 1;
        }
    }
    assert!(count > 150, "{count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
