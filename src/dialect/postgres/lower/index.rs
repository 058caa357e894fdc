//! Indexes, built and dropped beside writers.

use super::constraint::from_under_foreign_keys;
use super::{alter, asks, marks, quote, rewrite, run, step};
use crate::catalog::Catalog;
use crate::dialect::Unsupported;
use crate::dialect::postgres::interpret::object_name;
use crate::plan::{
    Clear, Expect, IndexBuild, JoinIndexes, KeyKind, Lowered, SwappedIndex, Transaction, Undo,
};
use crate::sql::{Ident, Sql, TableName};

fn index_name(index: &IndexBuild) -> String {
    quote::beside(&index.table, &index.name)
}

fn index_definition(index: &IndexBuild) -> Result<String, Unsupported> {
    if index.on_part {
        let definition = index.definition.as_str();
        return rewrite::on_part(definition, &index.name, &index.table).ok_or_else(|| {
            Unsupported {
                what: format!("`{definition}` cannot be read as the index of a partition"),
                remedy: "build the index on each partition with CREATE INDEX CONCURRENTLY, in \
                         statements of its own, and then this one, which joins them"
                    .into(),
            }
        });
    }
    if let Some(at) = index.insert_at {
        let (head, tail) = index.definition.as_str().split_at(at as usize);
        return Ok(format!("{head} CONCURRENTLY{tail}"));
    }
    if let Some(composed) = of_constraint(index) {
        return Ok(composed);
    }
    if !index.definition.as_str().starts_with("CREATE") {
        return Ok(index.definition.to_string());
    }
    rewrite::index(index.definition.as_str(), &index.name, &index.renamed).ok_or_else(|| {
        Unsupported {
            what: format!("the definition of index `{}` cannot be carried over", index.name),
            remedy: "drop the index first and create it again after the change".into(),
        }
    })
}

/// The copy of an index that changed places, as it is built again while nobody else is there.
pub(super) fn whole(table: &TableName, one: &SwappedIndex) -> Result<String, Unsupported> {
    let build = IndexBuild {
        table: table.clone(),
        name: one.working.clone(),
        definition: one.copy.clone(),
        insert_at: None,
        renamed: one.renamed.clone(),
        unique: true,
        online: false,
        on_part: false,
        second: false,
    };
    Ok(index_definition(&build)?.replacen(" CONCURRENTLY", "", 1))
}

pub(super) fn build(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    let own = index.definition.as_str().starts_with("CREATE");
    let as_is = index.renamed.is_empty() && index.insert_at.is_none() && !index.on_part;
    let definition =
        if own && as_is { index.definition.to_string() } else { index_definition(index)? };
    let name = index_name(index);
    let undo = if index.second {
        from_under_foreign_keys(&name, &format!("DROP INDEX IF EXISTS {name}"))
    } else {
        format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")
    };
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND indisvalid",
            quote::literal(&name)
        ),
        Expect::Rows,
    );
    let mut lowered = step(vec![definition], landed, run(undo));
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    lowered.note = Some("waits for transactions that are open when it begins".into());
    Ok(lowered)
}

pub(super) fn drop(index: &IndexBuild, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let name = index_name(index);
    let marks = marks(&index.table, &index.name, catalog);
    let undo = |again: String| Undo::Run([vec![Sql::new(again)], marks].concat());
    if !index.online {
        return Ok(step(
            vec![format!("DROP INDEX {name}")],
            asks(
                format!("SELECT 1 WHERE to_regclass({}) IS NULL", quote::literal(&name)),
                Expect::Rows,
            ),
            undo(index.definition.to_string()),
        ));
    }
    let again = rewrite::moved(index.definition.as_str(), &index.name, &index.table);
    let again = again.map_or_else(|| index_definition(index), Ok)?;
    let mut lowered = step(
        vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")],
        asks(
            format!("SELECT 1 WHERE to_regclass({}) IS NULL", quote::literal(&name)),
            Expect::Rows,
        ),
        undo(again),
    );
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    Ok(lowered)
}

/// The index over all partitions. The server takes those that are there for its parts, and
/// they get the names that it would have given them.
pub(super) fn join(one: &JoinIndexes) -> Lowered {
    let name = quote::beside(&one.table, &one.name);
    let own = quote::ident(&one.name);
    let (statement, label, undo) = match one.key {
        None => (one.definition.to_string(), "idx", format!("DROP INDEX IF EXISTS {name}")),
        Some(kind) => (
            format!("{} ADD CONSTRAINT {own} {}", alter(&one.table), one.definition),
            if kind == KeyKind::Primary { "pkey" } else { "key" },
            format!("{} DROP CONSTRAINT IF EXISTS {own}", alter(&one.table)),
        ),
    };
    let mut sql = vec![statement];
    for (part, working) in &one.parts {
        sql.push(named(part, working, &one.shown, label));
    }
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND indisvalid",
            quote::literal(&name)
        ),
        Expect::Rows,
    );
    let mut lowered = step(sql, landed, run(undo));
    lowered.note = Some(
        "no scan: the indexes that were built on each partition become its parts; a partition \
         that has appeared since is indexed here"
            .into(),
    );
    lowered
}

/// The index of a partition gets the name that the server would give it: the first one that is
/// free by then. A partition may be gone by then, and its index with it.
fn named(part: &TableName, working: &Ident, shown: &str, label: &str) -> String {
    const TRIES: u32 = 20;
    let names = (0..TRIES).map(|number| {
        let label = if number == 0 { label.to_owned() } else { format!("{label}{number}") };
        quote::literal(object_name(&part.name, shown, &label).as_str())
    });
    let names: Vec<_> = names.collect();
    let schema = part.schema.as_ref().map(Ident::as_str).unwrap_or_default();
    let index = quote::literal(&quote::beside(part, working));
    let body = format!(
        "DECLARE free text; BEGIN\n  SELECT name INTO free FROM unnest(ARRAY[{}]) WITH ORDINALITY AS \
         names (name, at)\n    WHERE to_regclass(format('%I.%I', {}, name)) IS NULL ORDER BY at LIMIT \
         1;\n  IF to_regclass({index}) IS NOT NULL AND free IS NOT NULL THEN\n    EXECUTE format('ALTER \
         INDEX %s RENAME TO %I', {index}, free);\n  END IF;\nEND ",
        names.join(", "),
        quote::literal(schema),
    );
    format!("DO {}", quote::dollar(&body))
}

/// An index that an interrupted build left: it is never used, and costs every write.
fn invalid(name: &str) -> Clear {
    let left = format!(
        "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND NOT indisvalid",
        quote::literal(name)
    );
    let drop = format!("DROP INDEX CONCURRENTLY IF EXISTS {name}");
    Clear { when: asks(left, Expect::Rows), sql: vec![Sql::new(drop)] }
}

/// The index under a `UNIQUE (…)` or `PRIMARY KEY (…)`; what follows the index's own clauses
/// belongs to the constraint.
fn of_constraint(index: &IndexBuild) -> Option<String> {
    let clause = index.definition.as_str();
    let upper = clause.to_uppercase();
    if !upper.starts_with("UNIQUE") && !upper.starts_with("PRIMARY") {
        return None;
    }
    let list = clause.find('(')?;
    let end = ["NOT DEFERRABLE", "DEFERRABLE", "INITIALLY", "USING INDEX TABLESPACE"]
        .iter()
        .filter_map(|word| upper.find(word))
        .min()
        .unwrap_or(clause.len());
    // NULLS NOT DISTINCT stands before the columns of a constraint and behind those of an index.
    let nulls = if upper[..list].contains("NOT DISTINCT") { " NULLS NOT DISTINCT" } else { "" };
    let tail = clause[list..end].trim_end();
    let close = tail.find(')')? + 1;
    let (columns, rest) = tail.split_at(close);
    let (include, with) = match rest.to_uppercase().find("WITH") {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let space = if with.is_empty() { "" } else { " " };
    Some(format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {} ON {} {columns}{}{nulls}{space}{with}",
        quote::ident(&index.name),
        quote::table(&index.table),
        include.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_put_together_from_a_constraint() {
        let of = |clause: &str| {
            of_constraint(&IndexBuild {
                table: TableName::new(Some("s"), "t"),
                name: Ident::new("k"),
                definition: Sql::new(clause),
                insert_at: None,
                renamed: Vec::new(),
                unique: true,
                online: true,
                on_part: false,
                second: false,
            })
            .unwrap_or_default()
        };
        let head = "CREATE UNIQUE INDEX CONCURRENTLY \"k\" ON \"s\".\"t\"";
        assert_eq!(of("PRIMARY KEY (a, b)"), format!("{head} (a, b)"));
        assert_eq!(
            of("unique nulls not distinct (a) INCLUDE (c) WITH (fillfactor=70) DEFERRABLE"),
            format!("{head} (a) INCLUDE (c) NULLS NOT DISTINCT WITH (fillfactor=70)")
        );
    }
}
