//! Does a service say that it is not well when its database is gone? It is asked of an instance that is started
//! for it, whose way to the database leads through us.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What stands in a command for the way to the database.
pub(super) const PLACE: &str = "{database}";

/// How long an instance may take to be well, and to notice that it is not.
const START: Duration = Duration::from_secs(30);
const NOTICE: Duration = Duration::from_secs(12);

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// How long an instance may take to end when it is told to.
const END: Duration = Duration::from_secs(5);

const AGAIN: Duration = Duration::from_millis(200);

/// What was seen, or what is wrong with it.
pub(super) async fn watched(command: &str, url: &str, database: &str) -> Result<String, String> {
    let mut relay = Relay::open(database).await.map_err(|error| format!("no relay: {error}"))?;
    let mut instance = Instance::start(&command.replace(PLACE, &relay.address))
        .map_err(|error| format!("the instance does not start: {error}"))?;
    let found = asked(url, &mut relay).await;
    instance.stop().await;
    found
}

/// What an instance answers while its way to the database is cut and mended.
async fn asked(url: &str, relay: &mut Relay) -> Result<String, String> {
    let well = until(url, START, |code| code == Some(200)).await;
    if well != Some(200) {
        return Err(format!("with its database there it answers {}", said(well)));
    }
    relay.cut();
    let ill = until(url, NOTICE, |code| code != Some(200)).await;
    if ill != Some(503) {
        return Err(format!("with its database gone it answers {}", said(ill)));
    }
    relay.mend().await.map_err(|error| format!("no relay: {error}"))?;
    match until(url, START, |code| code == Some(200)).await {
        Some(200) => Ok("200, then 503 with its database gone, then 200 again".to_owned()),
        code => Err(format!("when its database is back it still answers {}", said(code))),
    }
}

fn said(code: Option<u16>) -> String {
    code.map_or_else(|| "nothing".into(), |code| code.to_string())
}

/// Asks until an answer is as wanted, or the time is up; the last answer.
async fn until(url: &str, time: Duration, wanted: fn(Option<u16>) -> bool) -> Option<u16> {
    let end = Instant::now() + time;
    loop {
        let asked = url.to_owned();
        let code = tokio::task::spawn_blocking(move || ask(&asked)).await.ok().flatten();
        if wanted(code) || Instant::now() >= end {
            return code;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn ask(url: &str) -> Option<u16> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ANSWER))
        .http_status_as_error(false)
        .build()
        .into();
    Some(agent.get(url).call().ok()?.status().as_u16())
}

/// An instance and whatever it started, which are stopped at the end.
struct Instance {
    child: Child,
    group: Option<Pid>,
}

impl Instance {
    fn start(command: &str) -> std::io::Result<Self> {
        let mut sh = Command::new("sh");
        sh.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = sh.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// Tells it to end, and ends it where it does not.
    async fn stop(&mut self) {
        let Some(group) = self.group else { return };
        // One that has ended by itself is as good.
        let _ = kill_process_group(group, Signal::TERM);
        let end = Instant::now() + END;
        while Instant::now() < end {
            let ended = self.child.try_wait().is_ok_and(|code| code.is_some());
            if ended && test_kill_process_group(group).is_err() {
                self.group = None;
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// A way to the database that can be cut.
struct Relay {
    address: String,
    to: String,
    open: CancellationToken,
}

impl Relay {
    async fn open(to: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let mut relay = Self { address, to: to.to_owned(), open: CancellationToken::new() };
        relay.lead(listener);
        Ok(relay)
    }

    fn lead(&mut self, listener: TcpListener) {
        self.open = CancellationToken::new();
        let (to, open) = (self.to.clone(), self.open.clone());
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = open.cancelled() => return,
                };
                let Ok((mut from, _)) = accepted else { continue };
                let (to, open) = (to.clone(), open.clone());
                tokio::spawn(async move {
                    let Ok(mut to) = TcpStream::connect(&to).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                        () = open.cancelled() => {}
                    }
                });
            }
        });
    }

    /// Nobody gets through any more, and those who are through are cut off.
    fn cut(&self) {
        self.open.cancel();
    }

    async fn mend(&mut self) -> std::io::Result<()> {
        let listener = TcpListener::bind(&self.address).await?;
        self.lead(listener);
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.open.cancel();
    }
}
