//! How a COMMENT is taken back: to the one that was there before.

use super::quote;
use super::undo::{kind, object, run};
use super::words::Walk;
use crate::catalog::{Catalog, Mark};
use crate::plan::Undo;
use crate::sql::{Ident, TableName};

/// The undo of a COMMENT, after its first word.
pub(super) fn of(mut walk: Walk<'_>, sql: &str, catalog: &Catalog) -> Undo {
    walk.takes(&["on"]);
    let before = if walk.takes(&["column"]) {
        of_column(walk, catalog)
    } else if walk.takes(&["constraint"]) {
        of_constraint(walk, catalog)
    } else {
        walk.takes(&["routine"])
            .then_some("function")
            .or_else(|| kind(&mut walk))
            .map_or(Before::Unknown, |kind| of_thing(kind, walk, catalog))
    };
    let lower = sql.to_ascii_lowercase().replace(['\n', '\r', '\t'], " ");
    let end = lower.find(" is ").unwrap_or(sql.len());
    match before {
        Before::Text(text) => run(format!("{} IS {}", &sql[..end], quote::literal(&text))),
        Before::Statement(sql) => run(sql),
        Before::None => run(format!("{} IS NULL", &sql[..end])),
        Before::Unknown => Undo::Stays("the comment stays".into()),
    }
}

/// The comment that was there before.
enum Before {
    Text(String),
    /// The statement that makes it.
    Statement(String),
    None,
    Unknown,
}

impl From<Option<String>> for Before {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::None, Self::Text)
    }
}

fn of_column(mut walk: Walk<'_>, catalog: &Catalog) -> Before {
    let Some(column) = walk.column() else { return Before::Unknown };
    if let Some(table) = catalog.find(&column.table) {
        let known = catalog.column(table, &column.column);
        return known.and_then(|known| known.comment.clone()).into();
    }
    let end = format!(".{} IS ", shown(&column.column));
    said(catalog, "type", &column.table, |sql| {
        sql.starts_with("COMMENT ON COLUMN ") && sql.contains(&end)
    })
}

fn of_constraint(mut walk: Walk<'_>, catalog: &Catalog) -> Before {
    let Some(name) = walk.name().filter(|_| walk.takes(&["on"])) else { return Before::Unknown };
    let domain = walk.takes(&["domain"]);
    let Some(on) = walk.name() else { return Before::Unknown };
    if domain {
        let head = format!("COMMENT ON CONSTRAINT {} ON ", shown(&name.name));
        return said(catalog, "domain", &on, |sql| sql.starts_with(&head));
    }
    let marks = catalog.find(&on).into_iter().flat_map(|table| &table.marks);
    let mut texts = marks.filter_map(|mark| match mark {
        Mark::ConstraintComment(known, text) if *known == name.name => Some(text.clone()),
        _ => None,
    });
    texts.next().into()
}

fn of_thing(kind: &str, mut walk: Walk<'_>, catalog: &Catalog) -> Before {
    let Some(name) = walk.name() else { return Before::Unknown };
    match kind {
        "table" | "foreign table" => {
            catalog.find(&name).and_then(|table| table.comment.clone()).into()
        }
        "index" => {
            let Some((table, index)) = catalog.index(&name) else { return Before::None };
            let mut texts = table.marks.iter().filter_map(|mark| match mark {
                Mark::IndexComment(known, text) if *known == index.name => Some(text.clone()),
                _ => None,
            });
            texts.next().into()
        }
        "trigger" => {
            let on = walk.takes(&["on"]).then(|| walk.name()).flatten();
            let table = on.and_then(|table| catalog.find(&table));
            let mut triggers = table.into_iter().flat_map(|table| &table.triggers);
            let known = triggers.find(|one| one.name == name.name);
            known.and_then(|one| one.comment.clone()).into()
        }
        "aggregate"
        | "collation"
        | "role"
        | "server"
        | "event trigger"
        | "text search configuration"
        | "text search dictionary"
        | "text search parser"
        | "text search template"
        | "foreign data wrapper"
        | "access method"
        | "procedural language"
        | "language"
        | "conversion" => Before::Unknown,
        _ => {
            let arguments = walk.inside();
            let on = walk.takes(&["on"]).then(|| walk.name()).flatten();
            let known = object(catalog, kind, &name, on.as_ref(), arguments.as_deref());
            let statement = known.into_iter().flat_map(|one| &one.said).find(|sql| {
                let of_part = ["COLUMN ", "CONSTRAINT ", "INDEX "];
                sql.strip_prefix("COMMENT ON ")
                    .is_some_and(|rest| !of_part.iter().any(|part| rest.starts_with(part)))
            });
            statement.map_or(Before::None, |sql| Before::Statement(sql.clone()))
        }
    }
}

/// What is said of a part of an object.
fn said(
    catalog: &Catalog,
    kind: &str,
    name: &TableName,
    wanted: impl Fn(&String) -> bool,
) -> Before {
    let known = object(catalog, kind, name, None, None);
    let statement = known.into_iter().flat_map(|one| &one.said).find(|sql| wanted(sql));
    statement.map_or(Before::None, |sql| Before::Statement(sql.clone()))
}

/// As the server writes it where it need not be quoted.
fn shown(name: &Ident) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let text = name.as_str();
    if text.chars().all(plain) { text.to_owned() } else { quote::ident(name) }
}
