//! Where the queries of a version are found.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::Deserialize;

use super::models;
use crate::cli::failure::Failure;
use crate::dialect::Dialect;
use crate::gate::{Collector, Language, Statement, scan};

/// Folders that hold what others wrote, or what was built.
const NOT_OURS: [&str; 9] = [
    "target",
    "node_modules",
    "vendor",
    "dist",
    "build",
    "venv",
    "__pycache__",
    "site-packages",
    "obj",
];

/// Queries of one kind, in a folder.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Source {
    kind: Kind,
    folder: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// What `cargo sqlx prepare` wrote.
    Sqlx,
    /// Files of SQL.
    Sql,
    /// Literals of source code.
    Scan,
    /// Schemas of Prisma.
    Prisma,
    /// Dumps of the models of any ORM.
    Models,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, folder) = text.split_once('=').unwrap_or((text, ""));
        let (kind, default) = match kind {
            "sqlx" => (Kind::Sqlx, ".sqlx"),
            "sql" => (Kind::Sql, "."),
            "scan" => (Kind::Scan, "."),
            "prisma" => (Kind::Prisma, "prisma"),
            "models" => (Kind::Models, "models"),
            other => {
                return Err(format!(
                    "`{other}` is not known: it is `sqlx`, `sql`, `scan`, `prisma` or `models`, and a \
                     folder after `=`"
                ));
            }
        };
        let folder = PathBuf::from(if folder.is_empty() { default } else { folder });
        Ok(Self { kind, folder })
    }
}

/// Where to look, and what to leave out.
pub(super) struct Place<'a> {
    /// A commit, instead of the files as they are.
    pub(super) git_ref: Option<&'a str>,
    /// Names of files and folders.
    pub(super) skip: &'a [String],
    /// The folder of the migrations, which no application runs.
    pub(super) migrations: &'a Path,
}

impl Source {
    /// Reads all its queries; how many files they were in.
    pub(super) fn collect(
        &self,
        place: &Place<'_>,
        dialect: &dyn Dialect,
        collector: &mut Collector<'_>,
    ) -> Result<usize, Failure> {
        let files = self.files(place)?;
        if files.is_empty() {
            let folder = self.folder.display();
            let failure = Failure::usage(format!("there are no {} in `{folder}`", self.words()));
            return Err(failure.hint("name their folder: --from KIND=FOLDER".to_owned()));
        }
        if self.kind == Kind::Prisma {
            // A model in one file may name what stands in another one.
            let all: Vec<_> = files.iter().map(|(_, text)| text.as_str()).collect();
            self.read(&self.folder, &all.join("\n"), dialect, collector)?;
            return Ok(files.len());
        }
        for (path, text) in &files {
            self.read(path, text, dialect, collector)?;
        }
        Ok(files.len())
    }

    fn words(&self) -> &'static str {
        match self.kind {
            Kind::Sqlx => "queries that `cargo sqlx prepare` wrote",
            Kind::Sql => "files of SQL",
            Kind::Scan => "files of source code",
            Kind::Prisma => "schemas of Prisma",
            Kind::Models => "dumps of models",
        }
    }

    fn wants(&self, path: &Path) -> bool {
        let ends = |with: &str| path.extension().is_some_and(|ending| ending == with);
        match self.kind {
            Kind::Sqlx => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with("query-") && ends("json")
            }
            Kind::Sql => ends("sql"),
            Kind::Scan => Language::of(path).is_some(),
            Kind::Prisma => ends("prisma"),
            Kind::Models => ends("json"),
        }
    }

    fn read(
        &self,
        path: &Path,
        text: &str,
        dialect: &dyn Dialect,
        collector: &mut Collector<'_>,
    ) -> Result<(), Failure> {
        let shown = path.display();
        match self.kind {
            Kind::Sqlx => {
                #[derive(Deserialize)]
                struct Prepared {
                    query: String,
                }
                let prepared: Prepared = serde_json::from_str(text).map_err(|error| {
                    Failure::usage(format!("`{shown}` is no query of sqlx: {error}"))
                })?;
                let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
                let hash: String = name.trim_start_matches("query-").chars().take(8).collect();
                collector.statement(&format!("sqlx:{hash}"), &prepared.query);
            }
            Kind::Sql => {
                for one in Statement::all(text, dialect.grammar()) {
                    collector.statement(&format!("{shown}:{}", one.at.0), one.text);
                }
            }
            Kind::Prisma | Kind::Models => {
                let models = if self.kind == Kind::Prisma {
                    models::prisma(text)
                } else {
                    models::dump(text)
                };
                let models = models.map_err(|why| {
                    Failure::usage(format!("`{shown}` cannot be read as models: {why}"))
                })?;
                for one in &models {
                    let at = format!("{shown}: {}", one.table());
                    one.statement().iter().for_each(|text| collector.statement(&at, text));
                }
            }
            Kind::Scan => {
                let Some(language) = Language::of(path) else { return Ok(()) };
                for found in scan(text, language, dialect.grammar()) {
                    let at = format!("{shown}:{}", found.line);
                    if found.whole {
                        collector.statement(&at, &found.text);
                    } else {
                        collector.cannot_read(&at, &found.text);
                    }
                }
            }
        }
        Ok(())
    }

    /// The files and what is in them, in the order of their names.
    fn files(&self, place: &Place<'_>) -> Result<Vec<(PathBuf, String)>, Failure> {
        let migrations = place.migrations.file_name();
        let ours = |path: &Path| {
            path.components().all(|part| {
                let name = part.as_os_str();
                let text = name.to_string_lossy();
                let hidden = text.starts_with('.') && !matches!(&*text, "." | ".." | ".sqlx");
                !hidden
                    && !NOT_OURS.contains(&&*text)
                    && Some(name) != migrations
                    && !place.skip.iter().any(|skip| *skip == *text)
            })
        };
        let mut files = match place.git_ref {
            Some(commit) => self.at(commit, &|path| self.wants(path) && ours(path))?,
            None => {
                let mut files = Vec::new();
                self.walk(Path::new(""), &ours, &mut files)?;
                files
            }
        };
        for (path, _) in &mut files {
            *path = self.folder.join(&*path);
            if let Ok(short) = path.strip_prefix(".") {
                *path = short.to_owned();
            }
        }
        files.sort();
        Ok(files)
    }

    fn walk(
        &self,
        inside: &Path,
        ours: &dyn Fn(&Path) -> bool,
        files: &mut Vec<(PathBuf, String)>,
    ) -> Result<(), Failure> {
        let folder = self.folder.join(inside);
        let unreadable = |error: std::io::Error| {
            Failure::usage(format!("cannot read `{}`: {error}", folder.display()))
        };
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let path = inside.join(entry.file_name());
            if !ours(&path) {
                continue;
            }
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.walk(&path, ours, files)?;
            } else if kind.is_file() && self.wants(&path) {
                let bytes = std::fs::read(self.folder.join(&path)).map_err(unreadable)?;
                files.push((path, String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
        Ok(())
    }

    /// The files as a commit has them, without a checkout.
    fn at(
        &self,
        commit: &str,
        wants: &dyn Fn(&Path) -> bool,
    ) -> Result<Vec<(PathBuf, String)>, Failure> {
        let listed =
            self.git(&["ls-tree", "-r", "-z", "--name-only", "--end-of-options", commit, "."], "")?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let paths: Vec<&str> = listed
            .split('\0')
            // git is asked a line for each.
            .filter(|path| !path.is_empty() && !path.contains('\n') && wants(Path::new(path)))
            .collect();
        let asked: Vec<_> = paths.iter().map(|path| format!("{commit}:./{path}\n")).collect();
        let asked = asked.concat();
        let answer = self.git(&["cat-file", "--batch"], &asked)?;
        let mut rest = answer.as_slice();
        let mut files = Vec::new();
        for path in paths {
            let broken = || Failure::usage(format!("git does not give `{path}` at `{commit}`"));
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
            let head = String::from_utf8_lossy(&rest[..end]).into_owned();
            let size: usize =
                head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(broken)?;
            let text = rest.get(end + 1..end + 1 + size).ok_or_else(broken)?;
            files.push((PathBuf::from(path), String::from_utf8_lossy(text).into_owned()));
            rest = rest.get(end + 2 + size..).unwrap_or_default();
        }
        Ok(files)
    }

    fn git(&self, arguments: &[&str], input: &str) -> Result<Vec<u8>, Failure> {
        let failed = |error: String| {
            Failure::usage(format!("git cannot read `{}`: {}", self.folder.display(), error.trim()))
        };
        let mut child = Command::new("git")
            .arg("-C")
            .arg(&self.folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let mut stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // It answers while it is asked, and waits where nobody reads.
            scope.spawn(move || {
                if let Some(stdin) = &mut stdin {
                    // Where it ended early its own words say why.
                    let _ = stdin.write_all(input.as_bytes());
                }
            });
            let (mut out, mut err) = (Vec::new(), String::new());
            if let Some(stdout) = &mut child.stdout {
                stdout.read_to_end(&mut out)?;
            }
            if let Some(stderr) = &mut child.stderr {
                stderr.read_to_string(&mut err)?;
            }
            Ok::<_, std::io::Error>((out, err))
        });
        let (out, err) = output.map_err(|error| failed(error.to_string()))?;
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(out) } else { Err(failed(err)) }
    }
}
