//! The statements of a fill and of its proof.

use super::lower::{asks, reader, step};
use super::quote;
use super::sync::{expression, key_name};
use crate::plan::{
    Assignment, Expect, FillRows, Held, Lowered, Pending, Transaction, Undo, Verify, VerifyRule,
};
use crate::sql::TableName;

fn differs(one: &Assignment) -> String {
    let value = expression(&one.value);
    format!("{} IS NOT {value} COLLATE BINARY", quote::ident(&one.column))
}

pub(super) fn pending(fill: &FillRows) -> Option<String> {
    let one = |one: &Assignment| match &fill.pending {
        Pending::Differs => Some(differs(one)),
        Pending::Null(_) => Some(format!("{} IS NULL", quote::ident(&one.column))),
        Pending::Where(_) => None,
    };
    let mut parts: Vec<_> = fill.set.iter().filter_map(one).collect();
    if parts.len() > 1 {
        parts = vec![format!("({})", parts.join(" OR "))];
    }
    if let Pending::Null(Some(sql)) | Pending::Where(Some(sql)) = &fill.pending {
        parts.push(format!("({sql})"));
    }
    (!parts.is_empty()).then(|| parts.join(" AND "))
}

/// The key as a row value, and its parameters from `?first` on.
fn key(fill: &FillRows, first: usize) -> (String, String) {
    let names: Vec<_> = fill.key.iter().map(|(name, _)| key_name(name)).collect();
    let values: Vec<_> = (0..names.len()).map(|at| format!("?{}", first + at)).collect();
    match names.as_slice() {
        [one] => (one.clone(), values.concat()),
        _ => (format!("({})", names.join(", ")), format!("({})", values.join(", "))),
    }
}

/// The query that finds where a chunk ends. Parameters: the last key, where there is one,
/// then n - 1.
pub(super) fn chunk_end(fill: &FillRows, first_chunk: bool) -> String {
    let names: Vec<_> = fill.key.iter().map(|(name, _)| key_name(name)).collect();
    let shown: Vec<_> = names.iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
    let (columns, values) = key(fill, 1);
    let after = if first_chunk { String::new() } else { format!(" WHERE {columns} > {values}") };
    let n = if first_chunk { 1 } else { fill.key.len() + 1 };
    format!(
        "SELECT {} FROM {}{after} ORDER BY {} LIMIT 1 OFFSET ?{n}",
        shown.join(", "),
        quote::ident(&fill.table.name),
        names.join(", ")
    )
}

/// The statement that fills a chunk. Parameters as on every dialect: the last key of the
/// chunk before, where there is one, then the last of this one, where it is not the last.
pub(super) fn chunk_update(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> String {
    let mut conditions = bounds(fill, first_chunk, last_chunk);
    conditions.extend(pending(fill));
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let table = quote::ident(&fill.table.name);
    format!("UPDATE {table} SET {}{condition}", set(fill))
}

fn set(fill: &FillRows) -> String {
    let set: Vec<_> = fill
        .set
        .iter()
        .map(|one| format!("{} = {}", quote::ident(&one.column), expression(&one.value)))
        .collect();
    set.join(", ")
}

/// The bounds of a chunk.
fn bounds(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> Vec<String> {
    let mut conditions = Vec::new();
    if !first_chunk {
        let (names, values) = key(fill, 1);
        conditions.push(format!("{names} > {values}"));
    }
    if !last_chunk {
        let (names, values) = key(fill, if first_chunk { 1 } else { fill.key.len() + 1 });
        conditions.push(format!("{names} <= {values}"));
    }
    conditions
}

fn range(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> String {
    let bounds = bounds(fill, first_chunk, last_chunk);
    if bounds.is_empty() { "true".into() } else { bounds.join(" AND ") }
}

/// The keys of a chunk. Parameters as of [`chunk_update`].
pub(super) fn chunk_keys(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> String {
    let range = range(fill, first_chunk, last_chunk);
    let shown: Vec<_> =
        fill.key.iter().map(|(name, _)| format!("CAST({} AS TEXT)", key_name(name))).collect();
    let table = quote::ident(&fill.table.name);
    format!("SELECT {} FROM {table} WHERE {range}", shown.join(", "))
}

/// The statement that fills one row. Parameters: its key.
pub(super) fn row_update(fill: &FillRows) -> String {
    let (names, values) = key(fill, 1);
    let still = pending(fill).map(|one| format!(" AND {one}")).unwrap_or_default();
    let table = quote::ident(&fill.table.name);
    format!("UPDATE {table} SET {} WHERE {names} = {values}{still}", set(fill))
}

pub(super) fn backfill(fill: &FillRows) -> Lowered {
    let mut lowered = step(
        vec![chunk_update(fill, false, false)],
        Held::PerChunk,
        asks(String::new(), Expect::Journal),
        Undo::Nothing,
    );
    lowered.transaction = Transaction::PerChunk;
    lowered.note = Some(
        "in chunks along the key; each commits with its watermark, and leaves the writer's \
         lock to others before the next"
            .into(),
    );
    lowered
}

/// The query that looks at a chunk: how many rows there are, and how many break the rule. Parameters
/// as of [`chunk_update`].
pub(super) fn chunk_proved(fill: &FillRows, rule: &VerifyRule, first: bool, last: bool) -> String {
    let (range, table) = (range(fill, first, last), quote::ident(&fill.table.name));
    let wrong = breaks(rule, &fill.table);
    format!("SELECT count(*), count(*) FILTER (WHERE {wrong}) FROM {table} WHERE {range}")
}

/// Whether a row breaks a rule.
fn breaks(rule: &VerifyRule, table: &TableName) -> String {
    let table = quote::ident(&table.name);
    match rule {
        VerifyRule::Equal(one) => differs(one),
        VerifyRule::Filled(one, condition) => {
            let also = condition.as_ref().map(|sql| format!(" AND ({sql})")).unwrap_or_default();
            let value = expression(&one.value);
            format!("{} IS NULL AND {value} IS NOT NULL{also}", quote::ident(&one.column))
        }
        VerifyRule::NotNull(column) => format!("{} IS NULL", quote::ident(column)),
        VerifyRule::Holds(condition) => format!("NOT ({condition})"),
        // Nothing is asked so here; what it would compute is computed in its turn.
        VerifyRule::Computes { .. } => "false".to_owned(),
        VerifyRule::Converts(one, condition) => {
            let also = condition.as_ref().map(|sql| format!("({sql}) AND ")).unwrap_or_default();
            format!("{also}length({}) < 0", expression(&one.value))
        }
        VerifyRule::Refers { columns, table: other, keys } => {
            let own = |column| format!("{table}.{}", quote::ident(column));
            let given: Vec<_> =
                columns.iter().map(|column| format!("{} IS NOT NULL", own(column))).collect();
            let same: Vec<_> = columns
                .iter()
                .zip(keys)
                .map(|(column, key)| format!("there.{} = {}", quote::ident(key), own(column)))
                .collect();
            format!(
                "{} AND NOT EXISTS (SELECT 1 FROM {} AS there WHERE {})",
                given.join(" AND "),
                quote::ident(&other.name),
                same.join(" AND ")
            )
        }
        // That is asked of the whole table.
        VerifyRule::Distinct(_) => "false".to_owned(),
    }
}

pub(super) fn verify(one: &Verify) -> Lowered {
    let table = quote::ident(&one.table.name);
    if let VerifyRule::Distinct(columns) = &one.rule {
        let names: Vec<_> = columns.iter().map(quote::ident).collect();
        let given: Vec<_> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        return verified(format!(
            "SELECT count(*) || ' values occur more than once' FROM (SELECT 1 FROM {table} \
             WHERE {} GROUP BY {} HAVING count(*) > 1) HAVING count(*) > 0",
            given.join(" AND "),
            names.join(", ")
        ));
    }
    let wrong = breaks(&one.rule, &one.table);
    verified(format!(
        "SELECT count(*) || CASE count(*) WHEN 1 THEN ' row' ELSE ' rows' END FROM {table} \
         WHERE {wrong} HAVING count(*) > 0"
    ))
}

fn verified(sql: String) -> Lowered {
    let mut lowered =
        step(Vec::new(), Held::WhileScanning, asks(sql, Expect::NoRows), Undo::Nothing);
    lowered.locks = vec![reader()];
    lowered
}
