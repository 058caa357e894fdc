//! Databases that are thrown away, a project in a folder, and the built program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use zdmig::catalog::Catalog;
use zdmig::dialect::{self, Attached, Client, DatabaseUrl, Dialect, Measure, Options, Session};

/// A database of its own for one test.
pub struct Database {
    pub url: String,
    admin: Option<(String, String)>,
    _folder: Option<tempfile::TempDir>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A name that no other test has.
pub fn unique(prefix: &str) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}_{}_{number}", std::process::id())
}

/// Which of so many ways a case goes, always the same one by its name; `None` where all are wanted,
/// by `ZDMIG_EVERY=1`.
pub fn way(case: &Path, of: usize) -> Option<usize> {
    if std::env::var_os("ZDMIG_EVERY").is_some() {
        return None;
    }
    let name = case.file_name().expect("a case has a name").as_encoded_bytes();
    let mixed =
        name.iter().fold(0_usize, |mixed, byte| mixed.wrapping_mul(31) + usize::from(*byte));
    Some(mixed % of)
}

/// The address of the test server's own database.
pub fn server() -> String {
    std::env::var("ZDMIG_TEST_POSTGRES_URL")
        .expect("no PostgreSQL: run scripts/test, which boots one, or set ZDMIG_TEST_POSTGRES_URL")
}

impl Database {
    /// On the test server.
    pub async fn postgres(name: &str) -> Self {
        Self::postgres_like(name, None).await
    }

    /// On the test server, as a copy of another database.
    pub async fn postgres_like(name: &str, template: Option<&Database>) -> Self {
        let server = server();
        let name = unique(name);
        let template = template
            .map(|one| format!(" TEMPLATE \"{}\"", one.url.rsplit('/').next().expect("a name")))
            .unwrap_or_default();
        let sql = format!("CREATE DATABASE \"{name}\"{template}");
        attach(&server, "test").await.client.script(&sql).await.expect("a database");
        let (host, _) = server.rsplit_once('/').expect("a database in the address");
        let drop = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
        Self { url: format!("{host}/{name}"), admin: Some((server, drop)), _folder: None }
    }

    /// A file in a folder of its own.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("test.db").display());
        let create = format!("{url}?mode=rwc");
        attach(&create, "test")
            .await
            .client
            .script("PRAGMA journal_mode = WAL")
            .await
            .expect("made");
        Self { url, admin: None, _folder: Some(folder) }
    }

    pub async fn of(product: &str, name: &str) -> Self {
        match product {
            "sqlite" => Self::sqlite().await,
            _ => Self::postgres(name).await,
        }
    }

    pub fn database_url(&self) -> DatabaseUrl {
        DatabaseUrl::new(self.url.clone()).expect("an address")
    }

    pub fn dialect(&self) -> &'static dyn Dialect {
        dialect::for_url(&self.database_url()).expect("a dialect")
    }

    pub async fn client(&self) -> Box<dyn Client> {
        attach(&self.url, "test").await.client
    }

    pub async fn script(&self, sql: &str) {
        self.client().await.script(sql).await.expect("the script runs");
    }

    pub async fn session(&self) -> Box<dyn Session> {
        self.attached(Measure::Nothing).await
    }

    /// One that measures what each step locks.
    pub async fn measuring(&self) -> Box<dyn Session> {
        self.attached(Measure::Everything).await
    }

    async fn attached(&self, measure: Measure) -> Box<dyn Session> {
        let options = Options {
            lock_timeout: std::time::Duration::from_millis(500),
            connect_timeout: std::time::Duration::from_secs(10),
            measure,
            pooled: false,
            beside: None,
        };
        self.dialect().connect(&self.database_url(), &options).await.expect("a session")
    }

    /// The catalogue without sizes, columns in the order of their names.
    pub async fn catalog(&self) -> Catalog {
        let mut catalog = self.session().await.catalog().await.expect("a catalogue");
        for table in catalog.tables.values_mut() {
            (table.rows, table.bytes) = (0, 0);
            table.columns.sort_by(|a, b| a.name.cmp(&b.name));
            table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
            for index in &mut table.indexes {
                // SQLite keeps the author's text, in which blanks and quotes may differ.
                index.definition = index.definition.replace(['"', ' '], "").to_lowercase();
            }
            table.constraints.sort_by(|a, b| a.definition.cmp(&b.definition));
        }
        catalog
    }

    /// Everything named by zdmig outside of its bookkeeping.
    pub async fn leftovers(&self) -> Vec<String> {
        let query = if self.url.starts_with("sqlite") {
            "SELECT name FROM sqlite_schema WHERE name LIKE '%zdmig%' AND type <> 'table' \
               AND name NOT LIKE 'sqlite_%' \
             UNION ALL SELECT m.name || '.' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c \
              WHERE m.type = 'table' AND c.name LIKE '%zdmig%'"
        } else {
            "SELECT 'relation ' || c.relname FROM pg_class c WHERE c.relname LIKE '%zdmig%'
             UNION ALL SELECT 'column ' || a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
                        WHERE a.attname LIKE '%zdmig%' AND NOT a.attisdropped AND r.relkind <> 'i'
             UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE conname LIKE '%zdmig%'
             UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname LIKE '%zdmig%'
             UNION ALL SELECT 'function ' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                        WHERE n.nspname = 'zdmig' AND p.proname LIKE 'sync%'
             "
        };
        let mut client = self.client().await;
        let mut rows = client.rows(query, &[]).await.expect("a list");
        let retired = "SELECT 'retired ' || column_name FROM zdmig.retired";
        rows.extend(client.rows(retired, &[]).await.unwrap_or_default());
        rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, sql)) = self.admin.take() else { return };
        // A runtime of its own: the test's may be gone already.
        let _ = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let _ = attach(&server, "test").await.client.script(&sql).await;
            });
        })
        .join();
    }
}

/// The first value of the first row of an answer.
pub async fn ask(client: &mut dyn Client, query: &str) -> String {
    client.rows(query, &[]).await.expect("an answer")[0][0].clone().unwrap_or_default()
}

/// Waits until a query says yes.
pub async fn until(client: &mut dyn Client, query: &str) {
    for _ in 0..3_000 {
        if ask(client, query).await == "true" {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never: {query}");
}

/// A table of users with rows, and a rename of one of its columns that is expanded.
pub async fn renamed(product: &str, name: &str, rows: u32) -> (Database, Project) {
    let database = Database::of(product, name).await;
    let schema = format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, username text);
         INSERT INTO users WITH RECURSIVE s (g) AS
             (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < {rows})
         SELECT g, 'user ' || g FROM s; ANALYZE;"
    );
    database.script(&schema).await;
    let project = Project::new(&database)
        .migration("1_rename", "ALTER TABLE users RENAME COLUMN username TO email;")
        .config(OPEN_GATE);
    project.run("expand").done();
    (database, project)
}

/// Whether whoever runs the tests has no such tool and said so, in `ZDMIG_WITHOUT`.
pub fn without(tool: &str) -> bool {
    let said = std::env::var("ZDMIG_WITHOUT").unwrap_or_default();
    said.split_whitespace().any(|one| one == tool)
}

pub async fn attach(url: &str, name: &str) -> Attached {
    let url = DatabaseUrl::new(url).expect("an address");
    let dialect = dialect::for_url(&url).expect("a dialect");
    dialect.attach(&url, name).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A project in a folder, and the program that is run in it.
pub struct Project {
    pub folder: tempfile::TempDir,
    url: String,
}

/// A consumer that may be absent: every gate is open.
pub const OPEN_GATE: &str = "soak = \"0s\"\n[[consumer]]\nname = \"nobody\"\nidle = true\n\
                             unnamed_sessions = true\nroles = []\n[[waive]]\nrole = \"postgres\"\nreason = \"a test\"\n";

impl Project {
    pub fn new(database: &Database) -> Self {
        Self::at(&database.url)
    }

    pub fn at(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("migrations")).expect("a folder");
        Self { folder, url: url.to_owned() }
    }

    #[must_use]
    pub fn migration(self, name: &str, sql: &str) -> Self {
        self.write(&format!("migrations/{name}.sql"), sql);
        self
    }

    #[must_use]
    pub fn config(self, toml: &str) -> Self {
        self.write("zdmig.toml", toml);
        self
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, not yet started: nothing of this machine's environment reaches it.
    pub fn command(&self, line: &str) -> Command {
        let mut command = program(self.folder.path());
        command.args(line.split_whitespace()).env("ZDMIG_DATABASE_URL", &self.url);
        command
    }

    pub fn run(&self, line: &str) -> Ran {
        Ran::from(line, self.command(line).output().expect("the program starts"))
    }
}

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zdmig"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

/// What the program did.
#[derive(Debug)]
pub struct Ran {
    pub line: String,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn from(line: &str, output: Output) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "zdmig {}\n{}\n{}", self.line, self.out, self.err);
        self
    }

    #[track_caller]
    pub fn done(self) -> Self {
        self.exits(0)
    }

    /// What it says, on either stream, must hold all of these.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.out.contains(word) || self.err.contains(word);
            assert!(said, "no `{word}` in: zdmig {}\n{}\n{}", self.line, self.out, self.err);
        }
        self
    }
}
