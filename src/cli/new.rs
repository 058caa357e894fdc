use chrono::Utc;

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::migration::MigrationId;
use crate::report::Format;

/// Make a migration file
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What it does, in a few words: `rename username to email`
    name: Vec<String>,
}

const TEMPLATE: &str = "\
-- Write the schema you want, as plain SQL. `zdmig plan` shows how it gets there, e.g. for
--
--     ALTER TABLE users RENAME COLUMN username TO email;
--
-- Where the SQL does not say enough, a comment line that begins with `-- zdmig:` does:
--     reverse users.username = lower(email)       how the old column follows from the new one
--     allow HAZARD because \"the reason\"           a hazard that is accepted
--     expand, backfill table=… key=…, contract uses=table.column
--                                                 the SQL below it is run as written in that phase

";

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let words = args.name.join("_").to_lowercase();
    let slug: String = words.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let slug = slug.trim_matches('_');
    if slug.is_empty() {
        return Err(
            Failure::usage("the migration needs a name").hint("zdmig new rename username to email")
        );
    }
    let folder = &context.settings.migrations.value;
    let cannot = |what: &std::path::Path| {
        let what = what.display().to_string();
        move |error: std::io::Error| Failure::usage(format!("cannot write `{what}`: {error}"))
    };
    std::fs::create_dir_all(folder).map_err(cannot(folder))?;
    let files = crate::migration::read_folder(folder)?;
    let mut at = Utc::now();
    let id = loop {
        let stem = format!("{}_{slug}", at.format("%Y%m%d%H%M%S"));
        let id =
            MigrationId::from_stem(&stem).map_err(|error| Failure::usage(error.to_string()))?;
        if !files.iter().any(|file| file.id.shares_version(&id)) {
            break id;
        }
        at += chrono::TimeDelta::seconds(1);
    };
    let path = folder.join(format!("{id}.sql"));
    std::fs::write(&path, TEMPLATE).map_err(cannot(&path))?;
    let path = path.display().to_string();
    if context.reporter.format() == Format::Json {
        context
            .reporter
            .json(&serde_json::json!({ "zdmig_new": 1, "migration": id, "path": path }));
    } else {
        context.reporter.product(&format!("{path}\n"));
        context.reporter.hint(&format!("write your SQL into it, then: zdmig plan {id}"));
    }
    Ok(Exit::Done)
}
