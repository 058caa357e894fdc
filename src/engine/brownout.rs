//! A column is taken away for a while, and given back at the first statement that fails by it.

use std::path::PathBuf;
use std::process::Stdio;
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
        let dark = dimmer.begin(&dimming).await?;
        let begun = Instant::now();
        let watched = match blind(&dark, order) {
            Some(why) => Ok((BrownoutEnd::Blind(why), Vec::new())),
            None => {
                told(&dark);
                self.watch(dimmer, order).await
            }
        };
        let (lasted, ending) = (begun.elapsed(), Instant::now());
        let ended = dimmer.end().await;
        let restored = ending.elapsed();
        let (end, refused) = watched?;
        ended?;
        let kind = match end {
            BrownoutEnd::Passed | BrownoutEnd::Tripped => Some(EntryKind::BrownOut {
                seconds: lasted.as_secs(),
                refused: refused.iter().map(said).collect(),
            }),
            BrownoutEnd::Blind(_) | BrownoutEnd::Interrupted => None,
        };
        if let Some(kind) = kind {
            let step = StepId::stored(format!("{}/brownout", plan.migration));
            self.commit(plan, &step, &[], kind).await?;
        }
        Ok(Brownout { dark, lasted, restored, refused, end })
    }

    async fn watch(
        &self,
        dimmer: &mut dyn Dimmer,
        order: &BrownoutOrder,
    ) -> Result<(BrownoutEnd, Vec<Refused>), SessionError> {
        let (until, mut refused) = (Instant::now() + order.lasts, Vec::new());
        let mut probing = order.probe.as_deref().map(|probe| Box::pin(failed(probe)));
        loop {
            refused.extend(dimmer.look().await?);
            if refused.len() >= order.max_errors {
                return Ok((BrownoutEnd::Tripped, refused));
            }
            if self.cancel.is_cancelled() {
                return Ok((BrownoutEnd::Interrupted, refused));
            }
            if Instant::now() >= until {
                return Ok((BrownoutEnd::Passed, refused));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                why = async { match &mut probing {
                    Some(probing) => probing.await,
                    None => std::future::pending().await,
                } } => {
                    let (role, application) = (String::new(), String::new());
                    refused.push(Refused { role, application, statement: why });
                    return Ok((BrownoutEnd::Tripped, refused));
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

/// Runs a probe again and again, until it fails.
async fn failed(probe: &str) -> String {
    loop {
        let run = tokio::process::Command::new("sh")
            .args(["-c", probe])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status()
            .await;
        match run {
            Ok(status) if status.success() => tokio::time::sleep(PROBE).await,
            Ok(status) => return format!("the probe ended with {status}"),
            Err(error) => return format!("the probe does not run: {error}"),
        }
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
