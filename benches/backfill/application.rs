//! An application at a fixed rate beside a fill: what it feels.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::server::Server;

/// What an application felt.
pub(crate) struct Felt {
    /// p50, p95, p99 and p99.9 while it ran, as shares of those while it did not.
    pub(crate) ratios: [f64; 4],
    /// Rows a second of the fill.
    pub(crate) rate: f64,
    pub(crate) errors: u64,
}

/// Windows with and without the fill, in turns, in seconds: both feel what the machine does.
const WINDOW: u64 = 4;
const WINDOWS: usize = 10;
/// What the first moments of a window feel is of the one before.
const SETTLES: f64 = 0.5;

const SCRIPT: &str = "\\set id random(1, 4000000)
\\set dice random(1, 5)
\\if :dice = 1
UPDATE users SET updated_at = now() WHERE id = :id;
\\else
SELECT username FROM users WHERE id = :id;
\\endif
";

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Runs the application throughout, and the fill in every other window.
pub(crate) async fn beside(server: &Server, pace: &str) -> Felt {
    server.run("expand");
    let bin = server.ask("SELECT setting FROM pg_config WHERE name = 'BINDIR'").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("script"), SCRIPT).unwrap();
    let seconds = WINDOW * WINDOWS as u64 + 4;
    let mut pgbench = Command::new(format!("{bin}/pgbench"))
        .args(["-n", "-M", "prepared", "-c", "4", "-j", "1", "-R", "300", "-f", "script", "-l"])
        .args(["-T", &seconds.to_string()])
        .arg(&server.url)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.run("pause");
    let mut fill = server.zdmig(&format!("backfill --pace {pace}")).spawn().unwrap();
    let mut windows = Vec::new();
    let (mut filled, mut worked) = (0.0, 0.0);
    let done = || async {
        let query = "SELECT ((SELECT coalesce(sum(rows), 0) FROM zdmig.fill)
                           + (SELECT coalesce(sum(rows), 0) FROM zdmig.part))::text";
        server.ask(query).await.parse::<f64>().unwrap()
    };
    for window in 0..WINDOWS {
        let on = window % 2 == 1;
        if on {
            server.run("resume");
        }
        let (from, before) = (now(), done().await);
        tokio::time::sleep(Duration::from_secs(WINDOW)).await;
        if on {
            filled += done().await - before;
            worked += now() - from;
            assert!(fill.try_wait().unwrap().is_none(), "the table is too small for {pace}");
        }
        windows.push((on, from + SETTLES, now()));
        if on {
            server.run("pause");
        }
    }
    let ended = pgbench.wait().unwrap();
    // What is left to fill tells nothing more.
    fill.kill().unwrap();
    fill.wait().unwrap();
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("pgbench_log") {
            continue;
        }
        for line in std::fs::read_to_string(entry.path()).unwrap().lines() {
            // client, transaction, µs, script, epoch, µs of it, lag behind the schedule
            let fields: Vec<f64> =
                line.split_whitespace().map(|one| one.parse().unwrap_or_default()).collect();
            let at = fields[4] + fields[5] / 1e6;
            let window = windows.iter().find(|(_, from, upto)| (*from..*upto).contains(&at));
            match window {
                Some((true, ..)) => busy.push(fields[2]),
                Some((false, ..)) => idle.push(fields[2]),
                None => {}
            }
        }
    }
    idle.sort_by(f64::total_cmp);
    busy.sort_by(f64::total_cmp);
    let at = |of: &[f64], share: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place")]
        let place = ((of.len() - 1) as f64 * share) as usize;
        of[place]
    };
    let ratios = [0.5, 0.95, 0.99, 0.999].map(|share| at(&busy, share) / at(&idle, share));
    println!(
        "  {pace}: {} and {} transactions, p99 {:.0} and {:.0} µs",
        idle.len(),
        busy.len(),
        at(&idle, 0.99),
        at(&busy, 0.99)
    );
    Felt { ratios, rate: filled / worked, errors: u64::from(!ended.success()) }
}
