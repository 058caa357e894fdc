//! Requests at a fixed rate, whatever the answers take: a late answer makes the next ones late, and that is
//! measured, because the time of a request begins when it was due.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The proxy, as `http://127.0.0.1:8080`
    #[arg(long)]
    url: String,
    /// Requests a second
    #[arg(long)]
    rate: f64,
    /// How many users there were at the beginning: ids 1 to this
    #[arg(long)]
    users: i64,
    /// Where what was seen is written
    #[arg(long)]
    out: PathBuf,
}

/// How many requests can be under way at the same time.
const CONNECTIONS: u32 = 8;

/// New users begin here; each connection has ids of its own, so it knows what they must hold.
const NEW: i64 = 500_000_000;

/// What users that a connection has written may hold: one value where the last write was acknowledged, and more
/// where one was not. `None` is a user that is not there.
type Known = BTreeMap<i64, Vec<Option<String>>>;

/// The lines of what was seen: when it was due in ms since 1970, how long it took in us, the status (0 where
/// there was no answer), what it was: `ok`, `refused`, or `wrong` where it was not what was acknowledged before.
type Seen = Arc<Mutex<BufWriter<File>>>;

pub(super) fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen: Seen =
        Arc::new(Mutex::new(BufWriter::new(File::create(super::file(&args.out, "seen.tsv"))?)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let connection = Connection {
                number: i64::from(number),
                url: args.url.clone(),
                users: args.users,
                agent: agent(),
                known: Known::new(),
                cursor: 0,
                seen: Arc::clone(&seen),
            };
            let every = Duration::from_secs_f64(f64::from(CONNECTIONS) / args.rate);
            let first = begun + every * number / CONNECTIONS;
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || connection.work(first, every, &stop))
        })
        .collect();
    runtime.block_on(tokio::signal::ctrl_c())?;
    stop.store(true, Ordering::Relaxed);
    let mut known = BufWriter::new(File::create(super::file(&args.out, "acknowledged.tsv"))?);
    for thread in threads {
        for (id, names) in thread.join().map_err(|_| "a connection has died")?? {
            for name in names {
                // `\N`, as PostgreSQL writes what is not there.
                writeln!(known, "{id}\t{}", name.as_deref().unwrap_or("\\N"))?;
            }
        }
    }
    known.flush()?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
    Ok(ExitCode::SUCCESS)
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .build();
    config.into()
}

struct Connection {
    number: i64,
    url: String,
    users: i64,
    agent: ureq::Agent,
    known: Known,
    /// Where reading again what was written goes on.
    cursor: i64,
    seen: Seen,
}

/// What an answer was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Was {
    Ok,
    Refused,
    Wrong,
}

impl Was {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Wrong => "wrong",
        }
    }
}

impl Connection {
    fn work(
        mut self,
        first: Instant,
        every: Duration,
        stop: &AtomicBool,
    ) -> Result<Known, std::io::Error> {
        let mut due = first;
        for turn in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let at = SystemTime::now() - due.elapsed();
            let (status, was) = self.request(turn);
            let took = due.elapsed().as_micros();
            let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(seen, "{at}\t{took}\t{status}\t{}", was.word())?;
            drop(seen);
            due += every;
        }
        Ok(self.known)
    }

    /// An id of this connection's alone.
    fn mine(&self, n: i64) -> i64 {
        n * i64::from(CONNECTIONS) + self.number + 1
    }

    /// One request; the status, and what the answer was.
    fn request(&mut self, turn: i64) -> (u16, Was) {
        // A walk that jumps about, the same in every run: half of it over a few rows, which are written again and
        // again, by each version in its turn.
        let all = (self.users / i64::from(CONNECTIONS)).max(1);
        let few = if turn % 16 < 8 { all.min(200) } else { all };
        let old = self.mine((turn / 4).wrapping_mul(7_919).rem_euclid(few));
        let new = NEW + self.mine(turn / 8);
        match turn % 8 {
            0 => self.save(new, format!("new {turn} of {}", self.number)),
            1 => self.find(new),
            2 | 6 => self.save(old, format!("changed {turn} of {}", self.number)),
            3 => self.find(old),
            // What nobody else reads is removed at times, and written again by the walk.
            7 if turn % 32 == 7 => self.remove(new),
            7 if turn % 32 == 23 && old > self.users / 2 => self.remove(old),
            _ => self.find_again(),
        }
    }

    /// Reads something that was written, or removed, at any time before.
    fn find_again(&mut self) -> (u16, Was) {
        let next = self.known.range(self.cursor..).next().or_else(|| self.known.iter().next());
        let Some((&id, _)) = next else { return self.find(self.mine(0)) };
        // In steps, so that what was written long ago has its turn too.
        self.cursor = id + i64::from(CONNECTIONS) * 7;
        self.find(id)
    }

    fn save(&mut self, id: i64, name: String) -> (u16, Was) {
        let answer = self.agent.put(format!("{}/users/{id}", self.url)).send(&name);
        self.changed(id, Some(name), answer)
    }

    fn remove(&mut self, id: i64) -> (u16, Was) {
        let answer = self.agent.delete(format!("{}/users/{id}", self.url)).call();
        self.changed(id, None, answer)
    }

    fn changed(
        &mut self,
        id: i64,
        name: Option<String>,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> (u16, Was) {
        let status = self.status(answer.as_ref());
        if status == 204 {
            self.known.insert(id, vec![name]);
            return (status, Was::Ok);
        }
        // It may have been done or not.
        let first = self.first(id);
        let may = self.known.entry(id).or_insert_with(|| vec![first]);
        if !may.contains(&name) {
            may.push(name);
        }
        (status, Was::Refused)
    }

    fn find(&mut self, id: i64) -> (u16, Was) {
        let answer = self.agent.get(format!("{}/users/{id}", self.url)).call();
        let status = self.status(answer.as_ref());
        let found = match answer {
            Ok(mut answer) if status == 200 => answer.body_mut().read_to_string().ok(),
            Ok(_) if status == 404 => None,
            _ => return (status, Was::Refused),
        };
        // Those that nobody wrote are as they were.
        let first = [self.first(id)];
        let may = self.known.get(&id).map_or(first.as_slice(), Vec::as_slice);
        if !may.contains(&found) {
            eprintln!("user {id} is {found:?}, and must be one of {may:?}");
            return (status, Was::Wrong);
        }
        (status, Was::Ok)
    }

    /// What a user was at the beginning.
    fn first(&self, id: i64) -> Option<String> {
        (id <= self.users).then(|| super::first_name(id))
    }

    fn status(&self, answer: Result<&ureq::http::Response<ureq::Body>, &ureq::Error>) -> u16 {
        match answer {
            Ok(answer) => answer.status().as_u16(),
            Err(error) => {
                eprintln!("no answer from {}: {error}", self.url);
                0
            }
        }
    }
}
