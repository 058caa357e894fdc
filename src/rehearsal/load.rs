//! Requests at a fixed rate, on connections of their own, until they are told to end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::figures::Seen;
use super::script::{Given, Move, Script};
use crate::dialect::{Client, DatabaseUrl, Dialect, SessionError, Value};

/// How a load is to work.
#[derive(Clone)]
pub struct LoadOrder {
    /// How to speak to the database.
    pub dialect: &'static dyn Dialect,
    /// Where it is.
    pub url: DatabaseUrl,
    /// What its connections are called.
    pub name: String,
    /// What is done, by turns as their weights say.
    pub scripts: Vec<Script>,
    /// Requests a second.
    pub rate: f64,
    /// How many can be under way at the same time.
    pub connections: u32,
}

impl LoadOrder {
    /// One pass through a script, to see whether it can be run at all.
    ///
    /// # Errors
    /// When the database cannot be reached, or the first of its statements that fails.
    pub async fn attempt(&self, script: &Script) -> Result<(), SessionError> {
        let mut client = self.dialect.attach(&self.url, &self.name).await?.client;
        let asked = request(script, client.as_mut());
        tokio::time::timeout(ATTEMPT, asked).await.unwrap_or_else(|_| {
            let message = format!("it is not done after {} s", ATTEMPT.as_secs());
            Err(SessionError::Failed { message, code: None, statement: None })
        })
    }
}

/// How long a script may take that is only tried.
const ATTEMPT: Duration = Duration::from_secs(30);

/// A load at work.
pub struct Load {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    order: LoadOrder,
    begun: Instant,
    stop: CancellationToken,
    /// Which scripts are taken at present.
    active: Vec<AtomicBool>,
    /// How many requests of each are under way.
    under_way: Vec<AtomicUsize>,
    seen: Mutex<Vec<Seen>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Load {
    /// Begins with the scripts that `active` says.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn begin(order: LoadOrder, active: &[bool]) -> Result<Self, SessionError> {
        let mut clients = Vec::new();
        for _ in 0..order.connections {
            clients.push(order.dialect.attach(&order.url, &order.name).await?.client);
        }
        let shared = Arc::new(Shared {
            order,
            begun: Instant::now(),
            stop: CancellationToken::new(),
            active: active.iter().map(|one| AtomicBool::new(*one)).collect(),
            under_way: active.iter().map(|_| AtomicUsize::new(0)).collect(),
            seen: Mutex::new(Vec::new()),
        });
        let task = |(number, client)| tokio::spawn(work(Arc::clone(&shared), number, client));
        let tasks = (0..).zip(clients).map(task).collect();
        Ok(Self { shared, tasks })
    }

    /// When it began: the zero of all times.
    pub fn begun(&self) -> Instant {
        self.shared.begun
    }

    /// Takes a script from now on, or takes it no more and waits until it is not under way either.
    pub async fn set_active(&self, script: usize, active: bool) {
        let Some(one) = self.shared.active.get(script) else { return };
        one.store(active, Ordering::SeqCst);
        while !active && self.shared.under_way[script].load(Ordering::SeqCst) > 0 {
            if self.shared.stop.is_cancelled() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets requests go that are under way, whatever they wait for; nobody is waited for from then on.
    pub fn stopper(&self) -> CancellationToken {
        self.shared.stop.clone()
    }

    /// Ends, with what was seen.
    pub async fn end(mut self) -> Vec<Seen> {
        self.shared.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
        std::mem::take(&mut *locked(&self.shared.seen))
    }
}

/// Nobody is left to look at what it sends.
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn work(shared: Arc<Shared>, number: u32, mut client: Box<dyn Client>) {
    let order = &shared.order;
    let every = Duration::from_secs_f64(f64::from(order.connections) / order.rate.max(0.001));
    let mut due = shared.begun + every * number / order.connections;
    loop {
        let free = Instant::now();
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            () = shared.stop.cancelled() => return,
        }
        // A timer is late by up to a millisecond, which is ours; a request that had to wait for the one
        // before it is late by what that one took.
        let since = if free > due { due } else { Instant::now() };
        if let Some(script) = chosen(&shared) {
            let failed = tokio::select! {
                done = request(&order.scripts[script], client.as_mut()) => done.err(),
                () = shared.stop.cancelled() => return,
            };
            shared.under_way[script].fetch_sub(1, Ordering::SeqCst);
            let lost = failed.as_ref().is_some_and(SessionError::is_lost);
            let seen = Seen {
                at: since.duration_since(shared.begun),
                took: since.elapsed(),
                script,
                failed: failed.map(|error| error.to_string()),
            };
            locked(&shared.seen).push(seen);
            if lost && let Ok(again) = order.dialect.attach(&order.url, &order.name).await {
                client = again.client;
            }
        }
        due += every;
    }
}

/// One of the scripts that are taken at present, by weight; it counts as under way.
fn chosen(shared: &Shared) -> Option<usize> {
    let weight = |at: usize| {
        let active = shared.active.get(at).is_some_and(|one| one.load(Ordering::SeqCst));
        if active { u64::from(shared.order.scripts[at].weight) } else { 0 }
    };
    let all = 0..shared.order.scripts.len();
    let total: u64 = all.clone().map(weight).sum();
    let mut at = fastrand::u64(0..total.max(1));
    for script in all {
        if at < weight(script) {
            shared.under_way[script].fetch_add(1, Ordering::SeqCst);
            // Who ended it in between does not wait for this one.
            if shared.active[script].load(Ordering::SeqCst) {
                return Some(script);
            }
            shared.under_way[script].fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        at = at.saturating_sub(weight(script));
    }
    None
}

async fn request(script: &Script, client: &mut dyn Client) -> Result<(), SessionError> {
    let moves = script.play().map_err(|error| SessionError::Failed {
        message: error.to_string(),
        code: None,
        statement: None,
    })?;
    let mut outcome = Ok(());
    for one in moves {
        match one {
            Move::Sleep(time) => tokio::time::sleep(time).await,
            Move::Statement(sql, values) => {
                let values: Vec<Value<'_>> = values.iter().map(Given::bound).collect();
                if let Err(error) = client.run(&sql, &values).await {
                    outcome = Err(error);
                    break;
                }
            }
        }
    }
    if outcome.is_err() && script.begins() {
        // The transaction is over as it is; where the connection is gone this fails too, and changes nothing.
        let _ = client.script("ROLLBACK").await;
    }
    outcome
}
