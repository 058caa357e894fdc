use squawk_syntax::SyntaxNode;
use squawk_syntax::ast::{self, AstNode};

use super::{Read, Reader, one_name, table_name};
use crate::change::{ChangeKind, Computed, Fill};
use crate::dialect::postgres::words::Words;

/// Whether ONLY stands before or after a name.
fn says_only(relation: &SyntaxNode) -> bool {
    let text = relation.text().to_string();
    text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("only"))
}

impl Reader<'_> {
    /// DELETE.
    pub(super) fn delete(&self, delete: &ast::Delete) -> Read<ChangeKind> {
        let relation = delete.relation_name().ok_or("it names no table")?;
        let reference = relation.relation_name_ref().ok_or("it names no table")?;
        let condition = match delete.where_clause_or_current_of() {
            None => None,
            Some(ast::WhereClauseOrCurrentOf::WhereClause(clause)) => {
                clause.expr().map(|expression| self.span(expression.syntax()))
            }
            Some(ast::WhereClauseOrCurrentOf::WhereCurrentOf(_)) => {
                return Err("WHERE CURRENT OF is not taken apart".into());
            }
        };
        let whole = [
            (delete.using_clause().is_some(), "it joins other tables with USING"),
            (delete.returning_clause().is_some(), "it has RETURNING"),
            (delete.with_clause().is_some(), "it has WITH"),
            (delete.alias().is_some(), "its table has an alias"),
        ];
        Ok(ChangeKind::Fill(Fill {
            table: table_name(reference.syntax())?,
            set: Vec::new(),
            plain: Vec::new(),
            condition,
            whole: whole.iter().find(|(is, _)| *is).map(|(_, why)| (*why).to_owned()),
            only: says_only(relation.syntax()),
            computes: None,
        }))
    }

    /// UPDATE.
    pub(super) fn update(&self, update: &ast::Update) -> Read<ChangeKind> {
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
            let name = one_name(name.syntax())?;
            if set.iter().any(|(one, _)| *one == name) {
                return Err(format!("it sets `{name}` twice, which the server refuses"));
            }
            set.push((name, self.span(expression.syntax())));
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
            only: says_only(relation.syntax()),
            computes: self.computed(update),
        }))
    }

    /// The query of an UPDATE of several tables: what it would set, for the rows that it means.
    fn computed(&self, update: &ast::Update) -> Option<Computed> {
        let from = update.from_clause();
        if from.is_none() && update.with_clause().is_none() || acts(update.with_clause()) {
            return None;
        }
        let list = update.set_clause()?.set_column_list()?;
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        for one in list.set_columns() {
            let ast::SetColumn::SetSingleColumn(single) = one else { return None };
            columns.push(one_name(single.column_target()?.name()?.syntax()).ok()?);
            values.push(self.slice(single.set_expr()?.expr()?.syntax()));
        }
        let slice = |node: Option<SyntaxNode>| node.map(|node| self.slice(&node).to_owned());
        let mut query = slice(update.with_clause().map(|one| one.syntax().clone()));
        let query = query.get_or_insert_default();
        query.push_str(&format!(
            " SELECT {} FROM {}",
            values.join(", "),
            self.slice(update.relation_name()?.syntax())
        ));
        if let Some(alias) = slice(update.alias().map(|one| one.syntax().clone())) {
            query.push_str(&format!(" {alias}"));
        }
        for item in from.iter().flat_map(ast::FromClause::items) {
            query.push_str(&format!(", {}", self.slice(item.syntax())));
        }
        if let Some(condition) = update.where_clause_or_current_of() {
            query.push_str(&format!(" {}", self.slice(condition.syntax())));
        }
        Some(Computed { query: query.trim().to_owned(), columns })
    }

    /// The query of an INSERT.
    pub(super) fn inserted(&self, node: &SyntaxNode) -> Option<Computed> {
        let insert = ast::Insert::cast(node.clone())?;
        let Some(ast::InsertSource::SelectVariant(query)) = insert.insert_source() else {
            return None;
        };
        let reads = Words::of(query.syntax()).find(&["from"]).is_some();
        if !reads || acts(insert.with_clause()) {
            return None;
        }
        let with = insert.with_clause().map(|one| self.slice(one.syntax()).to_owned());
        let query = format!("{} {}", with.unwrap_or_default(), self.slice(query.syntax()));
        let targets = insert.column_target_list().map(|one| Words::of(one.syntax()).first_list());
        Some(Computed { query: query.trim().to_owned(), columns: targets.unwrap_or_default() })
    }
}

/// Whether a WITH does more than read.
fn acts(with: Option<ast::WithClause>) -> bool {
    let words = with.map(|one| Words::of(one.syntax()));
    let says = |word: &str| words.as_ref().is_some_and(|words| words.find(&[word]).is_some());
    ["insert", "update", "delete", "merge"].into_iter().any(says)
}
