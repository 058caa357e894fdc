//! Floor 8: tells machines what goes on: metrics to be scraped, traces, and a webhook. Nothing
//! here can make a phase fail.

mod http;
mod metrics;
mod traces;
mod webhook;

use std::time::Duration;

use thiserror::Error;

use crate::engine::Event;
use metrics::Metrics;
use traces::Traces;
use webhook::Webhook;

pub use webhook::try_webhook;

/// Who is to be told, and of whom.
pub struct TelemetryOptions<'a> {
    /// The verb that runs.
    pub verb: &'a str,
    /// The environment that it runs for.
    pub env: &'a str,
    /// Who runs it.
    pub owner: &'a str,
    /// The address where metrics are served, as `127.0.0.1:9187` or `:9187`.
    pub metrics_listen: Option<&'a str>,
    /// Where the ends of phases are posted, and how long nothing may happen until that is told.
    pub webhook: Option<(&'a str, Duration)>,
    /// Looks up the environment: the variables of OpenTelemetry.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// Why nobody can be told.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The address for the metrics is no address, or is another's.
    #[error("cannot serve metrics at `{address}`: {message}")]
    Listen {
        /// As it was given.
        address: String,
        /// What the system said.
        message: String,
    },
}

/// How a verb ended that did not do all that it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending<'a> {
    /// It stopped at a safe point, because it was asked to or its time was over.
    Stopped(&'a str),
    /// It failed.
    Failed(&'a str),
}

/// Whoever is told.
#[derive(Default)]
pub struct Telemetry {
    metrics: Option<Metrics>,
    traces: Option<Traces>,
    webhook: Option<Webhook>,
    /// What is wrong with it, to be told to a person.
    warnings: Vec<String>,
}

impl Telemetry {
    /// Opens what the options ask for. Must be called in a runtime.
    ///
    /// # Errors
    /// When metrics cannot be served where they were wanted.
    pub fn open(options: &TelemetryOptions<'_>) -> Result<Self, TelemetryError> {
        let mut warnings = Vec::new();
        let metrics = options.metrics_listen.map(Metrics::serve).transpose()?;
        let traces = match Traces::open(options.verb, options.env, options.variable) {
            Ok(traces) => traces,
            Err(message) => {
                warnings.push(format!("no traces are sent: {message}"));
                None
            }
        };
        let webhook = options
            .webhook
            .map(|(url, stalled)| Webhook::open(url, (options.env, options.owner), stalled));
        Ok(Self { metrics, traces, webhook, warnings })
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> Option<String> {
        self.metrics.as_ref().map(Metrics::address)
    }

    /// Tells an event.
    pub fn hear(&mut self, event: &Event<'_>) {
        if let Some(metrics) = &self.metrics {
            metrics.hear(event);
        }
        if let Some(traces) = &mut self.traces {
            traces.hear(event);
        }
        if let Some(webhook) = &mut self.webhook {
            webhook.hear(event);
        }
    }

    /// Tells the end of the run, and waits until all is delivered; what was not, for a person.
    pub async fn close(self, ending: Option<Ending<'_>>) -> Vec<String> {
        let mut warnings = self.warnings;
        if let Some(webhook) = self.webhook {
            warnings.extend(webhook.close(ending).await);
        }
        if let Some(traces) = self.traces {
            warnings.extend(traces.close(ending).await);
        }
        if let Some(metrics) = self.metrics {
            metrics.close();
        }
        warnings
    }
}
