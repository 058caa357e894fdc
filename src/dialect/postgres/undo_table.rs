//! How the actions of an ALTER TABLE that is run as written are taken back.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode};

use super::interpret::{one_name, table_name};
use super::quote;
use super::undo::stays;
use crate::catalog::Catalog;
use crate::plan::Undo;
use crate::sql::{Ident, Sql, TableName};

/// The undo of all its actions, last one first.
pub(super) fn of(alter: &ast::AlterTable, catalog: &Catalog) -> Undo {
    let name = alter
        .table_relation_name()
        .and_then(|relation| relation.table_name_ref())
        .and_then(|name| table_name(name.syntax()).ok());
    let Some(table) = name else { return Undo::Impossible };
    let mut sql = Vec::new();
    let mut stay = None;
    for action in alter.actions() {
        match one(&table, &action, catalog) {
            Undo::Run(undo) => sql.splice(0..0, undo).for_each(drop),
            Undo::Nothing => {}
            Undo::Stays(why) => stay = Some(why),
            Undo::Impossible => return Undo::Impossible,
        }
    }
    match (sql.is_empty(), stay) {
        (false, _) => Undo::Run(sql),
        (true, Some(why)) => Undo::Stays(why),
        (true, None) => Undo::Nothing,
    }
}

fn one(table: &TableName, action: &AlterTableAction, catalog: &Catalog) -> Undo {
    use AlterTableAction as A;
    let head = format!("ALTER TABLE {}", quote::table(table));
    let run = |words: String| Undo::Run(vec![Sql::new(format!("{head} {words}"))]);
    let name = |node: Option<&squawk_syntax::SyntaxNode>| -> Option<Ident> {
        node.and_then(|node| one_name(node).ok())
    };
    match action {
        A::AddColumn(add) => match name(add.column_name().as_ref().map(AstNode::syntax)) {
            Some(column) => run(format!("DROP COLUMN IF EXISTS {}", quote::ident(&column))),
            None => Undo::Impossible,
        },
        A::AddConstraint(add) => {
            let clause = add
                .constraint()
                .and_then(|one| one.syntax().children().find_map(ast::ConstraintNameClause::cast));
            let chosen = clause.and_then(|clause| clause.constraint_name());
            match name(chosen.as_ref().map(AstNode::syntax)) {
                Some(name) => run(format!("DROP CONSTRAINT IF EXISTS {}", quote::ident(&name))),
                None => Undo::Impossible,
            }
        }
        A::RenameConstraint(rename) => {
            let from = name(rename.constraint_name_ref().as_ref().map(AstNode::syntax));
            let to = name(rename.constraint_name().as_ref().map(AstNode::syntax));
            match (from, to) {
                (Some(from), Some(to)) => run(format!(
                    "RENAME CONSTRAINT {} TO {}",
                    quote::ident(&to),
                    quote::ident(&from)
                )),
                _ => Undo::Impossible,
            }
        }
        A::AlterColumn(column) => {
            let of = name(column.column_name_ref().as_ref().map(AstNode::syntax));
            of.map_or(Undo::Impossible, |of| self::column(table, &of, column.option(), catalog))
        }
        A::EnableRls(_) => run("DISABLE ROW LEVEL SECURITY".into()),
        A::DisableRls(_) => run("ENABLE ROW LEVEL SECURITY".into()),
        A::ForceRls(_) => run("NO FORCE ROW LEVEL SECURITY".into()),
        A::NoForceRls(_) => run("FORCE ROW LEVEL SECURITY".into()),
        A::EnableTrigger(one) => {
            run(one.syntax().text().to_string().replacen("ENABLE", "DISABLE", 1))
        }
        A::DisableTrigger(one) => {
            run(one.syntax().text().to_string().replacen("DISABLE", "ENABLE", 1))
        }
        A::AttachPartition(attach) => {
            match attach.table_name_ref().and_then(|part| table_name(part.syntax()).ok()) {
                Some(part) => run(format!("DETACH PARTITION {}", quote::table(&part))),
                None => Undo::Impossible,
            }
        }
        A::ReplicaIdentity(_) => {
            let before = catalog.find(table).and_then(|found| found.row_identity.clone());
            run(format!("REPLICA IDENTITY {}", before.as_deref().unwrap_or("DEFAULT")))
        }
        A::ValidateConstraint(_) => Undo::Nothing,
        A::SetSchema(set) => {
            let there = name(set.schema_ref().as_ref().map(AstNode::syntax));
            let here = catalog.find(table).and_then(|found| found.name.schema.clone());
            match there.zip(here) {
                Some((there, here)) => {
                    let moved = TableName { schema: Some(there), name: table.name.clone() };
                    Undo::Run(vec![Sql::new(format!(
                        "ALTER TABLE {} SET SCHEMA {}",
                        quote::table(&moved),
                        quote::ident(&here)
                    ))])
                }
                None => Undo::Impossible,
            }
        }
        A::DetachPartition(detach) => {
            let part = detach.table_name_ref().and_then(|part| table_name(part.syntax()).ok());
            let bound = |part: &TableName| catalog.find(part)?.bound.clone();
            match part.and_then(|part| Some((bound(&part)?, part))) {
                Some((bound, part)) => {
                    run(format!("ATTACH PARTITION {} {bound}", quote::table(&part)))
                }
                None => Undo::Impossible,
            }
        }
        A::DropColumn(_) | A::DropConstraint(_) => Undo::Impossible,
        _ => stays(),
    }
}

fn column(
    table: &TableName,
    name: &Ident,
    option: Option<AlterColumnOption>,
    catalog: &Catalog,
) -> Undo {
    let found = catalog.find(table).and_then(|found| catalog.column(found, name));
    let of = format!("ALTER TABLE {} ALTER COLUMN {}", quote::table(table), quote::ident(name));
    let run = |words: String| Undo::Run(vec![Sql::new(format!("{of} {words}"))]);
    match option {
        Some(AlterColumnOption::SetType(set)) => match found {
            Some(known) => {
                // By way of the text where the author had to say how, too.
                let cast = if set.using_expr().is_some() { "::text" } else { "" };
                let collation =
                    known.collation.iter().map(|one| format!(" COLLATE {one}")).collect::<Vec<_>>();
                run(format!(
                    "TYPE {}{} USING {}{cast}::{}",
                    known.type_name,
                    collation.concat(),
                    quote::ident(name),
                    known.type_name
                ))
            }
            None => Undo::Impossible,
        },
        Some(AlterColumnOption::SetNotNull(_)) => run("DROP NOT NULL".into()),
        Some(AlterColumnOption::DropNotNull(_)) => run("SET NOT NULL".into()),
        Some(AlterColumnOption::AddGenerated(_)) => run("DROP IDENTITY IF EXISTS".into()),
        Some(AlterColumnOption::SetDefault(_) | AlterColumnOption::DropDefault(_)) => {
            let before = found.and_then(|known| known.default.as_ref());
            match before {
                Some(default) => run(format!("SET DEFAULT {}", default.sql)),
                None => run("DROP DEFAULT".into()),
            }
        }
        Some(AlterColumnOption::DropIdentity(_) | AlterColumnOption::DropExpression(_)) => {
            Undo::Impossible
        }
        _ => stays(),
    }
}
