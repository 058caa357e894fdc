//! What a backfill costs, as ratios within one run. `just bench-backfill` boots a server, runs it,
//! and writes the figures into docs/performance.md and the plots beside it.
//!
//! `ZDMIG_BENCH=single,workers` runs some of the measurements only.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark talks and may fail loudly"
)]
#![expect(clippy::cast_precision_loss, reason = "ratios for people")]

mod application;
mod plot;
mod server;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use server::{Cost, Server};

const MILLION: u64 = 1_000_000;

/// What was measured: the text of each region of the page, and the plots.
#[derive(Default)]
struct Figures {
    regions: Vec<(&'static str, String)>,
}

impl Figures {
    fn add(&mut self, region: &'static str, text: String) {
        println!("\n{text}");
        self.regions.push((region, text));
    }
}

/// A table of costs, as shares of the first.
struct Shares {
    text: String,
    first: Option<Cost>,
    bars: Vec<(String, [f64; 4])>,
}

impl Shares {
    fn new(what: &str) -> Self {
        let text = format!(
            "| {what} | time | CPU | log written | table grew by | time | CPU | log | growth |\n\
             |---|---|---|---|---|---|---|---|---|\n"
        );
        Self { text, first: None, bars: Vec::new() }
    }

    fn line(&mut self, name: &str, cost: Cost) {
        let first = *self.first.get_or_insert(cost);
        let shares = cost.shares(&first);
        let share: Vec<_> = shares.iter().map(|share| format!("{share:.2}")).collect();
        let _ = writeln!(
            self.text,
            "| {name} | {:.1} s | {:.1} s | {:.0} MB | {:.0} MB | {} |",
            cost.time.as_secs_f64(),
            cost.cpu,
            cost.log / 1e6,
            cost.growth / 1e6,
            share.join(" | ")
        );
        self.bars.push((name.to_owned(), shares));
    }
}

/// A way to fill a table, and what is done to the table before.
struct Way {
    name: &'static str,
    /// Of the backfill; none is the one single UPDATE.
    arguments: Option<&'static str>,
    then: &'static str,
    /// Whether somebody has an old snapshot meanwhile.
    snapshot: bool,
}

impl Way {
    const UPDATE: Self = Self::with("one single `UPDATE`", None);

    const fn with(name: &'static str, arguments: Option<&'static str>) -> Self {
        Self { name, arguments, then: "", snapshot: false }
    }

    async fn cost(&self, server: &Server, rows: u64, indexes: &str) -> Cost {
        server.seed(rows, &format!("{indexes}{}", self.then)).await;
        server.calm().await;
        let mut old = server.client().await;
        if self.snapshot {
            let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
            old.script(sql).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let cost = match self.arguments {
            Some(arguments) => server.backfill(arguments).await.cost,
            None => server.one_update().await,
        };
        println!("  {}: {cost:?}", self.name);
        cost
    }
}

/// Ways in turns, some times over: of each the best, because others are at work on the machine.
async fn compare(server: &Server, what: &str, rows: u64, indexes: &str, ways: &[Way]) -> Shares {
    let mut costs: Vec<Option<Cost>> = vec![None; ways.len()];
    // A large table takes long enough for one turn to tell.
    let rounds = if rows > MILLION { 1 } else { ROUNDS };
    for _ in 0..rounds {
        for (way, best) in ways.iter().zip(&mut costs) {
            let cost = way.cost(server, rows, indexes).await;
            *best = Some(best.map_or(cost, |before| before.best(&cost)));
        }
    }
    let mut shares = Shares::new(what);
    for (way, cost) in ways.iter().zip(costs) {
        shares.line(way.name, cost.unwrap());
    }
    shares
}

const ROUNDS: u32 = 2;
const FAST: Way = Way::with("`--pace fast`", Some("--pace fast"));
const FAST_TWO: Way = Way::with("`--pace fast --workers 2`", Some("--pace fast --workers 2"));

/// One worker at full speed against one UPDATE.
async fn single(server: &Server, figures: &mut Figures) {
    let default = Way::with("`--pace default`", Some("--pace default"));
    let ways = [Way::UPDATE, FAST, default];
    let shares = compare(server, "1,000,000 rows", MILLION, "", &ways).await;
    plot::bars(&page("single.svg"), "1,000,000 rows, as shares of one UPDATE", &shares.bars);
    figures.add("single", shares.text);
}

/// Two workers.
async fn workers(server: &Server, figures: &mut Figures) {
    let ways = [Way::UPDATE, FAST, FAST_TWO];
    let shares = compare(server, "3,000,000 rows", 3 * MILLION, "", &ways).await;
    figures.add("workers", shares.text);
}

async fn indexes(server: &Server, figures: &mut Figures) {
    let five = "CREATE INDEX ON users (updated_at); CREATE INDEX ON users (username);
                CREATE INDEX ON users (bio, id); CREATE INDEX ON users (username, updated_at);";
    let what = "1,000,000 rows, five secondary indexes";
    let ways = [Way::UPDATE, FAST, FAST_TWO];
    let shares = compare(server, what, MILLION, five, &ways).await;
    plot::bars(
        &page("indexes.svg"),
        "five secondary indexes, as shares of one UPDATE",
        &shares.bars,
    );
    figures.add("indexes", shares.text);
}

/// Where passes are of no use: they must not cost much either.
async fn hard(server: &Server, figures: &mut Figures) {
    let snapshot = Way { name: "a snapshot that stays open", snapshot: true, ..FAST };
    let then = "ALTER TABLE users DROP CONSTRAINT users_pkey;";
    let keyless = Way { name: "a table without a key", then, ..FAST };
    let ways = [
        Way::UPDATE,
        snapshot,
        Way { name: "the same, one single `UPDATE`", then, ..Way::UPDATE },
        keyless,
    ];
    let shares = compare(server, "1,000,000 rows", MILLION, "", &ways).await;
    figures.add("hard", shares.text);
}

/// The statement of pgroll, with triggers as it makes them.
async fn peers(server: &Server, figures: &mut Figures) {
    let rate = |cost: Cost| MILLION as f64 / cost.time.as_secs_f64();
    server.seed(MILLION, "").await;
    server.calm().await;
    let theirs = rate(server.pgroll(1_000).await);
    let mut text = "| 1,000,000 rows | rows a second | ratio |\n|---|---|---|\n".to_owned();
    let _ = writeln!(text, "| pgroll's statement and triggers, 1,000 rows | {theirs:.0} | 1.0 |");
    for arguments in ["--pace fast", "--pace fast --workers 2"] {
        server.seed(MILLION, "").await;
        server.calm().await;
        let ours = rate(server.backfill(arguments).await.cost);
        let _ = writeln!(text, "| `{arguments}` | {ours:.0} | {:.1} |", ours / theirs);
    }
    figures.add("peers", text);
}

/// The cost of a row over the size of the table, and the memory of the process.
async fn sizes(server: &Server, figures: &mut Figures) {
    let mut text =
        "| rows | CPU for a row | against the first | log for a row | memory |\n|---|---|---|---|---|\n".to_owned();
    let mut points = Vec::new();
    let mut first = None;
    for rows in [MILLION / 10, MILLION, 10 * MILLION] {
        server.seed(rows, "").await;
        server.calm().await;
        let ran = server.backfill("--pace fast").await;
        let cpu = ran.cost.cpu * 1e6 / rows as f64;
        let first = *first.get_or_insert(cpu);
        let _ = writeln!(
            text,
            "| {rows} | {cpu:.2} µs | {:.2} | {:.0} bytes | {:.0} MB |",
            cpu / first,
            ran.cost.log / rows as f64,
            ran.memory as f64 / 1e3
        );
        points.push((rows as f64, cpu));
    }
    plot::line(&page("sizes.svg"), "CPU for a row (µs) over the rows of the table", &points);
    figures.add("sizes", text);
}

/// What an application feels.
async fn latency(server: &Server, figures: &mut Figures) {
    let mut text = "| pace | rows a second | p50 | p95 | p99 | p99.9 | errors |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    let mut bars = Vec::new();
    for pace in ["gentle", "default", "fast"] {
        server.seed(4 * MILLION, "").await;
        let felt = application::beside(server, pace).await;
        let ratios: Vec<_> = felt.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let _ = writeln!(
            text,
            "| {pace} | {:.0} | {} | {} |",
            felt.rate,
            ratios.join(" | "),
            felt.errors
        );
        bars.push((pace.to_owned(), felt.ratios));
    }
    plot::latency(&page("latency.svg"), "latency beside a fill, as shares of that without", &bars);
    figures.add("latency", text);
}

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance").join(name)
}

/// Puts each region's text into the page.
fn write(figures: &Figures) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (region, figures) in &figures.regions {
        let (begin, end) = (format!("<!-- {region} -->\n"), format!("<!-- end of {region} -->"));
        let from = text.find(&begin).unwrap() + begin.len();
        let upto = text.find(&end).unwrap();
        text.replace_range(from..upto, &format!("\n{figures}\n"));
    }
    std::fs::write(path, text).unwrap();
}

fn main() {
    let wanted = std::env::var("ZDMIG_BENCH").ok();
    let wants =
        |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|one| one == name));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut figures = Figures::default();
    let begun = Instant::now();
    runtime.block_on(async {
        let server = Server::new().await;
        if wants("single") {
            single(&server, &mut figures).await;
        }
        if wants("workers") {
            workers(&server, &mut figures).await;
        }
        if wants("indexes") {
            indexes(&server, &mut figures).await;
        }
        if wants("hard") {
            hard(&server, &mut figures).await;
        }
        if wants("peers") {
            peers(&server, &mut figures).await;
        }
        if wants("latency") {
            latency(&server, &mut figures).await;
        }
        if wants("sizes") {
            sizes(&server, &mut figures).await;
        }
        server.gone().await;
    });
    write(&figures);
    println!("\nmeasured in {:.0} s", begun.elapsed().as_secs_f64());
}
