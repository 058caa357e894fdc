//! What we write for other programs, held against the schemas that these publish.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cases::{cases, read};
use crate::support::without;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a checker of `scripts/with-tools`; what it complains of fails the test.
#[track_caller]
pub fn checked(program: &str, arguments: &[&str], files: &[PathBuf]) {
    let output = Command::new(program)
        .args(arguments)
        .args(files)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/with-tools installs it"));
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {out}\n{err}");
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
    let schema = "tests/schemas/sarif-2.1.0.json";
    checked("check-jsonschema", &["--schemafile", schema], &files);
    // The schema refuses what is wrong.
    let wrong = folder.path().join("wrong.sarif.json");
    std::fs::write(&wrong, r#"{"version": "2.1.0", "runs": [{"results": []}]}"#).expect("written");
    let refused = std::panic::catch_unwind(|| {
        checked("check-jsonschema", &["--schemafile", schema], &[wrong]);
    });
    assert!(refused.is_err());
}
