//! Floor 1: the author's files. Text is sliced and never rewritten.

mod directive;
mod foreign;
mod load;
mod placeholder;
mod runner;
mod version;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use directive::{ColumnPath, Directive, DirectiveError, Section};
pub use load::{LoadError, SourceFile, read_file, read_folder, sorted};
pub use placeholder::{PlaceholderError, filled};
pub use runner::{Log, Ran, Row, Runner};
pub use version::{MigrationId, VersionError};

use crate::sql::Span;

/// One migration file, split into statements but not yet understood.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its version and name, from the file's name.
    pub id: MigrationId,
    /// What the file says, whatever its line ends.
    pub checksum: Checksum,
    /// The file, byte for byte.
    pub source: Arc<str>,
    /// Where the file was read from, for messages.
    pub path: String,
    /// The statements, in the file's order.
    pub statements: Vec<Statement>,
    /// The directives, in the file's order.
    pub directives: Vec<Directive>,
}

/// One statement of a file, without its closing semicolon.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Where it stands.
    pub span: Span,
    /// The section it stands in, if the author wrote one.
    pub section: Option<Section>,
}

impl Migration {
    /// Reads a file's directives and cuts it into statements with the dialect's `split`.
    ///
    /// # Errors
    /// When a directive is not one of ours, or is not written as it should be.
    pub fn parse<E>(
        file: &SourceFile,
        split: impl FnOnce(&str) -> Result<Vec<Span>, E>,
    ) -> Result<Self, ParseError<E>> {
        let text = foreign::forward(&file.text);
        let directives = directive::read(&text).map_err(ParseError::Directive)?;
        let spans = split(&text).map_err(ParseError::Split)?;
        let section_at = |span: Span| {
            directives.iter().rev().find_map(|directive| match directive {
                Directive::Section { section, span: at } if at.start < span.start => {
                    Some(Some(section.clone()))
                }
                Directive::End { span: at } if at.start < span.start => Some(None),
                _ => None,
            })
        };
        let statements = spans
            .into_iter()
            .map(|span| Statement { span, section: section_at(span).flatten() })
            .collect();
        Ok(Self {
            id: file.id.clone(),
            checksum: file.checksum.clone(),
            source: file.text.clone(),
            path: file.path.clone(),
            statements,
            directives,
        })
    }

    /// Accepts a hazard for the whole project, unless the file itself says why.
    pub fn allow(&mut self, hazard: &str, because: &str) {
        if self.allows(hazard).is_none() {
            let (hazard, because) = (hazard.to_owned(), because.to_owned());
            self.directives.push(Directive::Allow { hazard, because });
        }
    }

    /// The reason the author gave for accepting a hazard, if they did.
    pub fn allows(&self, code: &str) -> Option<&str> {
        self.directives.iter().find_map(|directive| match directive {
            Directive::Allow { hazard, because } if hazard == code => Some(because.as_str()),
            _ => None,
        })
    }
}

/// Why a file could not be read as a migration.
#[derive(Debug)]
pub enum ParseError<E> {
    /// A directive is wrong.
    Directive(DirectiveError),
    /// The dialect could not cut the file.
    Split(E),
}

/// SHA-256 of a file with its line ends and trailing blanks made equal, so that an editor
/// or a checkout on another system changes nothing. The prefix names the rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Checksum(String);

impl Checksum {
    /// The checksum of a file's text.
    pub fn of(text: &str) -> Self {
        let mut hash = Sha256::new();
        for line in text.trim_end().split('\n') {
            hash.update(line.trim_end());
            hash.update(b"\n");
        }
        Self(format!("text1:{:x}", hash.finalize()))
    }

    /// The checksum as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_change_a_checksum_and_words_do() {
        assert_eq!(Checksum::of("a;\r\nb;  \n"), Checksum::of("a;\nb;\n\n"));
        assert_ne!(Checksum::of("a;\nb;"), Checksum::of("a;\nc;"));
    }
}
