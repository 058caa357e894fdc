//! The author's statements.

use squawk_syntax::SourceFile;

use super::{asks, locks, quote, regclass, run, step, undo};
use crate::catalog::Catalog;
use crate::dialect::Unsupported;
use crate::dialect::postgres::words::{Walk, Words};
use crate::plan::{Expect, Lowered, Seeds, Undo, Verbatim};

pub(super) fn lower(one: &Verbatim, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let outside = |sql: &crate::sql::Sql| {
        let text = sql.as_str().to_uppercase();
        let words: Vec<_> = text.split_whitespace().take(5).collect();
        match words.first() {
            Some(&"VACUUM") => true,
            Some(&("CREATE" | "DROP" | "REINDEX")) => words.contains(&"CONCURRENTLY"),
            Some(&"ALTER") => text.contains("DETACH PARTITION") && text.contains("CONCURRENTLY"),
            _ => false,
        }
    };
    if let Some(sql) = one.sql.iter().find(|sql| outside(sql)) {
        let first = sql.as_str().split_whitespace().next().unwrap_or_default().to_uppercase();
        let remedy = match first.as_str() {
            "ALTER" => {
                "write it without CONCURRENTLY: it needs its locks for an instant, and is tried \
                 again until it gets them without keeping anybody waiting"
            }
            "CREATE" | "DROP" => {
                "take it out of the section: CREATE and DROP INDEX are run CONCURRENTLY by \
                 themselves"
            }
            _ => "run it by itself, beside the migrations: it changes nothing of the schema",
        };
        return Err(Unsupported {
            what: format!(
                "this {first} cannot run in a transaction, so that after a crash nobody could \
                 tell how far it came"
            ),
            remedy: remedy.to_owned(),
        });
    }
    if let Some(seeds) = &one.seeds {
        return Ok(seeded(one, seeds, catalog));
    }
    let (landed, undo) = match &one.creates {
        Some(table) => (
            asks(format!("SELECT 1 WHERE {} IS NOT NULL", regclass(table)), Expect::Rows),
            run(format!("DROP TABLE IF EXISTS {}", quote::table(table))),
        ),
        None if one.within_new => (asks(String::new(), Expect::Journal), within(one, catalog)),
        None => (asks(String::new(), Expect::Journal), taken_back(one, catalog)),
    };
    let statements = one.sql.iter().map(|sql| repeatable(sql.as_str()));
    let sql = one.settings.iter().map(ToString::to_string).chain(statements).collect();
    Ok(step(sql, landed, undo))
}

/// An INSERT that notes the rows it inserts, so that they can be taken back.
fn seeded(one: &Verbatim, seeds: &Seeds, catalog: &Catalog) -> Lowered {
    let arguments =
        format!("{}, {}", quote::literal(&seeds.tag), quote::literal(&quote::table(&seeds.table)));
    let noted = one.sql.iter().map(|sql| {
        let insert = sql.as_str().trim_end().trim_end_matches(';');
        format!(
            "WITH zdmig_seed AS (\n{insert}\nRETURNING *)\n\
             SELECT zdmig.note_seed({arguments}, to_jsonb(zdmig_seed)) FROM zdmig_seed"
        )
    });
    let sql = one.settings.iter().map(ToString::to_string).chain(noted).collect();
    let key: Vec<_> = seeds.key.iter().map(|name| quote::literal(name.as_str())).collect();
    let undo =
        format!("SELECT zdmig.take_seeds_back({arguments}, ARRAY[{}]::text[])", key.join(", "));
    let mut lowered = step(sql, asks(String::new(), Expect::Journal), run(undo));
    lowered.locks = locks::of(&one.sql, catalog);
    lowered.note = Some(
        "its rows are noted; a rollback deletes them, but for those that other rows point to"
            .into(),
    );
    lowered
}

/// A value of an enum stays after a rollback, and must not be in the way of the next expand.
fn repeatable(sql: &str) -> String {
    let words = Words::of(&SourceFile::parse(sql).syntax_node());
    let mut walk = Walk::along(&words);
    let adds = walk.takes(&["alter", "type"])
        && walk.name().is_some()
        && walk.takes(&["add", "value"])
        && !walk.sees(&["if"]);
    let upper = sql.to_uppercase();
    let at = upper.find("ADD").and_then(|add| Some(add + upper[add..].find("VALUE")? + 5));
    match at.filter(|_| adds) {
        Some(at) => format!("{} IF NOT EXISTS{}", &sql[..at], &sql[at..]),
        None => sql.to_owned(),
    }
}

/// What is done to a new table goes with it; but what holds on to something else, which may
/// have to go first, lets go of it before.
fn within(one: &Verbatim, catalog: &Catalog) -> Undo {
    const HOLD: [&str; 5] = ["FOREIGN KEY", "REFERENCES", "SET DEFAULT", "TRIGGER", "POLICY"];
    let points = |sql: &crate::sql::Sql| {
        let text = sql.as_str().to_uppercase();
        HOLD.iter().any(|word| text.contains(word))
    };
    match taken_back(one, catalog) {
        undo @ Undo::Run(_) if one.sql.iter().any(points) => undo,
        _ => Undo::Nothing,
    }
}

/// The undo of all its statements, the last one first.
fn taken_back(one: &Verbatim, catalog: &Catalog) -> Undo {
    let mut sql = Vec::new();
    let mut stay = None;
    for statement in one.sql.iter().rev() {
        match undo::of(statement.as_str(), catalog) {
            undo @ (Undo::Run(_) | Undo::Stages { .. }) => sql.extend(undo.statements().cloned()),
            Undo::Nothing => {}
            Undo::Stays(why) => stay = Some(why),
            Undo::Impossible => return Undo::Impossible,
        }
    }
    match (sql.is_empty(), stay) {
        (false, _) => Undo::Run(sql),
        (true, Some(why)) => Undo::Stays(why),
        (true, None) => Undo::Nothing,
    }
}
