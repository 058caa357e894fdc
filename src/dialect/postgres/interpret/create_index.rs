use squawk_syntax::ast::{self, AstNode};

use super::constraint::object_name;
use super::{Read, Reader, fold, one_name, quote, table_name};
use crate::change::{ChangeKind, Computed, NewIndex};
use crate::dialect::postgres::words::Words;
use crate::sql::Ident;

impl Reader<'_> {
    /// CREATE INDEX.
    pub(super) fn create_index(&self, create: &ast::CreateIndex) -> Read<ChangeKind> {
        let relation = create.table_relation_name().ok_or("it names no table")?;
        let items = create.partition_item_list().ok_or("it lists no columns")?;
        let mut keys = Vec::new();
        let mut plain = true;
        let mut shown = Vec::new();
        for item in items.partition_items() {
            match item.expr() {
                Some(ast::Expr::NameRef(name)) => {
                    keys.push(one_name(name.syntax())?);
                    shown.push(keys[keys.len() - 1].as_str().to_owned());
                }
                Some(ast::Expr::CallExpr(call)) => {
                    plain = false;
                    let name = Words::of(call.syntax()).first();
                    shown.push(name.unwrap_or_else(|| "expr".into()));
                }
                _ => {
                    plain = false;
                    shown.push("expr".into());
                }
            }
        }
        for item in create
            .index_include_clause()
            .and_then(|clause| clause.partition_item_list())
            .into_iter()
            .flat_map(|list| list.partition_items())
        {
            shown.push(self.slice(item.syntax()).trim().trim_matches('"').to_owned());
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
        let table = table_name(relation.table_name_ref().ok_or("it names no table")?.syntax())?;
        let chosen = create.index().and_then(|index| index.path());
        let mut definition = self.text.trim().to_owned();
        let name = if let Some(path) = chosen {
            one_name(path.syntax())?
        } else {
            // An interrupted build is found by its name, so it gets the one that the server
            // would choose.
            let name = object_name(&table.name, &shown.join("_"), "idx");
            let on: usize = create.on_token().ok_or("it has no ON")?.text_range().start().into();
            definition.insert_str(on, &format!("{} ", quote::ident(&name)));
            name
        };
        Ok(ChangeKind::CreateIndex(NewIndex {
            name: Some(name),
            table,
            unique: create.unique_token().is_some(),
            concurrently: create.concurrently_token().is_some(),
            if_not_exists: create.if_not_exists().is_some(),
            keys: if plain { keys } else { Vec::new() },
            mentions,
            definition,
            insert_at,
            partial: create.where_clause().is_some(),
            only: relation.only_token().is_some(),
            shown: distinct(shown).join("_"),
            computes: self.indexed(create),
        }))
    }

    /// The query that gives what an index holds, where the server must compute it.
    fn indexed(&self, create: &ast::CreateIndex) -> Option<Computed> {
        let items = create.partition_item_list()?;
        let computed = items.partition_items().filter_map(|item| item.expr());
        let computed = computed.filter(|one| !matches!(one, ast::Expr::NameRef(_)));
        let values: Vec<_> = computed.map(|one| self.slice(one.syntax()).to_owned()).collect();
        let condition = create.where_clause().map(|one| self.slice(one.syntax()));
        // A comparison of columns fails for no row.
        let can_fail = |text: &str| text.contains('(') || text.contains("::");
        if values.is_empty() && !condition.is_some_and(can_fail) {
            return None;
        }
        let table = self.slice(create.table_relation_name()?.syntax());
        let values = if values.is_empty() { "1".to_owned() } else { values.join(", ") };
        let query = format!("SELECT {values} FROM {table} {}", condition.unwrap_or_default());
        Some(Computed { query, columns: Vec::new() })
    }
}

/// The server numbers names that come again.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let again = (1..).map(|number| format!("{name}{number}"));
        let free = std::iter::once(name.clone()).chain(again).find(|one| !found.contains(one));
        found.extend(free);
    }
    found
}
