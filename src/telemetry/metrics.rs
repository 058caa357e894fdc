//! Metrics, served for Prometheus and whatever else reads OpenMetrics.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tiny_http::{Header, Method, Request, Response, Server};

use super::TelemetryError;
use crate::engine::Event;
use crate::plan::{Phase, Step};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Ratio = Gauge<f64, AtomicU64>;

/// What is counted and measured. Each name begins with `zdmig_`.
#[derive(Clone)]
struct Board {
    phases: Family<Labels, Counter>,
    steps: Family<Labels, Counter>,
    step_seconds: Family<Labels, Ratio>,
    rows: Family<Labels, Counter>,
    failed: Family<Labels, Counter>,
    walked: Family<Labels, Gauge>,
    expected: Family<Labels, Gauge>,
    ease: Family<Labels, Ratio>,
    held: Family<Labels, Gauge>,
    lock_waits: Family<Labels, Counter>,
    done: Family<Labels, Ratio>,
    chunks: Family<Labels, Histogram, fn() -> Histogram>,
}

/// From half a millisecond to half a minute.
fn chunk_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

impl Board {
    fn new() -> (Self, Registry) {
        let board = Self {
            phases: Family::default(),
            steps: Family::default(),
            step_seconds: Family::default(),
            rows: Family::default(),
            failed: Family::default(),
            walked: Family::default(),
            expected: Family::default(),
            ease: Family::default(),
            held: Family::default(),
            lock_waits: Family::default(),
            done: Family::default(),
            chunks: Family::new_with_constructor(chunk_seconds as fn() -> Histogram),
        };
        let mut registry = Registry::with_prefix("zdmig");
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The zdmig that is at work", version);
        let b = board.clone();
        registry.register("phases", "Phases that this process finished", b.phases);
        registry.register("steps", "Steps that this process finished", b.steps);
        registry.register("step_seconds", "How long a finished step took", b.step_seconds);
        registry.register("fill_rows", "Rows that this process changed", b.rows);
        registry.register("fill_failed_rows", "Rows that failed and were left out", b.failed);
        registry.register(
            "fill_walked_rows",
            "Rows walked over so far, as far as that is known of earlier runs",
            b.walked,
        );
        registry.register("fill_expected_rows", "Rows there are, by statistics", b.expected);
        registry.register(
            "fill_ease",
            "The share of its pace that a fill may use; 0 holds it",
            b.ease,
        );
        registry.register("fill_held_back", "1 for what holds a fill back right now", b.held);
        registry.register("lock_waits", "Tries for a lock that was not to be had", b.lock_waits);
        registry.register(
            "statement_done",
            "The share of what a long statement is at that is done",
            b.done,
        );
        registry.register("fill_chunk_seconds", "How long a chunk's statement took", b.chunks);
        (board, registry)
    }

    fn hear(&self, event: &Event<'_>) {
        match event {
            Event::StepStarted { step, .. } => {
                if let Some(estimate) = &step.estimate {
                    self.expected.get_or_create(&labels(step)).set(whole(estimate.rows));
                }
            }
            Event::LockWaiting { step, .. } => {
                self.lock_waits.get_or_create(&labels(step)).inc();
            }
            Event::Doing { step, doing } => {
                let mut labels = labels(step);
                labels.push(("at", doing.what.clone()));
                self.done.clear();
                #[expect(clippy::cast_precision_loss, reason = "a share")]
                let share = doing.done as f64 / doing.total.max(1) as f64;
                self.done.get_or_create(&labels).set(share);
            }
            Event::ChunkDone { step, walked, changed, failed, took, .. } => {
                let labels = labels(step);
                self.rows.get_or_create(&labels).inc_by(*changed);
                self.failed.get_or_create(&labels).inc_by(*failed);
                self.walked.get_or_create(&labels).set(whole(*walked));
                if !took.is_zero() {
                    self.chunks.get_or_create(&labels).observe(took.as_secs_f64());
                }
            }
            Event::Eased { step, ease, by } | Event::Looked { step, ease, by } => {
                self.ease.get_or_create(&labels(step)).set(*ease);
                self.held.clear();
                if let Some(by) = by {
                    // The first word names it; the numbers after it change all the time.
                    let signal = by.split(' ').next().unwrap_or(by).to_owned();
                    let mut labels = labels(step);
                    labels.push(("by", signal));
                    self.held.get_or_create(&labels).set(1);
                }
            }
            Event::StepFinished { step, took, .. } => {
                self.steps.get_or_create(&of_phase(migration(step), step.phase)).inc();
                self.step_seconds.get_or_create(&labels(step)).set(took.as_secs_f64());
                self.held.clear();
                self.done.clear();
            }
            Event::PhaseFinished { plan, phase, .. } => {
                let labels = of_phase(plan.migration.to_string(), *phase);
                self.phases.get_or_create(&labels).inc();
            }
            Event::PhaseStarted { .. }
            | Event::Premised { .. }
            | Event::StepSkipped { .. }
            | Event::Turned { .. }
            | Event::Noticed { .. }
            | Event::Proved { .. }
            | Event::Repairing { .. }
            | Event::Measured { .. }
            | Event::StepUndone { .. } => {}
        }
    }
}

fn migration(step: &Step) -> String {
    step.id.migration_prefix().trim_end_matches('/').to_owned()
}

fn labels(step: &Step) -> Labels {
    vec![("migration", migration(step)), ("step", step.id.slug().to_owned())]
}

fn of_phase(migration: String, phase: Phase) -> Labels {
    vec![("migration", migration), ("phase", phase.to_string())]
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The metrics, and the thread that serves them.
pub(super) struct Metrics {
    board: Board,
    server: Arc<Server>,
}

impl Metrics {
    /// Serves metrics at an address until it is closed.
    pub(super) fn serve(address: &str) -> Result<Self, TelemetryError> {
        let everywhere = address.starts_with(':').then(|| format!("0.0.0.0{address}"));
        let listen = everywhere.as_deref().unwrap_or(address);
        let server = Server::http(listen).map_err(|error| TelemetryError::Listen {
            address: address.to_owned(),
            message: error.to_string(),
        })?;
        let server = Arc::new(server);
        let (board, registry) = Board::new();
        let (serving, registry) = (Arc::clone(&server), Arc::new(registry));
        std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                // Who sends slowly keeps nobody else waiting, and not the end of the run either.
                let registry = Arc::clone(&registry);
                std::thread::spawn(move || answer(request, &registry));
            }
        });
        Ok(Self { board, server })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}/metrics", self.server.server_addr())
    }

    pub(super) fn hear(&self, event: &Event<'_>) {
        self.board.hear(event);
    }

    pub(super) fn close(self) {
        self.server.unblock();
    }
}

fn answer(request: Request, registry: &Registry) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (status, text) = if path != "/metrics" {
        (404, "the metrics are at /metrics\n".to_owned())
    } else if !matches!(request.method(), Method::Get | Method::Head) {
        (405, "metrics are read with GET\n".to_owned())
    } else {
        let mut text = String::new();
        match encode(&mut text, registry) {
            Ok(()) => (200, text),
            Err(error) => (500, format!("{error}\n")),
        }
    };
    let mut response = Response::from_string(text).with_status_code(status);
    if status == 200
        && let Ok(header) = Header::from_bytes("Content-Type", OPEN_METRICS)
    {
        response = response.with_header(header);
    }
    // Whoever asked is gone where that fails.
    let _ = request.respond(response);
}
