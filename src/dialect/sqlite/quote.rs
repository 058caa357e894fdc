use crate::sql::Ident;

/// A name, always in quotes.
pub(super) fn ident(name: &Ident) -> String {
    format!("\"{}\"", name.as_str().replace('"', "\"\""))
}

/// A string literal.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whether an expression is a literal.
pub(super) fn is_constant(expression: &str) -> bool {
    let text = expression.trim();
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return is_constant(inner);
    }
    if let Some(body) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return !body.replace("''", "").contains('\'');
    }
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'e' || c == 'E')
        && number.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    is_number || ["true", "false", "null"].contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_told_from_expressions() {
        for (text, expected) in [
            ("'a''b'", true),
            ("('x')", true),
            ("-1.5", true),
            ("NULL", true),
            ("CURRENT_TIMESTAMP", false),
            ("'a' || 'b'", false),
            ("random()", false),
        ] {
            assert_eq!(is_constant(text), expected, "{text}");
        }
    }
}
