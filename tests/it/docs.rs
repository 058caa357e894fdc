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
