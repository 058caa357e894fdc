//! Domains that check what they hold. The server proves them for every row: a new column of
//! one writes its table anew, default or not, and a rule added to one reads every table that
//! has a column of it (measured on PostgreSQL 15).

use squawk_syntax::SourceFile;
use squawk_syntax::ast::AstNode;

use super::interpret::fold;
use super::quote;
use super::words::{Walk, Words};
use crate::catalog::{Catalog, Object};
use crate::plan::Undo;
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// The name of a type, as a statement or the catalogue writes it.
fn named(text: &str) -> Option<TableName> {
    let parsed = SourceFile::parse(&format!("DROP DOMAIN {text}"));
    let words = Words::of(parsed.tree().syntax());
    let mut walk = Walk::along(&words);
    walk.takes(&["drop", "domain"]);
    walk.name()
}

fn is(name: &TableName, object: &TableName) -> bool {
    name.name == object.name && (name.schema.is_none() || name.schema == object.schema)
}

/// Whether the type is a domain with a rule, or one over such a domain.
pub(super) fn checks(catalog: &Catalog, type_name: &str) -> bool {
    let mut seen = Vec::new();
    named(type_name).is_some_and(|name| rules(catalog, &name, &mut seen))
}

fn rules<'a>(catalog: &'a Catalog, name: &TableName, seen: &mut Vec<&'a Object>) -> bool {
    let known = |object: &&Object| {
        matches!(object.kind.as_str(), "domain" | "type") && is(name, &object.name)
    };
    let Some(object) = catalog.objects.iter().find(known) else { return false };
    if seen.contains(&object) {
        return false;
    }
    seen.push(object);
    let parsed = SourceFile::parse(&object.definition);
    let words = Words::of(parsed.tree().syntax());
    let mut walk = Walk::along(&words);
    if !walk.takes(&["create", "domain"]) {
        return false;
    }
    walk.name();
    walk.takes(&["as"]);
    let rule = |word: &[&str]| walk.holds(word);
    rule(&["check"]) || rule(&["not", "null"]) || {
        let mut rest = walk;
        rest.name().is_some_and(|base| rules(catalog, &base, seen))
    }
}

/// The columns of a type of the author's own.
pub(super) fn users(catalog: &Catalog, wanted: &TableName) -> Vec<ColumnRef> {
    let of = |type_name: &str| {
        named(type_name).is_some_and(|name| is(&name, wanted) || is(wanted, &name))
    };
    let tables = catalog.tables.values();
    tables
        .flat_map(|table| table.columns.iter().map(move |column| (table, column)))
        .filter(|(_, column)| of(&column.type_name))
        .map(|(table, column)| ColumnRef::new(&table.name, &column.name))
        .collect()
}

/// The rules in a domain's definition, each with its name.
fn named_rules(definition: &str) -> Vec<(Ident, &str)> {
    let parsed = SourceFile::parse(definition);
    let tree = parsed.tree();
    let tokens = tree.syntax().descendants_with_tokens().filter_map(|one| one.into_token());
    let tokens: Vec<_> = tokens.filter(|one| !one.kind().is_trivia()).collect();
    let mut depth = 0_i32;
    let mut starts = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text() {
            "(" => depth += 1,
            ")" => depth -= 1,
            word if depth == 0 && word.eq_ignore_ascii_case("constraint") => {
                let at = usize::from(pair[0].text_range().start());
                starts.push((Ident::new(fold(pair[1].text())), at));
            }
            _ => {}
        }
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([definition.len()]);
    starts.iter().zip(ends).map(|((name, at), end)| (name.clone(), &definition[*at..end])).collect()
}

/// What takes an ALTER DOMAIN back, from the words behind the domain's name.
pub(super) fn undo(name: &TableName, mut walk: Walk<'_>, before: Option<&Object>) -> Undo {
    let alter = format!("ALTER DOMAIN {}", quote::table(name));
    let run = |what: String| Undo::Run(vec![Sql::new(format!("{alter} {what}"))]);
    let drop = |rule: &Ident| run(format!("DROP CONSTRAINT IF EXISTS {}", quote::ident(rule)));
    let Some(before) = before else { return Undo::Impossible };
    let rules = named_rules(&before.definition);
    let has = |wanted: &str| rules.iter().any(|(rule, _)| rule.as_str() == wanted);
    let required = || {
        let parsed = SourceFile::parse(&before.definition);
        Words::of(parsed.tree().syntax()).find(&["not", "null"]).is_some()
    };
    match () {
        () if walk.takes(&["add", "constraint"]) => {
            walk.name().map_or(Undo::Impossible, |rule| drop(&rule.name))
        }
        // The name that the server chooses.
        () if walk.takes(&["add"]) => {
            let first = format!("{}_check", name.name);
            let chosen = (0..).map(|i| if i == 0 { first.clone() } else { format!("{first}{i}") });
            let free = chosen.take(100).find(|one| !has(one));
            free.map_or(Undo::Impossible, |one| drop(&Ident::new(one)))
        }
        () if walk.takes(&["drop", "constraint"]) => {
            let lenient = walk.takes(&["if", "exists"]);
            let Some(wanted) = walk.name() else { return Undo::Impossible };
            match rules.iter().find(|(rule, _)| *rule == wanted.name) {
                Some((_, text)) => run(format!("ADD {}", text.trim_end())),
                None if lenient => Undo::Nothing,
                None => Undo::Impossible,
            }
        }
        () if walk.takes(&["set", "not", "null"]) => {
            if required() {
                Undo::Nothing
            } else {
                run("DROP NOT NULL".into())
            }
        }
        () if walk.takes(&["drop", "not", "null"]) => run("SET NOT NULL".into()),
        () if walk.takes(&["validate"]) => Undo::Nothing,
        () => super::undo::stays(),
    }
}
