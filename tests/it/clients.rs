//! For every case two applications at work: the old one, made from the schema before, from the
//! first phase until contract; the new one, made from the schema after, from the end of
//! backfill until purge. Neither gets an error, and every row that was acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use zdmig::catalog::{Catalog, Table, TableKind};
use zdmig::dialect::Client;

use crate::cases::{cases, read};
use crate::seed::{in_order, labels, quoted, row, seed, value};
use crate::support::{Database, OPEN_GATE, Project, attach, way};

/// Hazards that a case's author accepts, because what they warn of is not what is shown here.
const ALLOWED: [&str; 8] = [
    "alias-view",
    "body-names-column",
    "destroys",
    "long-lock",
    "loses-index",
    "not-repeatable",
    "unique-copy",
    "whole-statement",
];

/// Numbers that no application comes to: rows that point to others come round to the same ones,
/// and those far off show where a range ends.
const TRIED: [usize; 5] = [500, 501, 502, 503, 90_000];

/// Statements that an application repeats, with the next number in them each time.
#[derive(Clone)]
struct Application {
    tables: Vec<Table>,
    labels: BTreeMap<String, String>,
}

impl Application {
    /// The statements over every table of a schema that its rules accept, tried on a database
    /// that nobody changes.
    async fn of(database: &Database) -> Self {
        let catalog: Catalog = database.session().await.catalog().await.expect("a catalogue");
        let mut client = database.client().await;
        let labels = labels(&mut *client).await;
        let mut all = Self { tables: Vec::new(), labels };
        for table in in_order(&catalog) {
            if !matches!(table.kind, TableKind::Ordinary | TableKind::Partitioned)
                || is_part(table, &catalog)
            {
                continue;
            }
            let mut runs = true;
            for number in TRIED {
                for sql in all.statements(table, number) {
                    runs &= client.script(&sql).await.is_ok();
                }
            }
            if runs {
                all.tables.push(table.clone());
            }
        }
        all
    }

    /// Leaves out tables into which it would write what the schema after forbids: such code must
    /// be gone before, and the rows mended.
    async fn obeying(mut self, after: &Database) -> Self {
        let mut client = after.client().await;
        let mut kept = Vec::new();
        for (at, table) in std::mem::take(&mut self.tables).into_iter().enumerate() {
            let mut breaks = false;
            // No number of one table is one of another's.
            for number in TRIED.map(|number| number + 10 * (at + 1)) {
                for sql in self.statements(&table, number) {
                    let said = client.script(&sql).await.err().map(|error| error.to_string());
                    breaks |= said.is_some_and(|said| {
                        said.contains("violates") || said.contains("invalid input")
                    });
                }
            }
            if !breaks {
                kept.push(table);
            }
        }
        self.tables = kept;
        self
    }

    fn statements(&self, table: &Table, number: usize) -> Vec<String> {
        let schema = table.name.schema.as_ref().map_or("public", |schema| schema.as_str());
        let name = format!("{}.{}", quoted(schema), quoted(table.name.name.as_str()));
        let columns: Vec<_> =
            table.columns.iter().map(|column| quoted(column.name.as_str())).collect();
        let mut statements = vec![
            row(table, number, &self.labels),
            format!("SELECT {} FROM {name} ORDER BY 1 LIMIT 3", columns.join(", ")),
        ];
        let plain = table.columns.iter().find(|column| {
            let free = table.constraints.iter().all(|one| !one.columns.contains(&column.name))
                && table.indexes.iter().all(|one| !one.columns.contains(&column.name));
            free && column.peculiar.is_empty()
        });
        if let Some((column, key)) = plain.zip(table.key.first()) {
            statements.push(format!(
                "UPDATE {name} SET {0} = {1} WHERE {2} = (SELECT max({2}::text) FROM {name})::{3}",
                quoted(column.name.as_str()),
                value(&column.type_name, number + 1, &self.labels),
                quoted(key.as_str()),
                table
                    .columns
                    .iter()
                    .find(|one| one.name == *key)
                    .map_or("text", |one| one.type_name.as_str()),
            ));
        }
        statements
    }

    fn start(&self, url: &str, stop: &Arc<AtomicBool>, numbers: &Arc<AtomicUsize>) -> Running {
        let (this, url) = (self.clone(), url.to_owned());
        let (stop, numbers) = (stop.clone(), numbers.clone());
        tokio::spawn(async move {
            let mut client: Box<dyn Client> = attach(&url, "an application").await.client;
            let mut done = Done::default();
            while !stop.load(Ordering::Relaxed) {
                for table in &this.tables {
                    let number = numbers.fetch_add(2, Ordering::Relaxed);
                    for sql in this.statements(table, number) {
                        match client.script(&sql).await {
                            Ok(()) if sql.starts_with("INSERT") => {
                                *done.inserted.entry(table.name.to_string()).or_default() += 1;
                            }
                            Ok(()) => {}
                            Err(error) => {
                                done.errors.insert(format!("{error}\n  in: {sql}"));
                            }
                        }
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            done
        })
    }
}

#[derive(Default)]
struct Done {
    inserted: BTreeMap<String, usize>,
    errors: BTreeSet<String>,
}

type Running = JoinHandle<Done>;

/// The stage of one case.
struct Stage {
    project: Project,
    url: String,
    done: Done,
    numbers: Arc<AtomicUsize>,
    stops: Vec<(Arc<AtomicBool>, Running)>,
}

impl Stage {
    fn start(&mut self, application: &Application) {
        let stop = Arc::new(AtomicBool::new(false));
        let running = application.start(&self.url, &stop, &self.numbers);
        self.stops.push((stop, running));
    }

    /// Stops the one that was started first.
    async fn stop(&mut self) {
        let (stop, running) = self.stops.remove(0);
        stop.store(true, Ordering::Relaxed);
        let done = running.await.expect("an application ends");
        for (table, rows) in done.inserted {
            *self.done.inserted.entry(table).or_default() += rows;
        }
        self.done.errors.extend(done.errors);
    }

    async fn run(&self, line: &str) {
        let mut command = self.project.command(line);
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran.expect("joined").expect("it runs");
        crate::support::Ran::from(line, output).done();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The rows of every table.
/// A partition's rows are written and counted as those of its table.
fn is_part(table: &Table, catalog: &Catalog) -> bool {
    catalog.tables.values().any(|above| above.partitions.contains(&table.name))
}

async fn counts(database: &Database) -> BTreeMap<String, usize> {
    let catalog = database.session().await.catalog().await.expect("a catalogue");
    let mut client = database.client().await;
    let mut found = BTreeMap::new();
    let counted = |table: &&Table| table.kind != TableKind::View && !is_part(table, &catalog);
    for table in catalog.tables.values().filter(counted) {
        let schema = table.name.schema.as_ref().map_or("public", |schema| schema.as_str());
        let query = format!(
            "SELECT count(*)::text FROM {}.{}",
            quoted(schema),
            quoted(table.name.name.as_str())
        );
        let rows = client.rows(&query, &[]).await.expect("a count");
        let count = rows[0][0].as_ref().and_then(|count| count.parse().ok());
        found.insert(table.name.to_string(), count.unwrap_or_default());
    }
    found
}

/// The whole of one case; how many rows were acknowledged.
async fn story(case: &Path) -> usize {
    let schema = read(case, "schema.sql").expect("schema.sql");
    let migration = read(case, "migration.sql").expect("migration.sql");
    let database = Database::postgres("clients").await;
    database.script(&schema).await;
    seed(&database).await;
    // Copies tell what the applications may expect: of the schema before, and after.
    let before = Database::postgres_like("before", Some(&database)).await;
    let after = Database::postgres_like("after", Some(&database)).await;
    let plain = read(case, "plain.sql").unwrap_or_else(|| migration.clone());
    if after.client().await.script(&plain).await.is_err() {
        // Plain SQL fails over the rows that were made up: it is a case of an empty table.
        return 0;
    }
    let old = Application::of(&before).await.obeying(&after).await;
    let new = Application::of(&after).await;
    let mut config = OPEN_GATE.to_owned();
    for hazard in ALLOWED {
        config.push_str(&format!("[[allow]]\nhazard = \"{hazard}\"\nreason = \"a test\"\n"));
    }
    let project = Project::new(&database).migration("1_case", &migration).config(&config);
    let seeded = counts(&database).await;
    let numbers = Arc::new(AtomicUsize::new(1001));
    let url = database.url.clone();
    let mut stage = Stage { project, url, done: Done::default(), numbers, stops: Vec::new() };

    stage.start(&old);
    stage.run("expand").await;
    if read(case, "irreversible").is_none() {
        stage.run("rollback 1_case").await;
        stage.run("expand").await;
        stage.run("backfill").await;
        stage.run("rollback 1_case").await;
        stage.run("expand").await;
    }
    stage.run("backfill").await;
    stage.start(&new);
    tokio::time::sleep(Duration::from_millis(50)).await;
    stage.stop().await;
    stage.run("contract --soak 1h").await;
    stage.run("contract").await;
    stage.stop().await;
    let errors: Vec<_> = stage.done.errors.iter().cloned().collect();
    // What new code cannot use before purge, as the plan says with `comes-late`.
    let expected = read(case, "clients_fail.txt").unwrap_or_default();
    let unexpected: Vec<_> = errors
        .iter()
        .filter(|error| !expected.lines().any(|line| !line.is_empty() && error.contains(line)))
        .collect();
    assert!(unexpected.is_empty(), "{}: {unexpected:#?}", case.display());
    let all: usize = stage.done.inserted.values().sum();
    let gone = ["delete", "truncate"].iter().any(|word| migration.to_lowercase().contains(word));
    if gone {
        return all;
    }
    let found = counts(&database).await;
    let inserted_by_migration = |table: &str| {
        migration.to_lowercase().contains("insert")
            && migration.contains(table.rsplit('.').next().unwrap_or(table))
    };
    for (table, rows) in &found {
        let Some(seeded) = seeded.get(table).filter(|_| !inserted_by_migration(table)) else {
            continue;
        };
        let acknowledged = stage.done.inserted.get(table).copied().unwrap_or_default();
        assert_eq!(*rows, seeded + acknowledged, "{}: rows of {table}", case.display());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_and_a_new_application_through_every_case() {
    // Every eighth one without `ZDMIG_EVERY=1`.
    let wanted = std::env::var("ZDMIG_CASE").unwrap_or_default();
    let mut waiting = cases("postgres");
    waiting.retain(|path| {
        let told = ["refused.txt", "no_clients.txt"].map(|name| read(path, name));
        let now = !wanted.is_empty() || way(path, 8).is_none_or(|way| way == 0);
        now && path.display().to_string().contains(&wanted) && told.iter().all(Option::is_none)
    });
    let (mut failed, mut written, mut busy) = (Vec::new(), 0, 0);
    for some in waiting.chunks(4) {
        let running: Vec<_> = some
            .iter()
            .map(|path| {
                let path = path.clone();
                tokio::spawn(async move { story(&path).await })
            })
            .collect();
        for (path, run) in some.iter().zip(running) {
            match run.await {
                Ok(rows) => {
                    written += rows;
                    busy += usize::from(rows > 20);
                }
                Err(_) => {
                    let name = path.file_name().expect("a name");
                    failed.push(name.to_string_lossy().into_owned());
                }
            }
        }
    }
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
    let few = wanted.is_empty() && (written < 2_500 || busy * 4 < waiting.len() * 3);
    assert!(
        !few,
        "the applications hardly wrote: {written} rows, {busy} of {} cases",
        waiting.len()
    );
}
