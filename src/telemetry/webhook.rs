//! A webhook: told when a phase is finished, stands still, stops or fails.

use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use ureq::Agent;

use super::{Ending, http};
use crate::dialect::Blocker;
use crate::engine::Event;
use crate::plan::{Action, Step};

/// The pauses between tries to deliver one message.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// The end of a run waits no longer than that for what is still to be delivered.
const CLOSE: Duration = Duration::from_secs(20);

/// A phase of a migration.
#[derive(Clone)]
struct At {
    migration: String,
    phase: String,
}

/// What the one who posts is told.
enum Said {
    Begun(At),
    /// A step is begun; whether it goes in chunks, of which each is a sign of life.
    Step(String, bool),
    /// Something was done.
    Alive,
    /// What it waits for.
    Waits(String),
    /// It waits no more.
    GoesOn,
    Finished {
        rows: u64,
        took: Duration,
    },
}

/// For whom it waits.
fn waiting(blockers: &[Blocker]) -> String {
    let who: Vec<_> = blockers.iter().map(Blocker::who).collect();
    let who = if who.is_empty() { "somebody".into() } else { who.join(", ") };
    format!("it waits for {who}")
}

/// What is posted.
#[derive(Serialize)]
struct Message<'a> {
    zdmig_webhook: u32,
    event: &'a str,
    /// For a person: chat services show it.
    text: String,
    env: &'a str,
    migration: &'a str,
    phase: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    by: &'a str,
    at: String,
}

/// The end where events are told.
pub(super) struct Webhook {
    told: UnboundedSender<Said>,
    task: JoinHandle<Poster>,
}

impl Webhook {
    pub(super) fn open(url: &str, (env, by): (&str, &str), stalled: Duration) -> Self {
        let (told, heard) = unbounded_channel();
        let poster = Poster {
            agent: http::agent(),
            url: url.to_owned(),
            env: env.to_owned(),
            by: by.to_owned(),
            stalled,
            at: None,
            step: None,
            chunked: false,
            waits: None,
            moved: Instant::now(),
            told: false,
            undelivered: None,
        };
        Self { told, task: tokio::spawn(poster.run(heard)) }
    }

    pub(super) fn hear(&mut self, event: &Event<'_>) {
        let chunked = |step: &Step| match &step.action {
            Action::Backfill(_) => true,
            Action::Verify(verify) => verify.repair.is_some(),
            _ => false,
        };
        let said = match event {
            Event::PhaseStarted { plan, phase } => Said::Begun(At {
                migration: plan.migration.to_string(),
                phase: phase.word().to_owned(),
            }),
            Event::PhaseFinished { rows, took, .. } => Said::Finished { rows: *rows, took: *took },
            Event::StepStarted { step, .. } => Said::Step(step.id.slug().to_owned(), chunked(step)),
            Event::ChunkDone { .. } | Event::StepFinished { .. } => Said::Alive,
            Event::LockWaiting { blockers, .. } => Said::Waits(waiting(blockers)),
            Event::Doing { doing, .. } if doing.blockers.is_empty() => Said::Alive,
            Event::Doing { doing, .. } => Said::Waits(waiting(&doing.blockers)),
            Event::Eased { ease, by: Some(by), .. } if *ease <= 0.0 => {
                Said::Waits((*by).to_owned())
            }
            Event::Eased { .. } => Said::GoesOn,
            Event::Premised { .. }
            | Event::StepSkipped { .. }
            | Event::Looked { .. }
            | Event::Turned { .. }
            | Event::Noticed { .. }
            | Event::Proved { .. }
            | Event::Repairing { .. }
            | Event::Measured { .. }
            | Event::StepUndone { .. } => return,
        };
        // The other end is there until it is closed.
        let _ = self.told.send(said);
    }

    /// Posts how a phase ended that is not finished, and waits until all is delivered.
    pub(super) async fn close(self, ending: Option<Ending<'_>>) -> Option<String> {
        drop(self.told);
        let all = async {
            let mut poster = self.task.await.ok()?;
            if let Some(ending) = ending {
                poster.ended(ending).await;
            }
            poster.undelivered
        };
        let late =
            || Some(format!("the webhook was not told: no answer for {} s", CLOSE.as_secs()));
        tokio::time::timeout(CLOSE, all).await.unwrap_or_else(|_| late())
    }
}

/// Posts messages, one after another.
struct Poster {
    agent: Agent,
    url: String,
    env: String,
    by: String,
    /// How long nothing may be done until that is told.
    stalled: Duration,
    at: Option<At>,
    step: Option<String>,
    chunked: bool,
    waits: Option<String>,
    /// When something was done last.
    moved: Instant,
    /// Whether it was told that nothing is done.
    told: bool,
    undelivered: Option<String>,
}

impl Poster {
    async fn run(mut self, mut heard: UnboundedReceiver<Said>) -> Self {
        loop {
            // A step that is one statement may take as long as it does, unless it waits.
            let watched = self.at.is_some()
                && !self.stalled.is_zero()
                && (self.chunked || self.waits.is_some());
            let due = self.moved + self.stalled;
            tokio::select! {
                said = heard.recv() => match said {
                    Some(said) => self.hear(said).await,
                    None => return self,
                },
                () = tokio::time::sleep_until(due), if watched && !self.told => {
                    self.told = true;
                    self.stands_still().await;
                }
            }
        }
    }

    async fn hear(&mut self, said: Said) {
        match said {
            Said::Begun(at) => {
                (self.at, self.step) = (Some(at), None);
                self.moves();
            }
            Said::Step(step, chunked) => {
                (self.step, self.chunked) = (Some(step), chunked);
                self.moves();
            }
            Said::Alive => self.moves(),
            Said::Waits(what) => self.waits = Some(what),
            Said::GoesOn => self.waits = None,
            Said::Finished { rows, took } => {
                self.moves();
                self.chunked = false;
                self.finished(rows, took).await;
            }
        }
    }

    fn moves(&mut self) {
        (self.waits, self.told, self.moved) = (None, false, Instant::now());
    }

    async fn finished(&mut self, rows: u64, took: Duration) {
        let Some(at) = self.at.take() else { return };
        let seconds = took.as_secs();
        let took_said = humantime::format_duration(Duration::from_secs(seconds.max(1)));
        let rows_said = if rows > 0 { format!(", {rows} rows") } else { String::new() };
        let text = format!(
            "zdmig: {} of {} is done in {}: {took_said}{rows_said}",
            at.phase, at.migration, self.env
        );
        let details = (None, Some(rows), Some(took.as_secs_f64()), None);
        self.post("finished", &at, text, details).await;
    }

    async fn stands_still(&mut self) {
        let (Some(at), step) = (self.at.clone(), self.step.clone()) else { return };
        let why = self.waits.clone();
        let text = format!(
            "zdmig: {} of {} in {} has done nothing for {}, at {}{}",
            at.phase,
            at.migration,
            self.env,
            humantime::format_duration(self.stalled),
            step.as_deref().unwrap_or("its beginning"),
            why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
        );
        let details = (step.as_deref(), None, Some(self.stalled.as_secs_f64()), why.as_deref());
        self.post("stalled", &at, text, details).await;
    }

    async fn ended(&mut self, ending: Ending<'_>) {
        let (Some(at), step) = (self.at.take(), self.step.take()) else { return };
        let (event, message) = match ending {
            Ending::Stopped(message) => ("stopped", message),
            Ending::Failed(message) => ("failed", message),
        };
        let text =
            format!("zdmig: {} of {} in {} {event}: {message}", at.phase, at.migration, self.env);
        self.post(event, &at, text, (step.as_deref(), None, None, Some(message))).await;
    }

    async fn post(
        &mut self,
        event: &str,
        at: &At,
        text: String,
        (step, rows, seconds, message): (Option<&str>, Option<u64>, Option<f64>, Option<&str>),
    ) {
        let message = Message {
            zdmig_webhook: 1,
            event,
            text,
            env: &self.env,
            migration: &at.migration,
            phase: &at.phase,
            step,
            rows,
            seconds,
            message,
            by: &self.by,
            at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        };
        let body = serde_json::to_string(&message).unwrap_or_default();
        if let Err(error) = self.deliver(body).await {
            self.undelivered = Some(format!("the webhook was not told `{event}`: {error}"));
        }
    }

    async fn deliver(&self, body: String) -> Result<(), String> {
        // Who was not to be reached once is not waited for again.
        let tries = if self.undelivered.is_none() { PAUSES.len() } else { 0 };
        let mut pauses = PAUSES.into_iter().take(tries);
        loop {
            let (agent, url, body) = (self.agent.clone(), self.url.clone(), body.clone());
            let tried = tokio::task::spawn_blocking(move || once(&agent, &url, body)).await;
            let error = match tried {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(error) => error.to_string(),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }
}

/// Posts a message that says nothing but that it was tried.
///
/// # Errors
/// When it is not taken, with why, and without the address.
pub async fn try_webhook(url: &str, env: &str, by: &str) -> Result<(), String> {
    let message = Message {
        zdmig_webhook: 1,
        event: "tried",
        text: format!("zdmig: the webhook for {env} was tried; nothing has happened"),
        env,
        migration: "",
        phase: "",
        step: None,
        rows: None,
        seconds: None,
        message: None,
        by,
        at: Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    };
    let body = serde_json::to_string(&message).unwrap_or_default();
    let (agent, url) = (http::agent(), url.to_owned());
    let tried = tokio::task::spawn_blocking(move || once(&agent, &url, body)).await;
    tried.map_err(|error| error.to_string())?
}

/// What goes wrong is told without the address: whoever knows it may post there.
fn once(agent: &Agent, url: &str, body: String) -> Result<(), String> {
    let sent = agent.post(url).header("Content-Type", "application/json").send(body);
    match sent {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(format!("it answered {}", response.status())),
        Err(ureq::Error::BadUri(_)) => Err("its address is none".into()),
        Err(error) => Err(error.to_string().replace(url, "its address")),
    }
}
