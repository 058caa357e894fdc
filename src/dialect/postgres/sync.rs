//! The triggers that keep columns of a row in step.
//!
//! Which way a value flows is decided by the column that the statement changed, and by
//! nothing about the session. The rules, each with the failure it prevents:
//!
//! - `BEFORE … FOR EACH ROW` without `UPDATE OF`, so that a column which another trigger
//!   changed is seen, and named to sort after all other triggers, for the same reason;
//! - on insert a column counts as not given while it has its default: a default is applied
//!   before the trigger, so a test for NULL alone would take it for a value of the old code;
//! - a default that is not a literal is taken off the old column while both exist and
//!   computed here, once per row, so that both columns get the same value;
//! - while `zdmig.backfill` names it, the trigger knows the statement for its own fill, which
//!   must not look like a write of new code: the value goes from old to new, computed here from
//!   what other triggers left, or else a trigger that sets the old column would leave the two
//!   apart. What triggers of the user's write elsewhere meanwhile is deeper, and is a write
//!   like any other;
//! - the fill of a rename or of a change of type, which the author wrote no UPDATE for, changes
//!   nothing else in the row: a trigger that notes the time of each update notes nothing;
//! - whatever is written of a row that is still to be filled fills it, where the columns hold one
//!   value: it comes to lie where a fill that walks by pages may have been;
//! - a value that has no counterpart on the other side, because its type does not hold it or
//!   the author's expression fails, never fails a write of running code: its counterpart is
//!   NULL, and is found before anything rests on it.

use super::quote;
use crate::catalog::{Catalog, Column};
use crate::plan::{Expr, Retyped, Sync, SyncKind};
use crate::sql::{Ident, Sql};

/// A column of the table may be called like a variable of the language, e.g. `found`.
const COLUMNS_FIRST: &str = "\n#variable_conflict use_column\n";

/// How far a change has come, which decides what the trigger does.
#[derive(Clone, Copy)]
pub(super) enum Stage<'a> {
    /// Both columns exist, each by its own name.
    Both,
    /// Old columns are renamed away: what they were called, and what they are called now.
    OldNamed(&'a [(Ident, Ident)]),
    /// A value without a counterpart fails the write.
    Strict,
    /// A column of another type has taken the old one's place and name.
    Swapped,
}

mod derive;

/// The function's name.
pub(super) fn function(sync: &Sync) -> String {
    format!("zdmig.{}", quote::ident(&Ident::new(format!("sync_{}", sync.tag))))
}

/// The trigger's name.
pub(super) fn trigger(sync: &Sync) -> Ident {
    Ident::new(format!("zzz_zdmig_{}", sync.tag))
}

/// The defaults of old columns that must be computed by the trigger.
pub(super) fn computed_defaults(sync: &Sync) -> Vec<(&Column, &str)> {
    let olds = match &sync.kind {
        SyncKind::Replace { old, .. } => std::slice::from_ref(old.as_ref()),
        SyncKind::Derive(derived) => &derived.olds,
        SyncKind::FillNull { .. } | SyncKind::Retype(_) => &[],
    };
    let computed = |column: &'_ Column| column.default.as_ref().is_some_and(|one| !one.constant);
    let olds = olds.iter().filter(|column| computed(column));
    olds.filter_map(|column| Some((column, column.default.as_ref()?.sql.as_str()))).collect()
}

/// CREATE OR REPLACE FUNCTION, as it is at one stage.
pub(super) fn create_function(sync: &Sync, stage: Stage<'_>, catalog: &Catalog) -> Sql {
    let renamed = match stage {
        Stage::OldNamed(names) => names,
        Stage::Both | Stage::Strict | Stage::Swapped => &[],
    };
    let body = match &sync.kind {
        SyncKind::Replace { old, new, forward, reverse } => {
            replace_body(sync, (old, new), (forward, reverse.as_ref()), renamed)
        }
        SyncKind::Derive(derived) => derive::body(sync, derived, renamed),
        SyncKind::Retype(columns) => retype_body(sync, columns, stage),
        SyncKind::FillNull { column, value, condition } => {
            let target = field("NEW", column);
            let meant = condition
                .as_ref()
                .map(|sql| format!(" AND (SELECT ({sql}) FROM {})", row(sync, &[])))
                .unwrap_or_default();
            let set = format!("{target} := {}", value_of(value, sync, &[]));
            format!(
                "{COLUMNS_FIRST}BEGIN\n  BEGIN\n    IF {target} IS NULL{meant} THEN\n      {set};\n    \
                 END IF;\n  EXCEPTION WHEN OTHERS THEN\n    NULL;\n  END;\n  RETURN NEW;\nEND\n"
            )
        }
    };
    let path: Vec<_> = catalog.search_path.iter().map(quote::ident).collect();
    let path = if path.is_empty() { String::new() } else { format!(", {}", path.join(", ")) };
    Sql::new(format!(
        "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql\n\
         SET search_path = pg_catalog{path}, pg_temp{} AS {}",
        function(sync),
        settings(sync),
        quote::dollar(&body)
    ))
}

/// CREATE TRIGGER.
pub(super) fn create_trigger(sync: &Sync, catalog: &Catalog) -> Sql {
    let when = needed(sync, catalog).map(|one| format!("WHEN ({one})\n")).unwrap_or_default();
    Sql::new(format!(
        "CREATE TRIGGER {} BEFORE INSERT OR UPDATE ON {} FOR EACH ROW\n{when}EXECUTE FUNCTION {}()",
        quote::ident(&trigger(sync)),
        quote::table(&sync.table),
        function(sync)
    ))
}

/// The rows for which the function has something to do, where that is told more cheaply than by
/// calling it: columns that hold the same value and agree are as they should be, whatever was
/// written, and whoever filled them. Triggers of the user's, which a fill must leave no trace
/// of, are undone by the function, so it is called for every row where there are any.
fn needed(sync: &Sync, catalog: &Catalog) -> Option<String> {
    let SyncKind::Replace { old, new, forward: Expr::Column(name), .. } = &sync.kind else {
        return None;
    };
    let table = catalog.find(&sync.table)?;
    let parts = table.partitions.iter().filter_map(|part| catalog.find(part));
    let triggers = std::iter::once(table).chain(parts).any(|one| !one.triggers.is_empty());
    // Of two types there may be no comparison.
    if triggers || *name != old.name || old.type_name != new.type_name {
        return None;
    }
    let (old_field, new_field) = (field("NEW", &old.name), field("NEW", &new.name));
    let apart = distinct(&new_field, &old_field, new);
    // A computed default is given where neither has a value.
    let computed = !computed_defaults(sync).is_empty();
    Some(if computed { format!("{apart} OR {old_field} IS NULL") } else { apart })
}

/// A query that fails where one of the author's expressions names what is not there or is of
/// no fitting type: the trigger would find out at the first write only. It reads no row.
pub(super) fn tried(sync: &Sync, catalog: &Catalog) -> Option<Sql> {
    let of = |value: &Expr, type_name: &str| match value {
        Expr::Column(_) => None,
        Expr::Verbatim(sql) => Some(format!("({sql})::{type_name}")),
    };
    let table = quote::table(&sync.table);
    let mut from = table.clone();
    let values: Vec<_> = match &sync.kind {
        SyncKind::Replace { old, new, forward, reverse } => {
            let back = reverse.as_ref().and_then(|value| of(value, &old.type_name));
            of(forward, &new.type_name).into_iter().chain(back).collect()
        }
        SyncKind::Derive(derived) => derived
            .forward
            .iter()
            .zip(&derived.news)
            .filter_map(|((_, value), column)| of(value, &column.type_name))
            .chain(derived.reverse.iter().filter_map(|(name, value)| {
                let old = derived.olds.iter().find(|one| one.name == *name)?;
                of(value, &old.type_name)
            }))
            .collect(),
        SyncKind::Retype(columns) => {
            // The way back is said of the column under its name, by which it is of the new type.
            from = format!("{} AS {}", swapped(sync, columns, catalog)?, own_name(sync));
            let back = |one: &Retyped| of(one.reverse.as_ref()?, &one.old.type_name);
            columns.iter().filter_map(back).collect()
        }
        SyncKind::FillNull { value, .. } => match value {
            Expr::Column(_) => Vec::new(),
            Expr::Verbatim(sql) => vec![format!("({sql})")],
        },
    };
    if values.is_empty() {
        return None;
    }
    Some(Sql::new(format!("SELECT {} FROM {from} LIMIT 0", values.join(", "))))
}

fn own_name(sync: &Sync) -> String {
    quote::ident(&sync.table.name)
}

/// The table as it will be once the columns have changed places.
fn swapped(sync: &Sync, columns: &[Retyped], catalog: &Catalog) -> Option<String> {
    let known = catalog.find(&sync.table)?;
    let shown = known.columns.iter().map(|column| {
        let name = quote::ident(&column.name);
        match columns.iter().find(|one| one.old.name == column.name) {
            Some(one) => format!("{} AS {name}", quote::ident(&one.new.name)),
            None => name,
        }
    });
    let shown: Vec<_> = shown.collect();
    Some(format!("(SELECT {} FROM {})", shown.join(", "), quote::table(&sync.table)))
}

/// DROP TRIGGER and DROP FUNCTION.
pub(super) fn remove(sync: &Sync) -> Vec<Sql> {
    vec![
        Sql::new(format!(
            "DROP TRIGGER IF EXISTS {} ON {}",
            quote::ident(&trigger(sync)),
            quote::table(&sync.table)
        )),
        Sql::new(format!("DROP FUNCTION IF EXISTS {}()", function(sync))),
    ]
}

/// A conversion by way of a text must come out the same for every session.
fn settings(sync: &Sync) -> &'static str {
    match &sync.kind {
        SyncKind::Retype(columns) if columns.iter().all(|one| one.widens) => "",
        SyncKind::Replace { forward: Expr::Column(_), .. } => "",
        SyncKind::Retype(_)
        | SyncKind::Replace { .. }
        | SyncKind::Derive(_)
        | SyncKind::FillNull { .. } => {
            " SET timezone FROM CURRENT SET datestyle FROM CURRENT SET intervalstyle FROM CURRENT \
             SET bytea_output FROM CURRENT SET extra_float_digits FROM CURRENT"
        }
    }
}

fn retype_body(sync: &Sync, columns: &[Retyped], stage: Stage<'_>) -> String {
    let mut body = String::from(COLUMNS_FIRST);
    body.push_str("BEGIN\n");
    if !matches!(stage, Stage::Swapped) {
        body.push_str(&filling(sync, "NEW := OLD;"));
    }
    for one in columns {
        let name = &one.old.name;
        let changed = distinct(&field("NEW", name), &field("OLD", name), &one.new);
        let (column, value) = match stage {
            Stage::Swapped => (&one.kept, one.reverse.as_ref()),
            _ => (&one.new.name, Some(&one.forward)),
        };
        let target = field("NEW", column);
        let Some(value) = value else {
            // Nothing leads back: a value that is still the same keeps its counterpart.
            body.push_str(&format!(
                "  IF TG_OP = 'UPDATE' AND {changed} THEN\n    {target} := NULL;\n  END IF;\n"
            ));
            continue;
        };
        let set = format!("{target} := {};", value_of(value, sync, &[]));
        if matches!(stage, Stage::Swapped) {
            // What the way back would lose is still there as long as nobody changes the value.
            body.push_str(&format!(
                "  IF TG_OP = 'INSERT' OR {changed} THEN\n    BEGIN\n      {set}\n    EXCEPTION WHEN \
                 OTHERS THEN\n      {target} := NULL;\n    END;\n  END IF;\n"
            ));
        } else if matches!(stage, Stage::Strict) || one.widens {
            body.push_str(&format!("  {set}\n"));
        } else {
            body.push_str(&format!(
                "  BEGIN\n    {set}\n  EXCEPTION WHEN OTHERS THEN\n    {target} := NULL;\n  END;\n"
            ));
        }
    }
    body.push_str("  RETURN NEW;\nEND\n");
    body
}

fn replace_body(
    sync: &Sync,
    (old, new): (&Column, &Column),
    (forward, reverse): (&Expr, Option<&Expr>),
    renamed: &[(Ident, Ident)],
) -> String {
    let old_name = now(&old.name, renamed);
    let (old_field, new_field) = (field("NEW", old_name), field("NEW", &new.name));
    let set = |target: &str, value: &Expr| {
        let set = format!("{target} := {}", value_of(value, sync, renamed));
        match value {
            Expr::Column(_) => set,
            Expr::Verbatim(_) => guarded(&set, &[target.to_owned()]),
        }
    };
    let set_new = set(&new_field, forward);
    let set_old = reverse.map(|expr| set(&old_field, expr));
    let computed = computed_defaults(sync)
        .first()
        .map(|(_, default)| {
            // Where nothing leads back, new code never gives the old column a value.
            let neither = match reverse {
                Some(_) => format!(" AND {new_field} IS NULL"),
                None => String::new(),
            };
            format!(
                "    IF {old_field} IS NULL{neither} THEN\n      \
                 {old_field} := {default};\n    END IF;\n"
            )
        })
        .unwrap_or_default();
    let insert_reverse = set_old
        .as_ref()
        .map(|set| {
            // An identity has one true value, so the new code's wins; of a mapping that
            // loses something both are kept as they were given.
            let when = match forward {
                Expr::Column(_) => distinct(&new_field, &old_field, new),
                Expr::Verbatim(_) => unset(&old_field, old),
            };
            format!("    ELSIF {when} THEN\n      {set};\n")
        })
        .unwrap_or_default();
    let changed =
        |name: &Ident, column: &Column| distinct(&field("NEW", name), &field("OLD", name), column);
    let update = match &set_old {
        Some(set_old) => {
            // One true value: where the sides differ all the same, the row is still to be filled,
            // and a fill that walks by pages may not come upon it where this write puts it.
            let unfilled = match forward {
                Expr::Column(_) => format!(" OR {}", distinct(&new_field, &old_field, new)),
                Expr::Verbatim(_) => String::new(),
            };
            format!(
                "  ELSIF {} THEN\n    {set_old};\n  ELSIF {}{unfilled} THEN\n    {set_new};\n",
                changed(&new.name, new),
                changed(old_name, old)
            )
        }
        None => format!(
            "  ELSIF {} AND NOT ({}) THEN\n    {set_new};\n",
            changed(old_name, old),
            changed(&new.name, new)
        ),
    };
    let alone = if matches!(forward, Expr::Column(_)) { "NEW := OLD;\n    " } else { "" };
    let fill = filling(sync, &format!("{alone}{set_new};\n    RETURN NEW;"));
    format!(
        "{COLUMNS_FIRST}BEGIN\n{fill}  IF TG_OP = 'INSERT' THEN\n{computed}    IF {} THEN\n{}{insert_reverse}    \
         END IF;\n{update}  END IF;\n  RETURN NEW;\nEND\n",
        unset(&new_field, new),
        format_args!("      {set_new};\n"),
    )
}

/// What is done where the statement is the one of its own fill.
fn filling(sync: &Sync, what: &str) -> String {
    format!(
        "  IF TG_OP = 'UPDATE' AND pg_trigger_depth() = 1\n    AND \
         current_setting('zdmig.backfill', true) IS NOT DISTINCT FROM {} THEN\n    {what}\n  END IF;\n",
        quote::literal(&sync.tag)
    )
}

/// An assignment that does not fail the statement which it is part of.
fn guarded(set: &str, targets: &[String]) -> String {
    let nothing: Vec<_> = targets.iter().map(|one| format!("{one} := NULL;")).collect();
    format!("BEGIN {set}; EXCEPTION WHEN OTHERS THEN {} END", nothing.join(" "))
}

/// Whether an insert left the column out: it has its literal default, or NULL.
fn unset(field: &str, column: &Column) -> String {
    match column.default.as_ref().filter(|default| default.constant) {
        Some(default) => {
            // As the column would store it: 0 is stored as 0.00 where the type says so.
            let stored = format!("({})::{}", default.sql, column.type_name);
            let [a, b] = exact([field, &stored], column);
            format!("{a} IS NOT DISTINCT FROM {b}")
        }
        None => format!("{field} IS NULL"),
    }
}

fn distinct(a: &str, b: &str, column: &Column) -> String {
    let [a, b] = exact([a, b], column);
    format!("{a} IS DISTINCT FROM {b}")
}

fn exact(sides: [&str; 2], column: &Column) -> [String; 2] {
    compared(sides, &column.type_name, column.collation.as_deref())
}

/// Two expressions so written that only the same value is equal. Some types have no
/// equality operator, and for others (citext, numeric, collations that ignore case) equal
/// values can be told apart, so that a change from one to the other would not be seen.
pub(super) fn compared(sides: [&str; 2], type_name: &str, collation: Option<&str>) -> [String; 2] {
    const EXACT: [&str; 19] = [
        "smallint",
        "integer",
        "bigint",
        "int",
        "int2",
        "int4",
        "int8",
        "boolean",
        "bool",
        "uuid",
        "date",
        "bytea",
        "text",
        "oid",
        "timestamp",
        "timestamptz",
        "timestamp with time zone",
        "timestamp without time zone",
        "time without time zone",
    ];
    let name = type_name.to_lowercase();
    let varying = name.starts_with("character varying") || name.starts_with("varchar");
    let plain = EXACT.contains(&name.as_str()) || varying;
    if plain && collation.is_none() {
        return sides.map(ToOwned::to_owned);
    }
    sides.map(|side| format!("({side})::text COLLATE \"C\""))
}

fn field(row: &str, name: &Ident) -> String {
    format!("{row}.{}", quote::ident(name))
}

/// What a column is called by now.
fn now<'a>(name: &'a Ident, renamed: &'a [(Ident, Ident)]) -> &'a Ident {
    renamed.iter().find(|(known, _)| known == name).map_or(name, |(_, now)| now)
}

/// The expression over the row that the trigger holds.
fn value_of(expr: &Expr, sync: &Sync, renamed: &[(Ident, Ident)]) -> String {
    match expr {
        Expr::Column(name) => field("NEW", now(name, renamed)),
        Expr::Verbatim(sql) => format!("(SELECT {sql} FROM {})", row(sync, renamed)),
    }
}

/// The row that the trigger holds, for the author's words as they stand: a one-row table that
/// bears the table's name, and in which columns still have the names that they know when they
/// have been renamed away.
fn row(sync: &Sync, renamed: &[(Ident, Ident)]) -> String {
    let aliases: Vec<_> = renamed
        .iter()
        .map(|(known, now)| format!(", {} AS {}", field("NEW", now), quote::ident(known)))
        .collect();
    format!("(SELECT NEW.*{}) AS {}", aliases.concat(), quote::ident(&sync.table.name))
}
