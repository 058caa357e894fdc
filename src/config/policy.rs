//! What the file says of the gate.

use std::time::Duration;

use super::file::{ConfigError, Section};
use super::settings::Sources;
use crate::dialect::DatabaseUrl;
use crate::gate::{Consumer, GatePolicy, Waiver};

impl Sources<'_> {
    /// A value of the environment's own section, or of all.
    fn section<T>(&self, field: fn(&Section) -> Option<T>) -> Option<T> {
        let own = self.file.env.get(self.env).and_then(field);
        own.or_else(|| field(&self.file.common))
    }

    /// The addresses of a list: as they are, or from the variables that they name. Who does not ask for
    /// them need not have those variables.
    pub(super) fn addresses(
        &self,
        name: &'static str,
        field: fn(&Section) -> Option<Vec<String>>,
    ) -> Result<Vec<DatabaseUrl>, String> {
        let wrong = |message: String| ConfigError::Value {
            name,
            origin: self.path.display().to_string(),
            value: "not shown".into(),
            message,
        };
        let address = |text: String| match text.strip_prefix("env:") {
            None => Ok(text),
            Some(variable) => (self.variable)(variable)
                .ok_or_else(|| wrong(format!("the variable {variable} is not set"))),
        };
        let all = self.section(field).unwrap_or_default().into_iter();
        all.map(|text| DatabaseUrl::new(address(text)?).map_err(|error| wrong(error.to_string())))
            .collect::<Result<_, ConfigError>>()
            .map_err(|error| error.to_string())
    }

    /// What the gate demands (`times` are `min_observation`, `min_age` and `rollback_window`), and knows of the world.
    pub(super) fn gate(
        &self,
        env: &str,
        heartbeat_ttl: Duration,
        drain: Duration,
        times: [Duration; 3],
    ) -> Result<GatePolicy, ConfigError> {
        let consumer = |one: &super::file::ConsumerEntry| {
            let origin = format!("`[[consumer]]` {}", one.name);
            let sources = one.source.iter().map(|entry| super::sources::source(entry, &origin));
            Ok(Consumer {
                name: one.name.clone(),
                roles: one.roles.clone(),
                idle: one.idle,
                unnamed_sessions: one.unnamed_sessions,
                streams: one.streams.clone(),
                observed: match one.usage.as_deref() {
                    None => false,
                    Some("observed") => true,
                    Some(other) => {
                        return Err(ConfigError::Value {
                            name: "consumer.usage",
                            origin,
                            value: other.to_owned(),
                            message: "write `observed`, or leave it out".into(),
                        });
                    }
                },
                period: one
                    .period
                    .as_ref()
                    .map(|text| time("consumer.period", text, &origin))
                    .transpose()?,
                sources: sources.collect::<Result<_, ConfigError>>()?,
            })
        };
        let waiver = |one: &super::file::WaiveEntry, name: Option<&String>| {
            name.map(|name| Waiver {
                name: name.clone(),
                reason: one.reason.clone(),
                expires: one.expires,
            })
        };
        let waived = &self.file.waive;
        Ok(GatePolicy {
            env: env.to_owned(),
            consumers: self
                .file
                .consumer
                .iter()
                .map(consumer)
                .collect::<Result<_, ConfigError>>()?,
            waivers: waived.iter().filter_map(|one| waiver(one, one.role.as_ref())).collect(),
            functions: waived.iter().filter_map(|one| waiver(one, one.function.as_ref())).collect(),
            heartbeat_ttl,
            drain,
            require_window: self.section(|section| section.require_window).unwrap_or(false),
            min_observation: times[0],
            min_age: times[1],
            rollback_window: times[2],
            require_brownout: self
                .section(|section| section.require_brownout.clone())
                .map(|text| time("require_brownout", &text, &self.path.display().to_string()))
                .transpose()?,
        })
    }
}

fn time(name: &'static str, text: &str, origin: &str) -> Result<Duration, ConfigError> {
    humantime::parse_duration(text).map_err(|error| ConfigError::Value {
        name,
        origin: origin.to_owned(),
        value: text.to_owned(),
        message: error.to_string(),
    })
}
