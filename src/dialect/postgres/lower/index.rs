//! Indexes, built and dropped beside writers.

use super::{asks, quote, rewrite, run, step};
use crate::dialect::Unsupported;
use crate::plan::{Clear, Expect, IndexBuild, Lowered, SwappedIndex, Transaction, Undo};
use crate::sql::{Sql, TableName};

fn index_name(index: &IndexBuild) -> String {
    quote::beside(&index.table, &index.name)
}

fn index_definition(index: &IndexBuild) -> Result<String, Unsupported> {
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
    };
    Ok(index_definition(&build)?.replacen(" CONCURRENTLY", "", 1))
}

pub(super) fn build(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    let own = index.definition.as_str().starts_with("CREATE");
    let definition = if own && index.renamed.is_empty() && index.insert_at.is_none() {
        index.definition.to_string()
    } else {
        index_definition(index)?
    };
    let name = index_name(index);
    let drop = Sql::new(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    let landed = asks(
        format!(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass({}) AND indisvalid",
            quote::literal(&name)
        ),
        Expect::Rows,
    );
    let mut lowered = step(vec![definition], landed, Undo::Run(vec![drop]));
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    lowered.note = Some("waits for transactions that are open when it begins".into());
    Ok(lowered)
}

pub(super) fn drop(index: &IndexBuild) -> Result<Lowered, Unsupported> {
    let name = index_name(index);
    if !index.online {
        return Ok(step(
            vec![format!("DROP INDEX {name}")],
            asks(
                format!("SELECT 1 WHERE to_regclass({}) IS NULL", quote::literal(&name)),
                Expect::Rows,
            ),
            run(index.definition.to_string()),
        ));
    }
    let again = index_definition(index)?;
    let mut lowered = step(
        vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}")],
        asks(
            format!("SELECT 1 WHERE to_regclass({}) IS NULL", quote::literal(&name)),
            Expect::Rows,
        ),
        run(again),
    );
    lowered.transaction = Transaction::Forbidden;
    lowered.clear = Some(invalid(&name));
    Ok(lowered)
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
    use crate::sql::Ident;

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
