//! What a change of type does to a column. Which ones keep its bytes, so that neither its
//! table nor an index is written anew, was measured on PostgreSQL 15; what is not listed
//! here rewrites.

use super::{domain, quote};
use crate::catalog::{Catalog, Column, ConstraintKind, Table};
use crate::change::NewType;
use crate::dialect::{Conversion, Retyping};
use crate::plan::Expr;
use crate::sql::{Ident, Sql, mentions};

/// What ALTER COLUMN … TYPE comes to.
pub(super) fn retyping(
    catalog: &Catalog,
    table: &Table,
    column: &Column,
    change: &NewType,
) -> Retyping {
    /// What gives another value each time it is asked.
    const FICKLE: [&str; 14] = [
        "random",
        "gen_random_uuid",
        "uuid_generate_v1",
        "uuid_generate_v1mc",
        "uuid_generate_v4",
        "nextval",
        "now",
        "current_timestamp",
        "current_date",
        "localtimestamp",
        "clock_timestamp",
        "statement_timestamp",
        "transaction_timestamp",
        "timeofday",
    ];
    if in_place(table, column, change) {
        return Retyping::InPlace;
    }
    let using = change.using.as_deref().unwrap_or_default();
    if FICKLE.iter().any(|word| mentions(using, word)) {
        return Retyping::Whole;
    }
    let (from, to) = (Type::of(&column.type_name), Type::of(&change.type_name));
    let reverse = back(column, &change.type_name, using);
    let widens = reverse.is_some() && change.collation.is_none() && keeps_values(&from, &to);
    let name = quote::ident(&column.name);
    let forward = match () {
        // Assigned as it is, which is the cheapest a trigger can do.
        () if widens && to.is_integer() => Expr::Column(column.name.clone()),
        () if using.is_empty() => {
            Expr::Verbatim(Sql::new(format!("CAST({name} AS {})", change.type_name)))
        }
        () => Expr::Verbatim(Sql::new(using)),
    };
    let exact = reverse.is_some() && leads_back(catalog, &column.type_name, &change.type_name);
    Retyping::Converted(Conversion {
        type_name: shown(&change.type_name),
        forward,
        reverse: reverse.map(|back| Expr::Verbatim(Sql::new(back))),
        widens,
        exact,
    })
}

/// What leads back from a new type, over the column's own name; `None` where only the author
/// can know.
pub(super) fn back(column: &Column, new: &str, using: &str) -> Option<String> {
    let (name, old) = (quote::ident(&column.name), &column.type_name);
    match cast(using, &column.name, new) {
        Cast::Plain => Some(format!("CAST({name} AS {old})")),
        Cast::ThroughText => Some(format!("CAST(CAST({name} AS text) AS {old})")),
        // To a zone and from it are one expression.
        Cast::Zone => {
            let timestamps = ["timestamp with time zone", "timestamp without time zone"];
            let (old, new) = (canonical(old), canonical(new));
            let two = old != new && timestamps.contains(&old.as_str());
            (two && timestamps.contains(&new.as_str())).then(|| using.to_owned())
        }
        Cast::Other => None,
    }
}

/// Whether a cast to another type and one back come to the value that was there.
fn leads_back(catalog: &Catalog, from_name: &str, to_name: &str) -> bool {
    let (from, to) = (Type::of(from_name), Type::of(to_name));
    let text = |one: &Type| matches!(one.name.as_str(), "text" | "character varying");
    let labels = |name: &str| domain::enumerates(catalog, name);
    keeps_values(&from, &to)
        || widens(&from, &to)
        || text(&to) && to.arguments.is_empty()
        || labels(to_name) && (text(&from) || labels(from_name))
}

/// What kind of expression a USING is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cast {
    /// The cast that would stand there without it.
    Plain,
    /// The same by way of the value's text.
    ThroughText,
    /// The time in a zone.
    Zone,
    /// Something else.
    Other,
}

fn cast(using: &str, column: &Ident, type_name: &str) -> Cast {
    let bare = |text: &str| {
        let solid = |c: &char| !c.is_whitespace() && !matches!(c, '(' | ')' | '"');
        text.chars().filter(solid).collect::<String>().to_lowercase()
    };
    let (using, column, ty) = (bare(using), bare(column.as_str()), bare(type_name));
    let texts = ["text", "varchar", "charactervarying"];
    let zone = using.strip_prefix(&format!("{column}attimezone'"));
    match () {
        () if using.is_empty() => Cast::Plain,
        () if zone.is_some_and(|zone| zone.find('\'') == Some(zone.len() - 1)) => Cast::Zone,
        () if using == format!("{column}::{ty}") || using == format!("cast{column}as{ty}") => {
            Cast::Plain
        }
        () if texts.iter().any(|text| using == format!("{column}::{text}::{ty}")) => {
            Cast::ThroughText
        }
        () => Cast::Other,
    }
}

/// Whether every value of a type has one of its own in another, in the same order.
fn keeps_values(from: &Type, to: &Type) -> bool {
    let whole = |name: &str| ["smallint", "integer", "bigint"].iter().position(|one| *one == name);
    if let (Some(from), Some(to)) = (whole(&from.name), whole(&to.name)) {
        return from <= to;
    }
    match (from.name.as_str(), to.name.as_str()) {
        (name @ ("smallint" | "integer" | "bigint"), "numeric") => match to.arguments.as_slice() {
            [] => true,
            [digits] => *digits >= places(name),
            [digits, scale, ..] => digits.saturating_sub(*scale) >= places(name),
        },
        ("smallint" | "integer" | "real", "double precision") => true,
        ("smallint", "real") => true,
        ("date", "timestamp without time zone") => to.arguments.is_empty(),
        _ => false,
    }
}

/// Digits of the largest value of a whole number's type.
fn places(name: &str) -> u32 {
    match name {
        "smallint" => 5,
        "integer" => 10,
        _ => 19,
    }
}

/// A type as the server prints it, for people and for manifests.
pub(super) fn shown(text: &str) -> String {
    // What is quoted is somebody's own, and stays as it is.
    if text.contains('"') {
        return text.trim().to_owned();
    }
    let one = Type::of(text);
    if one.arguments.is_empty() {
        return one.name;
    }
    let arguments: Vec<_> = one.arguments.iter().map(ToString::to_string).collect();
    match one.name.split_once(' ').filter(|(head, _)| ["timestamp", "time"].contains(head)) {
        Some((head, tail)) => format!("{head}({}) {tail}", arguments.join(",")),
        None => format!("{}({})", one.name, arguments.join(",")),
    }
}

/// Whether ALTER COLUMN … TYPE only changes the catalogue.
pub(super) fn in_place(table: &Table, column: &Column, change: &NewType) -> bool {
    if change.using.is_some() || change.collation.is_some() {
        return false;
    }
    // A check is proved again for every row, whatever the type.
    let checked = table.constraints_of(&column.name).any(|one| one.kind == ConstraintKind::Check);
    // An index over an expression or for some rows is built again.
    let special = |index: &crate::catalog::Index| {
        index.columns.contains(&column.name)
            && (index.keys.is_empty() || index.definition.contains(" WHERE "))
    };
    !checked
        && !table.indexes.iter().any(special)
        && widens(&Type::of(&column.type_name), &Type::of(&change.type_name))
}

/// A type's name in the server's words, without what stands in its parentheses.
pub(super) fn canonical(text: &str) -> String {
    Type::of(text).name
}

/// A type's name in the server's words, and what stands in its parentheses.
#[derive(Debug, PartialEq, Eq)]
struct Type {
    name: String,
    arguments: Vec<u32>,
}

impl Type {
    fn of(text: &str) -> Self {
        let lower = text.trim().to_lowercase();
        let mut arguments = Vec::new();
        let mut name = lower.clone();
        if let Some((head, rest)) = lower.split_once('(')
            && let Some((inside, tail)) = rest.split_once(')')
        {
            arguments = inside.split(',').filter_map(|one| one.trim().parse().ok()).collect();
            name = format!("{}{tail}", head.trim_end());
        }
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let name = match name.strip_prefix("pg_catalog.").unwrap_or(&name) {
            "varchar" => "character varying",
            "bpchar" | "char" => "character",
            "decimal" => "numeric",
            "int" | "int4" => "integer",
            "int8" => "bigint",
            "int2" => "smallint",
            "bool" => "boolean",
            "float8" => "double precision",
            "float4" => "real",
            "timestamptz" => "timestamp with time zone",
            "timestamp" => "timestamp without time zone",
            "timetz" => "time with time zone",
            "time" => "time without time zone",
            "varbit" => "bit varying",
            other => other,
        };
        Self { name: name.to_owned(), arguments }
    }
}

impl Type {
    fn is_integer(&self) -> bool {
        ["smallint", "integer", "bigint"].contains(&self.name.as_str())
    }
}

fn widens(from: &Type, to: &Type) -> bool {
    const LENGTHS: [&str; 7] = [
        "character varying",
        "bit varying",
        "timestamp with time zone",
        "timestamp without time zone",
        "time with time zone",
        "time without time zone",
        "interval",
    ];
    if from == to {
        return true;
    }
    match (from.name.as_str(), to.name.as_str()) {
        ("character varying", "text") => true,
        ("text", "character varying") => to.arguments.is_empty(),
        ("cidr", "inet") => true,
        ("numeric", "numeric") => match (from.arguments.as_slice(), to.arguments.as_slice()) {
            (_, []) => true,
            ([digits, scale], [more, same]) => more >= digits && scale == same,
            ([digits], [more]) => more >= digits,
            _ => false,
        },
        (a, b) if a == b && LENGTHS.contains(&a) => {
            match (from.arguments.as_slice(), to.arguments.as_slice()) {
                (_, []) => true,
                ([length], [more]) => more >= length,
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cast_is_known_for_one_however_it_is_written() {
        let id = Ident::new("id");
        for (using, expected) in [
            ("id::bigint", Cast::Plain),
            ("(\"id\")::BIGINT", Cast::Plain),
            ("CAST(id AS bigint)", Cast::Plain),
            ("id::text::bigint", Cast::ThroughText),
            ("", Cast::Plain),
            ("id AT TIME ZONE 'Europe/Berlin'", Cast::Zone),
            ("id AT TIME ZONE 'UTC' AT TIME ZONE 'CET'", Cast::Other),
            ("id AT TIME ZONE zone", Cast::Other),
            ("id + 1", Cast::Other),
            ("other::bigint", Cast::Other),
            ("length(id)::bigint", Cast::Other),
        ] {
            assert_eq!(cast(using, &id, "bigint"), expected, "{using}");
        }
        let keeps = |from: &str, to: &str| keeps_values(&Type::of(from), &Type::of(to));
        assert!(keeps("int4", "int8") && keeps("integer", "numeric") && keeps("float4", "float8"));
        assert!(!keeps("bigint", "double precision") && !keeps("integer", "numeric(11,2)"));
        assert!(keeps("integer", "numeric(12,2)") && keeps("smallint", "numeric(5)"));
        assert_eq!(shown("timestamptz(3)"), "timestamp(3) with time zone");
    }

    #[test]
    fn only_what_keeps_its_bytes_is_free() {
        let free = |from: &str, to: &str| widens(&Type::of(from), &Type::of(to));
        for (from, to) in [
            ("character varying(10)", "varchar(20)"),
            ("character varying(10)", "TEXT"),
            ("text", "VARCHAR"),
            ("numeric(10,2)", "decimal(12, 2)"),
            ("numeric(10,2)", "numeric"),
            ("timestamp(3) without time zone", "timestamp"),
            ("cidr", "inet"),
            ("integer", "int4"),
        ] {
            assert!(free(from, to), "{from} to {to}");
        }
        for (from, to) in [
            ("character varying(20)", "varchar(10)"),
            ("text", "varchar(10)"),
            ("numeric(10,2)", "numeric(12,3)"),
            ("integer", "bigint"),
            ("timestamp without time zone", "timestamptz"),
            ("character(4)", "character(8)"),
            ("json", "jsonb"),
        ] {
            assert!(!free(from, to), "{from} to {to}");
        }
    }
}
