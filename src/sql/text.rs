use std::fmt;

use serde::{Deserialize, Serialize};

/// SQL that is ready to run. It is born in two places only: as a verbatim slice of the
/// author's file, or in a dialect's lowering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sql(String);

impl Sql {
    /// Wraps text that is known to be SQL.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a name stands in a text as a word of its own.
pub fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name)
        .any(|(at, _)| !text[..at].ends_with(word) && !text[at + name.len()..].starts_with(word))
}

/// The text without what stands between single quotes: a name in there is a word of a value.
pub fn without_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\'') {
        let escapes = rest[..at].ends_with(['e', 'E']);
        out.push_str(&rest[..at]);
        out.push_str("''");
        let inside = &rest[at + 1..];
        let mut end = inside.len();
        let mut characters = inside.char_indices().peekable();
        while let Some((place, character)) = characters.next() {
            let doubled = character == '\'' && characters.peek().is_some_and(|(_, c)| *c == '\'');
            if doubled || escapes && character == '\\' {
                characters.next();
            } else if character == '\'' {
                end = place + 1;
                break;
            }
        }
        rest = &inside[end..];
    }
    out + rest
}

/// The text without what may be somebody's data: what stands between quotes, and numbers.
pub fn without_values(text: &str) -> String {
    let (mut out, mut part, mut number) = (String::with_capacity(text.len()), false, false);
    for letter in without_literals(text).chars() {
        let digit = letter.is_ascii_digit();
        if digit && !part {
            if !number {
                out.push('?');
            }
            number = true;
            continue;
        }
        if number && letter == '.' {
            continue;
        }
        number = false;
        part = letter.is_alphanumeric() || letter == '_' || letter == '$' || (part && digit);
        out.push(letter);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_quotes_is_left_out() {
        for (text, expected) in [
            ("doc->>'plan'", "doc->>''"),
            ("a || 'it''s' || b", "a || '' || b"),
            (r"E'x\' y' || c", "E'' || c"),
            ("'open", "''"),
            ("\"näme\"", "\"näme\""),
        ] {
            assert_eq!(without_literals(text), expected, "{text}");
        }
    }

    #[test]
    fn values_are_nobodys_to_see() {
        for (text, expected) in [
            (
                "SELECT a1 FROM t2 WHERE x = 12.5 AND y > $1",
                "SELECT a1 FROM t2 WHERE x = ? AND y > $1",
            ),
            ("IN (1,23, 'it''s 4')", "IN (?,?, '')"),
        ] {
            assert_eq!(without_values(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_found_as_a_word_only() {
        assert!(mentions("lower(username)", "username"));
        assert!(mentions("\"User Name\" || 'x'", "User Name"));
        assert!(!mentions("usernames", "username"));
    }
}
