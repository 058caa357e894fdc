//! What a statement that is run as written does to code that runs while it is: told by its first
//! words, which the grammar has put where they are.

use super::{Parts, Scene};
use crate::catalog::Table;
use crate::change::{Effect, Object, ObjectKind, Plain};

/// Says what running code will notice.
pub(super) fn warn(scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let words = Head::of(&plain.sql);
    let table = plain.on.as_ref().and_then(|table| scene.catalog.find(table));
    row_security(&words, plain, table, parts);
    triggers(&words, plain, table, parts);
    sequences(&words, plain, parts);
    renames(&words, scene, plain, parts);
    if let Some(table) = table.filter(|_| words.begins(&["alter", "table"]))
        && words.has(&["detach", "partition"])
    {
        parts.hazard(
            "detaches-rows",
            format!("from contract on `{}` lacks the rows of the partition", table.name),
            "make sure that no code which can still run reads or writes them there",
        );
    }
    in_place(&words, scene, plain, parts);
}

/// The words of a statement, in lower case, each with its signs left out.
struct Head(Vec<String>);

impl Head {
    fn of(sql: &str) -> Self {
        let trimmed = |word: &str| word.trim_matches(|c: char| "(),;".contains(c)).to_lowercase();
        Self(sql.split_whitespace().map(trimmed).collect())
    }

    fn begins(&self, words: &[&str]) -> bool {
        self.0.len() >= words.len() && self.0[..words.len()] == *words
    }

    /// Whether a run of words stands somewhere: for statements without a body of code.
    fn has(&self, words: &[&str]) -> bool {
        self.0.windows(words.len()).any(|found| found == words)
    }

    /// CREATE, with or without OR REPLACE, of something of this kind.
    fn creates(&self, kind: &str) -> bool {
        ["", "or replace ", "constraint ", "or replace constraint "].iter().any(|between| {
            let words: Vec<_> = between.split_whitespace().collect();
            self.begins(&[&["create"][..], &words, &[kind]].concat())
        })
    }
}

/// What hides rows from roles, or shows them more.
fn row_security(words: &Head, plain: &Plain, table: Option<&Table>, parts: &mut Parts) {
    let named = match (table, plain.objects.first()) {
        (Some(table), _) => format!("`{}`", table.name),
        (None, _) => return,
    };
    let alters = words.begins(&["alter", "table"]) && words.has(&["row", "level", "security"]);
    let message = match () {
        () if alters && plain.effect == Effect::Tightens => format!(
            "from contract on every role that is bound by it sees of {named} only what policies \
             allow"
        ),
        () if alters => format!("roles that policies bound see and write every row of {named}"),
        () if words.begins(&["alter", "policy"]) && !words.has(&["rename", "to"]) => {
            format!("running code sees and writes other rows of {named} at once")
        }
        () if words.creates("policy") && plain.effect == Effect::Tightens => {
            format!("from contract on running code sees and writes fewer rows of {named}")
        }
        () => return,
    };
    parts.hazard(
        "row-security",
        message,
        "try the policies with the applications' roles, in this file's order, then allow it",
    );
}

/// What acts on the writes of running code, and what does so no longer.
fn triggers(words: &Head, plain: &Plain, table: Option<&Table>, parts: &mut Parts) {
    let Some(table) = table else { return };
    let off = words.begins(&["alter", "table"])
        && ["trigger", "rule"]
            .iter()
            .any(|kind| words.has(&["disable", kind]) || words.has(&["enable", "replica", kind]));
    if off {
        parts.hazard(
            "stops-triggers",
            format!("running code writes to `{}` without what the trigger does", table.name),
            "leave it on: rows that are filled in the background would fire it all the same, \
             because the file's last statement has run by then",
        );
    }
    let new = matches!(plain.effect, Effect::Adds | Effect::Replaces)
        && (words.creates("trigger") || words.creates("rule"));
    if new && !table.is_empty() {
        parts.hazard(
            "acts-on-writes",
            format!("it acts on every statement of running code on `{}`", table.name),
            "run the statements of the version that is deployed against it before",
        );
    }
}

/// What hands out numbers from another place.
fn sequences(words: &Head, plain: &Plain, parts: &mut Parts) {
    let alters = words.begins(&["alter", "sequence"]) || words.begins(&["alter", "table"]);
    if alters && plain.effect == Effect::Settles && words.has(&["restart"]) {
        let names: Vec<_> = plain.objects.iter().map(|one| format!("`{}`", one.name)).collect();
        parts.hazard(
            "sequence-moves",
            format!("{} goes on from another number, while running code counts", names.join(", ")),
            "set it to more than the highest value there is",
        );
    }
}

/// What cannot have two names at once.
fn renames(words: &Head, scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let Some(first) = plain.objects.first().filter(|_| plain.effect == Effect::Removes) else {
        return;
    };
    if words.begins(&["alter", "type"]) && words.has(&["rename", "value"]) {
        parts.hazard(
            "renames-value",
            format!(
                "a statement of running code that says the old value of `{}` fails from contract \
                 on, and one that says the new value fails before",
                first.name
            ),
            "write `ALTER TYPE … ADD VALUE` for the new one and an UPDATE of the rows, in files of \
             their own; forbid the old one by a CHECK once nobody writes it",
        );
        return;
    }
    let moves = words.has(&["rename", "to"]) || words.has(&["set", "schema"]);
    let seen = |one: &Object| one.kind != ObjectKind::Silent;
    if moves && words.begins(&["alter"]) && seen(first) && !swapped(scene, first) {
        parts.hazard(
            "name-gap",
            format!("`{}` has its new name from contract on, and none before", first.name),
            if words.begins(&["alter", "schema"]) {
                "make the new schema and move the tables with ALTER TABLE … SET SCHEMA, which keeps \
                 their old names until nobody says them"
            } else {
                "make another one under the new name, beside it, and drop this one later, where \
                 code says the name"
            },
        );
    }
}

/// Whether the file makes the thing, or another that takes its name.
fn swapped(scene: &Scene<'_>, object: &Object) -> bool {
    let Head(words) = Head::of(&scene.migration.source.replace('"', ""));
    let name = object.name.name.as_str().to_lowercase();
    let ends = |word: &String| *word == name || word.ends_with(&format!(".{name}"));
    words.windows(3).any(|three| {
        let takes = three[0] == "rename" && three[1] == "to" || three[0] == "create";
        takes && ends(&three[2])
    })
}

/// What running code calls or reads, and finds changed.
fn in_place(words: &Head, scene: &Scene<'_>, plain: &Plain, parts: &mut Parts) {
    let Some(first) = plain.objects.first() else { return };
    let named = match first.kind {
        ObjectKind::Routine => {
            let known = scene.catalog.objects.iter().any(|one| one.name.name == first.name.name);
            // What is altered is there, whether the catalogue was read or only told of by files.
            known || words.begins(&["alter"])
        }
        ObjectKind::Relation => {
            let view = crate::catalog::TableKind::View;
            scene.catalog.find(&first.name).is_some_and(|table| table.kind == view)
        }
        _ => false,
    };
    let alters = words.begins(&["alter"])
        && plain.effect == Effect::Settles
        && !words.has(&["owner", "to"])
        && !words.has(&["set", "statistics"]);
    if named && (plain.effect == Effect::Replaces || alters) {
        parts.hazard(
            "changes-under-code",
            format!("running code that uses `{}` meets the new one from expand on", first.name),
            "keep what it gives to old code as it was, or give the new one a name of its own",
        );
    }
}
