use std::path::PathBuf;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::{approval, project};
use crate::dialect::Fact;
use crate::plan::Plan;
use crate::report::Format;

/// Write down that somebody approved a plan
///
/// It is the plan with that fingerprint which is approved, and no other: where the file or the tables
/// change, `expand` refuses and shows what is different. Takes no lock, so a plan can be
/// approved whatever is at work.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The migration, or a beginning of its name
    pub(super) id: String,
    /// The fingerprint of the plan that was reviewed, or its first ten digits
    #[arg(long, value_name = "HEX", required_unless_present = "plan")]
    fingerprint: Option<String>,
    /// The plan that was reviewed, as `zdmig plan -o` saved it
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    plan: Option<PathBuf>,
    /// Who approves it [default: the user of this machine]
    #[arg(long = "as", value_name = "NAME")]
    who: Option<String>,
    /// Take the approval back
    #[arg(long)]
    withdraw: bool,
}

pub(super) async fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let who = args.who.clone().or_else(|| super::variable("USER"));
    let who = who.or_else(|| super::variable("LOGNAME")).ok_or_else(|| {
        Failure::usage("nobody is named who approves it").hint("say it with --as NAME")
    })?;
    let plan = reviewed(args, context).await?;
    if let Some(hazard) = plan.denied().next().filter(|_| !args.withdraw) {
        return Err(Failure::new(
            Exit::Refused,
            format!("the plan has a hazard that is denied: {}: {}", hazard.code, hazard.message),
        )
        .hint(hazard.remedy.clone()));
    }
    let (migration, fingerprint) = (plan.migration.to_string(), plan.fingerprint.as_str());
    let text = plan.to_json();
    let fact = if args.withdraw {
        Fact::Unapproved { migration: &migration, fingerprint, who: &who }
    } else {
        Fact::Approved { migration: &migration, fingerprint, who: &who, plan: &text }
    };
    let mut observer = context.dialect()?.attach(&context.url()?, "zdmig").await?.observer;
    observer.record(&fact).await?;
    let approvals = observer.approvals(&migration).await?;
    let names = approval::of(&plan, &approvals);
    let wanted = context.settings.require_approval.value;
    if context.reporter.format() == Format::Json {
        context.reporter.json(&serde_json::json!({
            "zdmig_approval": 1, "migration": migration, "fingerprint": fingerprint,
            "approved_by": names, "required": wanted,
        }));
        return Ok(Exit::Done);
    }
    let done = if args.withdraw { "is no longer approved by" } else { "is approved by" };
    let mut text = format!("plan {} of {migration} {done} {who}\n", plan.fingerprint.short());
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    if wanted > count {
        text.push_str(&format!("{} of {wanted} approvals are there\n", names.len()));
    } else if !args.withdraw {
        text.push_str(&format!("next: zdmig expand {migration}\n"));
    }
    context.reporter.product(&text);
    Ok(Exit::Done)
}

/// The plan that was looked at: the one in a file, or the one that would be run now if that has the
/// fingerprint.
async fn reviewed(args: &Args, context: &Context<'_>) -> Result<Plan, Failure> {
    if let Some(path) = &args.plan {
        let plan = super::expand::read_plan(path)?;
        project::one(&args.id, [&plan.migration].into_iter())
            .map_err(|failure| failure.hint(format!("the file holds `{}`", plan.migration)))?;
        return Ok(plan);
    }
    let given = args.fingerprint.as_deref().unwrap_or_default().to_lowercase();
    let mut session = context.connect().await?;
    let journal = context.journal(&mut *session).await?;
    let files = project::files(context).unwrap_or_default();
    let known = journal.plans().map(|plan| &plan.migration);
    let id = project::one(&args.id, known.chain(files.iter().map(|file| &file.id)))?;
    let plan = super::plan::present(&id, files, &mut *session, context).await?;
    if given.len() < 10 || !plan.fingerprint.as_str().starts_with(&given) {
        return Err(Failure::new(
            Exit::Drift,
            format!(
                "the plan of `{id}` is {}, not `{given}`: the file or the tables were changed since, \
                 or fewer than ten digits were given",
                plan.fingerprint.short()
            ),
        )
        .hint(format!("review it again: zdmig plan {id}")));
    }
    Ok(plan)
}
