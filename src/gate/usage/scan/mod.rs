//! SQL in the literals of source code. What is put together while the program runs is told apart,
//! because nobody can read it here.

mod language;
mod lexer;

use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::{Token, Tokenizer};

pub use language::Language;
use lexer::{Literal, literals};

/// A piece of SQL in source code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// Its text; what is filled in while the program runs is `{}`.
    pub text: String,
    /// Whether it is a statement, as it stands; else it is a part of one, or has parts that are
    /// filled in.
    pub whole: bool,
}

const VERBS: [&str; 11] = [
    "select", "insert", "update", "delete", "with", "merge", "copy", "table", "truncate",
    "replace", "declare",
];

/// How a part of a statement begins.
const PARTS: [&str; 17] = [
    "where",
    "and",
    "or",
    "from",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "set",
    "values",
    "order",
    "group",
    "having",
    "returning",
    "on",
];

/// Finds the SQL in a file.
pub fn scan(text: &str, language: Language, grammar: &dyn Grammar) -> Vec<Found> {
    literals(text, language).into_iter().filter_map(|one| sql(one, grammar)).collect()
}

fn sql(literal: Literal, grammar: &dyn Grammar) -> Option<Found> {
    let words = words(&literal.text, grammar);
    let first = words.first()?.as_str();
    let Literal { line, text, filled } = literal;
    if VERBS.contains(&first) && is_a_statement(first, &words) {
        return Some(Found { line, text, whole: !filled });
    }
    let is_part = PARTS.contains(&first) && is_a_part(first, &words);
    is_part.then_some(Found { line, text, whole: false })
}

/// Its words in lower case and its signs; comments are no part of it.
fn words(text: &str, grammar: &dyn Grammar) -> Vec<String> {
    let tokens = Tokenizer::new(grammar, text).tokenize();
    // What cannot be cut is looked at as it stands.
    let Ok(tokens) = tokens else {
        return text.split_whitespace().map(str::to_lowercase).collect();
    };
    let words = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_)));
    words.map(|token| token.to_string().to_lowercase()).collect()
}

/// Tells SQL from prose that begins with the same word: a statement has the words that its verb
/// asks for.
fn is_a_statement(verb: &str, words: &[String]) -> bool {
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let second = words.get(1).map_or("", String::as_str);
    match verb {
        // Without FROM it still may call a function, or be the beginning of something.
        "select" => {
            has("from")
                || words.len() > 1 && words.iter().any(|word| !is_prose(word))
                || words.len() == 2
        }
        "insert" | "replace" | "merge" => second == "into" || has("into"),
        "update" => has("set") || words.iter().any(|word| word.contains('{')),
        "delete" => second == "from" || has("from"),
        "with" => has("as") && has("("),
        "copy" => has("from") || has("to"),
        "truncate" => words.len() <= 4,
        "table" => words.len() == 2 || words.len() == 4 && words[2] == ".",
        _ => has("for") || has("cursor"),
    }
}

/// A part of a statement is told from prose by a sign or a parameter in it.
fn is_a_part(first: &str, words: &[String]) -> bool {
    let signs = ["=", "<", ">", "<=", ">=", "<>", "!=", "?", "(", "*", ",", ".", "||", "::"];
    let sign = |word: &String| {
        signs.contains(&word.as_str()) || word.starts_with(['$', ':', '{', '@', '%', '\'', '"'])
    };
    let second = words.get(1).map_or("", String::as_str);
    let by_kind = match first {
        "order" | "group" => return second == "by",
        "inner" | "left" | "right" | "full" | "cross" => {
            return matches!(second, "join" | "outer");
        }
        // A name and no more, before or after what is filled in.
        "from" | "join" | "returning" | "set" => words.len() == 2,
        "where" => matches!(words.last().map(String::as_str), Some("is" | "not" | "null" | "in")),
        _ => false,
    };
    by_kind || words.iter().skip(1).any(sign)
}

fn is_prose(word: &str) -> bool {
    word.chars().all(|c| c.is_alphabetic() || c == '\'' || c == '.' || c == '!')
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    fn found(text: &str, language: Language) -> Vec<(usize, String, bool)> {
        scan(text, language, &PostgreSqlDialect {})
            .into_iter()
            .map(|one| (one.line, one.text, one.whole))
            .collect()
    }

    fn one(text: &str, language: Language) -> (String, bool) {
        let found = found(text, language);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        (found[0].1.clone(), found[0].2)
    }

    #[test]
    fn literals_of_every_language_are_read() {
        let expected = "SELECT id FROM users WHERE name = 'x'";
        for (language, text) in [
            (Language::Rust, "let q = \"SELECT id FROM users \\\n    WHERE name = 'x'\";"),
            (
                Language::Rust,
                "let q = r#\"SELECT id FROM users WHERE name = 'x'\"#; // \"SELECT 1\"",
            ),
            (
                Language::Rust,
                "fn f<'a>(x: &'a str) { q(\"SELECT id FROM users WHERE name = 'x'\") }",
            ),
            (
                Language::Python,
                "q = \"\"\"SELECT id FROM users WHERE name = 'x'\"\"\" # \"SELECT 1\"",
            ),
            (Language::Python, "q = (\"SELECT id FROM users \"\n     \"WHERE name = 'x'\")"),
            (Language::Ruby, "q = <<~SQL\n  SELECT id FROM users WHERE name = 'x'\nSQL\n"),
            (Language::Ruby, "q = %q(SELECT id FROM users WHERE name = 'x')"),
            (Language::Go, "q := `SELECT id FROM users WHERE name = 'x'`"),
            (Language::Go, "q := \"SELECT id FROM users \" +\n\t\"WHERE name = 'x'\""),
            (
                Language::Java,
                "String q = \"SELECT id FROM users \" + \"WHERE name = 'x'\"; /* \"SELECT 1\" */",
            ),
            (Language::Kotlin, "val q = \"\"\"SELECT id FROM users WHERE name = 'x'\"\"\""),
            (Language::JavaScript, "const q = `SELECT id FROM users WHERE name = 'x'`"),
            (Language::JavaScript, "const q = 'SELECT id FROM users WHERE name = \\'x\\''"),
            (Language::Php, "$q = \"SELECT id FROM users \" . \"WHERE name = 'x'\";"),
            (Language::Php, "$q = <<<SQL\nSELECT id FROM users WHERE name = 'x'\nSQL;\n"),
            (Language::CSharp, "var q = @\"SELECT id FROM users WHERE name = 'x'\";"),
        ] {
            let (text, whole) = one(text, language);
            let text: Vec<_> = text.split_whitespace().collect();
            assert_eq!((text.join(" ").as_str(), whole), (expected, true), "{language:?}");
        }
    }

    #[test]
    fn what_is_filled_in_is_told() {
        for (language, text) in [
            (Language::Rust, "format!(\"SELECT {cols} FROM users\")"),
            (Language::Python, "f\"SELECT {cols} FROM users\""),
            (Language::Python, "\"SELECT \" + cols + \" FROM users\""),
            (Language::Ruby, "\"SELECT #{cols} FROM users\""),
            (Language::Go, "\"SELECT \" + cols + \" FROM users\""),
            (Language::Go, "fmt.Sprintf(\"SELECT %s FROM users\", cols)"),
            (Language::Java, "\"SELECT \" + cols + \" FROM users\""),
            (Language::Kotlin, "\"SELECT $cols FROM users\""),
            (Language::Kotlin, "\"SELECT ${cols} FROM users\""),
            (Language::JavaScript, "`SELECT ${cols} FROM users`"),
            (Language::Php, "\"SELECT $cols FROM users\""),
            (Language::CSharp, "$\"SELECT {cols} FROM users\""),
        ] {
            let (text, whole) = one(text, language);
            assert_eq!((text.as_str(), whole), ("SELECT {} FROM users", false), "{language:?}");
        }
    }

    #[test]
    fn parts_are_found_and_prose_is_not() {
        for (text, expected) in [
            ("\" WHERE legacy_name = $1\"", true),
            ("\" ORDER BY legacy_name\"", true),
            ("\"AND u.legacy_name IS NULL\"", true),
            ("\"select a file to open\"", false),
            ("\"Update available\"", false),
            ("\"Delete this user?\"", false),
            ("\"with love\"", false),
            ("\"on the other hand\"", false),
            ("\"from here to there\"", false),
            ("\"SELECT 1\"", true),
        ] {
            assert_eq!(!found(text, Language::Rust).is_empty(), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_and_parameters_are_no_gaps() {
        let text = "\n# x\nq = '''\nSELECT id FROM t WHERE a = %s AND b = %(b)s'''\n";
        assert_eq!(found(text, Language::Python)[0].0, 3);
        assert_eq!(
            one(text, Language::Python),
            ("\nSELECT id FROM t WHERE a = $1 AND b = $1".into(), true)
        );
        let text = "q = 'UPDATE t SET a = :a WHERE b = ?'";
        assert_eq!(one(text, Language::Ruby), ("UPDATE t SET a = $1 WHERE b = $1".into(), true));
    }
}
