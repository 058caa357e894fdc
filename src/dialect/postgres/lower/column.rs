//! What is done to columns.

use super::{alter, asks, column_is, committed, quote, run, step};
use crate::catalog::{Catalog, TableKind};
use crate::dialect::postgres::domain;
use crate::plan::{AddColumn, DropNotNull, Expect, Lowered, SetDefault, Undo};
use crate::sql::ColumnRef;

pub(super) fn add(add: &AddColumn) -> Lowered {
    let table = &add.table;
    let name = quote::ident(&add.column.name);
    let mut clause = format!("{name} {}", add.column.type_name);
    if let Some(collation) = &add.column.collation {
        clause.push_str(&format!(" COLLATE {collation}"));
    }
    let default = add.column.default.as_ref().map(|default| default.sql.as_str());
    if let Some(default) = default.filter(|_| add.default_for_existing) {
        clause.push_str(&format!(" DEFAULT {default}"));
    }
    if !add.column.nullable {
        clause.push_str(" NOT NULL");
    }
    let mut sql = vec![format!("{} ADD COLUMN {clause}", alter(table))];
    if let Some(default) = default.filter(|_| !add.default_for_existing) {
        sql.push(format!("{} ALTER COLUMN {name} SET DEFAULT {default}", alter(table)));
    }
    for setting in &add.column.settings {
        sql.push(format!("{} ALTER COLUMN {name} {}", alter(table), setting.clause));
    }
    if let Some(comment) = &add.column.comment {
        let comment = quote::literal(comment);
        sql.push(format!("COMMENT ON COLUMN {}.{name} IS {comment}", quote::table(table)));
    }
    for grant in add.grants() {
        let role = grant.role.as_ref().map_or_else(|| "PUBLIC".into(), quote::ident);
        let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
        sql.push(format!(
            "GRANT {} ({name}) ON {} TO {role}{option}",
            grant.privilege,
            quote::table(table)
        ));
    }
    let column = ColumnRef::new(table, &add.column.name);
    step(
        sql,
        column_is(&column, "", Expect::Rows),
        run(format!("{} DROP COLUMN IF EXISTS {name}", alter(table))),
    )
}

pub(super) fn drop_not_null(one: &DropNotNull, catalog: &Catalog) -> Lowered {
    let column = &one.column;
    let alter = alter(&column.table);
    let (name, check) = (quote::ident(&column.column), quote::ident(&one.check));
    let set = format!("{alter} ALTER COLUMN {name} SET NOT NULL");
    let mut lowered = step(
        vec![format!("{alter} ALTER COLUMN {name} DROP NOT NULL")],
        column_is(column, " AND NOT attnotnull", Expect::Rows),
        run(set.clone()),
    );
    // A value whose fields are NULL is not NULL itself, and a check takes it for such.
    let staged = catalog.find(&column.table).is_none_or(|table| {
        let known = catalog.column(table, &column.column);
        table.kind != TableKind::Partitioned
            && known.is_none_or(|known| !domain::has_fields(catalog, &known.type_name))
    });
    if staged {
        let checks = format!("{alter} ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID");
        lowered.undo = Undo::Stages {
            stages: vec![
                committed([checks]),
                committed([format!("{alter} VALIDATE CONSTRAINT {check}")]),
                committed([set, format!("{alter} DROP CONSTRAINT {check}")]),
            ],
            abandon: committed([format!("{alter} DROP CONSTRAINT IF EXISTS {check}")]),
        };
    }
    lowered.note = Some("its undo fails once new code has left the column out".into());
    lowered
}

/// SET DEFAULT and DROP DEFAULT.
pub(super) fn set_default(one: &SetDefault) -> Lowered {
    let of =
        format!("{} ALTER COLUMN {}", alter(&one.column.table), quote::ident(&one.column.column));
    let words = |default: Option<&crate::sql::Sql>| match default {
        Some(default) => format!("{of} SET DEFAULT {default}"),
        None => format!("{of} DROP DEFAULT"),
    };
    step(
        vec![words(one.default.as_ref())],
        asks(String::new(), Expect::Journal),
        run(words(one.before.as_ref())),
    )
}
