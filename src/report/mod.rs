//! Floor 8: the only code that writes to a stream. stdout is the product, stderr the
//! narration.

mod difference;
mod explain;
mod findings;
mod hazard;
mod history;
mod markup;
mod narrate;
mod page;
mod plan;
mod progress;
mod rehearsal;
mod snippet;
mod status;
mod table;
mod verdict;
mod verdict_page;
mod wording;

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

pub use difference::render_difference;
pub use explain::{ExplainReport, StatementLine, render_explained};
pub use findings::{
    CheckReport, FileLine, FindingLine, render_annotations, render_code_quality, render_findings,
    render_junit, render_sarif,
};
pub use hazard::hazard_page;
pub use history::{History, HistoryLine, render_history};
pub use plan::{PlanView, render_plan, render_plans_html, render_plans_markdown, render_runbook};
pub use rehearsal::{
    render_rehearsal, render_rehearsal_html, render_rehearsal_json, render_rehearsal_markdown,
};
pub use snippet::snippet;
pub use status::{FillLine, Line, StatusReport, WorkLine, render_status};
pub use table::table;
pub use verdict::{ReasonLine, VerdictReport, render_reasons, render_verdict};
pub use verdict_page::{render_verdict_html, render_verdict_markdown};
pub use wording::{and_rows, counted, duration, grouped};

/// In which form the product is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person.
    Human,
    /// For a program.
    Json,
    /// For a pull request.
    Markdown,
    /// As a page.
    Html,
    /// For code scanning.
    Sarif,
    /// For GitLab's code quality.
    Gitlab,
    /// As annotations of GitHub's workflows.
    Github,
    /// For whatever reads test results.
    Junit,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Who hears what goes on, where it is not written to a stream.
type Narration = Box<dyn FnMut(&str) + Send>;

/// Owns the streams.
pub struct Reporter {
    format: Format,
    out_color: bool,
    err_color: bool,
    err_terminal: bool,
    verbose: bool,
    broken: Option<io::Error>,
    /// The product, where it is kept for the caller: then nothing is written to a stream.
    kept: Option<String>,
    narration: Option<Narration>,
    progress: progress::Progress,
    filled: Option<(u64, std::time::Duration)>,
    /// What a long statement was at, as it was told last.
    doing: Option<String>,
    /// What was warned of already: each fill finds it out for itself.
    noticed: std::collections::BTreeSet<String>,
}

impl Reporter {
    /// A reporter on this process's streams.
    pub fn new(format: Format, color: Color, verbose: bool, no_color: bool) -> Self {
        let wanted = |terminal: bool| match color {
            Color::Auto => terminal && !no_color,
            Color::Always => true,
            Color::Never => false,
        };
        let err_terminal = io::stderr().is_terminal();
        Self {
            format,
            out_color: wanted(io::stdout().is_terminal()),
            err_color: wanted(err_terminal),
            err_terminal,
            verbose,
            broken: None,
            kept: None,
            narration: None,
            progress: progress::Progress::default(),
            filled: None,
            doing: None,
            noticed: std::collections::BTreeSet::new(),
        }
    }

    /// A reporter that keeps the product for its caller and hands the narration over.
    pub fn keeping(format: Format, narration: impl FnMut(&str) + Send + 'static) -> Self {
        let reporter = Self::new(format, Color::Never, false, true);
        let narration: Option<Narration> = Some(Box::new(narration));
        Self { kept: Some(String::new()), narration, err_terminal: false, ..reporter }
    }

    /// The product that was kept.
    pub fn into_kept(self) -> String {
        self.kept.unwrap_or_default()
    }

    /// In which form the product is wanted.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether more is wanted than usual.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// The pen for the product.
    pub fn pen(&self) -> Pen {
        Pen { color: self.out_color }
    }

    /// What the product is written on.
    pub fn paper(&self) -> Paper {
        let columns = terminal_size::terminal_size_of(io::stdout());
        let columns = columns.map_or(Paper::PIPED, |(columns, _)| usize::from(columns.0));
        Paper { pen: self.pen(), width: columns.clamp(40, 160) }
    }

    /// Writes a piece of the product. A stream that fails is remembered, not repeated: the
    /// work goes on, and the end of the run tells.
    pub fn product(&mut self, text: &str) {
        if let Some(kept) = &mut self.kept {
            return kept.push_str(text);
        }
        if self.broken.is_some() {
            return;
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            self.broken = Some(error);
        }
    }

    /// Writes a value as the product, in JSON, on one line.
    pub fn json(&mut self, value: &impl Serialize) {
        let mut text = serde_json::to_string(value).unwrap_or_default();
        text.push('\n');
        self.product(&text);
    }

    /// Tells what goes on. Nobody depends on it, so a stream that fails is let be.
    pub fn narrate(&mut self, text: &str) {
        if let Some(narration) = &mut self.narration {
            return narration(text.trim());
        }
        self.progress.above(text, |text| {
            let _ = writeln!(io::stderr().lock(), "{text}");
        });
    }

    /// An error, with its colour.
    pub fn error(&mut self, text: &str) {
        let pen = Pen { color: self.err_color };
        let text = format!("{} {text}", pen.bad("error:"));
        self.narrate(&text);
    }

    /// What to do next.
    pub fn hint(&mut self, text: &str) {
        let pen = Pen { color: self.err_color };
        let text = format!("{} {text}", pen.dim("hint:"));
        self.narrate(&text);
    }

    /// Something that is wrong and does not stop us.
    pub fn warn(&mut self, text: &str) {
        let pen = Pen { color: self.err_color };
        let text = format!("{} {text}", pen.warn("warning:"));
        self.narrate(&text);
    }

    /// The rows of the last fill that was told of, and how long it took.
    pub fn filled(&self) -> Option<(u64, std::time::Duration)> {
        self.filled
    }

    /// Whether stdout took everything; a pipe that its reader closed counts as yes.
    pub fn finish(&mut self) -> Result<(), io::Error> {
        self.progress.clear();
        match self.broken.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

/// A pen, and where its lines end.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// The pen.
    pub pen: Pen,
    /// How many letters a line of words has at most.
    pub width: usize,
}

impl Paper {
    /// The width where nobody says how wide it is.
    const PIPED: usize = 100;
}

/// Marks up text, or does not.
#[derive(Clone, Copy, Debug)]
pub struct Pen {
    color: bool,
}

impl Pen {
    fn mark(self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.mark(Style::new().bold(), text)
    }

    /// Of less weight.
    pub fn dim(self, text: &str) -> String {
        self.mark(Style::new().dimmed(), text)
    }

    /// As it should be.
    pub fn good(self, text: &str) -> String {
        self.mark(AnsiColor::Green.on_default().bold(), text)
    }

    /// To be looked at.
    pub fn warn(self, text: &str) -> String {
        self.mark(AnsiColor::Yellow.on_default().bold(), text)
    }

    /// Wrong.
    pub fn bad(self, text: &str) -> String {
        self.mark(AnsiColor::Red.on_default().bold(), text)
    }
}
