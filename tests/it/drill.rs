//! The drills of `examples/shop` at a small size: a deploy under load from expand to purge, with a way back from
//! every state, and the control, which must fail. Times are shown and not judged here; `just drill` judges them.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{server, without};

/// Runs a drill with what was built for the tests.
fn drill(name: &str, arguments: &[&str]) -> Option<Output> {
    if without("load") {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bin = Path::new(env!("CARGO_BIN_EXE_zdmig")).parent().expect("a folder");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bin", "zdmig", "--examples"])
        .current_dir(root)
        .status();
    assert!(built.expect("cargo runs").success());
    let output = Command::new(root.join("examples/shop").join(name))
        .args(["--users", "20000", "--hold", "1", "--drain", "0.5"])
        .args(arguments)
        .env("SHOP_BIN", bin)
        .env("SHOP_RESTORE_MS", "60000")
        .env("ZDMIG_TEST_POSTGRES_URL", server())
        .output();
    Some(output.expect("it starts"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn nothing_is_lost(name: &str, ways_back: &[&str]) {
    let Some(output) = drill(name, &[]) else { return };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let words = [
        "0 of 5xx, 0 others",
        "; 0 requests unanswered",
        " 0 lost; 0 answers",
        "and is named",
        "% filled |",
        "\npassed",
    ];
    for words in words {
        assert!(said.contains(words), "no `{words}` in:\n{said}");
    }
    for state in ways_back {
        assert!(said.contains(&format!("| {state} |")), "no way back from `{state}` in:\n{said}");
    }
}

#[test]
fn a_blue_green_deploy_loses_nothing() {
    let states = [
        "expanded",
        "filled",
        "switched",
        "contracted: the column is back",
        "contracted: all the way",
    ];
    nothing_is_lost("blue-green", &states);
}

#[test]
fn a_rolling_deploy_loses_nothing() {
    let states = [
        "expanded",
        "filled",
        "one of three replaced",
        "switched",
        "contracted: the column is back",
        "contracted: all the way",
    ];
    nothing_is_lost("rolling", &states);
}

/// The other control: writes that are lost are found, at once and in the end.
#[test]
fn columns_that_do_not_follow_each_other_fail_the_drill() {
    let Some(output) = drill("blue-green", &["--sabotage"]) else { return };
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["acknowledged writes lost", "answers that were not what had been acknowledged"] {
        assert!(
            said.contains(&format!(" {words}")) && said.contains("FAILED: "),
            "no `{words}` in:\n{said}"
        );
    }
    assert!(said.contains("0 of 5xx"), "{said}");
}

/// The control: errors are found.
#[test]
fn a_rename_at_once_fails_the_drill() {
    let Some(output) = drill("rolling", &["--naive"]) else { return };
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILED: ") && said.contains("answers of 5xx"), "{said}");
    assert!(said.contains("column \"username\" does not exist"), "{said}");
}
