use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// The bar of what runs now, on a terminal.
#[derive(Default)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Shows how far a fill has come; the total is an estimate and may be too small.
    pub(super) fn at(&mut self, rows: u64, total: u64) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template(
                "  {wide_bar:.cyan} {human_pos} of about {human_len} rows, {rate} rows/s, {eta} left{msg}",
            );
            let style = style.map(|style| {
                style.with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    let _ = write!(out, "{:.0}", state.per_sec());
                })
            });
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_length(total.max(rows));
        bar.set_position(rows);
    }

    /// Shows how far a long statement is with what it is at.
    pub(super) fn part(&mut self, slug: &str, what: &str, done: u64, total: u64) {
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("  {wide_bar:.cyan} {percent} % {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        bar.set_length(total.max(done));
        bar.set_position(done);
        bar.set_message(format!("{slug}: {what}"));
    }

    /// What holds the fill back, if anything.
    pub(super) fn says(&self, by: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(if by.is_empty() { String::new() } else { format!("; {by}") });
        }
    }

    /// Writes a line above the bar.
    pub(super) fn above(&self, text: &str, write: impl FnOnce(&str)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| write(text)),
            None => write(text),
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
