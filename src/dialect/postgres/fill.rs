//! The statements of a fill and of its proof.

use super::lower::{asks, step};
use super::{locks, quote, sync};
use crate::catalog::{Catalog, Index, Table, TableKind};
use crate::plan::{
    Analyze, Assignment, CopyRows, Expect, Expr, FillRows, Held, Lock, Lowered, Pending,
    Transaction, Undo, Verify, VerifyRule, Walk,
};
use crate::sql::{Ident, TableName, mentions};

/// How many passes go over each window of a table. A pass leaves room on each page for the next
/// one, as soon as what it replaced is dead to everybody; the first finds none and moves its
/// share elsewhere. Measured: 9 passes keep 80 % of the new versions on their pages, and 12 keep
/// 82 %. A first pass that takes more than the others, to make more room, splits the pages of
/// indexes before anything on them is dead.
const PASSES: u32 = 12;

/// How a fill gets over a table: by its pages, in passes where that lets new versions of rows
/// stay on their pages, because no index holds a column that is set.
pub(super) fn walk(catalog: &Catalog, table: &Table, columns: &[Ident]) -> Walk {
    // Ranges of pages are scanned as such since that version; of a vague table nothing is known.
    if !catalog.server.at_least(14, 0) || table.kind == TableKind::View || table.vague {
        return Walk::Key;
    }
    match index_of(table, columns) {
        Some(_) => Walk::Pages { passes: 1 },
        None => Walk::Pages { passes: PASSES },
    }
}

/// An index that holds one of the columns.
fn index_of<'a>(table: &'a Table, columns: &[Ident]) -> Option<&'a Ident> {
    let holds = |one: &&Index| {
        columns.iter().any(|column| {
            one.columns.contains(column) || mentions(&one.definition, column.as_str())
        })
    };
    table.indexes.iter().find(holds).map(|one| &one.name)
}

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
    if let (Pending::Null(_), Walk::Pages { .. }) = (&fill.pending, fill.walk) {
        // A row that is done must not look as if it were not: it may be met again elsewhere.
        let values = fill.set.iter().map(|one| format!("{} IS NOT NULL", expression(&one.value)));
        parts.extend(values);
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

pub(super) fn set(fill: &FillRows) -> String {
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

/// The statement that fills a chunk. Parameters: the last key of the chunk before, where
/// there is one, then the last key of this one, where it is not the last chunk.
pub(super) fn chunk_update(fill: &FillRows, first_chunk: bool, last_chunk: bool) -> String {
    let mut conditions = bounds(fill, first_chunk, last_chunk);
    conditions.extend(pending(fill));
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let table = quote::table(&fill.table);
    change(fill, &table, &condition)
}

/// What is done to rows of a relation, or from them, for which a condition holds.
pub(super) fn change(fill: &FillRows, relation: &str, condition: &str) -> String {
    match &fill.copy {
        Some(CopyRows { head, tail, .. }) => {
            let tail = tail.as_ref().map(|tail| format!("\n{tail}")).unwrap_or_default();
            format!("{head}\n{}{tail}", condition.trim_start())
        }
        None if fill.deletes() => format!("DELETE FROM {relation}{condition}"),
        None => format!("UPDATE {relation} SET {}{condition}", set(fill)),
    }
}

/// How a chunk meets rows that somebody has locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    /// It waits for them.
    Awaited,
    /// It leaves them out.
    Skipped,
    /// It waits for them, and does each row by itself: one of them fails.
    Singly,
}

/// The statement that fills rows of one relation, within bounds that are one of [`RANGE`] and
/// [`PLACES`].
pub(super) fn rows_update(fill: &FillRows, leaf: &str, bounds: &str, locked: Locked) -> String {
    let pending = pending(fill).map(|one| format!(" AND {one}")).unwrap_or_default();
    let mut condition = format!("{bounds}{pending}");
    if locked == Locked::Skipped {
        let free = format!("SELECT ctid FROM ONLY {leaf} WHERE {condition} FOR UPDATE SKIP LOCKED");
        condition = format!("ctid = ANY (ARRAY({free})){pending}");
    }
    format!("UPDATE ONLY {leaf} SET {} WHERE {condition}", set(fill))
}

/// Parameters: the first place of a range of pages, and the first one behind it.
pub(super) const RANGE: &str = "ctid >= $1::text::tid AND ctid < $2::text::tid";
/// The parameter: the places of rows.
pub(super) const PLACES: &str = "ctid = ANY ($1)";

/// The query that looks up where rows of a range of pages are to be filled.
pub(super) fn places(fill: &FillRows, leaf: &str, all: bool) -> String {
    let pending = if all { None } else { pending(fill) };
    let pending = pending.map(|one| format!(" AND {one}")).unwrap_or_default();
    format!("SELECT coalesce(array_agg(ctid), '{{}}') FROM ONLY {leaf} WHERE {RANGE}{pending}")
}

/// The query that looks at one row of each of some pages, which makes the server clear away what was
/// replaced there. Parameters from `first` on: the first place of each page, and the second.
pub(super) fn look_at(leaf: &str, first: u32) -> String {
    let second = first + 1;
    format!(
        "SELECT count(*) AS pages FROM unnest(${first}, ${second}) AS p (a, b)
           LEFT JOIN LATERAL (
                SELECT FROM ONLY {leaf} WHERE ctid >= p.a AND ctid < p.b OFFSET 0) AS r ON true"
    )
}

/// A whole chunk in one statement, which is a transaction by itself: the lease is looked at, the pages
/// are looked at, so that the server makes room on them, the rows are filled, and the watermark is moved.
/// Parameters: the places; the first place of each page, and the second; step, number and token of the
/// part, the pass and the page it is at, the length of the lease in seconds, the relation, and how
/// the migration's steps begin.
pub(super) fn places_chunk(fill: &FillRows, leaf: &str) -> String {
    let pending = pending(fill).map(|one| format!(" AND {one}")).unwrap_or_default();
    format!(
        "WITH mine AS (SELECT FROM zdmig.part WHERE step = $4 AND no = $5 AND token = $6 FOR UPDATE),
              room AS MATERIALIZED ({room}),
              filled AS (UPDATE ONLY {leaf} SET {set}
                          WHERE {PLACES}{pending} AND EXISTS (SELECT FROM mine)
                            AND (SELECT pages FROM room) >= 0 RETURNING 1),
              counted AS (SELECT count(*) AS n FROM filled),
              noted AS (UPDATE zdmig.part SET rows = rows + (SELECT n FROM counted), pass = $7,
                               page = $8, lease_until = clock_timestamp() + make_interval(secs => $9)
                         WHERE step = $4 AND no = $5 AND token = $6 RETURNING 1)
         SELECT pg_relation_filenode($10::text::regclass)::bigint,
                pg_stat_get_xact_tuples_updated($10::text::regclass),
                pg_stat_get_xact_tuples_hot_updated($10::text::regclass),
                (SELECT paused_by IS NOT NULL FROM zdmig.steering WHERE prefix = $11),
                (SELECT n FROM counted),
                extract(epoch FROM clock_timestamp() - statement_timestamp())::float8
           FROM noted",
        room = look_at(leaf, 2),
        set = set(fill),
    )
}

pub(super) fn backfill(fill: &FillRows, catalog: &Catalog) -> Lowered {
    let (statement, note) = match fill.walk {
        Walk::Key => {
            let of = fill.copy.as_ref().map(|_| format!(" of `{}`", fill.table));
            let late = fill.copy.as_ref().map_or("", |_| {
                ". Each chunk copies what it finds then: what running code changes behind it is not \
                 copied again"
            });
            let note = format!(
                "in chunks along the key{}; each commits with its watermark, and goes on where it \
                 was after a kill{late}",
                of.unwrap_or_default()
            );
            (chunk_update(fill, false, false), note)
        }
        Walk::Pages { passes } => {
            let leaf = quote::table(&fill.table);
            (rows_update(fill, &leaf, PLACES, Locked::Awaited), by_pages(fill, passes, catalog))
        }
    };
    let mut lowered = step(
        vec![statement],
        asks(String::new(), Expect::Journal),
        match &fill.copy {
            Some(copy) => Undo::Stays(format!(
                "rows that it copied stay in `{}`, unless that goes, and a new backfill copies them \
                 again",
                copy.into
            )),
            None if fill.deletes() => {
                Undo::Stays("rows that it deleted are not brought back".into())
            }
            None => Undo::Nothing,
        },
    );
    lowered.locks = if fill.copy.is_some() {
        let told = locks::of(&lowered.sql, catalog).into_iter();
        told.map(|lock| Lock { held: Held::PerChunk, ..lock }).collect()
    } else {
        locks::chunk(&fill.table, catalog)
    };
    lowered.transaction = Transaction::PerChunk;
    lowered.note = Some(note);
    lowered
}

/// Until somebody looks at them the server plans queries on new values blindly, and whoever is to
/// look on its own does it when a tenth of the table has changed, and there is time.
pub(super) fn analyze(one: &Analyze) -> Lowered {
    let columns: Vec<_> = one.columns.iter().map(quote::ident).collect();
    let of = if columns.is_empty() { String::new() } else { format!(" ({})", columns.join(", ")) };
    let sql = format!("ANALYZE {}{of}", quote::table(&one.table));
    step(vec![sql], asks(String::new(), Expect::Journal), Undo::Nothing)
}

/// Why a fill goes by pages, and why in as many passes.
fn by_pages(fill: &FillRows, passes: u32, catalog: &Catalog) -> String {
    let table = catalog.find(&fill.table);
    let parts = table.is_some_and(|one| !one.partitions.is_empty());
    let each = if parts { ", each partition by itself" } else { "" };
    let resumes = "Each chunk commits with its watermark, and goes on where it was after a kill";
    if passes > 1 {
        return format!(
            "in chunks of pages{each}, in {passes} passes over each window, so that new versions of \
             rows find room on their pages: no index holds what is set. One pass while an open \
             transaction keeps old versions alive. {resumes}"
        );
    }
    let columns: Vec<_> = fill.set.iter().map(|one| one.column.clone()).collect();
    let why = table.and_then(|table| index_of(table, &columns));
    let why = why.map(|name| format!(", in one pass because `{name}` holds what is set"));
    format!("in chunks of pages{each}{}. {resumes}", why.unwrap_or_default())
}

/// The query that looks at a range of pages of one relation: how many rows there are, and how many
/// break the rule. Parameters: the first place of the range and the first one behind it.
pub(super) fn pages_proved(rule: &VerifyRule, leaf: &str) -> String {
    let wrong = breaks_in_order(rule);
    format!("SELECT count(*), count(*) FILTER (WHERE {wrong}) FROM ONLY {leaf} WHERE {RANGE}")
}

/// The same for a range of the key. Parameters as of [`chunk_update`].
pub(super) fn chunk_proved(fill: &FillRows, rule: &VerifyRule, first: bool, last: bool) -> String {
    let (wrong, table) = (breaks_in_order(rule), quote::table(&fill.table));
    let bounds = bounds(fill, first, last);
    let range = if bounds.is_empty() { "true".into() } else { bounds.join(" AND ") };
    format!("SELECT count(*), count(*) FILTER (WHERE {wrong}) FROM {table} WHERE {range}")
}

/// The same as [`breaks`], asked from left to right: an expression is computed only where the
/// author's condition holds.
fn breaks_in_order(rule: &VerifyRule) -> String {
    match rule {
        VerifyRule::Filled(one, Some(condition)) => {
            let (column, value) = (quote::ident(&one.column), expression(&one.value));
            format!("({condition}) AND {column} IS NULL AND {value} IS NOT NULL")
        }
        rule => breaks(rule),
    }
}

/// Whether a row breaks a rule that is about rows, each by itself.
fn breaks(rule: &VerifyRule) -> String {
    match rule {
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
        // These are asked of the whole table.
        VerifyRule::Refers { .. } | VerifyRule::Distinct(_) | VerifyRule::Computes { .. } => {
            "false".to_owned()
        }
    }
}

pub(super) fn verify(one: &Verify, catalog: &Catalog) -> Lowered {
    let wrong = match &one.rule {
        VerifyRule::Refers { columns, table, keys } => refers_to_nothing(one, columns, table, keys),
        rule => breaks(rule),
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
