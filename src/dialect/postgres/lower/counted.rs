//! Columns that a sequence counts up. The server would number all rows at once, under its
//! strongest lock; so the sequence counts new rows first, and the fill numbers the others.

use super::{alter, column, column_is, quote, step};
use crate::catalog::Default;
use crate::plan::{AddCounted, Expect, Lowered, MakeIdentity, Undo};
use crate::sql::{ColumnRef, Sql, TableName};

/// What a sequence gives next.
pub(in crate::dialect::postgres) fn next_of(sequence: &TableName) -> String {
    format!("nextval({}::regclass)", quote::literal(&quote::table(sequence)))
}

fn create(one: &AddCounted) -> Vec<String> {
    let name = quote::table(&one.sequence);
    let options = if one.options.is_empty() { String::new() } else { format!(" {}", one.options) };
    let mut sql = vec![format!("CREATE SEQUENCE {name} AS {}{options}", one.add.column.type_name)];
    for role in &one.inserters {
        let role = role.as_ref().map_or_else(|| "PUBLIC".into(), quote::ident);
        sql.push(format!("GRANT USAGE ON SEQUENCE {name} TO {role}"));
    }
    sql
}

fn owned(one: &AddCounted) -> String {
    let column = quote::ident(&one.add.column.name);
    let (name, table) = (quote::table(&one.sequence), quote::table(&one.add.table));
    format!("ALTER SEQUENCE {name} OWNED BY {table}.{column}")
}

/// The column with its sequence, which goes with it.
pub(super) fn add(one: &AddCounted) -> Lowered {
    let mut with = one.add.clone();
    with.column.default = Some(Default { sql: next_of(&one.sequence), constant: false });
    let mut lowered = column::add(&with);
    let mut sql: Vec<_> = create(one).into_iter().map(Sql::new).collect();
    sql.append(&mut lowered.sql);
    sql.push(Sql::new(owned(one)));
    lowered.sql = sql;
    lowered.note = Some("new rows are counted from here on; the fill counts the others".into());
    lowered
}

/// The identity takes over where the sequence stands. Nobody counts meanwhile: who inserts
/// waits for the table's lock.
pub(super) fn make_identity(one: &MakeIdentity) -> Lowered {
    let counted = &one.counted;
    let table = &counted.add.table;
    let name = &counted.add.column.name;
    let of = format!("{} ALTER COLUMN {}", alter(table), quote::ident(name));
    let literal = quote::literal(&quote::table(table));
    let own = format!("pg_get_serial_sequence({literal}, {})", quote::literal(name.as_str()));
    let sequence = quote::table(&counted.sequence);
    let sql = vec![
        format!("{of} DROP DEFAULT"),
        format!("ALTER SEQUENCE {sequence} OWNED BY NONE"),
        format!("{of} ADD {}", one.clause),
        format!("SELECT setval({own}, s.last_value, s.is_called) FROM {sequence} AS s"),
        format!("DROP SEQUENCE {sequence}"),
    ];
    let mut undo = create(counted);
    undo.push(format!(
        "SELECT setval({}::regclass, coalesce(pg_sequence_last_value(q.own), s.seqstart), \
         pg_sequence_last_value(q.own) IS NOT NULL) FROM (SELECT {own}::regclass AS own) AS q \
         JOIN pg_sequence AS s ON s.seqrelid = q.own",
        quote::literal(&sequence)
    ));
    undo.push(format!("{of} DROP IDENTITY"));
    undo.push(owned(counted));
    undo.push(format!("{of} SET DEFAULT {}", next_of(&counted.sequence)));
    let landed = column_is(&ColumnRef::new(table, name), " AND attidentity <> ''", Expect::Rows);
    step(sql, landed, Undo::Run(undo.into_iter().map(Sql::new).collect()))
}
