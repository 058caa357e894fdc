//! What a statement means. Statements that are taken apart are read from the tree, one kind
//! a file; all others by their first words, in `plain.rs`.

mod alter_table;
mod constraint;
mod copies;
mod create_index;
mod create_table;
mod partition;
mod plain;
mod rows;

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxNode};

use super::quote;
use crate::change::ChangeKind;
use crate::sql::{Ident, Span, TableName};

pub(super) use constraint::object_name;

/// What one statement means.
pub(super) fn interpret(source: &str, statement: Span) -> Vec<ChangeKind> {
    let text = statement.of(source);
    let parsed = SourceFile::parse(text);
    let reader = Reader { text, offset: statement.start };
    let Some(tree) = parsed.tree().stmts().next() else {
        return vec![ChangeKind::Opaque("it is empty".into())];
    };
    reader.statement(&tree).unwrap_or_else(|why| vec![ChangeKind::Opaque(why)])
}

/// Reads the tree of one statement; spans are moved to where it stands in the file.
struct Reader<'a> {
    text: &'a str,
    offset: u32,
}

/// The longest name the server keeps, in bytes.
pub(super) const NAME_MAX: usize = 63;

/// What was read, or why it is not understood.
pub(super) type Read<T> = Result<T, String>;

impl Reader<'_> {
    fn statement(&self, statement: &ast::Stmt) -> Read<Vec<ChangeKind>> {
        match statement {
            ast::Stmt::AlterTable(alter) => self.alter_table(alter),
            ast::Stmt::CreateTable(create) => self.create_table(create),
            ast::Stmt::CreateIndex(create) => Ok(vec![self.create_index(create)?]),
            ast::Stmt::DropTable(drop) => drop_table(drop),
            ast::Stmt::DropIndex(drop) => {
                if drop.drop_behavior().is_some_and(|one| is(one.syntax(), "cascade")) {
                    return Err("DROP INDEX … CASCADE drops what it does not name".into());
                }
                let if_exists = drop.if_exists().is_some();
                drop.index_refs()
                    .map(|index| {
                        let index = table_name(index.syntax())?;
                        Ok(ChangeKind::DropIndex { index, if_exists })
                    })
                    .collect()
            }
            ast::Stmt::Update(update) => Ok(vec![self.update(update)?]),
            ast::Stmt::Delete(delete) => Ok(vec![self.delete(delete)?]),
            other => self.plain(other.syntax()).map(|plain| vec![plain]),
        }
    }

    fn slice(&self, node: &SyntaxNode) -> &str {
        let range = node.text_range();
        self.text[usize::from(range.start())..usize::from(range.end())].trim()
    }

    fn span(&self, node: &SyntaxNode) -> Span {
        let range = node.text_range();
        let (start, end): (u32, u32) = (range.start().into(), range.end().into());
        Span { start: start + self.offset, end: end + self.offset }
    }
}

fn drop_table(drop: &ast::DropTable) -> Read<Vec<ChangeKind>> {
    let tables: Read<Vec<_>> =
        drop.table_name_refs().map(|name| table_name(name.syntax())).collect();
    let if_exists = drop.if_exists().is_some();
    Ok(vec![ChangeKind::DropTable { tables: tables?, if_exists }])
}

fn is(node: &SyntaxNode, word: &str) -> bool {
    node.text().to_string().trim().eq_ignore_ascii_case(word)
}

/// A token as the catalogue would store it: folded to lower case unless quoted, and cut off
/// where a name is too long.
pub(super) fn fold(token: &str) -> String {
    let mut name = folded(token);
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

fn folded(token: &str) -> String {
    match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        // The server folds ASCII only where its encoding has several bytes a character.
        None => token.to_ascii_lowercase(),
    }
}

fn names(node: &SyntaxNode) -> Vec<Ident> {
    node.descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .filter(|token| !token.kind().is_trivia() && token.text() != ".")
        .map(|token| Ident::new(fold(token.text())))
        .collect()
}

/// A name without a schema.
pub(super) fn one_name(node: &SyntaxNode) -> Read<Ident> {
    match <[Ident; 1]>::try_from(names(node)) {
        Ok([name]) => Ok(name),
        Err(_) => Err(format!("`{}` is not a plain name", node.text().to_string().trim())),
    }
}

/// A name with or without a schema.
pub(super) fn table_name(node: &SyntaxNode) -> Read<TableName> {
    let mut parts = names(node);
    let name = parts.pop();
    match (name, parts.pop(), parts.is_empty()) {
        (Some(name), schema, true) => Ok(TableName { schema, name }),
        _ => Err(format!("`{}` is not a table's name", node.text().to_string().trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::ColumnRef;

    fn read(text: &str) -> Vec<ChangeKind> {
        interpret(text, Span::new(0, text.len()))
    }

    #[track_caller]
    fn one(text: &str) -> ChangeKind {
        let mut changes = read(text);
        assert_eq!(changes.len(), 1, "{changes:?}");
        changes.remove(0)
    }

    #[test]
    fn a_rename_is_read_with_its_names_folded() {
        let change = one("ALTER TABLE Shop.Users RENAME \"User Name\" TO Email");
        let table = TableName::new(Some("shop"), "users");
        assert_eq!(
            change,
            ChangeKind::RenameColumn {
                column: ColumnRef::new(&table, &Ident::new("User Name")),
                to: Ident::new("email")
            }
        );
    }

    #[test]
    fn an_added_column_is_read_with_its_clauses() {
        let found =
            read("ALTER TABLE t ADD c varchar(20) COLLATE \"C\" NOT NULL DEFAULT 'a' UNIQUE");
        let [ChangeKind::AddColumn { column, .. }, ChangeKind::AddConstraint(unique)] =
            found.as_slice()
        else {
            panic!("an added column and its constraint: {found:?}")
        };
        assert_eq!(column.type_name, "varchar(20)");
        assert_eq!(column.collation.as_deref(), Some("\"C\""));
        assert!(column.not_null && column.default_constant);
        assert_eq!(column.default.as_deref(), Some("'a'"));
        assert!(column.others.is_empty());
        assert_eq!(unique.definition, "UNIQUE (\"c\")");
        assert_eq!(unique.name.as_str(), "t_c_key");
    }

    #[test]
    fn an_update_is_read_with_its_places() {
        let text = "UPDATE users SET email = lower(username), x = y WHERE email IS NULL";
        let ChangeKind::Fill(fill) = one(text) else { panic!("a fill") };
        assert_eq!(fill.set[0].1.of(text), "lower(username)");
        assert_eq!(fill.plain, [None, Some(Ident::new("y"))]);
        assert_eq!(fill.condition.map(|span| span.of(text)), Some("email IS NULL"));
    }

    #[test]
    fn several_actions_are_several_changes_in_the_order_of_the_server() {
        let changes = read("ALTER TABLE t ADD a int, ADD UNIQUE (a), ALTER b TYPE text, DROP c");
        assert!(matches!(
            changes.as_slice(),
            [
                ChangeKind::DropColumn { .. },
                ChangeKind::ChangeType(_),
                ChangeKind::AddColumn { .. },
                ChangeKind::AddConstraint(_)
            ]
        ));
        let guarded = read("ALTER TABLE IF EXISTS t DROP COLUMN IF EXISTS b");
        assert!(matches!(
            guarded.as_slice(),
            [ChangeKind::IfTable(_), ChangeKind::DropColumn { if_exists: true, .. }]
        ));
    }

    #[test]
    fn an_index_is_read() {
        let text = "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a, b DESC) WHERE c > 0";
        let ChangeKind::CreateIndex(index) = one(text) else { panic!("an index") };
        assert!(index.unique && index.concurrently && index.partial);
        assert_eq!(index.keys, [Ident::new("a"), Ident::new("b")]);
        assert!(index.mentions.contains(&Ident::new("c")));
    }

    #[test]
    fn a_table_is_read_with_what_it_points_to() {
        let text = "CREATE TABLE o (id int PRIMARY KEY, u int REFERENCES users (id), \
                    FOREIGN KEY (u) REFERENCES s.v (id))";
        let ChangeKind::CreateTable { constraints, columns, .. } = one(text) else {
            panic!("a table")
        };
        let references: Vec<_> =
            constraints.iter().filter_map(|one| one.references.clone()).collect();
        assert_eq!(references, [TableName::new(None, "users"), TableName::new(Some("s"), "v")]);
        let names: Vec<_> = constraints.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["o_pkey", "o_u_fkey", "o_u_fkey"]);
        assert_eq!(columns.len(), 2);
        let text = "CREATE TABLE t (a int, \"B b\" int, CONSTRAINT k PRIMARY KEY (a, \"B b\"))";
        let ChangeKind::CreateTable { key, .. } = one(text) else { panic!("a table") };
        assert_eq!(key, [Ident::new("a"), Ident::new("B b")]);
    }
}
