//! What a statement reads once, and a later one takes away: running code goes on writing in
//! between, and what it writes would go unread.

use super::decompose::Parts;
use super::intent::{Intent, IntentKind, Words};
use crate::change::Effect;
use crate::sql::TableName;

/// The statements so far that copy from rows, once.
#[derive(Default)]
pub(super) struct Copied {
    readers: Vec<(usize, Words)>,
}

impl Copied {
    /// Takes note of an intention.
    pub(super) fn note(&mut self, intent: &Intent) {
        let copies = match &intent.kind {
            IntentKind::Update(fill) | IntentKind::Backfill { fill, .. } => !fill.set.is_empty(),
            IntentKind::Together(_) => true,
            IntentKind::AddColumn { fill, .. } => fill.is_some(),
            IntentKind::Plain(plain) => matches!(plain.effect, Effect::Moves(_)),
            _ => false,
        };
        if copies {
            self.readers.push((intent.number, intent.words.clone()));
        }
    }

    /// Says so where an intention takes away what was copied.
    pub(super) fn warn(&self, intent: &Intent, parts: &mut Parts) {
        let names: Vec<(Words, String)> = match &intent.kind {
            IntentKind::DropColumn(column) => {
                let words = Words::name(&[&column.table.name, &column.column]);
                vec![(words, column.to_string())]
            }
            IntentKind::DropTables(tables) => {
                let named = |table: &TableName| (Words::name(&[&table.name]), table.to_string());
                tables.iter().map(named).collect()
            }
            _ => return,
        };
        for (name, shown) in names {
            let Some((number, _)) = self.readers.iter().find(|(_, words)| words.hold(&name)) else {
                continue;
            };
            parts.hazards.push((
                "late-writes",
                format!(
                    "what running code writes into `{shown}` after statement {number} has read it is \
                     not copied, and is lost with it"
                ),
                "copy it by a trigger of your own under `-- zdmig:expand` until then, or allow this \
                 where no running code writes there"
                    .to_owned(),
            ));
        }
    }
}
