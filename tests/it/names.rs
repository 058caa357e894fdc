//! Names with quotes, spaces, capitals, dots, 63 bytes and letters of other alphabets.

use crate::support::{Database, OPEN_GATE, Project};

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Table, old column, new column.
fn odd() -> Vec<(String, String, String)> {
    let long = |c: &str| c.repeat(63);
    [
        ("User Data".to_owned(), "Full Name".to_owned(), "E-Mail \"x\"".to_owned()),
        ("weird\"table".to_owned(), "select".to_owned(), "from".to_owned()),
        (long("t"), long("o"), long("n")),
        ("größe".to_owned(), "имя".to_owned(), "電子メール".to_owned()),
        ("with.dot".to_owned(), "a.b".to_owned(), "c'd\\e".to_owned()),
        ("UPPER".to_owned(), "Mixed".to_owned(), "mixed".to_owned()),
    ]
    .into_iter()
    .collect()
}

async fn survive(product: &str) {
    for (table, old, new) in odd() {
        // Where names differ only in case they are the same name.
        if product == "sqlite" && old.to_lowercase() == new.to_lowercase() {
            continue;
        }
        let database = Database::of(product, "names").await;
        let (t, o, n) = (quoted(&table), quoted(&old), quoted(&new));
        let schema = format!(
            "CREATE TABLE {t} (id INTEGER PRIMARY KEY, {o} VARCHAR(40) NOT NULL DEFAULT 'it''s'); \
             CREATE INDEX {} ON {t} ({o}); INSERT INTO {t} (id, {o}) VALUES (1, 'a'), (2, 'b');",
            quoted(&format!("ix {}", &old.chars().take(20).collect::<String>()))
        );
        let rename = format!("ALTER TABLE {t} RENAME COLUMN {o} TO {n};");
        database.script(&schema).await;
        let plain = Database::of(product, "names_plain").await;
        plain.script(&format!("{schema} {rename}")).await;
        let project = Project::new(&database).migration("1_odd", &rename).config(OPEN_GATE);
        let before = database.catalog().await;
        project.run("expand").done();
        project.run("rollback").done();
        assert_eq!(database.catalog().await, before, "{table}");
        for verb in ["expand", "backfill", "contract", "status"] {
            project.run(verb).done();
        }
        assert_eq!(database.catalog().await.tables, plain.catalog().await.tables, "{table}");
        let rows =
            database.client().await.rows(&format!("SELECT {n} FROM {t} ORDER BY id"), &[]).await;
        let rows: Vec<_> = rows.expect("rows").into_iter().flatten().flatten().collect();
        assert_eq!(rows, ["a", "b"], "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    survive("postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    survive("sqlite").await;
}
