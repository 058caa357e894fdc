use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::Checksum;
use super::placeholder::PlaceholderError;
use super::version::{MigrationId, VersionError};

/// A migration file as it lies on disk.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// From the file's name.
    pub id: MigrationId,
    /// Where it was read, for messages.
    pub path: String,
    /// All of it.
    pub text: Arc<str>,
    /// Of what lies on disk.
    pub checksum: Checksum,
    /// What it lacks to be read: a variable that is not set. What was taken up before needs none.
    pub lacks: Option<PlaceholderError>,
}

impl SourceFile {
    /// A file with this text, wherever it comes from.
    pub fn new(id: MigrationId, path: String, text: &str) -> Self {
        Self { id, path, text: Arc::from(text), checksum: Checksum::of(text), lacks: None }
    }
}

/// Why the migrations folder could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The folder or a file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Unreadable {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file's name holds no version.
    #[error("`{path}`: {source}")]
    Name {
        /// The file.
        path: String,
        /// What is missing.
        source: VersionError,
    },
    /// Two files have the same version.
    #[error("`{first}` and `{second}` have the same version: give one of them another number")]
    Duplicate {
        /// The one that sorts first.
        first: String,
        /// The other.
        second: String,
    },
}

/// Reads every `.sql` file of a folder, in the order of their versions.
///
/// # Errors
/// When the folder or a file cannot be read, a name has no version, or two share one.
pub fn read_folder(folder: &Path) -> Result<Vec<SourceFile>, LoadError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let sql = path.extension().is_some_and(|ending| ending == "sql");
        let back = is_way_back(&path);
        if sql && !back {
            files.push(read_file(&path)?);
        } else if path.join("up.sql").is_file() {
            files.push(read_file(&path.join("up.sql"))?);
        }
    }
    sorted(&mut files)?;
    Ok(files)
}

/// Puts files in the order of their versions.
///
/// # Errors
/// When two share one.
pub fn sorted(files: &mut [SourceFile]) -> Result<(), LoadError> {
    files.sort_by(|a, b| a.id.cmp(&b.id));
    let same = |pair: &&[SourceFile]| pair[0].id.shares_version(&pair[1].id);
    match files.windows(2).find(same) {
        Some(pair) => {
            Err(LoadError::Duplicate { first: pair[0].path.clone(), second: pair[1].path.clone() })
        }
        None => Ok(()),
    }
}

/// Whether another runner keeps it for the way back: `1_name.down.sql`, `U1__name.sql`.
fn is_way_back(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let undo =
        name.strip_prefix('U').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    name.ends_with(".down.sql") || undo && name.contains("__")
}

/// Reads one file.
///
/// # Errors
/// When it cannot be read, or its name has no version.
pub fn read_file(path: &Path) -> Result<SourceFile, LoadError> {
    let shown = path.display().to_string();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    // A folder a migration, with its way forward in `up.sql`.
    let stem = match folder {
        Some(folder) if stem == "up" => folder,
        _ => stem,
    };
    let stem = stem.strip_suffix(".up").unwrap_or(&stem);
    let no_name = |source| LoadError::Name { path: shown.clone(), source };
    if stem.contains('@') {
        return Err(no_name(VersionError { stem: stem.to_owned() }));
    }
    let id = MigrationId::from_stem(stem).map_err(no_name)?;
    let text = fs::read_to_string(path)
        .map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(SourceFile::new(id, shown, text))
}
