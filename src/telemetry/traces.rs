//! Traces, sent as OpenTelemetry's variables say: a span for the run, one for each phase and one
//! for each step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::{Ending, http};
use crate::dialect::Blocker;
use crate::engine::Event;
use crate::plan::Step;

/// How long the last spans may take to be delivered.
const FLUSH: Duration = Duration::from_secs(10);

pub(super) struct Traces {
    provider: SdkTracerProvider,
    failed: Failed,
    tracer: SdkTracer,
    run: Context,
    phase: Option<Context>,
    step: Option<Context>,
    /// What a long statement is at.
    doing: Option<String>,
}

/// Sends what the exporter made. It is called on a thread of the exporter's own, so it may block.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    failed: Failed,
}

/// What went wrong first.
type Failed = Arc<Mutex<Option<String>>>;

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        let failed = match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(format!("the collector answered {}", response.status())),
            Err(error) => Some(error.to_string()),
        };
        if let Ok(mut first) = self.failed.lock() {
            *first = first.take().or(failed);
        }
        sent
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body.to_vec());
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}

/// What came in by the environment.
struct Carrier(BTreeMap<String, String>);

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Whether traces are wanted, and can be sent as they are wanted.
fn is_wanted(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, String> {
    let is = |name: &str, value: &str| {
        variable(name).is_some_and(|given| given.trim().eq_ignore_ascii_case(value))
    };
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let somewhere = endpoints.iter().any(|name| variable(name).is_some());
    let wanted = somewhere || is("OTEL_TRACES_EXPORTER", "otlp");
    if !wanted || is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return Ok(false);
    }
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    let protocol = protocols.iter().find_map(|name| Some((name, variable(name)?)));
    match protocol {
        Some((name, protocol)) if protocol != "http/protobuf" => Err(format!(
            "{name} is `{protocol}`, and zdmig speaks `http/protobuf`; most collectors take it on \
             port 4318"
        )),
        _ => Ok(true),
    }
}

impl Traces {
    pub(super) fn open(
        verb: &str,
        env: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        if !is_wanted(variable)? {
            return Ok(None);
        }
        let failed = Failed::default();
        let client = Client { agent: http::agent(), failed: Arc::clone(&failed) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .build()
            .map_err(|error| error.to_string())?;
        let mut resource = Resource::builder();
        let named = |text: String| text.split(',').any(|pair| pair.starts_with("service.name="));
        if variable("OTEL_SERVICE_NAME").is_none()
            && !variable("OTEL_RESOURCE_ATTRIBUTES").is_some_and(named)
        {
            resource = resource.with_service_name("zdmig");
        }
        let resource = resource
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("deployment.environment.name", env.to_owned()));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("zdmig");
        // What started us may be part of a trace of its own.
        let carrier = ["TRACEPARENT", "TRACESTATE"]
            .iter()
            .filter_map(|name| Some((name.to_lowercase(), variable(name)?)));
        let carrier = Carrier(carrier.collect());
        let outside = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        let run = outside.with_span(tracer.start_with_context(format!("zdmig {verb}"), &outside));
        Ok(Some(Self { provider, failed, tracer, run, phase: None, step: None, doing: None }))
    }

    fn open_span(&self, name: String, of: &Context, attributes: Vec<KeyValue>) -> Context {
        let span = self.tracer.span_builder(name).with_attributes(attributes);
        of.with_span(self.tracer.build_with_context(span, of))
    }

    fn at(&self) -> &Context {
        self.step.as_ref().or(self.phase.as_ref()).unwrap_or(&self.run)
    }

    /// Something that happened in a moment.
    fn moment(&self, name: &'static str, attributes: Vec<KeyValue>) {
        self.at().span().add_event(name, attributes);
    }

    fn begin(&mut self, step: &Step, resumed: bool) {
        let attributes = vec![
            KeyValue::new("zdmig.step", step.id.to_string()),
            KeyValue::new("zdmig.resumed", resumed),
        ];
        let of = self.phase.as_ref().unwrap_or(&self.run);
        self.step = Some(self.open_span(step.id.slug().to_owned(), of, attributes));
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::PhaseStarted { plan, phase } => {
                let attributes = vec![
                    KeyValue::new("db.system.name", plan.product.to_lowercase()),
                    KeyValue::new("zdmig.migration", plan.migration.to_string()),
                    KeyValue::new("zdmig.phase", phase.word()),
                    KeyValue::new("zdmig.plan", plan.fingerprint.as_str().to_owned()),
                ];
                let name = format!("{phase} {}", plan.migration);
                self.phase = Some(self.open_span(name, &self.run, attributes));
            }
            Event::PhaseFinished { .. } => {
                if let Some(phase) = self.phase.take() {
                    phase.span().end();
                }
            }
            Event::StepStarted { step, resumed } => self.begin(step, *resumed),
            Event::StepFinished { step, rows, .. } => {
                if self.step.is_none() {
                    // Whoever helps joins in the middle.
                    self.begin(step, true);
                }
                if let Some(step) = self.step.take() {
                    step.span().set_attribute(KeyValue::new("zdmig.rows", number(*rows)));
                    step.span().end();
                }
            }
            Event::LockWaiting { waited, blockers, .. } => {
                let who: Vec<_> = blockers.iter().map(Blocker::who).collect();
                self.moment(
                    "lock wait",
                    vec![
                        KeyValue::new("zdmig.waited_seconds", waited.as_secs_f64()),
                        KeyValue::new("zdmig.blockers", who.join("; ")),
                    ],
                );
            }
            Event::Doing { doing, .. } if self.doing.as_ref() != Some(&doing.what) => {
                self.moment("at", vec![KeyValue::new("zdmig.what", doing.what.clone())]);
                self.doing = Some(doing.what.clone());
            }
            Event::Eased { ease, by, .. } => self.moment(
                "eased",
                vec![
                    KeyValue::new("zdmig.ease", *ease),
                    KeyValue::new("zdmig.by", by.unwrap_or_default().to_owned()),
                ],
            ),
            Event::Turned { why, .. } => {
                self.moment("turned", vec![KeyValue::new("zdmig.why", (*why).to_owned())]);
            }
            Event::Noticed { what, .. } => {
                self.moment("noticed", vec![KeyValue::new("zdmig.what", (*what).to_owned())]);
            }
            Event::Proved { seen, .. } => {
                self.moment("proved", vec![KeyValue::new("zdmig.rows", number(*seen))]);
            }
            Event::Repairing { mended, .. } => {
                self.moment("repairing", vec![KeyValue::new("zdmig.rows", number(*mended))]);
            }
            Event::StepUndone { step } => {
                let id = KeyValue::new("zdmig.step", step.id.to_string());
                self.moment("undone", vec![id]);
            }
            Event::Premised { .. }
            | Event::StepSkipped { .. }
            | Event::Doing { .. }
            | Event::Looked { .. }
            | Event::ChunkDone { .. }
            | Event::Measured { .. } => {}
        }
    }

    /// Ends what is open, and delivers it.
    pub(super) async fn close(self, ending: Option<Ending<'_>>) -> Option<String> {
        for open in [self.step.as_ref(), self.phase.as_ref(), Some(&self.run)] {
            let Some(context) = open else { continue };
            match ending {
                Some(Ending::Failed(message)) => {
                    context.span().set_status(Status::error(message.to_owned()));
                }
                Some(Ending::Stopped(message)) => {
                    let why = vec![KeyValue::new("zdmig.why", message.to_owned())];
                    context.span().add_event("stopped", why);
                }
                None => {}
            }
            context.span().end();
        }
        let provider = self.provider;
        let flushed =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await;
        let said = self.failed.lock().ok().and_then(|mut failed| failed.take());
        let late = || matches!(flushed, Ok(Err(_))).then(|| "it took too long".to_owned());
        said.or_else(late).map(|why| format!("traces were not delivered: {why}"))
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
