//! The client of what is sent.

use std::time::Duration;

use ureq::Agent;

/// Nobody is waited for longer than that.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client that follows the environment's proxies; what a server answers is no error of it.
pub(super) fn agent() -> Agent {
    let agent = concat!("zdmig/", env!("CARGO_PKG_VERSION"));
    Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .user_agent(agent)
        .build()
        .into()
}
