use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::{NAME_MAX, Read, Reader, one_name, table_name};
use crate::catalog::ConstraintKind;
use crate::change::NewConstraint;
use crate::dialect::postgres::words::{Walk, Words};
use crate::sql::{Ident, TableName};

impl Reader<'_> {
    /// A constraint, of the table or of the column `of` that is being added. `None` for what
    /// is a property of the column: NOT NULL, DEFAULT, GENERATED.
    pub(super) fn constraint(
        &self,
        table: &TableName,
        of: Option<&Ident>,
        node: &SyntaxNode,
    ) -> Read<Option<NewConstraint>> {
        let Some(kind) = kind(node) else { return Ok(None) };
        let words = Words::of(node);
        let columns = match (of, kind) {
            (_, ConstraintKind::Check) => mentioned(node),
            (Some(column), _) => vec![column.clone()],
            (None, _) => words.first_list(),
        };
        let references = referenced(node)?;
        let using_index = words.after(&["using", "index"]);
        let chosen = node.children().find_map(ast::ConstraintNameClause::cast);
        let (named, name) = match chosen.and_then(|clause| clause.constraint_name()) {
            Some(name) => (true, one_name(name.syntax())?),
            None => (false, default_name(&table.name, kind, &columns)),
        };
        let name = match (&using_index, named) {
            (Some(index), false) => index.clone(),
            _ => name,
        };
        Ok(Some(NewConstraint {
            table: table.clone(),
            name,
            named,
            kind,
            definition: self.definition(node, of),
            columns,
            references,
            keys: pointed(&words),
            condition: ast::CheckConstraint::cast(node.clone())
                .and_then(|check| check.expr())
                .map(|condition| self.slice(condition.syntax()).to_owned()),
            not_valid: words.after(&["not", "valid"]).is_some() || words.ends(&["not", "valid"]),
            using_index,
        }))
    }

    /// The clause as it stands in ALTER TABLE … ADD, without CONSTRAINT and its name.
    fn definition(&self, node: &SyntaxNode, of: Option<&Ident>) -> String {
        let named = node.children().find_map(ast::ConstraintNameClause::cast);
        let start = named.map_or(node.text_range().start(), |one| one.syntax().text_range().end());
        let text = self.text[usize::from(start)..usize::from(node.text_range().end())].trim();
        let Some(column) = of.map(super::quote::ident) else { return text.to_owned() };
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("references") {
            return format!("FOREIGN KEY ({column}) {text}");
        }
        for head in ["primary key", "unique nulls not distinct", "unique nulls distinct", "unique"]
        {
            let words: Vec<_> = head.split(' ').collect();
            if let Some(end) = leading(text, &words) {
                return format!("{} ({column}){}", &text[..end], &text[end..]);
            }
        }
        text.to_owned()
    }
}

/// Where the leading words end, if the text begins with them.
fn leading(text: &str, words: &[&str]) -> Option<usize> {
    let mut at = 0;
    for word in words {
        let rest = &text[at..];
        let skipped = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        let head = rest.get(..word.len())?;
        if !head.eq_ignore_ascii_case(word)
            || rest[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            return None;
        }
        at += skipped + word.len();
    }
    Some(at)
}

fn kind(node: &SyntaxNode) -> Option<ConstraintKind> {
    let is = |cast: bool, kind| cast.then_some(kind);
    is(ast::CheckConstraint::cast(node.clone()).is_some(), ConstraintKind::Check)
        .or(is(ast::UniqueConstraint::cast(node.clone()).is_some(), ConstraintKind::Unique))
        .or(is(ast::PrimaryKeyConstraint::cast(node.clone()).is_some(), ConstraintKind::Primary))
        .or(is(ast::ForeignKeyConstraint::cast(node.clone()).is_some(), ConstraintKind::Foreign))
        .or(is(ast::ReferencesConstraint::cast(node.clone()).is_some(), ConstraintKind::Foreign))
        .or(is(ast::ExcludeConstraint::cast(node.clone()).is_some(), ConstraintKind::Exclusion))
}

/// The columns that a foreign key points to, where they are written.
fn pointed(words: &Words) -> Vec<Ident> {
    let mut walk = Walk::along(words);
    if !walk.past(&["references"]) || walk.name().is_none() {
        return Vec::new();
    }
    let inside = walk.inside().unwrap_or_default();
    inside.split(" , ").filter(|name| !name.is_empty()).map(Ident::new).collect()
}

fn referenced(node: &SyntaxNode) -> Read<Option<TableName>> {
    let name = ast::ForeignKeyConstraint::cast(node.clone())
        .and_then(|one| one.table_name_ref())
        .or_else(|| ast::ReferencesConstraint::cast(node.clone()).and_then(|one| one.table()));
    name.map(|name| table_name(name.syntax())).transpose()
}

/// The names in a condition that can be columns.
fn mentioned(node: &SyntaxNode) -> Vec<Ident> {
    let mut found: Vec<Ident> = Vec::new();
    for name in node.descendants().filter(|one| one.kind() == SyntaxKind::NAME_REF) {
        let calls = name.parent().is_some_and(|parent| parent.kind() == SyntaxKind::CALL_EXPR);
        if calls || inside_type(&name) {
            continue;
        }
        if let Ok(name) = one_name(&name)
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    found
}

fn inside_type(node: &SyntaxNode) -> bool {
    node.ancestors().any(|one| ast::Type::cast(one).is_some())
}

/// The name that the server gives a constraint without one, as its `makeObjectName` does.
pub(super) fn default_name(table: &Ident, kind: ConstraintKind, columns: &[Ident]) -> Ident {
    let joined = || columns.iter().map(Ident::as_str).collect::<Vec<_>>().join("_");
    match kind {
        ConstraintKind::Primary => object_name(table, "", "pkey"),
        ConstraintKind::Unique => object_name(table, &joined(), "key"),
        ConstraintKind::Foreign | ConstraintKind::Incoming => object_name(table, &joined(), "fkey"),
        ConstraintKind::Exclusion => object_name(table, &joined(), "excl"),
        ConstraintKind::Check if columns.len() == 1 => object_name(table, &joined(), "check"),
        ConstraintKind::Check => object_name(table, "", "check"),
    }
}

/// `table_columns_label`, the longer of the first two shortened until all fits.
pub(in crate::dialect::postgres) fn object_name(
    table: &Ident,
    columns: &str,
    label: &str,
) -> Ident {
    let mut first = table.as_str().to_owned();
    let mut second = columns.to_owned();
    let overhead = label.len() + 1 + usize::from(!second.is_empty());
    while first.len() + second.len() + overhead > NAME_MAX {
        let longer = if first.len() > second.len() { &mut first } else { &mut second };
        longer.pop();
    }
    let middle = if second.is_empty() { String::new() } else { format!("{second}_") };
    Ident::new(format!("{first}_{middle}{label}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_server_chooses() {
        let table = Ident::new("orders");
        let columns = [Ident::new("user_id"), Ident::new("day")];
        let name = |kind, columns: &[Ident]| default_name(&table, kind, columns).to_string();
        assert_eq!(name(ConstraintKind::Primary, &columns), "orders_pkey");
        assert_eq!(name(ConstraintKind::Unique, &columns), "orders_user_id_day_key");
        assert_eq!(name(ConstraintKind::Foreign, &columns[..1]), "orders_user_id_fkey");
        assert_eq!(name(ConstraintKind::Check, &columns), "orders_check");
        assert_eq!(name(ConstraintKind::Check, &columns[..1]), "orders_user_id_check");
        let long = object_name(&Ident::new("t".repeat(60)), &"c".repeat(60), "key");
        assert_eq!(long.as_str().len(), 63);
    }
}
