use sqlparser::ast::{
    self, AlterColumnOperation, AlterTableOperation, ColumnOption, Expr, ObjectName, Statement,
    TableConstraint,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::quote;
use super::split::{Lexeme, lex};
use crate::catalog::ConstraintKind;
use crate::change::{ChangeKind, Fill, NewColumn, NewConstraint, NewIndex};
use crate::sql::{ColumnRef, Ident, Span, TableName};

type Read<T> = Result<T, String>;

/// What one statement means.
pub(super) fn interpret(source: &str, statement: Span) -> Vec<ChangeKind> {
    let text = statement.of(source);
    read(text, statement.start).unwrap_or_else(|why| vec![ChangeKind::Opaque(why)])
}

fn read(text: &str, offset: u32) -> Read<Vec<ChangeKind>> {
    let words: Vec<_> = text.split_whitespace().take(3).collect();
    let opaque = || format!("`{} …` is not taken apart", words.join(" "));
    let mut parsed = Parser::parse_sql(&SQLiteDialect {}, text).map_err(|_| opaque())?;
    match parsed.pop() {
        Some(Statement::AlterTable(alter)) => alter_table(&alter),
        Some(Statement::CreateTable(create)) => Ok(vec![create_table(&create)?]),
        Some(Statement::CreateIndex(create)) => Ok(vec![create_index(&create, text)?]),
        Some(Statement::Drop {
            object_type: ast::ObjectType::Index,
            names,
            if_exists: false,
            ..
        }) => names
            .iter()
            .map(|name| Ok(ChangeKind::DropIndex { index: table_name(name)?, if_exists: false }))
            .collect(),
        Some(Statement::Update(update)) => Ok(vec![update_rows(&update, text, offset)?]),
        _ => Err(opaque()),
    }
}

fn ident(name: &ast::Ident) -> Ident {
    Ident::new(name.value.clone())
}

fn table_name(name: &ObjectName) -> Read<TableName> {
    match name.0.as_slice() {
        [ast::ObjectNamePart::Identifier(one)] => Ok(TableName { schema: None, name: ident(one) }),
        _ => Err(format!("`{name}` is in another database file")),
    }
}

fn alter_table(alter: &ast::AlterTable) -> Read<Vec<ChangeKind>> {
    let table = table_name(&alter.name)?;
    let column = |name: &ast::Ident| ColumnRef::new(&table, &ident(name));
    alter
        .operations
        .iter()
        .map(|operation| match operation {
            AlterTableOperation::AddColumn { column_def, if_not_exists: false, .. } => {
                let column = new_column(column_def);
                Ok(ChangeKind::AddColumn { table: table.clone(), column, if_not_exists: false })
            }
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                Ok(ChangeKind::RenameColumn {
                    column: column(old_column_name),
                    to: ident(new_column_name),
                })
            }
            AlterTableOperation::DropColumn { column_names, if_exists: false, .. } => {
                match column_names.as_slice() {
                    [one] => Ok(ChangeKind::DropColumn { column: column(one), if_exists: false }),
                    _ => Err("several columns are dropped at once".to_owned()),
                }
            }
            AlterTableOperation::AlterColumn {
                column_name,
                op: AlterColumnOperation::SetNotNull,
            } => Ok(ChangeKind::SetNotNull(column(column_name))),
            other => Err(format!("`{other}` is not taken apart")),
        })
        .collect()
}

/// A column as a statement defines it.
pub(super) fn new_column(definition: &ast::ColumnDef) -> NewColumn {
    let type_name = definition.data_type.to_string();
    let mut column = NewColumn {
        counter: None,
        name: ident(&definition.name),
        type_name: if type_name == "UNSPECIFIED" { String::new() } else { type_name },
        collation: None,
        not_null: false,
        default: None,
        default_constant: true,
        default_stable: false,
        others: Vec::new(),
        statement: String::new(),
    };
    for option in &definition.options {
        match &option.option {
            ColumnOption::NotNull => column.not_null = true,
            ColumnOption::Null => column.not_null = false,
            ColumnOption::Default(expression) => {
                let sql = expression.to_string();
                column.default_constant = quote::is_constant(&sql);
                column.default_stable = column.default_constant;
                column.default = Some(sql);
            }
            ColumnOption::Collation(name) => column.collation = Some(name.to_string()),
            other => column.others.push(other.to_string()),
        }
    }
    column
}

fn create_table(create: &ast::CreateTable) -> Read<ChangeKind> {
    if create.temporary || create.query.is_some() || create.like.is_some() {
        return Err("a temporary table or CREATE TABLE … AS is not taken apart".into());
    }
    let table = table_name(&create.name)?;
    let mut constraints = Vec::new();
    for constraint in &create.constraints {
        if let TableConstraint::ForeignKey(key) = constraint {
            let columns = key.columns.iter().map(ident).collect();
            constraints.push(foreign_key(&table, columns, &key.foreign_table)?);
        }
    }
    for column in &create.columns {
        for option in &column.options {
            if let ColumnOption::ForeignKey(key) = &option.option {
                constraints.push(foreign_key(
                    &table,
                    vec![ident(&column.name)],
                    &key.foreign_table,
                )?);
            }
        }
    }
    Ok(ChangeKind::CreateTable {
        table,
        columns: create.columns.iter().map(new_column).collect(),
        // A table WITHOUT ROWID has a key of its own, which the catalogue tells once it is made.
        key: if create.without_rowid { Vec::new() } else { vec![Ident::new("rowid")] },
        constraints,
        parent: None,
        if_not_exists: create.if_not_exists,
    })
}

/// A foreign key of a new table; such have no names here.
fn foreign_key(
    table: &TableName,
    columns: Vec<Ident>,
    references: &ast::ObjectName,
) -> Read<NewConstraint> {
    Ok(NewConstraint {
        table: table.clone(),
        name: Ident::new(""),
        named: false,
        kind: ConstraintKind::Foreign,
        columns,
        definition: String::new(),
        references: Some(table_name(references)?),
        keys: Vec::new(),
        condition: None,
        not_valid: false,
        using_index: None,
    })
}

fn create_index(create: &ast::CreateIndex, text: &str) -> Read<ChangeKind> {
    let mut keys = Vec::new();
    let mut plain = true;
    for column in &create.columns {
        match &column.column.expr {
            Expr::Identifier(name) => keys.push(ident(name)),
            _ => plain = false,
        }
    }
    let clauses = create.columns.iter().map(ToString::to_string);
    let clauses = clauses.chain(create.predicate.iter().map(ToString::to_string));
    let mut mentions = Vec::new();
    for lexeme in clauses.filter_map(|clause| lex(&clause).ok()).flatten() {
        if let Token::Word(word) = lexeme.token {
            mentions.push(Ident::new(word.value));
        }
    }
    let name = create.name.as_ref().map(table_name).transpose()?.map(|name| name.name);
    Ok(ChangeKind::CreateIndex(NewIndex {
        name,
        table: table_name(&create.table_name)?,
        unique: create.unique,
        concurrently: create.concurrently,
        if_not_exists: create.if_not_exists,
        keys: if plain { keys } else { Vec::new() },
        mentions,
        definition: text.to_owned(),
        insert_at: 0,
        partial: create.predicate.is_some(),
        only: false,
        shown: String::new(),
        computes: None,
    }))
}

/// Takes an UPDATE apart by its tokens, because the tree does not know exactly where each
/// expression stands.
fn update_rows(update: &ast::Update, text: &str, offset: u32) -> Read<ChangeKind> {
    let ast::TableFactor::Table { name, alias, .. } = &update.table.relation else {
        return Err("it updates no table".into());
    };
    let whole = [
        (update.from.is_some() || !update.table.joins.is_empty(), "it joins other tables"),
        (update.returning.is_some(), "it has RETURNING"),
        (update.or.is_some(), "it has OR"),
        (update.limit.is_some() || !update.order_by.is_empty(), "it has LIMIT or ORDER BY"),
        (alias.is_some(), "its table has an alias"),
    ];
    let whole = whole.iter().find(|(is, _)| *is).map(|(_, why)| (*why).to_owned());
    let lexemes = lex(text).map_err(|error| error.message)?;
    let parts = UpdateParts::of(&lexemes);
    if parts.values.len() != update.assignments.len() {
        return Err("its assignments are not taken apart".into());
    }
    let mut set = Vec::new();
    let mut plain = Vec::new();
    for (assignment, value) in update.assignments.iter().zip(parts.values) {
        let ast::AssignmentTarget::ColumnName(target) = &assignment.target else {
            return Err("UPDATE … SET (a, b) = … is not taken apart".into());
        };
        set.push((table_name(target)?.name, moved(value, offset)));
        plain.push(match &assignment.value {
            Expr::Identifier(name) => Some(ident(name)),
            _ => None,
        });
    }
    Ok(ChangeKind::Fill(Fill {
        table: table_name(name)?,
        set,
        plain,
        condition: parts.condition.map(|span| moved(span, offset)),
        whole,
        only: false,
        computes: None,
    }))
}

fn moved(span: Span, offset: u32) -> Span {
    Span { start: span.start + offset, end: span.end + offset }
}

/// Where the values and the condition of an UPDATE stand.
struct UpdateParts {
    values: Vec<Span>,
    condition: Option<Span>,
}

impl UpdateParts {
    fn of(lexemes: &[Lexeme]) -> Self {
        let mut parts = Self { values: Vec::new(), condition: None };
        let mut depth = 0_u32;
        let mut part = Part::Before;
        for lexeme in lexemes.iter().filter(|one| !one.is_blank()) {
            match &lexeme.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ => {}
            }
            let top = depth == 0;
            part = match (part, lexeme.keyword(), &lexeme.token) {
                (Part::Before, Keyword::SET, _) if top => Part::Target,
                (Part::Target, _, Token::Eq) if top => {
                    parts.values.push(Span::default());
                    Part::Value
                }
                (Part::Value, _, Token::Comma) if top => Part::Target,
                (Part::Value, Keyword::WHERE, _) if top => Part::Condition,
                (Part::Value, _, _) => {
                    extend(parts.values.last_mut(), lexeme.span);
                    Part::Value
                }
                (Part::Condition, _, _) => {
                    extend(Some(parts.condition.get_or_insert_default()), lexeme.span);
                    Part::Condition
                }
                (part, _, _) => part,
            };
        }
        parts
    }
}

#[derive(Clone, Copy)]
enum Part {
    Before,
    Target,
    Value,
    Condition,
}

fn extend(span: Option<&mut Span>, by: Span) {
    if let Some(span) = span {
        if *span == Span::default() {
            span.start = by.start;
        }
        span.end = by.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn one(text: &str) -> ChangeKind {
        let mut changes = interpret(text, Span::new(0, text.len()));
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes.remove(0)
    }

    #[test]
    fn an_update_is_read_with_its_places() {
        let text =
            "UPDATE users SET email = coalesce(username, 'a=b, c'), x = y WHERE (email) IS NULL";
        let ChangeKind::Fill(fill) = one(text) else { panic!("a fill") };
        assert_eq!(fill.set[0].1.of(text), "coalesce(username, 'a=b, c')");
        assert_eq!(fill.set[1].1.of(text), "y");
        assert_eq!(fill.plain, [None, Some(Ident::new("y"))]);
        assert_eq!(fill.condition.map(|span| span.of(text)), Some("(email) IS NULL"));
    }

    #[test]
    fn the_usual_changes_are_read() {
        assert!(matches!(
            one("ALTER TABLE users RENAME COLUMN username TO email"),
            ChangeKind::RenameColumn { .. }
        ));
        assert!(matches!(one("ALTER TABLE t DROP COLUMN a"), ChangeKind::DropColumn { .. }));
        assert!(matches!(one("CREATE INDEX i ON t (a)"), ChangeKind::CreateIndex(_)));
        assert!(matches!(one("DROP INDEX i"), ChangeKind::DropIndex { .. }));
        assert!(matches!(one("PRAGMA foreign_keys = OFF"), ChangeKind::Opaque(_)));
        let ChangeKind::AddColumn { column, .. } =
            one("ALTER TABLE t ADD COLUMN a TEXT NOT NULL DEFAULT 'x' COLLATE NOCASE")
        else {
            panic!("a column")
        };
        assert_eq!((column.default.as_deref(), column.not_null), (Some("'x'"), true));
        assert_eq!(column.collation.as_deref(), Some("NOCASE"));
    }
}
