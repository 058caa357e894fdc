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
    },
    /// `-- zdmig:expand`, `-- zdmig:backfill …`, `-- zdmig:contract …`.
    Section {
        /// Which one.
        section: Section,
        /// Where the line stands.
        span: Span,
    },
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
    /// Whether it means a column of a table; a path without a table may be any table's.
    pub fn is(&self, table: &Ident, column: &Ident) -> bool {
        let mut parts = self.0.iter().rev();
        parts.next() == Some(column) && parts.next().is_none_or(|one| one == table)
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
        let body = text.strip_prefix("--").map(str::trim_start).and_then(|t| t.strip_prefix(MARK));
        if let Some(body) = body {
            let indent = line.len() - line.trim_start().len();
            let span = Span::new(start + indent, start + indent + text.len());
            let wrong = |message: String| DirectiveError { span, message };
            found.push(read_one(body.trim(), span).map_err(wrong)?);
        }
        start += line.len();
    }
    Ok(found)
}

fn read_one(body: &str, span: Span) -> Result<Directive, String> {
    let (verb, rest) = body.split_once(char::is_whitespace).unwrap_or((body, ""));
    let rest = rest.trim();
    let section = |section| Ok(Directive::Section { section, span });
    match verb {
        "reverse" => {
            let (column, expression) =
                rest.split_once('=').ok_or("write `-- zdmig:reverse table.column = expression`")?;
            Ok(Directive::Reverse {
                column: path(column.trim())?,
                expression: expression.trim().to_owned(),
            })
        }
        "allow" => {
            let (hazard, because) = reasoned(rest, "allow CODE")?;
            Ok(Directive::Allow { hazard: hazard.to_owned(), because })
        }
        "no-sync" => {
            let (column, because) = reasoned(rest, "no-sync table.column")?;
            Ok(Directive::NoSync { column: path(column)?, because })
        }
        "expand" if rest.is_empty() => section(Section::Expand),
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
                for one in value.split(',') {
                    uses.push(path(one)?);
                }
            }
            section(Section::Contract { uses })
        }
        _ => Err(format!(
            "`{verb}` is no directive of zdmig: reverse, allow, no-sync, expand, backfill, \
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
    text.split_whitespace()
        .map(|word| word.split_once('=').ok_or_else(|| format!("`{word}` is not `name=value`")))
        .collect()
}

fn path(text: &str) -> Result<ColumnPath, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let part = if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').ok_or_else(|| format!("`{text}` has an open quote"))?;
            rest = &quoted[end + 1..];
            quoted[..end].to_owned()
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let part = rest[..end].to_lowercase();
            rest = &rest[end..];
            part
        };
        if part.is_empty() {
            return Err(format!("`{text}` is not a dotted name"));
        }
        parts.push(Ident::new(part));
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(ColumnPath(parts)),
            None => return Err(format!("`{text}` is not a dotted name")),
        }
    }
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
        assert_eq!(
            found[1],
            Directive::Reverse {
                column: ColumnPath(vec![Ident::new("users"), Ident::new("User Name")]),
                expression: "lower(email)".into()
            }
        );
        assert!(matches!(&found[2], Directive::Section { section: Section::Backfill { .. }, .. }));
        assert!(matches!(&found[3], Directive::End { .. }));
    }

    #[test]
    fn a_typo_is_an_error_and_not_a_comment() {
        for text in ["-- zdmig:alow x because \"y\"", "-- zdmig:allow x", "--zdmig:contract use=a"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
