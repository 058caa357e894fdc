//! A column is taken away for a while, and given back at the first statement that fails by it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Engine, EngineError};
use crate::dialect::{Dark, Dimmer, Dimming, Refused, SessionError};
use crate::journal::EntryKind;
use crate::plan::{Action, Phase, Plan, RetireWay, StepId};
use crate::sql::ColumnRef;

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(20);

/// Between two runs of a probe.
const PROBE: Duration = Duration::from_secs(1);

/// A probe that takes longer has failed.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// What somebody wants to see.
#[derive(Clone, Debug)]
pub struct BrownoutOrder {
    /// For how long.
    pub lasts: Duration,
    /// So many failed statements end it.
    pub max_errors: usize,
    /// A command that fails where the application does.
    pub probe: Option<String>,
    /// The server's log on this machine.
    pub log: Option<PathBuf>,
    /// Roles of applications: a brownout that does not stop them shows nothing.
    pub roles: Vec<String>,
    /// After how long a silence of ours the server gives the columns back.
    pub lease: Duration,
}

/// What a brownout came to.
#[derive(Clone, Debug)]
pub struct Brownout {
    /// What it was like.
    pub dark: Dark,
    /// How long it lasted.
    pub lasted: Duration,
    /// How long giving the columns back took.
    pub restored: Duration,
    /// What failed meanwhile.
    pub refused: Vec<Refused>,
    /// How it ended.
    pub end: BrownoutEnd,
}

/// How a brownout ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrownoutEnd {
    /// Its time was over.
    Passed,
    /// Statements failed.
    Tripped,
    /// It would have shown nothing, because of that.
    Blind(String),
    /// It was asked to end.
    Interrupted,
}

/// The columns that a brownout of this plan takes away.
pub fn dimmable(plan: &Plan) -> Vec<ColumnRef> {
    let retired = plan.phase(Phase::Contract).filter_map(|step| match &step.action {
        Action::Retire(one) if one.way == RetireWay::Privileges => Some(one.column.clone()),
        _ => None,
    });
    retired.collect()
}

impl Engine<'_> {
    /// Takes away for a while what contract would, and gives it back at the first statement that
    /// fails by it. `told` hears once it is dark.
    ///
    /// # Errors
    /// When the phases before contract are not done, or the database cannot be reached.
    pub async fn brownout(
        &mut self,
        plan: &Plan,
        dimmer: &mut dyn Dimmer,
        order: &BrownoutOrder,
        told: &mut (dyn FnMut(&Dark) + Send),
    ) -> Result<Brownout, EngineError> {
        self.after(plan, Phase::Contract)?;
        let dimming = Dimming {
            migration: plan.migration.to_string(),
            columns: dimmable(plan),
            lasts: order.lasts,
            lease: order.lease,
            owner: self.options.owner.clone(),
            log: order.log.clone(),
        };
        if let Some(probe) = &order.probe
            && let Err(why) = run_once(probe).await
        {
            return Err(SessionError::Failed {
                message: format!("before anything was taken away, {why}"),
                code: None,
                statement: None,
            }
            .into());
        }
        let dark = match dimmer.begin(&dimming).await {
            Ok(dark) => dark,
            Err(error) => {
                // It may be dark already. Where this fails, too, the lease ends it.
                let _ = dimmer.end().await;
                return Err(error.into());
            }
        };
        let begun = Instant::now();
        let mut refused = Vec::new();
        let watched = self.through(dimmer, &dark, order, &mut refused, told).await;
        let (lasted, ending) = (begun.elapsed(), Instant::now());
        let ended = dimmer.end().await;
        let restored = ending.elapsed();
        // What failed is written down, whatever else went wrong.
        if !refused.is_empty() || matches!(watched, Ok(BrownoutEnd::Passed)) {
            let kind = EntryKind::BrownOut {
                seconds: lasted.as_secs(),
                refused: refused.iter().map(said).collect(),
            };
            let step = StepId::stored(format!("{}/brownout", plan.migration));
            self.commit(plan, &step, &[], kind).await?;
        }
        let end = watched?;
        ended?;
        Ok(Brownout { dark, lasted, restored, refused, end })
    }

    /// Watches, if there is anything to be seen.
    async fn through(
        &self,
        dimmer: &mut dyn Dimmer,
        dark: &Dark,
        order: &BrownoutOrder,
        refused: &mut Vec<Refused>,
        told: &mut (dyn FnMut(&Dark) + Send),
    ) -> Result<BrownoutEnd, SessionError> {
        if let Some(why) = blind(dark, order) {
            return Ok(BrownoutEnd::Blind(why));
        }
        let silent =
            || BrownoutEnd::Blind("the log does not tell of a statement that failed".into());
        let hears = dark.log.is_some();
        if hears && !dimmer.control().await? {
            return Ok(silent());
        }
        told(dark);
        let end = self.watch(dimmer, order, refused).await?;
        // Its level may have been changed since, or another file be written.
        if hears && end == BrownoutEnd::Passed && !dimmer.control().await? {
            return Ok(silent());
        }
        refused.extend(if hears { dimmer.look().await? } else { Vec::new() });
        Ok(match end {
            BrownoutEnd::Passed if refused.len() >= order.max_errors => BrownoutEnd::Tripped,
            end => end,
        })
    }

    async fn watch(
        &self,
        dimmer: &mut dyn Dimmer,
        order: &BrownoutOrder,
        refused: &mut Vec<Refused>,
    ) -> Result<BrownoutEnd, SessionError> {
        let until = Instant::now() + order.lasts;
        let probed = AtomicBool::new(false);
        let mut probing = order.probe.as_deref().map(|probe| Box::pin(failed(probe, &probed)));
        loop {
            refused.extend(dimmer.look().await?);
            if refused.len() >= order.max_errors {
                return Ok(BrownoutEnd::Tripped);
            }
            if self.cancel.is_cancelled() {
                return Ok(BrownoutEnd::Interrupted);
            }
            if Instant::now() >= until {
                let seen = order.probe.is_none() || probed.load(Ordering::Relaxed);
                let late = || BrownoutEnd::Blind("the probe did not end once meanwhile".into());
                return Ok(if seen { BrownoutEnd::Passed } else { late() });
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                why = async { match &mut probing {
                    Some(probing) => probing.await,
                    None => std::future::pending().await,
                } } => {
                    let (role, application) = (String::new(), String::new());
                    refused.push(Refused { role, application, statement: why });
                    return Ok(BrownoutEnd::Tripped);
                }
            }
        }
    }
}

/// Why it would show nothing.
fn blind(dark: &Dark, order: &BrownoutOrder) -> Option<String> {
    let free: Vec<&str> = dark
        .unstopped
        .iter()
        .filter(|role| order.roles.contains(role))
        .map(String::as_str)
        .collect();
    if !free.is_empty() {
        return Some(format!("no privilege stops the role {}", free.join(", ")));
    }
    let sees = dark.log.is_some() || order.probe.is_some();
    (!sees).then(|| "nobody would see a statement that fails".into())
}

/// Runs a probe again and again, until it fails. `passed` is set once it did not.
async fn failed(probe: &str, passed: &AtomicBool) -> String {
    loop {
        match run_once(probe).await {
            Ok(()) => passed.store(true, Ordering::Relaxed),
            Err(why) => return why,
        }
        tokio::time::sleep(PROBE).await;
    }
}

async fn run_once(probe: &str) -> Result<(), String> {
    let run = tokio::process::Command::new("sh")
        .args(["-c", probe])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    match tokio::time::timeout(PROBE_LIMIT, run).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the probe ended with {status}")),
        Ok(Err(error)) => Err(format!("the probe does not run: {error}")),
        Err(_) => Err(format!("the probe did not end within {} s", PROBE_LIMIT.as_secs())),
    }
}

/// For the journal: who, not what, because statements may hold anybody's data.
fn said(one: &Refused) -> String {
    match (one.application.as_str(), one.role.as_str()) {
        ("", "") => "somebody".to_owned(),
        ("", role) => format!("role {role}"),
        (application, role) => format!("{application} (role {role})"),
    }
}
