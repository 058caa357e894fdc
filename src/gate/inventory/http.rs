use std::error::Error;
use std::io;
use std::time::Duration;

use super::{Sighting, State};

/// Asks each instance for its version. One that refuses the connection is not there; one that
/// cannot be reached may be.
pub(super) async fn ask(
    service: &str,
    urls: &[String],
    pointer: &str,
    timeout: Duration,
) -> Result<Vec<Sighting>, String> {
    let mut asked = tokio::task::JoinSet::new();
    for url in urls {
        let (url, pointer, service) = (url.clone(), pointer.to_owned(), service.to_owned());
        asked.spawn_blocking(move || one(&service, &url, &pointer, timeout));
    }
    let mut seen = Vec::new();
    while let Some(answer) = asked.join_next().await {
        seen.extend(answer.map_err(|error| format!("an address broke off: {error}"))??);
    }
    if seen.is_empty() {
        return Err(
            "nobody answers at any of its addresses, and no version at all is suspicious".into()
        );
    }
    Ok(seen)
}

fn one(
    service: &str,
    url: &str,
    pointer: &str,
    timeout: Duration,
) -> Result<Option<Sighting>, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(timeout)).build();
    let answer = match ureq::Agent::from(config).get(url).call() {
        Err(error) if is_refused(&error) => return Ok(None),
        answer => answer,
    };
    let text = answer
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .map_err(|error| format!("`{url}` does not answer: {error}"))?;
    let body: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("`{url}` answers no JSON: {error}"))?;
    let version = match body.pointer(pointer) {
        Some(serde_json::Value::String(version)) if !version.is_empty() => version.clone(),
        Some(serde_json::Value::Number(version)) => version.to_string(),
        _ => return Err(format!("`{url}` has no version at `{pointer}`")),
    };
    let (service, how) = (service.to_owned(), format!("`{url}`"));
    Ok(Some(Sighting { service, version, state: State::Live, how }))
}

/// Nobody listens there.
fn is_refused(error: &ureq::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(one) = cause {
        if let Some(io) = one.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        if let Some(ureq::Error::Io(io)) = one.downcast_ref::<ureq::Error>()
            && io.kind() == io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = one.source();
    }
    false
}
