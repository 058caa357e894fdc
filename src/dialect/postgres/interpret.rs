use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxNode};

use super::quote;
use crate::change::{ChangeKind, Fill, NewColumn, NewIndex};
use crate::sql::{ColumnRef, Ident, Span, TableName};

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

type Read<T> = Result<T, String>;

impl Reader<'_> {
    fn statement(&self, statement: &ast::Stmt) -> Read<Vec<ChangeKind>> {
        match statement {
            ast::Stmt::AlterTable(alter) => self.alter_table(alter),
            ast::Stmt::CreateTable(create) => Ok(vec![self.create_table(create)?]),
            ast::Stmt::CreateIndex(create) => Ok(vec![self.create_index(create)?]),
            ast::Stmt::DropIndex(drop) => {
                if drop.drop_behavior().is_some_and(|one| is(one.syntax(), "cascade")) {
                    return Err("DROP INDEX … CASCADE drops what it does not name".into());
                }
                drop.index_refs()
                    .map(|index| Ok(ChangeKind::DropIndex(table_name(index.syntax())?)))
                    .collect()
            }
            ast::Stmt::Update(update) => Ok(vec![self.update(update)?]),
            other => {
                let words: Vec<_> = self.slice(other.syntax()).split_whitespace().take(3).collect();
                Err(format!("`{} …` is not taken apart", words.join(" ")))
            }
        }
    }

    fn alter_table(&self, alter: &ast::AlterTable) -> Read<Vec<ChangeKind>> {
        let relation = alter.table_relation_name().ok_or("it names no table")?;
        let table = table_name(relation.table_name_ref().ok_or("it names no table")?.syntax())?;
        if alter.if_exists().is_some() || relation.only_token().is_some() {
            return Err("IF EXISTS and ONLY are not taken apart".into());
        }
        let column_of = |name: Option<ast::ColumnNameRef>| -> Read<ColumnRef> {
            let name = name.ok_or("it names no column")?;
            Ok(ColumnRef::new(&table, &one_name(name.syntax())?))
        };
        alter
            .actions()
            .map(|action| match action {
                ast::AlterTableAction::AddColumn(add) => {
                    if add.if_not_exists().is_some() || add.alter_option_list().is_some() {
                        return Err("IF NOT EXISTS and OPTIONS are not taken apart".to_owned());
                    }
                    let column = self.column(
                        add.column_name().as_ref().map(AstNode::syntax),
                        add.ty().as_ref(),
                        add.collate().as_ref(),
                        add.constraints().map(|one| one.syntax().clone()),
                    )?;
                    Ok(ChangeKind::AddColumn { table: table.clone(), column })
                }
                ast::AlterTableAction::RenameColumn(rename) => Ok(ChangeKind::RenameColumn {
                    column: column_of(rename.column_name_ref())?,
                    to: one_name(rename.column_name().ok_or("it names no column")?.syntax())?,
                }),
                ast::AlterTableAction::DropColumn(drop) => {
                    let cascade =
                        drop.drop_behavior().is_some_and(|one| is(one.syntax(), "cascade"));
                    if cascade || drop.if_exists().is_some() {
                        return Err(
                            "DROP COLUMN with CASCADE or IF EXISTS drops what it does not \
                                    name"
                                .to_owned(),
                        );
                    }
                    Ok(ChangeKind::DropColumn(column_of(drop.column_name_ref())?))
                }
                ast::AlterTableAction::AlterColumn(alter) => match alter.option() {
                    Some(ast::AlterColumnOption::SetNotNull(_)) => {
                        Ok(ChangeKind::SetNotNull(column_of(alter.column_name_ref())?))
                    }
                    _ => Err(format!("`{}` is not taken apart", self.slice(alter.syntax()))),
                },
                other => Err(format!("`{}` is not taken apart", self.slice(other.syntax()))),
            })
            .collect()
    }

    fn create_table(&self, create: &ast::CreateTable) -> Read<ChangeKind> {
        let odd = create.inherits().is_some()
            || create.of_type().is_some()
            || create.partition_by().is_some()
            || create.partition_of().is_some()
            || create.persistence().is_some();
        if odd {
            return Err(
                "a temporary, unlogged, inherited or partitioned table is not taken apart".into()
            );
        }
        let table = table_name(create.table_name().ok_or("it names no table")?.syntax())?;
        let list = create.table_arg_list().ok_or("it lists no columns")?;
        let mut columns = Vec::new();
        for argument in list.args() {
            match argument {
                ast::TableArg::Column(column) => {
                    let collate = column.clauses().find_map(|clause| match clause {
                        ast::ColumnClause::Collate(collate) => Some(collate),
                        _ => None,
                    });
                    let constraints = column.clauses().filter_map(|clause| match clause {
                        ast::ColumnClause::Collate(_) => None,
                        other => Some(other.syntax().clone()),
                    });
                    columns.push(self.column(
                        column.name().as_ref().map(AstNode::syntax),
                        column.ty().as_ref(),
                        collate.as_ref(),
                        constraints,
                    )?);
                }
                ast::TableArg::LikeClause(_) => return Err("LIKE is not taken apart".into()),
                ast::TableArg::TableConstraint(_) => {}
            }
        }
        let references = list
            .syntax()
            .descendants()
            .filter_map(|node| {
                ast::ReferencesConstraint::cast(node.clone()).and_then(|one| one.table()).or_else(
                    || ast::ForeignKeyConstraint::cast(node).and_then(|one| one.table_name_ref()),
                )
            })
            .map(|name| table_name(name.syntax()))
            .collect::<Read<Vec<_>>>()?;
        let references = references.into_iter().filter(|one| *one != table).collect();
        let if_not_exists = create.if_not_exists().is_some();
        let key = self.primary_key(&list, &columns);
        Ok(ChangeKind::CreateTable { table, columns, key, references, if_not_exists })
    }

    /// The columns of PRIMARY KEY, of a column or of the table.
    fn primary_key(&self, list: &ast::TableArgList, columns: &[NewColumn]) -> Vec<Ident> {
        let of_table = list
            .syntax()
            .descendants()
            .filter(|node| ast::PrimaryKeyConstraint::cast(node.clone()).is_some());
        for node in of_table {
            let text = self.slice(&node);
            if let Some((_, names)) = text.split_once('(')
                && let Some((names, _)) = names.split_once(')')
            {
                return names.split(',').map(|name| Ident::new(fold(name.trim()))).collect();
            }
        }
        let is_key = |clause: &String| clause.to_uppercase().contains("PRIMARY KEY");
        let own = columns.iter().filter(|column| column.others.iter().any(is_key));
        own.map(|column| column.name.clone()).collect()
    }

    fn column(
        &self,
        name: Option<&SyntaxNode>,
        ty: Option<&ast::Type>,
        collate: Option<&ast::Collate>,
        constraints: impl Iterator<Item = SyntaxNode>,
    ) -> Read<NewColumn> {
        let type_name = ty.map(|ty| self.slice(ty.syntax()).to_owned()).unwrap_or_default();
        let mut column = NewColumn {
            name: one_name(name.ok_or("a column has no name")?)?,
            type_name,
            collation: collate.map(|one| {
                self.slice(one.syntax())
                    .trim_start_matches(|c: char| c.is_alphabetic())
                    .trim()
                    .to_owned()
            }),
            not_null: false,
            default: None,
            default_constant: true,
            default_stable: true,
            others: Vec::new(),
        };
        let lower = column.type_name.to_lowercase();
        if matches!(lower.as_str(), "serial" | "bigserial" | "smallserial" | "serial4" | "serial8")
        {
            column.others.push(format!("the type {lower}, which owns a sequence"));
        }
        for node in constraints {
            if ast::NotNullConstraint::cast(node.clone()).is_some() {
                column.not_null = true;
            } else if ast::NullConstraint::cast(node.clone()).is_some() {
                column.not_null = false;
            } else if let Some(default) = ast::DefaultConstraint::cast(node.clone()) {
                let expression = default.expr().ok_or("a default has no expression")?;
                let sql = self.slice(expression.syntax()).to_owned();
                column.default_constant = quote::is_constant(&sql);
                column.default_stable = quote::is_stable(&sql);
                column.default = Some(sql);
            } else {
                column.others.push(self.slice(&node).to_owned());
            }
        }
        Ok(column)
    }

    fn create_index(&self, create: &ast::CreateIndex) -> Read<ChangeKind> {
        let relation = create.table_relation_name().ok_or("it names no table")?;
        if relation.only_token().is_some() {
            return Err("an index ON ONLY is not taken apart".into());
        }
        let items = create.partition_item_list().ok_or("it lists no columns")?;
        let mut keys = Vec::new();
        let mut plain = true;
        for item in items.partition_items() {
            match item.expr() {
                Some(ast::Expr::NameRef(name)) => keys.push(one_name(name.syntax())?),
                _ => plain = false,
            }
        }
        let mut mentions = Vec::new();
        let clauses = [
            Some(items.syntax().clone()),
            create.where_clause().map(|one| one.syntax().clone()),
            create.index_include_clause().map(|one| one.syntax().clone()),
        ];
        for token in clauses
            .into_iter()
            .flatten()
            .flat_map(|node| node.descendants_with_tokens())
            .filter_map(|element| element.into_token())
            .filter(|token| !token.kind().is_trivia())
        {
            mentions.push(Ident::new(fold(token.text())));
        }
        let index_word = create.index_token().ok_or("it has no INDEX")?;
        let insert_at: u32 = index_word.text_range().end().into();
        Ok(ChangeKind::CreateIndex(NewIndex {
            name: create
                .index()
                .and_then(|index| index.path())
                .map(|path| one_name(path.syntax()))
                .transpose()?,
            table: table_name(relation.table_name_ref().ok_or("it names no table")?.syntax())?,
            unique: create.unique_token().is_some(),
            concurrently: create.concurrently_token().is_some(),
            if_not_exists: create.if_not_exists().is_some(),
            keys: if plain { keys } else { Vec::new() },
            mentions,
            definition: self.text.trim().to_owned(),
            insert_at,
            partial: create.where_clause().is_some(),
        }))
    }

    fn update(&self, update: &ast::Update) -> Read<ChangeKind> {
        let relation = update.relation_name().ok_or("it names no table")?;
        let reference = relation.relation_name_ref().ok_or("it names no table")?;
        let mut set = Vec::new();
        let mut plain = Vec::new();
        let list = update.set_clause().and_then(|set| set.set_column_list());
        for one in list.ok_or("it sets nothing")?.set_columns() {
            let ast::SetColumn::SetSingleColumn(single) = one else {
                return Err("UPDATE … SET (a, b) = … is not taken apart".into());
            };
            let target = single.column_target().ok_or("it sets nothing")?;
            let name = target.name().ok_or("it sets nothing")?;
            let value = single.set_expr().ok_or("it sets to nothing")?;
            let Some(expression) = value.expr() else {
                return Err("UPDATE … SET a = DEFAULT is not taken apart".into());
            };
            set.push((one_name(name.syntax())?, self.span(expression.syntax())));
            plain.push(match &expression {
                ast::Expr::NameRef(name) => one_name(name.syntax()).ok(),
                _ => None,
            });
        }
        let condition = match update.where_clause_or_current_of() {
            None => None,
            Some(ast::WhereClauseOrCurrentOf::WhereClause(clause)) => {
                clause.expr().map(|expression| self.span(expression.syntax()))
            }
            Some(ast::WhereClauseOrCurrentOf::WhereCurrentOf(_)) => {
                return Err("WHERE CURRENT OF is not taken apart".into());
            }
        };
        let whole = [
            (update.from_clause().is_some(), "it joins other tables with FROM"),
            (update.returning_clause().is_some(), "it has RETURNING"),
            (update.with_clause().is_some(), "it has WITH"),
            (update.alias().is_some(), "its table has an alias"),
        ];
        Ok(ChangeKind::Fill(Fill {
            table: table_name(reference.syntax())?,
            set,
            plain,
            condition,
            whole: whole.iter().find(|(is, _)| *is).map(|(_, why)| (*why).to_owned()),
        }))
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

fn is(node: &SyntaxNode, word: &str) -> bool {
    node.text().to_string().trim().eq_ignore_ascii_case(word)
}

/// A token as the catalogue would store it: folded to lower case unless quoted.
pub(super) fn fold(token: &str) -> String {
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

fn one_name(node: &SyntaxNode) -> Read<Ident> {
    match <[Ident; 1]>::try_from(names(node)) {
        Ok([name]) => Ok(name),
        Err(_) => Err(format!("`{}` is not a plain name", node.text().to_string().trim())),
    }
}

fn table_name(node: &SyntaxNode) -> Read<TableName> {
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
        let ChangeKind::AddColumn { column, .. } =
            one("ALTER TABLE t ADD c varchar(20) COLLATE \"C\" NOT NULL DEFAULT 'a' UNIQUE")
        else {
            panic!("an added column")
        };
        assert_eq!(column.type_name, "varchar(20)");
        assert_eq!(column.collation.as_deref(), Some("\"C\""));
        assert!(column.not_null && column.default_constant);
        assert_eq!(column.default.as_deref(), Some("'a'"));
        assert_eq!(column.others, ["UNIQUE"]);
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
    fn several_actions_are_several_changes_and_one_unknown_hides_none() {
        assert_eq!(read("ALTER TABLE t ADD a int, DROP COLUMN b").len(), 2);
        assert!(matches!(one("ALTER TABLE t ADD a int, ALTER b TYPE text"), ChangeKind::Opaque(_)));
        assert!(matches!(one("ALTER TABLE t DROP COLUMN b CASCADE"), ChangeKind::Opaque(_)));
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
        let ChangeKind::CreateTable { references, columns, .. } = one(text) else {
            panic!("a table")
        };
        assert_eq!(references, [TableName::new(None, "users"), TableName::new(Some("s"), "v")]);
        assert_eq!(columns.len(), 2);
        let text = "CREATE TABLE t (a int, \"B b\" int, CONSTRAINT k PRIMARY KEY (a, \"B b\"))";
        let ChangeKind::CreateTable { key, .. } = one(text) else { panic!("a table") };
        assert_eq!(key, [Ident::new("a"), Ident::new("B b")]);
    }
}
