//! What the server says of its own work while a statement is measured: at DEBUG1 it names every
//! table that it writes anew, reads through or builds an index of.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Makes the server say it, for the rest of a transaction, and for the rest of a session.
pub(super) const ASK: &str = "SET LOCAL client_min_messages = debug1";
pub(super) const ASK_OUTSIDE: &str = "SET client_min_messages = debug1";
/// The server's own default.
pub(super) const ASK_NO_MORE: &str = "RESET client_min_messages";

/// Where the driver tells what the server says beside its answers.
const NOTICES: &str = "sqlx::postgres::notice";

/// Runs something, and gives what the server said meanwhile.
pub(super) async fn listening<F: Future>(work: F) -> (F::Output, Vec<String>) {
    let heard = Heard::default();
    let kept = Arc::clone(&heard.0);
    let output = work.with_subscriber(heard).await;
    let lines = std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner));
    (output, lines)
}

/// What a message says was done to a table, by the table's bare name.
pub(super) fn work(line: &str) -> Option<(Work, String)> {
    for (head, work) in [("rewriting table ", Work::Rewrites), ("verifying table ", Work::Scans)] {
        if let Some(rest) = line.strip_prefix(head) {
            return Some((work, bare(rest)));
        }
    }
    let (_, of) = line.strip_prefix("building index ")?.split_once(" on table ")?;
    let name = ["serially", "with request"].iter().find_map(|end| of.split_once(end))?.0;
    Some((Work::Builds, bare(name)))
}

/// A name without the quotes that messages put around it.
fn bare(name: &str) -> String {
    name.trim().trim_matches('"').to_owned()
}

/// What the server did to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// It wrote it anew.
    Rewrites,
    /// It looked at every row.
    Scans,
    /// It built an index of it.
    Builds,
}

/// Hears one kind of event, while the future that it is given to is at work.
#[derive(Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        if event.metadata().target() == NOTICES {
            event.record(&mut Line(&self.0));
        }
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// The message of an event.
struct Line<'a>(&'a Mutex<Vec<String>>);

impl Line<'_> {
    fn keep(&self, field: &Field, text: String) {
        if field.name() == "message" {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_words_are_understood() {
        let name = |text: &str| text.to_owned();
        let told = [
            ("rewriting table \"orders\"", Some((Work::Rewrites, name("orders")))),
            ("verifying table \"Odd name\"", Some((Work::Scans, name("Odd name")))),
            ("building index \"i\" on table \"t\" serially", Some((Work::Builds, name("t")))),
            (
                "building index \"i\" on table \"t\" with request for 1 parallel workers",
                Some((Work::Builds, name("t"))),
            ),
            ("table \"t\" has no TOAST table", None),
        ];
        for (line, expected) in told {
            assert_eq!(work(line), expected, "{line}");
        }
    }
}
