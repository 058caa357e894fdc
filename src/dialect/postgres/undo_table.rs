//! How the actions of an ALTER TABLE that is run as written are taken back.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode};

use super::interpret::{one_name, table_name};
use super::undo::{object, stays};
use super::words::{Walk, Words};
use super::{privileges, quote, types};
use crate::catalog::{Catalog, Column, ConstraintKind, Mark, Table};
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
            undo @ Undo::Stages { .. } => {
                sql.splice(0..0, undo.statements().cloned()).for_each(drop);
            }
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
        A::AddColumn(add) => {
            let known = |column: &Ident| {
                catalog.find(table).is_some_and(|found| catalog.column(found, column).is_some())
            };
            match name(add.column_name().as_ref().map(AstNode::syntax)) {
                // It was there, under IF NOT EXISTS.
                Some(column) if known(&column) => Undo::Nothing,
                Some(column) => run(format!("DROP COLUMN IF EXISTS {}", quote::ident(&column))),
                None => Undo::Impossible,
            }
        }
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
        _ => settings(table, action, catalog),
    }
}

/// What is set for the table as a whole.
fn settings(table: &TableName, action: &AlterTableAction, catalog: &Catalog) -> Undo {
    use AlterTableAction as A;
    let head = format!("ALTER TABLE {}", quote::table(table));
    let run = |words: String| Undo::Run(vec![Sql::new(format!("{head} {words}"))]);
    let known = catalog.find(table);
    let set = |words: &str| known.is_some_and(|one| one.settings.iter().any(|it| it == words));
    let turn = |on: &str, off: &str| run(if set(on) { on.into() } else { off.into() });
    match action {
        A::EnableRls(_) | A::DisableRls(_) => {
            turn("ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY")
        }
        A::ForceRls(_) | A::NoForceRls(_) => {
            turn("FORCE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY")
        }
        A::SetLogged(_) | A::SetUnlogged(_) => turn("SET UNLOGGED", "SET LOGGED"),
        A::SetOptions(options) => {
            let before = known.and_then(|found| options_of(&found.settings));
            options_back(&head, options.attribute_list(), before)
        }
        A::ResetOptions(options) => {
            let before = known.and_then(|found| options_of(&found.settings));
            options_back(&head, options.attribute_list(), before)
        }
        A::ClusterOn(_) | A::SetWithoutCluster(_) => {
            let marks = known.into_iter().flat_map(|found| &found.marks);
            run(match marks.into_iter().find(|mark| matches!(mark, Mark::Clustered(_))) {
                Some(mark) => format!("CLUSTER ON {}", quote::ident(mark.name())),
                None => "SET WITHOUT CLUSTER".into(),
            })
        }
        A::OwnerTo(to) => {
            let after = Words::of(to.syntax()).after(&["owner", "to"]);
            match privileges::of_owner("table", table, None, after.as_ref(), catalog) {
                Some((before, had)) => {
                    let back = format!("{head} OWNER TO {}", quote::ident(&before));
                    Undo::Run(std::iter::once(Sql::new(back)).chain(had).collect())
                }
                None => stays(),
            }
        }
        A::AlterConstraint(_) => constraint(&head, action, known),
        A::EnableTrigger(_)
        | A::DisableTrigger(_)
        | A::EnableAlwaysTrigger(_)
        | A::EnableReplicaTrigger(_) => triggers(&head, action, known),
        A::EnableRule(_) | A::DisableRule(_) | A::EnableAlwaysRule(_) | A::EnableReplicaRule(_) => {
            rule(&head, table, action, catalog)
        }
        _ => stays(),
    }
}

/// The storage parameters among what is set for something.
pub(super) fn options_of(settings: &[String]) -> Option<&str> {
    settings.iter().map(String::as_str).find(|words| words.starts_with("SET ("))
}

/// Storage parameters as they were.
fn options_back(head: &str, changed: Option<ast::AttributeList>, before: Option<&str>) -> Undo {
    let words = changed.map(|list| Words::of(list.syntax()));
    named_back(head, words.as_ref().map(Walk::along), before)
}

/// The same of options that come next among the words.
pub(super) fn named_back(head: &str, mut walk: Option<Walk<'_>>, before: Option<&str>) -> Undo {
    let mut names = Vec::new();
    while let Some(walk) = walk.as_mut()
        && (walk.takes(&["("]) || walk.takes(&[","]))
    {
        let mut name = walk.next().unwrap_or_default().to_owned();
        while walk.takes(&["."]) {
            name = format!("{name}.{}", walk.next().unwrap_or_default());
        }
        names.push(name);
        while !walk.sees(&[","]) && walk.next().is_some() {}
    }
    let reset = Sql::new(format!("{head} RESET ({})", names.join(", ")));
    let again = before.map(|words| Sql::new(format!("{head} {words}")));
    Undo::Run(std::iter::once(reset).chain(again).collect())
}

/// A foreign key that is checked when it was.
fn constraint(head: &str, action: &AlterTableAction, known: Option<&Table>) -> Undo {
    let name = Words::of(action.syntax()).after(&["constraint"]);
    let found = known.into_iter().flat_map(|table| &table.constraints).find(|one| {
        one.kind != ConstraintKind::Incoming && name.as_ref().is_some_and(|it| *it == one.name)
    });
    let Some(found) = found else { return stays() };
    let clause = found.definition.trim_end_matches(" NOT VALID");
    let when = match clause.find(" DEFERRABLE") {
        Some(at) if !clause.ends_with("NOT DEFERRABLE") => &clause[at + 1..],
        _ => "NOT DEFERRABLE",
    };
    let when = if when == "DEFERRABLE" { "DEFERRABLE INITIALLY IMMEDIATE" } else { when };
    let words = format!("{head} ALTER CONSTRAINT {} {when}", quote::ident(&found.name));
    Undo::Run(vec![Sql::new(words)])
}

/// Triggers that fire when they did.
fn triggers(head: &str, action: &AlterTableAction, known: Option<&Table>) -> Undo {
    let words = Words::of(action.syntax());
    let Some(wanted) = words.after(&["trigger"]) else { return stays() };
    let mut sql = Vec::new();
    for one in known.into_iter().flat_map(|table| &table.triggers) {
        if one.name == wanted || matches!(wanted.as_str(), "all" | "user") {
            let state = one.state.as_deref().unwrap_or("ENABLE");
            sql.push(Sql::new(format!("{head} {state} TRIGGER {}", quote::ident(&one.name))));
        }
    }
    if sql.is_empty() { stays() } else { Undo::Run(sql) }
}

/// A rule that works when it did.
fn rule(head: &str, table: &TableName, action: &AlterTableAction, catalog: &Catalog) -> Undo {
    let words = Words::of(action.syntax());
    let Some(name) = words.after(&["rule"]) else { return stays() };
    let usual = format!("{head} ENABLE RULE {}", quote::ident(&name));
    let name = TableName { schema: table.schema.clone(), name };
    let known = object(catalog, "rule", &name, Some(table), None);
    let state = known.and_then(|one| one.said.iter().find(|sql| sql.starts_with("ALTER TABLE")));
    Undo::Run(vec![Sql::new(state.cloned().unwrap_or(usual))])
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
    let clause = |words: &str| {
        let mut all = found.into_iter().flat_map(|known| &known.settings);
        all.find(|one| one.clause.starts_with(words)).map(|one| one.clause.clone())
    };
    let setting =
        |words: &str, usual: &str| run(clause(words).unwrap_or_else(|| format!("{words} {usual}")));
    match option {
        Some(AlterColumnOption::SetType(set)) => match found.zip(set.ty()) {
            Some((known, new)) => {
                let using = set.using_expr().and_then(|using| using.expr());
                let using = using.map(|one| one.syntax().text().to_string()).unwrap_or_default();
                old_type(table, known, &new.syntax().text().to_string(), &using)
            }
            None => Undo::Impossible,
        },
        Some(AlterColumnOption::SetNotNull(_)) => match found {
            Some(known) if !known.nullable => Undo::Nothing,
            _ => run("DROP NOT NULL".into()),
        },
        Some(AlterColumnOption::DropNotNull(_)) => match found {
            Some(known) if known.nullable => Undo::Nothing,
            _ => run("SET NOT NULL".into()),
        },
        Some(AlterColumnOption::SetStatistics(_)) => setting("SET STATISTICS", "-1"),
        Some(AlterColumnOption::SetCompression(_)) => setting("SET COMPRESSION", "DEFAULT"),
        Some(AlterColumnOption::SetStorage(_)) => {
            let usual = found.and_then(|known| usual_storage(&known.type_name));
            usual.map_or_else(stays, |usual| setting("SET STORAGE", usual))
        }
        Some(AlterColumnOption::SetOptions(options)) => {
            options_back(&of, options.attribute_list(), clause("SET (").as_deref())
        }
        Some(AlterColumnOption::ResetOptions(options)) => {
            options_back(&of, options.attribute_list(), clause("SET (").as_deref())
        }
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

/// The type that a column had. A cast cuts off and rounds without a word, so what was written
/// since must come to itself by way of it.
fn old_type(table: &TableName, column: &Column, new: &str, using: &str) -> Undo {
    let Some(back) = types::back(column, new, using) else { return Undo::Impossible };
    let (name, old) = (quote::ident(&column.name), &column.type_name);
    let (table, shown) = (quote::table(table), format!("{table}.{}", column.name));
    let collation =
        column.collation.as_ref().map_or(String::new(), |one| format!(" COLLATE {one}"));
    let forth = if using.is_empty() { format!("CAST({name} AS {new})") } else { using.to_owned() };
    let again = format!("(SELECT {forth} FROM (SELECT {back} AS {name}) AS again)");
    let refuses = format!(
        "BEGIN\n  IF EXISTS (SELECT FROM {table} WHERE to_jsonb({again}) \
         IS DISTINCT FROM to_jsonb({name})) THEN\n    \
         RAISE check_violation USING MESSAGE = {};\n  END IF;\nEND ",
        quote::literal(&format!("{shown} has values that {old} does not hold"))
    );
    Undo::Run(vec![
        Sql::new(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")),
        Sql::new(format!("DO {}", quote::dollar(&refuses))),
        Sql::new(format!(
            "ALTER TABLE {table} ALTER COLUMN {name} TYPE {old}{collation} USING {back}"
        )),
    ])
}

/// How the server keeps values of a type where nothing is said, for its own types; those of
/// the user are not known.
fn usual_storage(type_name: &str) -> Option<&'static str> {
    let bare = type_name.split(['(', ' ']).next().unwrap_or_default();
    match bare {
        _ if type_name.ends_with("[]") => Some("EXTENDED"),
        "text" | "character" | "bytea" | "json" | "jsonb" | "xml" | "bit" | "tsvector" | "path"
        | "polygon" => Some("EXTENDED"),
        "numeric" | "inet" | "cidr" => Some("MAIN"),
        _ => None,
    }
}
