//! Putting another column into a definition that the server printed.

use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxKind};

use super::interpret::table_name;
use super::quote;
use crate::sql::{Ident, TableName};

/// An index's definition for other columns and under another name, built beside writers.
/// `None` when the definition is not what we expect the server to print.
pub(super) fn index(definition: &str, name: &Ident, renamed: &[(Ident, Ident)]) -> Option<String> {
    let parsed = SourceFile::parse(definition);
    if !parsed.errors().is_empty() {
        return None;
    }
    let ast::Stmt::CreateIndex(create) = parsed.tree().stmts().next()? else { return None };
    let unique = if create.unique_token().is_some() { "UNIQUE " } else { "" };
    let on: usize = create.on_token()?.text_range().start().into();
    let after_table: usize = create.table_relation_name()?.syntax().text_range().end().into();
    let body = &definition[after_table..];
    let body = columns(body, renamed);
    let head = &definition[on..after_table];
    Some(format!("CREATE {unique}INDEX CONCURRENTLY {} {head}{body}", quote::ident(name)))
}

/// The index of a partitioned table for one of its partitions, built beside writers.
pub(super) fn on_part(definition: &str, name: &Ident, part: &TableName) -> Option<String> {
    let parsed = SourceFile::parse(definition);
    let ast::Stmt::CreateIndex(create) = parsed.tree().stmts().next()? else { return None };
    let unique = if create.unique_token().is_some() { "UNIQUE " } else { "" };
    let after_table: usize = create.table_relation_name()?.syntax().text_range().end().into();
    let body = definition[after_table..].trim_end().trim_end_matches(';');
    Some(format!(
        "CREATE {unique}INDEX CONCURRENTLY {} ON {}{body}",
        quote::ident(name),
        quote::table(part)
    ))
}

/// An index's definition for its table, where the same file gave that another name since, built
/// beside writers; `None` where it did not.
pub(super) fn moved(definition: &str, name: &Ident, table: &TableName) -> Option<String> {
    let parsed = SourceFile::parse(definition);
    let ast::Stmt::CreateIndex(create) = parsed.tree().stmts().next()? else { return None };
    let known = table_name(create.table_relation_name()?.syntax()).ok()?;
    (table.renamed(&known) != *table).then(|| on_part(definition, name, table))?
}

/// A constraint's clause for other columns; of a foreign key on this side and on the other.
pub(super) fn constraint(
    definition: &str,
    renamed: &[(Ident, Ident)],
    pointed: &[(Ident, Ident)],
) -> String {
    if definition.starts_with("FOREIGN KEY")
        && let Some(at) = definition.find(" REFERENCES ")
    {
        let (ours, theirs) = definition.split_at(at);
        // What follows the columns is no name of one, but for those of ON DELETE SET NULL.
        let open = theirs.find('(').unwrap_or(theirs.len());
        let (table, rest) = theirs.split_at(open);
        let close = rest.find(')').map_or(rest.len(), |at| at + 1);
        let (there, actions) = rest.split_at(close);
        let (ours, there) = (columns(ours, renamed), columns(there, pointed));
        return format!("{ours}{table}{there}{}", columns(actions, renamed));
    }
    columns(definition, renamed)
}

/// Extended statistics for other columns; `None` when the definition is not what we expect the
/// server to print.
pub(super) fn statistics(definition: &str, renamed: &[(Ident, Ident)]) -> Option<String> {
    let parsed = SourceFile::parse(definition);
    let ast::Stmt::CreateStatistics(create) = parsed.tree().stmts().next()? else { return None };
    let over = create.statistics_on_clause()?.syntax().text_range();
    let (start, end): (usize, usize) = (over.start().into(), over.end().into());
    let over = columns(&definition[start..end], renamed);
    Some(format!("{}{over}{}", &definition[..start], &definition[end..]))
}

/// Replaces columns' names in text that the server printed, where they stand as columns:
/// not as a function, a type or part of a dotted name.
fn columns(text: &str, renamed: &[(Ident, Ident)]) -> String {
    if renamed.is_empty() {
        return text.to_owned();
    }
    // The server quotes what is not all lower case: `NULL` is a word of its own, and "NULL" a
    // column.
    let bare = |name: &Ident| !name.as_str().chars().any(char::is_uppercase);
    let named = |token: &str| {
        renamed
            .iter()
            .find(|(from, _)| bare(from) && token == from.as_str() || token == quote::ident(from))
            .map(|(_, to)| quote::ident(to))
    };
    let tokens: Vec<_> = SourceFile::parse(text)
        .syntax_node()
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .collect();
    let solid = |at: &usize| {
        let kind = tokens[*at].kind();
        kind != SyntaxKind::WHITESPACE && kind != SyntaxKind::COMMENT
    };
    let mut out = String::with_capacity(text.len());
    for (at, token) in tokens.iter().enumerate() {
        let before = (0..at).rev().find(solid).map(|i| tokens[i].text().to_owned());
        let after = (at + 1..tokens.len()).find(solid).map(|i| tokens[i].text().to_owned());
        let around = (
            before.as_deref().unwrap_or_default().to_lowercase(),
            after.as_deref().unwrap_or_default().to_lowercase(),
        );
        let part = match (around.0.as_str(), around.1.as_str()) {
            ("." | ":" | "::", _) | (_, "." | "(") => true,
            // EXTRACT(year FROM …), and types of several words.
            ("(", "from") | ("with" | "without", "zone") => true,
            ("double", _) if token.text() == "precision" => true,
            ("character" | "bit", _) if token.text() == "varying" => true,
            _ => false,
        };
        match named(token.text()).filter(|_| !part) {
            Some(shown) => out.push_str(&shown),
            None => out.push_str(token.text()),
        }
    }
    out
}

/// The tables that a foreign key's clause points to.
pub(super) fn referenced(definition: &str) -> Option<TableName> {
    let at = definition.find(" REFERENCES ")? + " REFERENCES ".len();
    let rest = &definition[at..];
    let sql = format!("SELECT 1 FROM {}", rest.split('(').next()?);
    let parsed = SourceFile::parse(&sql);
    let names: Vec<String> = parsed
        .syntax_node()
        .descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .skip_while(|token| !token.text().eq_ignore_ascii_case("from"))
        .skip(1)
        .filter(|token| !token.kind().is_trivia() && token.text() != ".")
        .map(|token| super::interpret::fold(token.text()))
        .collect();
    match names.as_slice() {
        [name] => Some(TableName::new(None, name)),
        [schema, name] => Some(TableName::new(Some(schema), name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_copied_with_all_it_has() {
        let (from, to) = (Ident::new("username"), Ident::new("E Mail"));
        let copied = index(
            "CREATE UNIQUE INDEX users_u ON public.users USING btree (lower(username) \
             text_pattern_ops DESC, username) INCLUDE (bio) WHERE ((username)::text <> 'username'::text)",
            &Ident::new("zdmig_x"),
            &[(from, to)],
        );
        assert_eq!(
            copied.as_deref(),
            Some(
                "CREATE UNIQUE INDEX CONCURRENTLY \"zdmig_x\" ON public.users USING btree \
                 (lower(\"E Mail\") text_pattern_ops DESC, \"E Mail\") INCLUDE (bio) \
                 WHERE ((\"E Mail\")::text <> 'username'::text)"
            )
        );
    }

    #[test]
    fn a_column_may_be_called_like_a_word_of_the_language() {
        let both = [(Ident::new("NULL"), Ident::new("n"))];
        let clause = "CHECK ((\"NULL\" IS NOT NULL))";
        assert_eq!(constraint(clause, &both, &[]), "CHECK ((\"n\" IS NOT NULL))");
    }

    #[test]
    fn units_and_types_of_several_words_are_no_columns() {
        let both = |name: &str| [(Ident::new(name), Ident::new("new"))];
        let year = "CHECK ((EXTRACT(year FROM at) = (year)::numeric))";
        let copied = "CHECK ((EXTRACT(year FROM at) = (\"new\")::numeric))";
        assert_eq!(constraint(year, &both("year"), &[]), copied);
        let time = "CHECK ((time > '2000-01-01'::timestamp without time zone))";
        let copied = "CHECK ((\"new\" > '2000-01-01'::timestamp without time zone))";
        assert_eq!(constraint(time, &both("time"), &[]), copied);
    }

    #[test]
    fn functions_types_and_the_other_side_keep_their_names() {
        let both = [(Ident::new("name"), Ident::new("title"))];
        assert_eq!(
            constraint(
                "FOREIGN KEY (id, name) REFERENCES o(id, name) ON DELETE SET NULL (name)",
                &both,
                &[(Ident::new("id"), Ident::new("id2"))],
            ),
            "FOREIGN KEY (id, \"title\") REFERENCES o(\"id2\", name) ON DELETE SET NULL (\"title\")"
        );
        assert_eq!(
            constraint("CHECK ((name(name) <> ''::name))", &both, &[]),
            "CHECK ((name(\"title\") <> ''::name))"
        );
        assert_eq!(
            constraint("FOREIGN KEY (name) REFERENCES other(name) ON DELETE CASCADE", &both, &[]),
            "FOREIGN KEY (\"title\") REFERENCES other(name) ON DELETE CASCADE"
        );
        assert_eq!(
            referenced("FOREIGN KEY (a) REFERENCES \"My S\".other(name)"),
            Some(TableName::new(Some("My S"), "other"))
        );
    }
}
