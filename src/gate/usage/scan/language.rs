use std::path::Path;

/// A language whose literals are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// Ruby.
    Ruby,
    /// Go.
    Go,
    /// Java.
    Java,
    /// Kotlin.
    Kotlin,
    /// JavaScript and TypeScript.
    JavaScript,
    /// PHP.
    Php,
    /// C#.
    CSharp,
}

impl Language {
    /// The language of a file, by how its name ends.
    pub fn of(path: &Path) -> Option<Self> {
        Some(match path.extension()?.to_str()? {
            "rs" => Self::Rust,
            "py" => Self::Python,
            "rb" | "rake" => Self::Ruby,
            "go" => Self::Go,
            "java" => Self::Java,
            "kt" | "kts" => Self::Kotlin,
            "js" | "jsx" | "mjs" | "cjs" | "ts" | "tsx" | "mts" | "cts" => Self::JavaScript,
            "php" => Self::Php,
            "cs" => Self::CSharp,
            _ => return None,
        })
    }

    /// Whether `#` begins a comment.
    pub(super) fn hash_comments(self) -> bool {
        matches!(self, Self::Python | Self::Ruby | Self::Php)
    }

    /// Whether `//` and `/* */` are comments.
    pub(super) fn slash_comments(self) -> bool {
        !matches!(self, Self::Python | Self::Ruby)
    }

    /// Whether a string may be in single quotes.
    pub(super) fn single_quotes(self) -> bool {
        matches!(self, Self::Python | Self::Ruby | Self::JavaScript | Self::Php)
    }

    /// Whether strings that follow each other are one.
    pub(super) fn adjacent(self) -> bool {
        matches!(self, Self::Python | Self::Ruby)
    }

    /// The sign that puts strings together.
    pub(super) fn plus(self) -> char {
        if self == Self::Php { '.' } else { '+' }
    }
}
