use std::time::Duration;

use super::file::{ConfigError, SourceEntry};
use crate::gate::{Cluster, Label, Source, SourceKind};

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_AGE: Duration = Duration::from_secs(20);

/// What an entry asks, or what is wrong with it.
pub(super) fn source(entry: &SourceEntry, origin: &str) -> Result<Source, ConfigError> {
    let wrong = |value: &str, message: &str| ConfigError::Value {
        name: "consumer.source",
        origin: origin.to_owned(),
        value: value.to_owned(),
        message: message.to_owned(),
    };
    let time = |given: &Option<String>, default: Duration| match given {
        None => Ok(default),
        Some(text) => {
            humantime::parse_duration(text).map_err(|error| wrong(text, &error.to_string()))
        }
    };
    let kind = match entry.kind.as_str() {
        "exec" if entry.command.is_empty() => {
            return Err(wrong("exec", "it has no `command`"));
        }
        "exec" => SourceKind::Exec(entry.command.clone()),
        "kubernetes" if entry.namespaces.is_empty() => {
            return Err(wrong("kubernetes", "it has no `namespaces`"));
        }
        "kubernetes" => SourceKind::Kubernetes(Cluster {
            kubectl: entry.kubectl.clone().unwrap_or_else(|| "kubectl".into()),
            context: entry.context.clone(),
            namespaces: entry.namespaces.clone(),
            selector: entry.selector.clone(),
            version: label(entry.version.as_deref()).ok_or_else(|| {
                let given = entry.version.as_deref().unwrap_or_default();
                wrong(given, "it is `label:KEY`, `annotation:KEY`, `env:NAME` or `image`")
            })?,
            rollouts: entry.rollouts,
        }),
        "http" if entry.urls.is_empty() => return Err(wrong("http", "it has no `urls`")),
        "http" => SourceKind::Http {
            urls: entry.urls.clone(),
            pointer: entry.version.clone().unwrap_or_else(|| "/version".into()),
        },
        "nginx" if entry.files.is_empty() => return Err(wrong("nginx", "it has no `files`")),
        "nginx" => SourceKind::Nginx {
            files: entry.files.clone(),
            upstream: entry.upstream.clone(),
            path: entry.path.clone().unwrap_or_else(|| "/version".into()),
            pointer: entry.version.clone().unwrap_or_else(|| "/version".into()),
        },
        other => return Err(wrong(other, "its type is `exec`, `kubernetes`, `http` or `nginx`")),
    };
    Ok(Source {
        kind,
        timeout: time(&entry.timeout, TIMEOUT)?,
        max_age: time(&entry.max_age, MAX_AGE)?,
    })
}

fn label(text: Option<&str>) -> Option<Label> {
    let text = text.unwrap_or("label:app.kubernetes.io/version");
    if text == "image" {
        return Some(Label::Image);
    }
    let (kind, name) = text.split_once(':')?;
    match kind {
        "label" => Some(Label::Label(name.to_owned())),
        "annotation" => Some(Label::Annotation(name.to_owned())),
        "env" => Some(Label::Env(name.to_owned())),
        _ => None,
    }
}
