//! What the values of a statement are likely to be, by the words around `$1`: the column that it is compared
//! with, set to or inserted into.

use std::collections::BTreeMap;

use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::{Token, Tokenizer};

/// What stands for a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guess {
    /// A value that the column of this name has.
    Like(String),
    /// A value for a new row's column of this name.
    New(String),
    /// How many rows.
    Count,
}

/// What each parameter is likely to be; nothing of those of which the words do not say it.
pub fn guesses(sql: &str, grammar: &dyn Grammar) -> BTreeMap<usize, Guess> {
    let words = words(sql, grammar);
    let mut found = BTreeMap::new();
    for (at, word) in words.iter().enumerate() {
        if let Some(number) = parameter(word)
            && let Some(guess) = after(&words[at + 1..]).or_else(|| before(&words[..at]))
        {
            found.entry(number).or_insert(guess);
        }
    }
    for (number, column) in inserted(&words) {
        found.insert(number, Guess::New(column));
    }
    found
}

fn parameter(word: &str) -> Option<usize> {
    word.strip_prefix('$')?.parse().ok()
}

/// Names without their quotes, signs, parameters; what texts and comments say is left out.
fn words(sql: &str, grammar: &dyn Grammar) -> Vec<String> {
    let tokens = Tokenizer::new(grammar, sql).tokenize().unwrap_or_default();
    let word = |token| match token {
        Token::Whitespace(_) => None,
        Token::Word(word) if word.quote_style.is_some() => Some(word.value),
        Token::Word(word) => Some(word.value.to_lowercase()),
        Token::Placeholder(name) => Some(name),
        Token::EscapedStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => Some("''".into()),
        // A text begins with its quote, and is no word.
        other => Some(other.to_string()),
    };
    tokens.into_iter().filter_map(word).collect()
}

fn is_comparison(word: &str) -> bool {
    ["=", "<", ">", "<=", ">=", "<>", "!=", "like", "ilike", "~"].contains(&word)
}

fn name(word: &str) -> Option<Guess> {
    let first = word.chars().next()?;
    (first.is_alphabetic() || first == '_').then(|| Guess::Like(word.to_owned()))
}

/// By what stands before it.
fn before(words: &[String]) -> Option<Guess> {
    let mut rest = words;
    loop {
        let (last, earlier) = rest.split_last()?;
        match last.as_str() {
            "limit" | "offset" | "first" | "next" => return Some(Guess::Count),
            "between" => return name(earlier.last()?),
            "in" => {
                let column = earlier.last().filter(|word| *word != "not");
                return name(column.or_else(|| earlier.iter().rev().nth(1))?);
            }
            sign if is_comparison(sign) => return name(earlier.last()?),
            // Within a list, the second bound of a range, `= any (`.
            "(" | "," | "and" | "any" => rest = earlier,
            word if parameter(word).is_some() => rest = earlier,
            _ => return None,
        }
    }
}

/// By what stands behind it: `$1 = id`.
fn after(words: &[String]) -> Option<Guess> {
    let (sign, rest) = words.split_first()?;
    if is_comparison(sign) { name(rest.first()?) } else { None }
}

/// Parameters of `INSERT INTO t (a, b) VALUES ($1, $2), …`.
fn inserted(words: &[String]) -> Vec<(usize, String)> {
    let position = |from: usize, word: &str| {
        words.iter().skip(from).position(|one| one == word).map(|at| from + at)
    };
    let place = || {
        let into = position(0, "into")?;
        let (open, close) = (position(into, "(")?, position(into, ")")?);
        let values = position(close, "values")?;
        (values == close + 1).then_some((open, close, values))
    };
    let Some((open, close, values)) = place() else { return Vec::new() };
    let columns: Vec<&String> = words[open + 1..close].iter().filter(|word| *word != ",").collect();
    let (mut found, mut depth, mut at) = (Vec::new(), 0, 0);
    for word in &words[values + 1..] {
        match word.as_str() {
            "(" if depth == 0 => (depth, at) = (1, 0),
            "(" => depth += 1,
            ")" => depth -= 1,
            "," if depth == 1 => at += 1,
            // Behind the rows: ON CONFLICT, RETURNING.
            word if depth == 0 && word != "," => break,
            word => {
                if let (1, Some(number), Some(column)) = (depth, parameter(word), columns.get(at)) {
                    found.push((number, (*column).clone()));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    fn told(sql: &str) -> String {
        let one = |(number, guess): (usize, Guess)| match guess {
            Guess::Like(column) => format!("{number}={column}"),
            Guess::New(column) => format!("{number}+{column}"),
            Guess::Count => format!("{number}#"),
        };
        guesses(sql, &PostgreSqlDialect {}).into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_around_a_parameter_say_what_it_is() {
        for (sql, wanted) in [
            (
                "SELECT * FROM users u WHERE u.id = $1 AND \"Name\" LIKE $2 LIMIT $3",
                "1=id 2=Name 3#",
            ),
            (
                "SELECT 1 FROM t WHERE a IN ($1, $2) AND b NOT IN ($3) AND c = ANY ($4)",
                "1=a 2=a 3=b 4=c",
            ),
            ("SELECT 1 FROM t WHERE a BETWEEN $1 AND $2 AND $3 >= b", "1=a 2=a 3=b"),
            ("UPDATE t SET a = $1, b = b + $2 WHERE id = $3", "1=a 3=id"),
            (
                "INSERT INTO t (id, name) VALUES ($1, lower($2)), ($3, $4) ON CONFLICT (id) DO UPDATE SET name = $5",
                "1+id 3+id 4+name 5=name",
            ),
            ("SELECT 'id = $1', $2 -- id = $3", ""),
            ("SELECT 1 FROM t WHERE a = /* b */ $1 AND c <> $2 AND d = E'\\'$3'", "1=a 2=c"),
        ] {
            assert_eq!(told(sql), wanted, "{sql}");
        }
    }
}
