use crate::sql::{Ident, TableName};

/// A name, always in quotes.
pub(super) fn ident(name: &Ident) -> String {
    format!("\"{}\"", name.as_str().replace('"', "\"\""))
}

/// A table, always in quotes and with its schema where it is known.
pub(super) fn table(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{}.{}", ident(schema), ident(&name.name)),
        None => ident(&name.name),
    }
}

/// A name in the schema of a table.
pub(super) fn beside(neighbour: &TableName, name: &Ident) -> String {
    table(&TableName { schema: neighbour.schema.clone(), name: name.clone() })
}

/// A string literal that reads the same whatever `standard_conforming_strings` is.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        return format!("E'{}'", quoted.replace('\\', "\\\\"));
    }
    format!("'{quoted}'")
}

/// A body in dollar quotes whose tag does not occur in it.
pub(super) fn dollar(body: &str) -> String {
    let mut tag = String::from("$zdmig$");
    let mut number = 0;
    while body.contains(&tag) {
        number += 1;
        tag = format!("$zdmig{number}$");
    }
    format!("{tag}{body}{tag}")
}

/// Whether an expression is a literal, with or without casts: the same for every row and
/// at every time.
pub(super) fn is_constant(expression: &str) -> bool {
    let text = expression.trim();
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return is_constant(inner);
    }
    let Some(rest) = skip_literal(text) else { return false };
    let rest = rest.trim();
    rest.is_empty()
        || rest.starts_with("::")
            && rest.split("::").skip(1).all(|part| {
                let part = part.trim();
                let word = |c: char| c.is_alphanumeric() || " _.\"(),[]".contains(c);
                !part.is_empty() && part.chars().all(word) && !part.contains("()")
            })
}

fn skip_literal(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    for word in ["true", "false", "null"] {
        if lower.starts_with(word)
            && !lower[word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            return text.get(word.len()..);
        }
    }
    if let Some(body) = text.strip_prefix('\'') {
        let mut from = 0;
        loop {
            let end = from + body[from..].find('\'')?;
            if body[end + 1..].starts_with('\'') {
                from = end + 2;
            } else {
                return Some(&body[end + 1..]);
            }
        }
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).trim_start();
    let end = digits.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(digits.len());
    (end > 0 && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        .then(|| &digits[end..])
}

/// Whether an expression is computed once per statement, so that the server keeps one
/// value for all rows that exist.
pub(super) fn is_stable(expression: &str) -> bool {
    const STABLE: [&str; 8] = [
        "now()",
        "current_timestamp",
        "current_date",
        "localtimestamp",
        "transaction_timestamp()",
        "statement_timestamp()",
        "current_user",
        "session_user",
    ];
    let head = expression.trim().split("::").next().unwrap_or_default().trim().to_lowercase();
    is_constant(expression) || STABLE.contains(&head.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_told_from_expressions() {
        for (text, expected) in [
            ("'anon'::character varying", true),
            ("'it''s'", true),
            ("-1", true),
            ("1.5::numeric(10,2)", true),
            ("true", true),
            ("NULL::text", true),
            ("('a'::text)", true),
            ("'{}'::jsonb[]", true),
            ("now()", false),
            ("nextval('s'::regclass)", false),
            ("'a' || 'b'", false),
            ("truely", false),
            ("'x'::text || now()", false),
            ("1 + 1", false),
        ] {
            assert_eq!(is_constant(text), expected, "{text}");
        }
        assert!(is_stable("now()") && !is_stable("clock_timestamp()"));
    }

    #[test]
    fn names_and_literals_survive_quoting() {
        assert_eq!(ident(&Ident::new("we\"ird")), "\"we\"\"ird\"");
        assert_eq!(literal("a'b"), "'a''b'");
        assert_eq!(literal("a\\b"), "E'a\\\\b'");
        assert_eq!(dollar("x $zdmig$ y"), "$zdmig1$x $zdmig$ y$zdmig1$");
    }
}
