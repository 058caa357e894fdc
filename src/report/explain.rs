use serde::Serialize;

use super::Pen;
use crate::sql::ColumnRef;

/// What statements do with a target, ready to be written.
#[derive(Debug, Serialize)]
pub struct ExplainReport {
    /// The version of this format.
    zdmig_usage_explained: u32,
    /// The column, or the table.
    target: String,
    /// In the order of the files.
    statements: Vec<StatementLine>,
}

/// What one statement does with it.
#[derive(Debug, Serialize)]
pub struct StatementLine {
    /// Where it begins: file, line and column.
    pub at: String,
    /// Its text.
    pub sql: String,
    /// `read`, `write`, `star`, `positional`, `whole-row`, `rebind`; `unresolved` where it cannot be
    /// told; `none` by itself.
    pub uses: Vec<&'static str>,
    /// Where each of them is.
    pub places: Vec<String>,
    /// The views and functions through which it is used.
    pub through: Vec<String>,
    /// Why it cannot be told.
    pub why: Option<String>,
}

impl ExplainReport {
    /// Puts the answers together.
    pub fn new(target: &ColumnRef, statements: Vec<StatementLine>) -> Self {
        let target = match target.column.as_str() {
            "*" => target.table.to_string(),
            _ => target.to_string(),
        };
        Self { zdmig_usage_explained: 1, target, statements }
    }
}

/// For a person.
pub fn render_explained(report: &ExplainReport, pen: Pen) -> String {
    let mut out = format!("target {}\n", report.target);
    for line in &report.statements {
        let words = line.uses.join(", ");
        let words = match line.uses.as_slice() {
            ["none"] => pen.good(&words),
            uses if uses.contains(&"unresolved") => pen.warn(&words),
            _ => pen.bad(&words),
        };
        let text: String = line.sql.split_whitespace().collect::<Vec<_>>().join(" ");
        let place = line.places.first().map_or(line.at.as_str(), String::as_str);
        out.push_str(&format!("\n{place}  {words}\n    {}\n", shortened(&text)));
        if !line.through.is_empty() {
            out.push_str(&format!("    through {}\n", line.through.join(", ")));
        }
        if let Some(why) = &line.why {
            out.push_str(&format!("    {why}\n"));
        }
    }
    out
}

fn shortened(text: &str) -> String {
    const MOST: usize = 160;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(MOST).collect();
    short.push('…');
    short
}
