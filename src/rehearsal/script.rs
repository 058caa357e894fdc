//! What an application does, as a script in the form that pgbench reads: `\set id random(1, 1000)`, and
//! statements in which `:id` stands for it. One pass through the script is one request.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::dialect::Value;

/// A script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// What it is called: its file.
    pub name: String,
    /// How often it is taken, beside others.
    pub weight: u32,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq)]
enum Line {
    Set(String, Number),
    Sleep(Duration),
    /// The text with `$1` for the first of the sources.
    Statement(String, Vec<Source>),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A number that was set before.
    Set(String),
    /// One of these, by chance.
    OneOf(Arc<[String]>),
    /// One that nobody has had, in the form that the type wants.
    Fresh(Fresh),
}

/// The form of a value that nobody has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fresh {
    /// A whole number above this one.
    Number(i64),
    /// A word.
    Word,
    /// A UUID.
    Uuid,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Number(i64),
    Text(String),
}

impl Given {
    pub(super) fn bound(&self) -> Value<'_> {
        match self {
            Self::Number(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
        }
    }
}

/// Counts the values that nobody has had, in all scripts.
static NEXT: AtomicI64 = AtomicI64::new(1);

impl Fresh {
    fn value(self) -> String {
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::Number(above) => above.saturating_add(next).to_string(),
            Self::Word => format!("fresh {next}"),
            Self::Uuid => format!("{:08x}-0000-4000-8000-{next:012x}", std::process::id()),
        }
    }
}

/// An expression over whole numbers.
#[derive(Clone, Debug, PartialEq)]
enum Number {
    Literal(i64),
    Variable(String),
    Random(Box<Number>, Box<Number>),
    Of(char, Box<Number>, Box<Number>),
}

/// What is sent, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Move {
    Sleep(Duration),
    Statement(String, Vec<Given>),
}

/// A script that cannot be read, or that comes to something that is no number.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{script}`: {what}")]
pub struct ScriptError {
    /// Which.
    pub script: String,
    /// What is wrong with it.
    pub what: String,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When it has a command that is not known here, or no statement.
    pub fn parse(name: &str, weight: u32, text: &str) -> Result<Self, ScriptError> {
        let wrong = |what: String| ScriptError { script: name.to_owned(), what };
        let mut lines = Vec::new();
        let mut known = Vec::new();
        let mut sql = String::new();
        for line in text.lines() {
            let command = line.trim_start();
            // A command stands on a line of its own, between statements.
            if sql.trim().is_empty() && command.starts_with('\\') {
                let line = meta(command).map_err(wrong)?;
                if let Line::Set(variable, _) = &line {
                    known.push(variable.clone());
                }
                lines.push(line);
                continue;
            }
            sql.push_str(line);
            sql.push('\n');
            let (whole, rest) = statements(&sql, &known);
            lines.extend(whole);
            sql = rest;
        }
        // The last one may lack its semicolon.
        lines.extend(statements(&format!("{sql};"), &known).0);
        if !lines.iter().any(|line| matches!(line, Line::Statement(..))) {
            return Err(wrong("it has no statement".into()));
        }
        Ok(Self { name: name.to_owned(), weight, lines })
    }

    /// One statement, as it was counted, with what stands for its values.
    pub fn counted(name: String, weight: u32, sql: String, sources: Vec<Source>) -> Self {
        Self { name, weight, lines: vec![Line::Statement(sql, sources)] }
    }

    /// Its statements, with `$1` where values go.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| match line {
            Line::Statement(sql, _) => Some(sql.as_str()),
            Line::Set(..) | Line::Sleep(_) => None,
        })
    }

    /// Whether it opens a transaction itself, which has to be closed where a statement in it fails.
    pub(super) fn begins(&self) -> bool {
        self.statements().any(|sql| {
            let word: String = sql.trim_start().chars().take_while(|c| c.is_alphabetic()).collect();
            ["begin", "start"].contains(&word.to_lowercase().as_str())
        })
    }

    /// One pass, with values of its own.
    pub(super) fn play(&self) -> Result<Vec<Move>, ScriptError> {
        let wrong = |what: String| ScriptError { script: self.name.clone(), what };
        let mut values = BTreeMap::new();
        let mut moves = Vec::new();
        for line in &self.lines {
            match line {
                Line::Set(name, number) => {
                    let value = number.value(&values).map_err(wrong)?;
                    values.insert(name.clone(), value);
                }
                Line::Sleep(time) => moves.push(Move::Sleep(*time)),
                Line::Statement(sql, sources) => {
                    let of = |source: &Source| match source {
                        Source::Set(name) => {
                            Given::Number(values.get(name).copied().unwrap_or_default())
                        }
                        Source::OneOf(all) if all.is_empty() => Given::Text(String::new()),
                        Source::OneOf(all) => {
                            Given::Text(all[fastrand::usize(0..all.len())].clone())
                        }
                        Source::Fresh(fresh) => Given::Text(fresh.value()),
                    };
                    moves.push(Move::Statement(sql.clone(), sources.iter().map(of).collect()));
                }
            }
        }
        Ok(moves)
    }
}

/// `\set id random(1, 10)`, `\sleep 10 ms`.
fn meta(command: &str) -> Result<Line, String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["\\set", name, ..] => {
            let after = command.trim_start_matches("\\set").trim_start();
            let expression = after.strip_prefix(name).unwrap_or_default();
            Ok(Line::Set((*name).to_owned(), number(expression)?))
        }
        ["\\sleep", time, unit @ ..] => {
            let time: u64 = time.parse().map_err(|_| format!("`{time}` is no time to sleep"))?;
            Ok(Line::Sleep(match unit {
                [] | ["s"] => Duration::from_secs(time),
                ["ms"] => Duration::from_millis(time),
                ["us"] => Duration::from_micros(time),
                _ => return Err(format!("`{command}` has no unit that is known: us, ms or s")),
            }))
        }
        _ => Err(format!(
            "`{command}` is not known here; there are `\\set NAME EXPRESSION`, with whole numbers and \
             random(FROM, TO), and `\\sleep`"
        )),
    }
}

/// The statements that a text holds, and what is left of it.
fn statements(text: &str, known: &[String]) -> (Vec<Line>, String) {
    let mut found = Vec::new();
    let (mut sql, mut names, mut begun) = (String::new(), Vec::new(), 0);
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = quoted(rest).unwrap_or_default();
        if length > 0 {
            if letter == '\'' {
                literal(&rest[..length], known, &mut sql, &mut names);
            } else if !rest.starts_with("--") && !rest.starts_with("/*") {
                sql.push_str(&rest[..length]);
            }
            at += length;
        } else if letter == ';' {
            let whole = std::mem::take(&mut sql);
            if !whole.trim().is_empty() {
                let sources = std::mem::take(&mut names).into_iter().map(Source::Set).collect();
                found.push(Line::Statement(whole.trim().to_owned(), sources));
            }
            at += 1;
            begun = at;
        } else if rest.starts_with("::") {
            sql.push_str("::");
            at += 2;
        } else if let Some(name) = variable(rest, known) {
            sql.push_str(&parameter(&name, &mut names));
            at += name.len() + 1;
        } else {
            sql.push(letter);
            at += letter.len_utf8();
        }
    }
    (found, text[begun..].to_owned())
}

/// `:name`, where that was set.
fn variable(text: &str, known: &[String]) -> Option<String> {
    let name: String =
        text.strip_prefix(':')?.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    known.contains(&name).then_some(name)
}

/// `$1`, the same for the same name.
fn parameter(name: &str, names: &mut Vec<String>) -> String {
    let at = names.iter().position(|one| one == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    });
    format!("${}", at + 1)
}

/// How long what is quoted, or a comment, at the beginning of a text is.
fn quoted(text: &str) -> Option<usize> {
    let until = |begin: usize, end: &str| {
        Some(text[begin..].find(end).map_or(text.len(), |at| begin + at + end.len()))
    };
    match text.as_bytes().first()? {
        b'\'' => until(1, "'"),
        b'"' => until(1, "\""),
        b'-' if text.starts_with("--") => until(2, "\n"),
        b'/' if text.starts_with("/*") => until(2, "*/"),
        b'$' => {
            let tag = &text[..text[1..].find('$')? + 2];
            let word = &tag[1..tag.len() - 1];
            let is_tag = word.chars().all(|c| c.is_alphanumeric() || c == '_')
                && !word.starts_with(|c: char| c.is_ascii_digit());
            if is_tag { until(tag.len(), tag) } else { None }
        }
        _ => None,
    }
}

/// A text in quotes: what stands for a variable in it is joined to it.
fn literal(text: &str, known: &[String], sql: &mut String, names: &mut Vec<String>) {
    let mut parts = String::new();
    let (mut at, mut joined) = (0, false);
    while let Some(letter) = text[at..].chars().next() {
        if let Some(name) = variable(&text[at..], known) {
            parts.push_str(&format!("' || {} || '", parameter(&name, names)));
            at += name.len() + 1;
            joined = true;
        } else {
            parts.push(letter);
            at += letter.len_utf8();
        }
    }
    sql.push_str(&if joined { format!("({parts})") } else { parts });
}

impl Number {
    fn value(&self, values: &BTreeMap<String, i64>) -> Result<i64, String> {
        Ok(match self {
            Self::Literal(value) => *value,
            Self::Variable(name) => *values
                .get(name)
                .ok_or_else(|| format!("`:{name}` is not set before it is used"))?,
            Self::Random(from, to) => {
                let (from, to) = (from.value(values)?, to.value(values)?);
                if from > to {
                    return Err(format!("random({from}, {to}) has no number to give"));
                }
                fastrand::i64(from..=to)
            }
            Self::Of(sign, left, right) => {
                let (left, right) = (left.value(values)?, right.value(values)?);
                let value = match sign {
                    '+' => left.checked_add(right),
                    '-' => left.checked_sub(right),
                    '*' => left.checked_mul(right),
                    '/' => left.checked_div(right),
                    _ => left.checked_rem(right),
                };
                value.ok_or_else(|| format!("{left} {sign} {right} is no whole number"))?
            }
        })
    }
}

fn number(text: &str) -> Result<Number, String> {
    let mut letters = text.chars().peekable();
    let number = sum(&mut letters)?;
    match letters.next() {
        None => Ok(number),
        Some(letter) => Err(format!("`{}` is not understood at `{letter}`", text.trim())),
    }
}

fn skip(letters: &mut Peekable<Chars<'_>>) {
    while letters.next_if(|letter| letter.is_whitespace()).is_some() {}
}

fn sum(letters: &mut Peekable<Chars<'_>>) -> Result<Number, String> {
    let mut left = product(letters)?;
    while let Some(sign) = letters.next_if(|letter| "+-".contains(*letter)) {
        left = Number::Of(sign, Box::new(left), Box::new(product(letters)?));
    }
    Ok(left)
}

fn product(letters: &mut Peekable<Chars<'_>>) -> Result<Number, String> {
    let mut left = factor(letters)?;
    while let Some(sign) = letters.next_if(|letter| "*/%".contains(*letter)) {
        left = Number::Of(sign, Box::new(left), Box::new(factor(letters)?));
    }
    Ok(left)
}

fn factor(letters: &mut Peekable<Chars<'_>>) -> Result<Number, String> {
    skip(letters);
    let word = |letters: &mut Peekable<Chars<'_>>| {
        let mut word = String::new();
        while let Some(letter) = letters.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(letter);
        }
        word
    };
    let number = match letters.peek() {
        Some('(') => {
            letters.next();
            let inner = sum(letters)?;
            closed(letters)?;
            inner
        }
        Some('-') => {
            letters.next();
            Number::Of('-', Box::new(Number::Literal(0)), Box::new(factor(letters)?))
        }
        Some(':') => {
            letters.next();
            Number::Variable(word(letters))
        }
        _ => {
            let name = word(letters);
            if let Ok(value) = name.parse() {
                Number::Literal(value)
            } else if name == "random" {
                expect(letters, '(')?;
                let from = sum(letters)?;
                expect(letters, ',')?;
                let to = sum(letters)?;
                closed(letters)?;
                Number::Random(Box::new(from), Box::new(to))
            } else {
                return Err(format!("`{name}` is neither a whole number nor random(FROM, TO)"));
            }
        }
    };
    skip(letters);
    Ok(number)
}

fn expect(letters: &mut Peekable<Chars<'_>>, wanted: char) -> Result<(), String> {
    skip(letters);
    match letters.next() {
        Some(letter) if letter == wanted => Ok(()),
        _ => Err(format!("a `{wanted}` is missing")),
    }
}

fn closed(letters: &mut Peekable<Chars<'_>>) -> Result<(), String> {
    expect(letters, ')')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Script, ScriptError> {
        Script::parse("s.sql", 1, text)
    }

    #[test]
    fn values_stand_where_names_stood() {
        let script = parse(
            "\\set id random(3, 3)\n\\set next (:id + 1) * -2 % 100\n-- a comment with :id; and more\nBEGIN;\n\
             UPDATE t SET a = 'user :id of :id', b = 'it''s ;', c = :next::text\n WHERE id = :id AND d = :unknown;\n\
             \\sleep 2 ms\nSELECT $$ :id; $$ FROM \"a;b\"; END",
        )
        .expect("a script");
        let statements: Vec<_> = script.statements().collect();
        assert_eq!(
            statements,
            [
                "BEGIN",
                "UPDATE t SET a = ('user ' || $1 || ' of ' || $1 || ''), b = 'it''s ;', c = $2::text\n \
                 WHERE id = $1 AND d = :unknown",
                "SELECT $$ :id; $$ FROM \"a;b\"",
                "END",
            ]
        );
        assert!(script.begins());
        let moves = script.play().expect("numbers");
        assert_eq!(moves.len(), 5);
        let Move::Statement(_, values) = &moves[1] else { panic!("{moves:?}") };
        assert_eq!(values, &[Given::Number(3), Given::Number(-8)]);
        assert_eq!(moves[2], Move::Sleep(Duration::from_millis(2)));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let what = |text: &str| parse(text).expect_err("wrong").what;
        assert!(what("\\setrandom id 1 2\nSELECT 1;").contains("is not known here"));
        assert!(what("\\set id random_zipfian(1, 10, 2)\nSELECT 1;").contains("random_zipfian"));
        assert!(what("\\set id random(1 2)\nSELECT 1;").contains("`,` is missing"));
        assert!(what("-- nothing\n").contains("no statement"));
        let play = |text: &str| parse(text).expect("a script").play().expect_err("no number").what;
        assert!(play("\\set id 1 / 0\nSELECT 1").contains("no whole number"));
        assert!(play("\\set id random(2, 1)\nSELECT 1").contains("no number to give"));
        assert!(play("\\set id :other\nSELECT 1").contains("not set"));
        assert!(!parse("SELECT 1").expect("a script").begins());
    }
}
