//! The author's statements.

use super::{asks, quote, regclass, run, step};
use crate::catalog::Catalog;
use crate::dialect::Unsupported;
use crate::plan::{Expect, Lowered, Undo, Verbatim};

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
    let _ = catalog;
    if one.sql.iter().any(outside) {
        return Err(Unsupported {
            what: "a statement that cannot run in a transaction stands in a section, where it \
                   could not be resumed after a crash"
                .into(),
            remedy: "take it out of the section: CREATE and DROP INDEX are run CONCURRENTLY \
                     by themselves"
                .into(),
        });
    }
    let (landed, undo) = match &one.creates {
        Some(table) => (
            asks(format!("SELECT 1 WHERE {} IS NOT NULL", regclass(table)), Expect::Rows),
            run(format!("DROP TABLE IF EXISTS {}", quote::table(table))),
        ),
        None if one.within_new => (asks(String::new(), Expect::Journal), Undo::Nothing),
        None => (asks(String::new(), Expect::Journal), Undo::Impossible),
    };
    let mut lowered =
        step(one.settings.iter().chain(&one.sql).map(ToString::to_string).collect(), landed, undo);
    lowered.note = as_written(one);
    Ok(lowered)
}

/// What a reader must know of a statement that we do not take apart.
fn as_written(one: &Verbatim) -> Option<String> {
    let known = one.creates.is_some() || one.within_new;
    (!known).then(|| "run as written: zdmig does not know what it locks, or for how long".into())
}
