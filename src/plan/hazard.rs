use serde::{Deserialize, Serialize};

use crate::sql::Span;

/// A danger found in one place of a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hazard {
    /// The card's code.
    pub code: String,
    /// The statement.
    pub span: Span,
    /// What it means here, with the reader's own names.
    pub message: String,
    /// What to do about it here.
    pub remedy: String,
    /// Why the author accepts it, if they do.
    pub allowed: Option<String>,
}

/// A rule: when it applies, what happens and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct HazardCard {
    /// The name it is allowed by.
    pub code: &'static str,
    /// Whether it stops a plan.
    pub severity: Severity,
    /// When it applies.
    pub condition: &'static str,
    /// What happens.
    pub effect: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Whether a hazard stops a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It harms nobody today and is dear to change later: `check` says it, a plan does not.
    Hint,
    /// Shown.
    Warn,
    /// The plan is refused unless the author allows it with a reason.
    Deny,
}

impl Hazard {
    /// The card's severity; a code that is not known denies.
    pub fn severity(&self) -> Severity {
        card(&self.code).map_or(Severity::Deny, |card| card.severity)
    }
}

/// The card of a code.
pub fn card(code: &str) -> Option<&'static HazardCard> {
    CARDS.iter().find(|card| card.code == code)
}

/// Every rule. `docs/hazards/<code>.md` is rendered from here.
pub const CARDS: &[HazardCard] = &[
    HazardCard {
        code: "opaque",
        severity: Severity::Deny,
        condition: "a statement that zdmig does not take apart stands in no section",
        effect: "its locks, its effect on running code and its undo are not known",
        remedy: "put it under `-- zdmig:expand` or `-- zdmig:contract uses=…`, or allow it, which runs it as written in expand",
    },
    HazardCard {
        code: "unique-copy",
        severity: Severity::Deny,
        condition: "a column under a unique index is renamed or replaced by way of a copy",
        effect: "while both columns exist, sessions that upsert the same key at the same moment can get a unique violation (measured: 0.5 % of statements on four hot keys)",
        remedy: "allow it where no two sessions upsert the same key at once",
    },
    HazardCard {
        code: "unique-tightens",
        severity: Severity::Warn,
        condition: "a unique index is added to a table that exists",
        effect: "code that writes duplicates gets errors from the moment the index is built",
        remedy: "deploy code that writes no duplicates first; the backfill phase counts those that exist",
    },
    HazardCard {
        code: "index-blocks-writes",
        severity: Severity::Warn,
        condition: "the database cannot build an index beside writers",
        effect: "writers wait while the index is built",
        remedy: "run expand at a quiet hour if the table is large",
    },
    HazardCard {
        code: "drop-rewrites",
        severity: Severity::Warn,
        condition: "the database drops a column by writing the table anew",
        effect: "writers wait while purge copies the table",
        remedy: "run purge at a quiet hour if the table is large",
    },
    HazardCard {
        code: "star-readers",
        severity: Severity::Warn,
        condition: "a column is added to a table that exists",
        effect: "a prepared `SELECT *` or `RETURNING *` of a running session fails once with `cached plan must not change result type`",
        remedy: "name columns in queries, or let the driver prepare again",
    },
    HazardCard {
        code: "readers-see-null",
        severity: Severity::Warn,
        condition: "a NOT NULL column is to be dropped",
        effect: "from expand on it may be NULL, because new code leaves it out; old readers meet that NULL",
        remedy: "give it a default first where old code cannot read NULL",
    },
    HazardCard {
        code: "one-way-sync",
        severity: Severity::Deny,
        condition: "a column is replaced and nothing says how the old one follows from the new one",
        effect: "what new code writes is never seen by old code, and new rows have no old value",
        remedy: "write `-- zdmig:reverse table.old = expression`, or `-- zdmig:no-sync table.old because \"…\"`",
    },
    HazardCard {
        code: "loses-index",
        severity: Severity::Deny,
        condition: "a column to be dropped is part of an index or constraint over several columns",
        effect: "the server drops that index with the column, without a word",
        remedy: "create the index without the column and drop this one in the same file",
    },
    HazardCard {
        code: "null-default",
        severity: Severity::Warn,
        condition: "a nullable column with a computed default is renamed or replaced",
        effect: "while both columns exist, an insert that writes NULL on purpose gets the default",
        remedy: "none is needed where no code writes NULL there",
    },
    HazardCard {
        code: "table-rewrite",
        severity: Severity::Deny,
        condition: "a statement makes the server write a whole table anew: a change of type that does not keep the bytes, a computed column, a move of the table",
        effect: "nobody reads or writes the table until the server is done",
        remedy: "remove what keeps the column from being converted beside everybody; compute a column by a trigger, as docs/by-sections.md shows; or allow it for a maintenance window or a small table",
    },
    HazardCard {
        code: "deletes-rows",
        severity: Severity::Warn,
        condition: "a migration deletes rows",
        effect: "a rollback does not bring them back",
        remedy: "keep a copy where that may be needed",
    },
    HazardCard {
        code: "late-writes",
        severity: Severity::Deny,
        condition: "a file copies rows or columns by one statement and takes them away by another, and no trigger follows what is written in between",
        effect: "what running code writes between the copy and the end is lost without an error",
        remedy: "within a table write ADD COLUMN, UPDATE and DROP COLUMN with a way back, which zdmig keeps in step; between tables write the triggers yourself under `-- zdmig:expand`, as docs/by-sections.md shows",
    },
    HazardCard {
        code: "row-security",
        severity: Severity::Deny,
        condition: "row level security is switched on, off, or forced for a table that exists, or a policy is changed or restricts",
        effect: "every role that is bound by it sees and writes other rows than before, and none where no policy allows it: without an error for reads",
        remedy: "create the policies in the same file before it, try them with the applications' roles, then allow it",
    },
    HazardCard {
        code: "type-under-code",
        severity: Severity::Warn,
        condition: "a column gets a type that is stored in another way, under its old name",
        effect: "from contract on every version reads and writes the new type under the same name: a driver that knows the old type by its bytes fails, a prepared query fails once, and the column is the table's last one",
        remedy: "deploy code that copes with both types and list the column under `accepts` in its manifest; name the columns in INSERT and SELECT",
    },
    HazardCard {
        code: "narrow-sequence",
        severity: Severity::Warn,
        condition: "a column that a sequence counts up gets a wider type, and the sequence stays as it is",
        effect: "inserts fail at the end of the old type all the same",
        remedy: "add `ALTER SEQUENCE name AS type` to the same file",
    },
    HazardCard {
        code: "long-lock",
        severity: Severity::Deny,
        condition: "the server reads or builds something over a whole table under a lock that stops writers, because it knows no other way",
        effect: "writes wait until it is done, and so does everything behind them",
        remedy: "allow it for a maintenance window, or where the table is small",
    },
    HazardCard {
        code: "whole-statement",
        severity: Severity::Deny,
        condition: "a statement that changes or copies rows cannot be cut into chunks",
        effect: "it holds every row that it touches until it ends, and rows written meanwhile are not seen",
        remedy: "write it as `UPDATE table SET column = expression WHERE condition`, or as an `INSERT … SELECT` of one table, or allow it where the table is small",
    },
    HazardCard {
        code: "not-repeatable",
        severity: Severity::Deny,
        condition: "an UPDATE computes a column from its own old value, in a way that differs when it is done twice",
        effect: "a row that running code writes while the fill is under way may be changed though it was right",
        remedy: "add a WHERE that leaves out rows which are done, or allow it where nobody writes such rows meanwhile",
    },
    HazardCard {
        code: "destroys",
        severity: Severity::Deny,
        condition: "a statement destroys rows or objects at once: TRUNCATE, DROP SCHEMA, DROP OWNED",
        effect: "there is no way back",
        remedy: "allow it once nobody needs what is lost",
    },
    HazardCard {
        code: "cascade",
        severity: Severity::Deny,
        condition: "CASCADE is written",
        effect: "it drops whatever rests on what is named, and the plan cannot list it",
        remedy: "name everything that is to go, and leave CASCADE out",
    },
    HazardCard {
        code: "drops-constraint",
        severity: Severity::Warn,
        condition: "a constraint is dropped",
        effect: "nothing keeps rows from breaking it any more, and old code may meet such rows",
        remedy: "make sure that all code which can still run copes with them",
    },
    HazardCard {
        code: "tightens",
        severity: Severity::Warn,
        condition: "a check or a foreign key is added to columns that running code writes",
        effect: "it waits for the gate, because code that breaks it would get errors",
        remedy: "list it under `obeys` in the manifests of the versions that obey it; or allow it, which adds it in expand",
    },
    HazardCard {
        code: "alias-view",
        severity: Severity::Deny,
        condition: "a table, or a column that cannot have a copy, is renamed: until contract a view stands under the old name",
        effect: "TRUNCATE, COPY, MERGE, LOCK and foreign keys by that name fail meanwhile, and the view has no system columns",
        remedy: "allow it where no running code does that",
    },
    HazardCard {
        code: "comes-late",
        severity: Severity::Warn,
        condition: "a statement rests on one before it that must wait for a later phase",
        effect: "it waits with it, so new code does not find it done when it is deployed",
        remedy: "put it into a migration of its own if new code needs it at its deploy",
    },
    HazardCard {
        code: "required-until-purge",
        severity: Severity::Deny,
        condition: "a column of the primary key without a default is dropped",
        effect: "new code cannot leave it out before purge, so the gate would never find it unused",
        remedy: "give it a default, or give the table another primary key, in a migration before this one",
    },
    HazardCard {
        code: "body-names-column",
        severity: Severity::Deny,
        condition: "a trigger's function has the name of a column that goes in its text",
        effect: "if it means that column, every write to the table fails once the column is gone",
        remedy: "replace the function in the same file, or allow it where the word means something else",
    },
    HazardCard {
        code: "fires-triggers",
        severity: Severity::Warn,
        condition: "rows are filled or deleted in chunks, and the table has triggers of your own for that",
        effect: "they fire for every row that is touched, and the audit rows, queues and mails that they make are real; for a rename or a change of type nothing that they set in the row itself is kept",
        remedy: "let them do nothing while `current_setting('zdmig.backfill', true)` holds something, where the fill is no change to them",
    },
    HazardCard {
        code: "stops-triggers",
        severity: Severity::Deny,
        condition: "a trigger or a rule is switched off",
        effect: "what running code writes meanwhile lacks what it does; with ALL that is foreign keys too, and rows that break them stay",
        remedy: "leave it on; where a fill is not to fire it, let it do nothing while `current_setting('zdmig.backfill', true)` holds something",
    },
    HazardCard {
        code: "acts-on-writes",
        severity: Severity::Warn,
        condition: "a trigger or a rule is created on a table that holds rows",
        effect: "from expand on it acts on the statements of code that knows nothing of it, and an error in it fails them",
        remedy: "run the statements of the version that is deployed against it before",
    },
    HazardCard {
        code: "changes-under-code",
        severity: Severity::Warn,
        condition: "a function or a view that exists is replaced or set otherwise, with the same signature",
        effect: "old code that uses it meets the new one from expand on",
        remedy: "keep what it gives to old code as it was, or give the new one a name of its own",
    },
    HazardCard {
        code: "sequence-moves",
        severity: Severity::Warn,
        condition: "a sequence is restarted",
        effect: "numbers that were given out can be given out again, and inserts then break a unique index",
        remedy: "set it to more than the highest value there is",
    },
    HazardCard {
        code: "name-gap",
        severity: Severity::Warn,
        condition: "a view, a function, a type or a schema is renamed or moved",
        effect: "it cannot have two names: who says the new one fails before contract, and the gate waits until nobody says the old one",
        remedy: "make another one under the new name and drop this one later, where code says the name; for a schema move its tables one by one, as docs/by-sections.md shows",
    },
    HazardCard {
        code: "renames-value",
        severity: Severity::Deny,
        condition: "a value of an enum is renamed",
        effect: "statements that say the old value fail from contract on, those that say the new one before, and no query shows which code does",
        remedy: "add the new value in one file, UPDATE the rows in the next, and forbid the old one by a CHECK once nobody writes it; as docs/by-sections.md shows; or allow it where no code says the value",
    },
    HazardCard {
        code: "detaches-rows",
        severity: Severity::Warn,
        condition: "a partition is detached",
        effect: "code that reads the whole table no longer sees its rows, and writes of such rows fail where no other partition takes them",
        remedy: "make sure that no code which can still run reads or writes them there",
    },
    HazardCard {
        code: "unindexed-foreign-key",
        severity: Severity::Hint,
        condition: "no index of the table begins with the columns of a foreign key",
        effect: "whoever deletes a row that it points to, or changes its key, has the whole table read, row after row",
        remedy: "create an index on its columns in the same file",
    },
    HazardCard {
        code: "wide-index",
        severity: Severity::Hint,
        condition: "an index that is not unique has more than three columns",
        effect: "the last ones seldom narrow a search, and every write pays for them",
        remedy: "begin with the columns that narrow most, and leave the others out",
    },
    HazardCard {
        code: "narrow-integer",
        severity: Severity::Hint,
        condition: "a column holds an integer of four bytes or less",
        effect: "inserts fail once the values reach its end (2,147,483,647 for four bytes), and a wider type is another column by then",
        remedy: "use bigint for keys and whatever counts up",
    },
    HazardCard {
        code: "serial-column",
        severity: Severity::Hint,
        condition: "a column has a serial type",
        effect: "its sequence has privileges, a name and an owner of its own, and anyone may write past it",
        remedy: "use `GENERATED BY DEFAULT AS IDENTITY`, or ALWAYS",
    },
    HazardCard {
        code: "json-column",
        severity: Severity::Hint,
        condition: "a column has the type json",
        effect: "the type has no equality: SELECT DISTINCT, UNION and GROUP BY over the row fail, and each read parses the text again",
        remedy: "use jsonb",
    },
    HazardCard {
        code: "time-without-zone",
        severity: Severity::Hint,
        condition: "a column has the type timestamp without time zone",
        effect: "what moment a value means depends on who reads it; another type is another column later",
        remedy: "use timestamptz",
    },
    HazardCard {
        code: "padded-text",
        severity: Severity::Hint,
        condition: "a column has the type char(n)",
        effect: "values are padded with blanks, which comparisons leave aside and patterns do not; any other type later writes the table anew",
        remedy: "use text, with a CHECK where the length matters",
    },
    HazardCard {
        code: "text-limit",
        severity: Severity::Hint,
        condition: "a column has the type varchar(n)",
        effect: "a longer limit costs nothing later, a shorter one is another column",
        remedy: "use text, with a CHECK where the length matters",
    },
    HazardCard {
        code: "enum-created",
        severity: Severity::Hint,
        condition: "an enum is made",
        effect: "a value can be added later and not taken away again, and code that does not know a value meets it all the same",
        remedy: "use text with a CHECK, or a table of values, where values come and go",
    },
    HazardCard {
        code: "enum-order",
        severity: Severity::Hint,
        condition: "a value is added to an enum, and nothing says where",
        effect: "it sorts after all others, which cannot be changed later; it stays when the migration is rolled back",
        remedy: "write BEFORE or AFTER a value; deploy code that copes with it first",
    },
    HazardCard {
        code: "long-name",
        severity: Severity::Hint,
        condition: "a name is longer than the server keeps",
        effect: "it is cut off without an error: two long names can become one, and errors name what nobody wrote",
        remedy: "choose a shorter name",
    },
    HazardCard {
        code: "empty-file",
        severity: Severity::Deny,
        condition: "a migration file holds no statement",
        effect: "nothing is done, which is rarely what was meant",
        remedy: "write the SQL into it, or remove it",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_the_words_are_there() {
        for (at, card) in CARDS.iter().enumerate() {
            assert!(CARDS[at + 1..].iter().all(|other| other.code != card.code), "{}", card.code);
            assert!(!card.condition.is_empty() && !card.effect.is_empty());
            assert!(!card.remedy.is_empty(), "{}", card.code);
        }
    }

    #[test]
    fn an_unknown_code_denies() {
        let hazard = Hazard {
            code: "from-the-future".into(),
            span: Span::default(),
            message: String::new(),
            remedy: String::new(),
            allowed: None,
        };
        assert_eq!(hazard.severity(), Severity::Deny);
    }
}
