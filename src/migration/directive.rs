use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::sql::{Ident, Span};

/// A comment line that other tools ignore and that tells us what the SQL alone cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// `-- zdmig:reverse users.username = expr`: the old column, computed from the new one.
    Reverse {
        /// The column that is computed, or the one it replaces.
        column: ColumnPath,
        /// The expression, as written.
        expression: String,
        /// Where the line stands.
        span: Span,
    },
    /// `-- zdmig:allow CODE because "…"`: a hazard the author accepts.
    Allow {
        /// The hazard's code.
        hazard: String,
        /// Why it is accepted.
        because: String,
    },
    /// `-- zdmig:no-sync users.username because "…"`: old readers may see old values.
    NoSync {
        /// The old column.
        column: ColumnPath,
        /// Why that is right here.
        because: String,
        /// Where the line stands.
        span: Span,
    },
    /// `-- zdmig:expand`, `-- zdmig:backfill …`, `-- zdmig:contract …`.
    Section {
        /// Which one.
        section: Section,
        /// Where the line stands.
        span: Span,
    },
    /// `-- zdmig:env NAME, NAME=value`: variables that stand in the file as `${NAME}`. They were
    /// filled in where it was read.
    Env,
    /// `-- zdmig:end`: statements after it are in no section.
    End {
        /// Where the line stands.
        span: Span,
    },
}

/// A part of the file that the author assigned to a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    /// Run as written, in expand.
    Expand,
    /// An `UPDATE` that is run in chunks of `table`, by `key` where given.
    Backfill {
        /// The table that is filled.
        table: Option<ColumnPath>,
        /// The column to walk along; without it, the table's primary key.
        key: Option<Ident>,
    },
    /// Run as written, in contract, once nobody uses `uses`.
    Contract {
        /// What the SQL takes away.
        uses: Vec<ColumnPath>,
    },
}

/// A dotted name as written in a directive, folded as SQL folds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnPath(pub Vec<Ident>);

impl ColumnPath {
    /// Of a table's column.
    pub fn of(table: &Ident, column: &Ident) -> Self {
        Self(vec![table.clone(), column.clone()])
    }

    /// Whether it means a column of a table; a path without a table may be any table's. What
    /// is written in small letters means a name in any, because people leave the quotes out.
    pub fn is(&self, table: &Ident, column: &Ident) -> bool {
        let same = |part: &Ident, name: &Ident| {
            part == name || part.as_str() == name.as_str().to_lowercase()
        };
        let mut parts = self.0.iter().rev();
        parts.next().is_some_and(|one| same(one, column))
            && parts.next().is_none_or(|one| same(one, table))
    }
}

/// As it can be written in a directive.
impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.iter().map(Ident::as_str).enumerate() {
            let dot = if at == 0 { "" } else { "." };
            let plain = |c: char| c.is_lowercase() || c.is_ascii_digit() || c == '_';
            if part.chars().all(plain) {
                write!(f, "{dot}{part}")?;
            } else {
                write!(f, "{dot}\"{}\"", part.replace('"', "\"\""))?;
            }
        }
        Ok(())
    }
}

/// Why a directive cannot be obeyed.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct DirectiveError {
    /// Where the line stands.
    pub span: Span,
    /// What is wrong and what would be right.
    pub message: String,
}

const MARK: &str = "zdmig:";

/// Reads the directives of a file. A directive is a line that starts with `-- zdmig:`.
pub(super) fn read(source: &str) -> Result<Vec<Directive>, DirectiveError> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in source.split_inclusive('\n') {
        let text = line.trim();
        if let Some(body) = body(text) {
            let indent = line.len() - line.trim_start().len();
            let span = Span::new(start + indent, start + indent + text.len());
            let wrong = |message: String| DirectiveError { span, message };
            found.push(read_one(body.trim(), span).map_err(wrong)?);
        }
        start += line.len();
    }
    Ok(found)
}

/// What a line says to us, if it does.
fn body(line: &str) -> Option<&str> {
    line.strip_prefix("--").map(str::trim_start).and_then(|text| text.strip_prefix(MARK))
}

/// The variables that a file declares, with their values where they need not be set.
pub(super) fn variables(source: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let lines = source.lines().filter_map(|line| body(line.trim()));
    let mut found = Vec::new();
    for body in lines {
        let (verb, list) = body.trim().split_once(char::is_whitespace).unwrap_or((body.trim(), ""));
        if verb == "env" {
            found.extend(declared(list)?);
        }
    }
    Ok(found)
}

fn declared(list: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let one = |word: &str| {
        let (name, value) = match word.trim().split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start().to_owned())),
            None => (word.trim(), None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (named && name.chars().all(plain)).then(|| (name.to_owned(), value))
    };
    let all: Option<_> = list.split(',').map(one).collect();
    all.ok_or_else(|| "write `-- zdmig:env NAME` or `NAME=value`, commas between them".to_owned())
}

fn read_one(body: &str, span: Span) -> Result<Directive, String> {
    let (verb, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    let rest = rest.trim();
    let section = |section| Ok(Directive::Section { section, span });
    match verb {
        "reverse" => {
            let wrong = "write `-- zdmig:reverse table.column = expression`";
            let at = outside_quotes(rest, |c| c == '=').next().ok_or(wrong)?;
            let column = path(rest[..at].trim())?;
            Ok(Directive::Reverse { column, expression: rest[at + 1..].trim().to_owned(), span })
        }
        "allow" => {
            let (hazard, because) = reasoned(rest, "allow CODE")?;
            Ok(Directive::Allow { hazard: hazard.to_owned(), because })
        }
        "no-sync" => {
            let (column, because) = reasoned(rest, "no-sync table.column")?;
            Ok(Directive::NoSync { column: path(column)?, because, span })
        }
        "expand" if rest.is_empty() => section(Section::Expand),
        "env" => declared(rest).map(|_| Directive::Env),
        "end" if rest.is_empty() => Ok(Directive::End { span }),
        "backfill" => {
            let (mut table, mut key) = (None, None);
            for (name, value) in pairs(rest)? {
                match name {
                    "table" => table = Some(path(value)?),
                    "key" => key = path(value)?.0.pop(),
                    _ => {
                        return Err(format!("`{name}` is not known here: `table=` and `key=` are"));
                    }
                }
            }
            section(Section::Backfill { table, key })
        }
        "contract" => {
            let mut uses = Vec::new();
            for (name, value) in pairs(rest)? {
                if name != "uses" {
                    return Err(format!("`{name}` is not known here: `uses=` is"));
                }
                for one in parts(value, |c| c == ',') {
                    uses.push(path(one)?);
                }
            }
            section(Section::Contract { uses })
        }
        _ => Err(format!(
            "`{verb}` is no directive of zdmig: reverse, allow, no-sync, env, expand, backfill, \
             contract and end are"
        )),
    }
}

fn reasoned<'a>(text: &'a str, form: &str) -> Result<(&'a str, String), String> {
    let wrong = || format!("write `-- zdmig:{form} because \"the reason\"`");
    let (subject, reason) = text.split_once(" because ").ok_or_else(wrong)?;
    let reason = reason.trim().trim_matches('"').trim();
    if reason.is_empty() {
        return Err(wrong());
    }
    Ok((subject.trim(), reason.to_owned()))
}

fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    parts(text, char::is_whitespace)
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(|word| word.split_once('=').ok_or_else(|| format!("`{word}` is not `name=value`")))
        .collect()
}

/// Where characters of a kind stand that are not in a quoted name.
fn outside_quotes(text: &str, wanted: fn(char) -> bool) -> impl Iterator<Item = usize> + '_ {
    let mut quoted = false;
    text.char_indices().filter_map(move |(at, c)| {
        quoted ^= c == '"';
        (!quoted && wanted(c)).then_some(at)
    })
}

/// The text in pieces, cut where quoted names are not.
fn parts(text: &str, cut: fn(char) -> bool) -> Vec<&str> {
    let mut start = 0;
    let mut found = Vec::new();
    for at in outside_quotes(text, cut) {
        found.push(&text[start..at]);
        start = at + text[at..].chars().next().map_or(0, char::len_utf8);
    }
    found.push(&text[start..]);
    found
}

fn path(text: &str) -> Result<ColumnPath, String> {
    let no_name = || format!("`{text}` is not a dotted name");
    let mut names = Vec::new();
    for part in parts(text, |c| c == '.') {
        let name = match part.strip_prefix('"') {
            Some(rest) => {
                let open = || format!("`{text}` has an open quote");
                let inner = rest.strip_suffix('"').ok_or_else(open)?;
                if inner.replace("\"\"", "").contains('"') {
                    return Err(no_name());
                }
                inner.replace("\"\"", "\"")
            }
            None if part.contains('"') => return Err(no_name()),
            None => part.to_lowercase(),
        };
        if name.is_empty() {
            return Err(no_name());
        }
        names.push(Ident::new(name));
    }
    Ok(ColumnPath(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_from_comment_lines() {
        let found = read(
            "-- zdmig:allow unique-copy because \"no hot keys\"\n\
             -- zdmig:reverse Users.\"User Name\" = lower(email)\n\
             -- zdmig:backfill table=users key=id\nUPDATE users SET a = 1;\n\
             -- zdmig:end\n",
        )
        .expect("all are directives");
        assert_eq!(
            found[0],
            Directive::Allow { hazard: "unique-copy".into(), because: "no hot keys".into() }
        );
        let named = ColumnPath(vec![Ident::new("users"), Ident::new("User Name")]);
        assert!(matches!(
            &found[1],
            Directive::Reverse { column, expression, .. }
                if *column == named && expression == "lower(email)"
        ));
        assert!(matches!(&found[2], Directive::Section { section: Section::Backfill { .. }, .. }));
        assert!(matches!(&found[3], Directive::End { .. }));
    }

    #[test]
    fn what_is_told_to_be_written_is_read_as_meant() {
        for (table, column) in
            [("users", "name"), ("Users", "Two words"), ("a.b", "q\"uo=te"), ("état", "x,y 1")]
        {
            let (table, column) = (Ident::new(table), Ident::new(column));
            let shown = ColumnPath::of(&table, &column).to_string();
            assert_eq!(path(&shown), Ok(ColumnPath::of(&table, &column)), "{shown}");
            let line =
                format!("-- zdmig:reverse {shown} = a = 1\n-- zdmig:contract uses={shown},b");
            let found = read(&line).expect("all are directives");
            assert!(matches!(
                &found[0],
                Directive::Reverse { column: path, expression, .. }
                    if path.is(&table, &column) && expression == "a = 1"
            ));
            assert!(matches!(
                &found[1],
                Directive::Section { section: Section::Contract { uses }, .. } if uses.len() == 2
            ));
        }
        let loose = path("Users.Name").expect("a name");
        assert!(loose.is(&Ident::new("Users"), &Ident::new("NAME")));
        assert!(!path("\"Users\"").expect("a name").is(&Ident::new("t"), &Ident::new("users")));
    }

    #[test]
    fn a_typo_is_an_error_and_not_a_comment() {
        for text in ["-- zdmig:alow x because \"y\"", "-- zdmig:allow x", "--zdmig:contract use=a"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
