use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::context::Context;
use super::failure::{Exit, Failure};
use crate::migration::MigrationId;
use crate::report::{Format, table};

/// Make a migration file
///
/// A template `NAME.sql` in the folder `templates` of the migrations (or where `templates` in
/// zdmig.toml says) goes before one that comes with zdmig, and `default.sql` is taken where none is
/// named. {{name}}, {{id}}, {{date}} and {{author}} in it are filled in.
#[derive(Clone, Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// What it does, in a few words: `rename username to email`
    name: Vec<String>,
    /// What to begin with: a template of yours, or of `--list`
    #[arg(short, long, value_name = "TEMPLATE", default_value = "default")]
    template: String,
    /// List the templates
    #[arg(long, conflicts_with_all = ["name", "template"])]
    list: bool,
}

/// A template that comes with zdmig.
struct Template {
    name: &'static str,
    about: &'static str,
    text: &'static str,
}

const TEMPLATES: [Template; 9] = [
    Template {
        name: "default",
        about: "an empty one, with a few words",
        text: include_str!("templates/default.sql"),
    },
    Template {
        name: "rename",
        about: "another name for a column",
        text: include_str!("templates/rename.sql"),
    },
    Template {
        name: "split",
        about: "a column becomes two",
        text: include_str!("templates/split.sql"),
    },
    Template {
        name: "retype",
        about: "another type for a column",
        text: include_str!("templates/retype.sql"),
    },
    Template {
        name: "not-null",
        about: "a column that must have a value",
        text: include_str!("templates/not-null.sql"),
    },
    Template {
        name: "drop",
        about: "a column that goes",
        text: include_str!("templates/drop.sql"),
    },
    Template {
        name: "index",
        about: "an index, built beside writers",
        text: include_str!("templates/index.sql"),
    },
    Template {
        name: "foreign-key",
        about: "a foreign key, checked beside writers",
        text: include_str!("templates/foreign-key.sql"),
    },
    Template {
        name: "sections",
        about: "SQL of your own for each phase",
        text: include_str!("templates/sections.sql"),
    },
];

pub(super) fn run(args: &Args, context: &mut Context<'_>) -> Result<Exit, Failure> {
    let folder = context.settings.migrations.value.clone();
    let own = context.settings.templates.as_ref().map(|setting| setting.value.clone());
    let own = own.unwrap_or_else(|| folder.join("templates"));
    if args.list {
        list(&own, context);
        return Ok(Exit::Done);
    }
    let text = template(&args.template, &own)?;
    let slug = slug(&args.name)?;
    std::fs::create_dir_all(&folder).map_err(cannot(&folder))?;
    let at = Utc::now();
    let id = id(&folder, &slug, at)?;
    let path = folder.join(format!("{id}.sql"));
    let text = filled(&text, &id, &args.name.join(" "), at);
    std::fs::write(&path, text).map_err(cannot(&path))?;
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

fn cannot(what: &Path) -> impl Fn(std::io::Error) -> Failure + use<> {
    let what = what.display().to_string();
    move |error| Failure::usage(format!("cannot write `{what}`: {error}"))
}

fn slug(name: &[String]) -> Result<String, Failure> {
    let words = name.join("_").to_lowercase();
    let slug: String = words.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    let slug = slug.trim_matches('_');
    if slug.is_empty() {
        return Err(
            Failure::usage("the migration needs a name").hint("zdmig new rename username to email")
        );
    }
    Ok(slug.to_owned())
}

/// The next id that no file has.
fn id(folder: &Path, slug: &str, mut at: DateTime<Utc>) -> Result<MigrationId, Failure> {
    let files = crate::migration::read_folder(folder)?;
    loop {
        let stem = format!("{}_{slug}", at.format("%Y%m%d%H%M%S"));
        let id =
            MigrationId::from_stem(&stem).map_err(|error| Failure::usage(error.to_string()))?;
        if !files.iter().any(|file| file.id.shares_version(&id)) {
            return Ok(id);
        }
        at += chrono::TimeDelta::seconds(1);
    }
}

/// The text of a template: the project's own before ours.
fn template(name: &str, own: &Path) -> Result<String, Failure> {
    let file = own.join(format!("{name}.sql"));
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(Failure::usage(format!("`{name}` is no name of a template"))
            .hint("`zdmig new --list` names them"));
    }
    match std::fs::read_to_string(&file) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(Failure::usage(format!("cannot read `{}`: {error}", file.display())));
        }
    }
    let ours = TEMPLATES.iter().find(|one| one.name == name);
    ours.map(|one| one.text.to_owned()).ok_or_else(|| {
        Failure::usage(format!("there is no template `{name}`, and no `{}`", file.display()))
            .hint("`zdmig new --list` names them")
    })
}

fn filled(text: &str, id: &MigrationId, name: &str, at: DateTime<Utc>) -> String {
    let author = super::variable("USER").or_else(|| super::variable("LOGNAME"));
    text.replace("{{id}}", &id.to_string())
        .replace("{{name}}", name)
        .replace("{{date}}", &at.format("%Y-%m-%d").to_string())
        .replace("{{author}}", author.as_deref().unwrap_or("unknown"))
}

fn list(own: &Path, context: &mut Context<'_>) {
    let files = std::fs::read_dir(own).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")).collect();
    files.sort();
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut rows: Vec<_> =
        files.iter().map(|path| vec![stem(path), path.display().to_string()]).collect();
    let ours = TEMPLATES.iter().filter(|one| !files.iter().any(|path| stem(path) == one.name));
    rows.extend(ours.map(|one| vec![one.name.to_owned(), one.about.to_owned()]));
    if context.reporter.format() == Format::Json {
        let rows: Vec<_> = rows.iter().map(|row| (&row[0], &row[1])).collect();
        let list = serde_json::json!({ "zdmig_templates": 1, "templates": rows });
        return context.reporter.json(&list);
    }
    context.reporter.product(&table(&["template", "what it is"], rows));
}
