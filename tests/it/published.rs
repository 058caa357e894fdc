//! What we write for other programs, held against the schemas that these publish.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{cases, read};
use crate::support::without;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a checker of `scripts/with-tools`: what it complains of, and nothing where all is well.
pub fn complaints(program: &str, arguments: &[&str], files: &[PathBuf]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .args(files)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/with-tools installs it"));
    if output.status.success() {
        return String::new();
    }
    let said = [output.stdout, output.stderr].concat();
    format!("{}: {}", output.status, String::from_utf8_lossy(&said))
}

#[test]
fn sarif_is_what_its_schema_says() {
    if without("python") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for product in ["postgres", "sqlite"] {
        for (at, case) in cases(product).iter().enumerate() {
            let said = read(case, "check.txt").expect("check.txt");
            let (_, sarif) = said.split_once("== sarif").expect("SARIF");
            let (_, sarif) = sarif.split_once('\n').expect("a line");
            let (sarif, _) = sarif.split_once("\n== ").expect("its end");
            let file = folder.path().join(format!("{product}{at}.sarif.json"));
            std::fs::write(&file, sarif).expect("written");
            files.push(file);
        }
    }
    // One pattern of the schema is no regular expression where these are read with Unicode's rules.
    let by = ["--regex-variant", "nonunicode", "--schemafile", "tests/schemas/sarif-2.1.0.json"];
    assert_eq!(complaints("check-jsonschema", &by, &files), "");
    // The schema refuses what is wrong.
    let wrong = folder.path().join("wrong.sarif.json");
    std::fs::write(&wrong, r#"{"version": "2.1.0", "runs": [{"results": []}]}"#).expect("written");
    let said = complaints("check-jsonschema", &by, &[wrong]);
    assert!(said.contains("'tool' is a required property"), "{said}");
}
