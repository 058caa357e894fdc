use serde::Serialize;

use super::{Pen, table};

/// Where everything stands.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The version of this format.
    pub zdmig_status: u32,
    /// The database, without its password.
    pub database: String,
    /// The product and version.
    pub server: String,
    /// One line per migration, in order.
    pub migrations: Vec<Line>,
    /// Where each setting comes from, where that was asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String, String)>,
}

/// Where one migration stands.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The migration.
    pub migration: String,
    /// `pending`, `expanding`, `expanded`, …
    pub state: String,
    /// How far a fill has come, or what failed.
    pub detail: String,
    /// Days since it was taken up, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_days: Option<i64>,
    /// The next command.
    pub next: String,
}

/// For a person.
pub fn render_status(report: &StatusReport, pen: Pen) -> String {
    let mut out = format!("{}   {}\n\n", pen.bold(&report.database), report.server);
    if report.migrations.is_empty() {
        out.push_str("no migrations; `zdmig new NAME` makes the first\n");
    } else {
        let rows = report
            .migrations
            .iter()
            .map(|line| {
                let open = line.open_days.map(|days| format!("{days} d")).unwrap_or_default();
                vec![
                    line.migration.clone(),
                    line.state.clone(),
                    open,
                    line.detail.clone(),
                    line.next.clone(),
                ]
            })
            .collect();
        out.push_str(&table(&["migration", "state", "open", "detail", "next"], rows));
    }
    if !report.settings.is_empty() {
        let rows = report
            .settings
            .iter()
            .map(|(name, value, origin)| vec![name.clone(), value.clone(), origin.clone()])
            .collect();
        out.push_str(&format!("\n{}", table(&["setting", "value", "from"], rows)));
    }
    out
}
