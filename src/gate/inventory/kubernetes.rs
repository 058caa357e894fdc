use serde::Serialize;
use serde_json::Value;

use super::{Sighting, State};

/// How a cluster is asked for a consumer's pods, and for all that could start some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cluster {
    /// The program.
    pub kubectl: String,
    /// The context of its configuration.
    pub context: Option<String>,
    /// Every namespace whose pods have the database's credentials.
    pub namespaces: Vec<String>,
    /// Which objects are the consumer's.
    pub selector: Option<String>,
    /// Where the version stands.
    pub version: Label,
    /// Whether Argo's rollouts are installed, and asked for too.
    pub rollouts: bool,
}

/// Where a pod's version stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// In a label.
    Label(String),
    /// In an annotation.
    Annotation(String),
    /// In an environment variable of its first container.
    Env(String),
    /// In the image of its first container, behind the `@` or the `:`.
    Image,
}

const KINDS: &str = "pods,replicasets,deployments,statefulsets,daemonsets,jobs,cronjobs";

impl Cluster {
    pub(super) fn commands(&self) -> Vec<Vec<String>> {
        let kinds =
            if self.rollouts { format!("{KINDS},rollouts.argoproj.io") } else { KINDS.to_owned() };
        let one = |namespace: &String| {
            let mut command = vec![self.kubectl.clone(), "get".into(), kinds.clone()];
            command.extend(["-n".into(), namespace.clone(), "-o".into(), "json".into()]);
            if let Some(context) = &self.context {
                command.extend(["--context".into(), context.clone()]);
            }
            if let Some(selector) = &self.selector {
                command.extend(["-l".into(), selector.clone()]);
            }
            command
        };
        self.namespaces.iter().map(one).collect()
    }
}

/// Reads a list of objects.
pub(super) fn read(text: &str, service: &str, cluster: &Cluster) -> Result<Vec<Sighting>, String> {
    let list: Value =
        serde_json::from_str(text).map_err(|error| format!("prints no JSON: {error}"))?;
    let items = list["items"].as_array().ok_or("prints no list")?;
    if list["metadata"]["continue"].as_str().is_some_and(|token| !token.is_empty()) {
        return Err("prints a part of the list".into());
    }
    let mut seen = Vec::new();
    for item in items {
        let kind = item["kind"].as_str().ok_or("prints an object without a kind")?;
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        let Some((template, state, what)) = state_of(kind, item) else { continue };
        let how = format!("{what} {name}");
        let version = version(template, &cluster.version)
            .ok_or_else(|| format!("shows no version of {} {name}", kind.to_lowercase()))?;
        seen.push(Sighting { service: service.to_owned(), version, state, how });
    }
    Ok(seen)
}

/// What holds the version of an object, and how that version may be at work; `None` where nothing
/// comes of it any more.
fn state_of<'a>(kind: &str, item: &'a Value) -> Option<(&'a Value, State, &'static str)> {
    let spec = &item["spec"];
    let template = &spec["template"];
    Some(match kind {
        "Pod" => {
            let ended = matches!(item["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            match item["metadata"]["deletionTimestamp"].is_null() {
                true if ended => return None,
                true => (item, State::Live, "pod"),
                // Until it is gone it answers what it has begun, whatever a rollout says.
                false => (item, State::Draining, "terminating pod"),
            }
        }
        "ReplicaSet" if spec["replicas"].as_u64() == Some(0) => {
            (template, State::Rollback, "kept replicaset")
        }
        "ReplicaSet" => (template, State::Live, "replicaset"),
        "CronJob" => (&spec["jobTemplate"]["spec"]["template"], State::Latent, "cronjob"),
        "Job" => {
            let conditions = item["status"]["conditions"].as_array();
            let over = conditions.into_iter().flatten().any(|one| {
                matches!(one["type"].as_str(), Some("Complete" | "Failed"))
                    && one["status"].as_str() == Some("True")
            });
            if over {
                return None;
            }
            (template, State::Latent, "job")
        }
        "Deployment" => (template, State::Latent, "deployment"),
        "StatefulSet" => (template, State::Latent, "statefulset"),
        "DaemonSet" => (template, State::Latent, "daemonset"),
        "Rollout" => (template, State::Latent, "rollout"),
        _ => return None,
    })
}

fn version(pod: &Value, from: &Label) -> Option<String> {
    let container = &pod["spec"]["containers"][0];
    let text = match from {
        Label::Label(name) => pod["metadata"]["labels"][name].as_str(),
        Label::Annotation(name) => pod["metadata"]["annotations"][name].as_str(),
        Label::Env(name) => {
            let all = container["env"].as_array()?;
            all.iter().find(|one| one["name"].as_str() == Some(name))?["value"].as_str()
        }
        Label::Image => {
            let image = container["image"].as_str()?;
            let last = image.rsplit('/').next()?;
            match last.split_once('@') {
                Some((_, digest)) => Some(digest),
                None => last.split_once(':').map(|(_, tag)| tag),
            }
        }
    };
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(version: Label) -> Cluster {
        Cluster {
            kubectl: "kubectl".into(),
            context: None,
            namespaces: vec!["shop".into()],
            selector: Some("app=api".into()),
            version,
            rollouts: false,
        }
    }

    fn by_label() -> Cluster {
        cluster(Label::Label("app.kubernetes.io/version".into()))
    }

    fn object(kind: &str, name: &str, version: &str, more: &str) -> String {
        let labels = format!("\"labels\": {{\"app.kubernetes.io/version\": \"{version}\"}}");
        let template = format!(
            "{{\"metadata\": {{{labels}}}, \"spec\": {{\"containers\": [{{\"image\": \
             \"r.io:5000/api:{version}\", \"env\": [{{\"name\": \"V\", \"value\": \"{version}\"}}]}}]}}}}"
        );
        match kind {
            "Pod" => format!(
                "{{\"kind\": \"Pod\", \"metadata\": {{\"name\": \"{name}\", {labels}{more}}}, \"status\": \
                 {{\"phase\": \"Running\"}}}}"
            ),
            "CronJob" => format!(
                "{{\"kind\": \"CronJob\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": \
                 {{\"jobTemplate\": {{\"spec\": {{\"template\": {template}}}}}}}}}"
            ),
            kind => format!(
                "{{\"kind\": \"{kind}\", \"metadata\": {{\"name\": \"{name}\"}}, \"spec\": \
                 {{\"template\": {template}{more}}}}}"
            ),
        }
    }

    fn list(objects: &[String]) -> String {
        format!("{{\"kind\": \"List\", \"items\": [{}]}}", objects.join(", "))
    }

    #[test]
    fn whatever_runs_or_can_start_is_seen() {
        let text = list(&[
            object("Pod", "a", "2", ""),
            object("Pod", "b", "1", ", \"deletionTimestamp\": \"2026-11-23T12:00:00Z\""),
            object("ReplicaSet", "c", "0", ", \"replicas\": 0"),
            object("Deployment", "d", "3", ", \"replicas\": 0"),
            object("CronJob", "e", "4", ""),
        ]);
        let seen = read(&text, "api", &by_label()).expect("a list");
        let found: Vec<_> =
            seen.iter().map(|one| (one.version.as_str(), one.state, one.how.as_str())).collect();
        let expected = [
            ("2", State::Live, "pod a"),
            ("1", State::Draining, "terminating pod b"),
            ("0", State::Rollback, "kept replicaset c"),
            ("3", State::Latent, "deployment d"),
            ("4", State::Latent, "cronjob e"),
        ];
        assert_eq!(found, expected);
        for from in [Label::Image, Label::Env("V".into())] {
            let text = list(&[object("Deployment", "d", "3", "")]);
            assert_eq!(read(&text, "api", &cluster(from)).expect("a list")[0].version, "3");
        }
    }

    #[test]
    fn what_is_not_whole_is_no_list() {
        for text in [
            "",
            "{}",
            "{\"items\": [{\"kind\": \"Pod\"}]}",
            "{\"items\": [], \"metadata\": {\"continue\": \"x\"}}",
            &list(&[object("Pod", "a", "", "")]),
        ] {
            assert!(read(text, "api", &by_label()).is_err(), "{text}");
        }
    }
}
