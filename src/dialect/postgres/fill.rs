//! The statements of a fill and of its proof.

use super::lower::{asks, step};
use super::{locks, quote, sync};
use crate::catalog::Catalog;
use crate::plan::{
    Assignment, Expect, Expr, FillRows, Lowered, Pending, Transaction, Undo, Verify, VerifyRule,
};
use crate::sql::{Ident, TableName};

/// The expression of a fill, over the table itself.
fn expression(expr: &Expr) -> String {
    match expr {
        Expr::Column(name) => quote::ident(name),
        Expr::Verbatim(sql) => format!("({sql})"),
    }
}

fn differs(one: &Assignment) -> String {
    // As the column would store it: what it rounds away is no difference.
    let value = match &one.value {
        Expr::Column(name) => quote::ident(name),
        Expr::Verbatim(sql) => format!("({sql})::{}", one.type_name),
    };
    let (a, b) = (quote::ident(&one.column), value);
    let [a, b] = sync::compared([&a, &b], &one.type_name, one.collation.as_deref());
    format!("{a} IS DISTINCT FROM {b}")
}

fn pending(fill: &FillRows) -> Option<String> {
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

/// The key as a row value, and its parameters with their types from `$first` on.
fn key(fill: &FillRows, first: usize) -> (String, String) {
    let names: Vec<_> = fill.key.iter().map(|(name, _)| quote::ident(name)).collect();
    let values: Vec<_> = fill
        .key
        .iter()
        .enumerate()
        .map(|(at, (_, type_name))| format!("${}::text::{type_name}", first + at))
        .collect();
    match names.as_slice() {
        [one] => (one.clone(), values.concat()),
        _ => (format!("({})", names.join(", ")), format!("({})", values.join(", "))),
    }
}

/// The query that finds where a chunk ends: the key of the n-th row after the last one.
/// Parameters: the last key, where there is one, then n - 1.
pub(super) fn chunk_end(fill: &FillRows, first_chunk: bool) -> String {
    // Without a name of its own the text would be called like the column, and ORDER BY would
    // sort by the text: the whole table, for every chunk.
    let shown: Vec<_> = fill
        .key
        .iter()
        .enumerate()
        .map(|(at, (name, _))| format!("{}::text AS key_{at}", quote::ident(name)))
        .collect();
    let order: Vec<_> =
        fill.key.iter().map(|(name, _)| format!("walked.{}", quote::ident(name))).collect();
    let (names, values) = key(fill, 1);
    let after = if first_chunk { String::new() } else { format!(" WHERE {names} > {values}") };
    let n = if first_chunk { 1 } else { fill.key.len() + 1 };
    format!(
        "SELECT {} FROM {} AS walked{after} ORDER BY {} OFFSET ${n} LIMIT 1",
        shown.join(", "),
        quote::table(&fill.table),
        order.join(", ")
    )
}

/// The statement that fills a chunk. Parameters: the last key of the chunk before, where
/// there is one, then the last key of this one, where it is not the last chunk.
pub(super) fn chunk_update(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> String {
    let set: Vec<_> = fill
        .set
        .iter()
        .map(|one| format!("{} = {}", quote::ident(&one.column), expression(&one.value)))
        .collect();
    let mut conditions = Vec::new();
    if !first_chunk {
        let (names, values) = key(fill, 1);
        conditions.push(format!("{names} > {values}"));
    }
    if !last_chunk {
        let (names, values) = key(fill, if first_chunk { 1 } else { fill.key.len() + 1 });
        conditions.push(format!("{names} <= {values}"));
    }
    conditions.extend(pending(fill));
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let table = quote::table(&fill.table);
    if fill.deletes() {
        return format!("DELETE FROM {table}{condition}");
    }
    format!("UPDATE {table} SET {}{condition}", set.join(", "))
}

pub(super) fn backfill(fill: &FillRows, catalog: &Catalog) -> Lowered {
    let mut lowered = step(
        vec![chunk_update(fill, false, false)],
        asks(String::new(), Expect::Journal),
        if fill.deletes() {
            Undo::Stays("rows that it deleted are not brought back".into())
        } else {
            Undo::Nothing
        },
    );
    lowered.locks = locks::chunk(&fill.table, catalog);
    lowered.transaction = Transaction::PerChunk;
    lowered.note = Some(
        "in chunks along the key; each commits with its watermark, and goes on where it was \
         after a kill"
            .into(),
    );
    lowered
}

pub(super) fn verify(one: &Verify, catalog: &Catalog) -> Lowered {
    let wrong = match &one.rule {
        VerifyRule::Equal(one) => differs(one),
        VerifyRule::Filled(one, condition) => {
            let also = condition.as_ref().map(|sql| format!(" AND ({sql})")).unwrap_or_default();
            let value = expression(&one.value);
            format!("{} IS NULL AND {value} IS NOT NULL{also}", quote::ident(&one.column))
        }
        VerifyRule::NotNull(column) => format!("{} IS NULL", quote::ident(column)),
        VerifyRule::Holds(condition) => format!("NOT ({condition})"),
        // Never true, and computed for every row all the same.
        VerifyRule::Converts(one, condition) => {
            let value = format!("octet_length(({})::text) < 0", expression(&one.value));
            match condition {
                // A row that is not meant must not be computed at all.
                Some(sql) => format!("({sql}) AND CASE WHEN ({sql}) THEN {value} END"),
                None => value,
            }
        }
        VerifyRule::Refers { columns, table, keys } => refers_to_nothing(one, columns, table, keys),
        VerifyRule::Distinct(_) | VerifyRule::Computes { .. } => String::new(),
    };
    let table = quote::table(&one.table);
    let sql = match &one.rule {
        VerifyRule::Distinct(columns) => {
            let names: Vec<_> = columns.iter().map(quote::ident).collect();
            let given: Vec<_> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
            format!(
                "SELECT count(*)::text || ' values occur more than once' FROM (SELECT 1 FROM \
                 {table} WHERE {} GROUP BY {} HAVING count(*) > 1) AS d HAVING count(*) > 0",
                given.join(" AND "),
                names.join(", ")
            )
        }
        // Never true, and computed to the end all the same; OFFSET keeps the query in one piece.
        VerifyRule::Computes { query, columns, given } => {
            let names: Vec<_> = columns.iter().map(quote::ident).collect();
            let names =
                if names.is_empty() { names.concat() } else { format!("({})", names.join(", ")) };
            let missing: Vec<_> =
                given.iter().map(|name| format!(" OR {} IS NULL", quote::ident(name))).collect();
            format!(
                "SELECT count(*)::text || CASE count(*) WHEN 1 THEN ' row' ELSE ' rows' END FROM \
                 (SELECT * FROM ({query}) AS q{names} OFFSET 0) AS found WHERE \
                 octet_length(found::text) < 0{} HAVING count(*) > 0",
                missing.concat()
            )
        }
        _ => format!(
            "SELECT count(*)::text || CASE count(*) WHEN 1 THEN ' row' ELSE ' rows' END \
             FROM {table} WHERE {wrong} HAVING count(*) > 0"
        ),
    };
    let mut lowered = step(Vec::new(), asks(sql, Expect::NoRows), Undo::Nothing);
    lowered.locks = locks::scan(&one.table, catalog);
    if let VerifyRule::Refers { table, .. } = &one.rule
        && *table != one.table
    {
        lowered.locks.extend(locks::scan(table, catalog));
    }
    lowered
}

/// Rows whose columns point to no row of another table.
fn refers_to_nothing(one: &Verify, columns: &[Ident], table: &TableName, keys: &[Ident]) -> String {
    let own = |column: &Ident| format!("{}.{}", quote::table(&one.table), quote::ident(column));
    let given: Vec<_> =
        columns.iter().map(|column| format!("{} IS NOT NULL", own(column))).collect();
    let same: Vec<_> = columns
        .iter()
        .zip(keys)
        .map(|(column, key)| format!("there.{} = {}", quote::ident(key), own(column)))
        .collect();
    format!(
        "{} AND NOT EXISTS (SELECT FROM {} AS there WHERE {})",
        given.join(" AND "),
        quote::table(table),
        same.join(" AND ")
    )
}
