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

/// Whether the type is an enum.
pub(super) fn enumerates(catalog: &Catalog, type_name: &str) -> bool {
    is_made(catalog, type_name, " AS ENUM ")
}

/// Whether the type has fields, each of which may be NULL.
pub(super) fn has_fields(catalog: &Catalog, type_name: &str) -> bool {
    let row = |name: TableName| catalog.find(&name).is_some();
    is_made(catalog, type_name, " AS (") || named(type_name).is_some_and(row)
}

/// Whether the type was made by a statement of that kind; an array of it is another type.
fn is_made(catalog: &Catalog, type_name: &str, how: &str) -> bool {
    let mut types = catalog.objects.iter().filter(|one| one.kind == "type");
    let name = named(type_name).filter(|_| !type_name.trim_end().ends_with(']'));
    name.is_some_and(|name| types.any(|one| is(&name, &one.name) && one.definition.contains(how)))
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

/// Where these words stand in a definition, outside of all parentheses, each with the word after
/// it.
fn outside(definition: &str, words: &[&str]) -> Vec<(usize, String)> {
    let parsed = SourceFile::parse(definition);
    let tree = parsed.tree();
    let tokens = tree.syntax().descendants_with_tokens().filter_map(|one| one.into_token());
    let tokens: Vec<_> = tokens.filter(|one| !one.kind().is_trivia()).collect();
    let mut depth = 0_i32;
    let mut found = Vec::new();
    for pair in tokens.windows(2) {
        match pair[0].text() {
            "(" => depth += 1,
            ")" => depth -= 1,
            word if depth == 0 && words.iter().any(|one| word.eq_ignore_ascii_case(one)) => {
                let at = usize::from(pair[0].text_range().start());
                found.push((at, pair[1].text().to_owned()));
            }
            _ => {}
        }
    }
    found
}

/// The rules in a domain's definition, each with its name.
fn named_rules(definition: &str) -> Vec<(Ident, &str)> {
    let starts = outside(definition, &["constraint"]);
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([definition.len()]);
    let rules = starts.iter().zip(ends);
    rules.map(|((at, name), end)| (Ident::new(fold(name)), &definition[*at..end])).collect()
}

/// What a domain is where nothing is said: `DEFAULT 'x'`.
fn default_of(definition: &str) -> Option<&str> {
    let (at, _) = outside(definition, &["default"]).into_iter().next()?;
    let ends = outside(definition, &["not", "constraint"]);
    let end = ends.iter().map(|(end, _)| *end).find(|end| *end > at);
    Some(definition[at..end.unwrap_or(definition.len())].trim_end())
}

/// The name of a rule as the server writes it.
fn rules_name(rule: &str) -> &str {
    let rest = rule["constraint".len()..].trim_start();
    let end = match rest.strip_prefix('"') {
        Some(quoted) => quoted.replace("\"\"", "  ").find('"').map(|at| at + 2),
        None => rest.find(char::is_whitespace),
    };
    &rest[..end.unwrap_or(rest.len())]
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
                Some((_, text)) => {
                    let again = Sql::new(format!("{alter} ADD {}", text.trim_end()));
                    let name = format!("{} ON ", rules_name(text));
                    let said = before.said.iter().filter(|sql| {
                        sql.strip_prefix("COMMENT ON CONSTRAINT ")
                            .is_some_and(|rest| rest.starts_with(&name))
                    });
                    let said = said.map(|sql| Sql::new(sql.as_str()));
                    Undo::Run(std::iter::once(again).chain(said).collect())
                }
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
        () if walk.sees(&["set", "default"]) || walk.sees(&["drop", "default"]) => {
            match default_of(&before.definition) {
                Some(default) => run(format!("SET {default}")),
                None => run("DROP DEFAULT".into()),
            }
        }
        () if walk.takes(&["rename", "constraint"]) => {
            let from = walk.name().filter(|_| walk.takes(&["to"]));
            match from.and_then(|from| Some((from.name, walk.name()?.name))) {
                Some((from, to)) => run(format!(
                    "RENAME CONSTRAINT {} TO {}",
                    quote::ident(&to),
                    quote::ident(&from)
                )),
                None => Undo::Impossible,
            }
        }
        () if walk.takes(&["validate"]) => Undo::Nothing,
        () => super::undo::stays(),
    }
}
