//! What the file says of the gate.

use std::time::Duration;

use super::file::{ConfigError, Section};
use super::settings::Sources;
use crate::gate::{Consumer, GatePolicy, Waiver};

impl Sources<'_> {
    /// A value of the environment's own section, or of all.
    fn section<T>(&self, field: fn(&Section) -> Option<T>) -> Option<T> {
        let own = self.file.env.get(self.env).and_then(field);
        own.or_else(|| field(&self.file.common))
    }

    /// What the gate demands, and knows of the world.
    pub(super) fn gate(
        &self,
        env: &str,
        heartbeat_ttl: Duration,
        drain: Duration,
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
            require_brownout: self.section(|section| section.require_brownout).unwrap_or(false),
        })
    }
}
