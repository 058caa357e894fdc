//! What differs from one environment to the next: `${NAME}` in a file that says
//! `-- zdmig:env NAME`.

use thiserror::Error;

use super::SourceFile;
use super::directive::variables;

/// Why a file cannot be filled in.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PlaceholderError {
    /// The line is not written as it should be.
    #[error("`{path}`: {message}")]
    Line {
        /// The file.
        path: String,
        /// What would be right.
        message: String,
    },
    /// A variable is not set.
    #[error("`{path}` wants the environment variable `{name}`, which is not set")]
    Missing {
        /// The file.
        path: String,
        /// The variable.
        name: String,
    },
    /// A value could be read as more than a word.
    #[error(
        "the environment variable `{name}`, which `{path}` wants, holds more than letters, digits and \
         any of `_ - . : / @ +`, or begins or ends with `-` or `/`"
    )]
    Unfit {
        /// The file.
        path: String,
        /// The variable.
        name: String,
    },
}

/// The file with each `${NAME}` that it declares replaced by the variable's value, which is never
/// more than one word: nothing of it can end a literal, a name or a comment. Its checksum is that
/// of the file as it lies on disk, in every environment the same.
///
/// # Errors
/// When a variable is missing that has no value of its own in the file, or does not fit.
pub fn filled(
    mut file: SourceFile,
    value_of: &dyn Fn(&str) -> Option<String>,
) -> Result<SourceFile, PlaceholderError> {
    if !file.text.contains("zdmig:env") {
        return Ok(file);
    }
    let line = |message| PlaceholderError::Line { path: file.path.clone(), message };
    let wanted = variables(&file.text).map_err(line)?;
    let mut text = file.text.to_string();
    for (name, default) in wanted {
        let path = || file.path.clone();
        let Some(value) = value_of(&name).or(default) else {
            return Err(PlaceholderError::Missing { path: path(), name });
        };
        if !fits(&value) {
            return Err(PlaceholderError::Unfit { path: path(), name });
        }
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    file.text = text.into();
    Ok(file)
}

fn fits(value: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "_-.:/@+".contains(c);
    // What stands beside it may be half of a comment's beginning.
    let edge = ['-', '/'];
    !value.is_empty()
        && value.chars().all(fits)
        && !value.contains("--")
        && !value.starts_with(edge)
        && !value.ends_with(edge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::MigrationId;

    fn fill(text: &str) -> Result<SourceFile, PlaceholderError> {
        let id = MigrationId::from_stem("1_a").expect("valid");
        filled(SourceFile::new(id, "1_a.sql".into(), text), &|name| match name {
            "ROLE" => Some("app_rw".into()),
            "BAD" => Some("x'; DROP TABLE users; --".into()),
            "DASHES" => Some("a--b".into()),
            "EDGE" => Some("-3".into()),
            _ => None,
        })
    }

    #[test]
    fn what_is_declared_is_filled_in_and_nothing_else() {
        let text =
            "-- zdmig:env ROLE, REGION=eu-1\nGRANT SELECT ON t TO ${ROLE}; -- ${REGION} ${X}\n";
        let file = fill(text).expect("filled");
        assert!(
            file.text.ends_with("GRANT SELECT ON t TO app_rw; -- eu-1 ${X}\n"),
            "{}",
            file.text
        );
        assert_eq!(file.checksum, super::super::Checksum::of(text));
        let plain = "SELECT '${ROLE}';";
        assert_eq!(&*fill(plain).expect("left alone").text, plain);
    }

    #[test]
    fn a_value_is_a_word_or_nothing() {
        for (text, message) in [
            ("-- zdmig:env NONE\n", "`NONE`, which is not set"),
            ("-- zdmig:env BAD\n", "`BAD`, which `1_a.sql` wants, holds more"),
            ("-- zdmig:env DASHES\n", "holds more"),
            ("-- zdmig:env EDGE\n", "begins or ends"),
            ("-- zdmig:env lower case\n", "write `-- zdmig:env NAME"),
            ("-- zdmig:env\n", "write `-- zdmig:env NAME"),
        ] {
            let error = fill(text).expect_err("refused").to_string();
            assert!(error.contains(message) && !error.contains("DROP"), "{error}");
        }
    }
}
