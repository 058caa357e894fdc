//! Statements that are run as written: what each does is told by its first words. The
//! grammar was checked before, so the words are where they must be.

use squawk_syntax::SyntaxNode;

use super::{Read, Reader};
use crate::change::{ChangeKind, Effect, Object, ObjectKind, Plain};
use crate::dialect::postgres::words::{Walk, Words};
use crate::sql::TableName;

impl Reader<'_> {
    /// A statement that is not taken apart.
    pub(super) fn plain(&self, node: &SyntaxNode) -> Read<ChangeKind> {
        let words = Words::of(node);
        let mut walk = Walk::along(&words);
        let found = match walk.next().unwrap_or_default() {
            "create" => create(walk),
            "alter" => alter(walk),
            "drop" => drop(walk),
            "comment" | "security" | "grant" => Some(Found::of(Effect::Settles)),
            "revoke" => Some(Found::of(Effect::Removes)),
            "analyze" => Some(Found::of(Effect::Checks)),
            "refresh" => {
                walk.past(&["view"]);
                walk.takes(&["concurrently"]);
                let why = "a materialized view is computed as a whole";
                Some(Found { objects: relation(&mut walk), ..Found::moves(why) })
            }
            "truncate" => {
                walk.takes(&["table"]);
                walk.takes(&["only"]);
                let objects = walk.names().into_iter().map(|name| made(ObjectKind::Relation, name));
                Some(Found { objects: objects.collect(), ..Found::of(Effect::Destroys) })
            }
            "insert" => insert(walk),
            "with" | "merge" => Some(Found {
                objects: written(&words),
                ..Found::moves("it has WITH or MERGE, and says something only as a whole")
            }),
            "select" | "values" | "table" | "(" => select(&walk),
            "set" | "reset" => Some(setting(&walk)),
            "begin" | "start" | "commit" | "end" | "rollback" | "savepoint" | "release"
            | "lock" | "abort" => Some(Found::of(Effect::Boundary)),
            "cluster" | "reindex" => Some(Found::of(Effect::Rewrites)),
            "explain" | "show" | "listen" | "unlisten" | "notify" | "checkpoint" | "discard" => {
                Some(Found::of(Effect::Nothing))
            }
            _ => None,
        };
        let Some(found) = found else {
            let words: Vec<_> = self.slice(node).split_whitespace().take(3).collect();
            return Err(format!(
                "what `{} …` does is not to be seen from outside",
                words.join(" ")
            ));
        };
        Ok(ChangeKind::Plain(Plain {
            effect: found.effect,
            sql: self.text.trim().to_owned(),
            objects: found.objects,
            on: found.on,
            if_exists: found.if_exists,
            cascade: words.ends(&["cascade"]),
            attaches: None,
            computes: self.inserted(node),
            copies: self.copied(node),
        }))
    }
}

impl Plain {
    /// A temporary table, which only this session sees.
    pub(super) fn temporary(sql: String, name: TableName) -> Self {
        let objects = vec![made(ObjectKind::Relation, name)];
        Self {
            effect: Effect::Temporary,
            sql,
            objects,
            on: None,
            if_exists: false,
            cascade: false,
            attaches: None,
            computes: None,
            copies: None,
        }
    }
}

struct Found {
    effect: Effect,
    objects: Vec<Object>,
    on: Option<TableName>,
    if_exists: bool,
}

impl Found {
    fn of(effect: Effect) -> Self {
        Self { effect, objects: Vec::new(), on: None, if_exists: false }
    }

    fn moves(why: &str) -> Self {
        Self::of(Effect::Moves(why.to_owned()))
    }
}

fn made(kind: ObjectKind, name: TableName) -> Object {
    Object { kind, name, on: None }
}

fn relation(walk: &mut Walk<'_>) -> Vec<Object> {
    walk.name().into_iter().map(|name| made(ObjectKind::Relation, name)).collect()
}

/// What follows CREATE, ALTER or DROP: the words that name a kind of object.
const KINDS: &[(&[&str], ObjectKind)] = &[
    (&["materialized", "view"], ObjectKind::Relation),
    (&["recursive", "view"], ObjectKind::Relation),
    (&["view"], ObjectKind::Relation),
    (&["foreign", "table"], ObjectKind::Relation),
    (&["table"], ObjectKind::Relation),
    (&["function"], ObjectKind::Routine),
    (&["procedure"], ObjectKind::Routine),
    (&["routine"], ObjectKind::Routine),
    (&["aggregate"], ObjectKind::Routine),
    (&["type"], ObjectKind::Type),
    (&["domain"], ObjectKind::Type),
    (&["sequence"], ObjectKind::Sequence),
    (&["constraint", "trigger"], ObjectKind::Silent),
    (&["event", "trigger"], ObjectKind::Silent),
    (&["trigger"], ObjectKind::Silent),
    (&["policy"], ObjectKind::Silent),
    (&["rule"], ObjectKind::Silent),
    (&["statistics"], ObjectKind::Silent),
    (&["publication"], ObjectKind::Silent),
    (&["index"], ObjectKind::Silent),
    (&["schema"], ObjectKind::Other),
    (&["extension"], ObjectKind::Other),
    (&["collation"], ObjectKind::Other),
    (&["conversion"], ObjectKind::Other),
    (&["language"], ObjectKind::Other),
    (&["trusted", "language"], ObjectKind::Other),
    (&["procedural", "language"], ObjectKind::Other),
    (&["role"], ObjectKind::Other),
    (&["user"], ObjectKind::Other),
    (&["group"], ObjectKind::Other),
    (&["server"], ObjectKind::Other),
    (&["cast"], ObjectKind::Other),
    (&["transform"], ObjectKind::Other),
    (&["operator", "class"], ObjectKind::Other),
    (&["operator", "family"], ObjectKind::Other),
    (&["operator"], ObjectKind::Other),
    (&["text", "search", "configuration"], ObjectKind::Other),
    (&["text", "search", "dictionary"], ObjectKind::Other),
    (&["text", "search", "parser"], ObjectKind::Other),
    (&["text", "search", "template"], ObjectKind::Other),
    (&["foreign", "data", "wrapper"], ObjectKind::Other),
    (&["access", "method"], ObjectKind::Other),
    (&["default", "privileges"], ObjectKind::Other),
];

fn kind(walk: &mut Walk<'_>) -> Option<(ObjectKind, &'static [&'static str])> {
    let found = KINDS.iter().find(|(words, _)| walk.sees(words))?;
    walk.takes(found.0);
    Some((found.1, found.0))
}

fn create(mut walk: Walk<'_>) -> Option<Found> {
    let replaces = walk.takes(&["or", "replace"]);
    let temporary = walk.takes(&["temp"]) || walk.takes(&["temporary"]);
    walk.takes(&["unlogged"]);
    let (kind, words) = kind(&mut walk)?;
    walk.takes(&["if", "not", "exists"]);
    let mut object = match words {
        ["cast" | "transform"] | ["statistics"] if walk.sees(&["("]) || walk.sees(&["on"]) => None,
        _ => walk.name().map(|name| made(kind, name)),
    };
    let mut on = None;
    // A rule's ON says what it is for, and TO where it stands.
    let before_table = if words == ["rule"] { &["to"] } else { &["on"] };
    if kind == ObjectKind::Silent && walk.past(before_table) && !matches!(words, ["event", _]) {
        on = walk.name();
        if let Some(object) = &mut object {
            object.on.clone_from(&on);
        }
    }
    let tightens = words == ["policy"] && walk.sees(&["as", "restrictive"]);
    let effect = match () {
        () if temporary => Effect::Temporary,
        () if words == ["table"] => {
            Effect::Moves("a table made from a query holds what it found at that moment".into())
        }
        () if replaces => Effect::Replaces,
        () if tightens => Effect::Tightens,
        () => Effect::Adds,
    };
    Some(Found { effect, objects: object.into_iter().collect(), on, if_exists: false })
}

fn alter(mut walk: Walk<'_>) -> Option<Found> {
    if walk.takes(&["system"]) || walk.takes(&["database"]) {
        return None;
    }
    let (kind, words) = kind(&mut walk)?;
    if words == ["default", "privileges"] {
        return Some(Found::of(Effect::Settles));
    }
    let if_exists = walk.takes(&["if", "exists"]);
    let mut objects: Vec<_> = walk.name().into_iter().map(|name| made(kind, name)).collect();
    walk.parentheses();
    // An extension's own script does what nobody here can read.
    if words == ["extension"] && !walk.sees(&["set", "schema"]) {
        return None;
    }
    let on = if walk.takes(&["on"]) { walk.name() } else { None };
    let quiet = matches!(kind, ObjectKind::Silent | ObjectKind::Sequence);
    let effect = match () {
        () if walk.sees(&["rename", "to"]) => {
            let mut rest = walk;
            rest.takes(&["rename", "to"]);
            objects.extend(rest.name().map(|name| made(kind, name)));
            // Nobody names an index or a trigger; what is said of a sequence is its default.
            if quiet { Effect::Settles } else { Effect::Removes }
        }
        () if walk.sees(&["rename"]) || walk.sees(&["set", "schema"]) => Effect::Removes,
        () if words == ["type"] && walk.sees(&["add", "value"]) => Effect::Adds,
        () if words == ["type"] && !walk.sees(&["owner"]) && !walk.sees(&["set"]) => {
            Effect::Removes
        }
        () if words == ["domain"]
            && (walk.sees(&["add"]) || walk.sees(&["set", "not", "null"])) =>
        {
            Effect::Tightens
        }
        () if words == ["domain"] && walk.sees(&["validate"]) => Effect::Checks,
        () if words == ["publication"] && walk.sees(&["drop"]) => Effect::Removes,
        () if matches!(words, ["role" | "user" | "group"]) && less(&walk) => Effect::Tightens,
        () => Effect::Settles,
    };
    for object in &mut objects {
        object.on.clone_from(&on);
    }
    Some(Found { effect, objects, on, if_exists })
}

/// Whether a role may do less, or must log in otherwise.
fn less(walk: &Walk<'_>) -> bool {
    const LESS: [&str; 11] = [
        "nologin",
        "nosuperuser",
        "nobypassrls",
        "nocreatedb",
        "nocreaterole",
        "noreplication",
        "noinherit",
        "connection",
        "valid",
        "password",
        "drop",
    ];
    LESS.iter().any(|word| walk.holds(&[word]))
}

fn drop(mut walk: Walk<'_>) -> Option<Found> {
    if walk.sees(&["database"]) || walk.sees(&["owned"]) || walk.sees(&["tablespace"]) {
        return Some(Found::of(Effect::Destroys));
    }
    let (kind, words) = kind(&mut walk)?;
    let if_exists = walk.takes(&["if", "exists"]);
    if matches!(words, ["cast" | "transform"]) {
        return Some(Found { if_exists, ..Found::of(Effect::Removes) });
    }
    let names = walk.names();
    let on = if walk.takes(&["on"]) { walk.name() } else { None };
    let object = |name| Object { kind, name, on: on.clone() };
    let objects = names.into_iter().map(object).collect();
    let effect = if words == ["schema"] { Effect::Destroys } else { Effect::Removes };
    Some(Found { effect, objects, on, if_exists })
}

fn insert(mut walk: Walk<'_>) -> Option<Found> {
    walk.takes(&["into"]);
    let table = walk.name()?;
    if walk.takes(&["as"]) {
        walk.next();
    }
    let positional = !walk.sees(&["("]);
    walk.parentheses();
    if walk.takes(&["overriding"]) {
        walk.next();
        walk.takes(&["value"]);
    }
    let listed = walk.sees(&["values"]) && !walk.holds(&["select"]) || walk.sees(&["default"]);
    let effect = if listed {
        let merges = walk.holds(&["do", "update"]) || walk.holds(&["returning"]);
        Effect::Seeds { merges, positional }
    } else {
        Effect::Moves("it copies rows, and those written later are not copied".into())
    };
    let objects = vec![made(ObjectKind::Relation, table.clone())];
    Some(Found { effect, objects, on: Some(table), if_exists: false })
}

/// The tables that a statement with several parts writes to.
fn written(words: &Words) -> Vec<Object> {
    let mut objects = Vec::new();
    for head in [&["insert", "into"][..], &["update"], &["delete", "from"], &["merge", "into"]] {
        let mut walk = Walk::along(words);
        while walk.past(head) {
            walk.takes(&["only"]);
            if !walk.sees(&["set"]) {
                objects.extend(relation(&mut walk));
            }
        }
    }
    objects
}

/// A query changes nothing unless it calls something that does.
fn select(walk: &Walk<'_>) -> Option<Found> {
    let mut rest = *walk;
    let mut before = "";
    while let Some(word) = rest.next() {
        let called = word == "(" && before.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if called && !HARMLESS.contains(&before) {
            return calls(*walk);
        }
        if word == "into" {
            return Some(Found::moves("a table made from a query holds what it found then"));
        }
        before = word;
    }
    Some(match () {
        () if walk.holds(&["setval", "("]) => Found::moves("it sets a sequence by what rows hold"),
        () if walk.holds(&["set_config", "("]) => Found::of(Effect::Setting),
        () => Found::of(Effect::Nothing),
    })
}

/// A call of the author's own: what its arguments name, it may do something to.
fn calls(mut walk: Walk<'_>) -> Option<Found> {
    walk.name()?;
    // Anything but a single call reads tables that are not known here.
    if !walk.sees(&["("]) || walk.holds(&["from"]) || walk.holds(&["select"]) {
        return None;
    }
    let mut objects = Vec::new();
    while let Some(word) = walk.next() {
        let text = word.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let name = text.filter(|text| text.chars().all(|c| c.is_alphanumeric() || c == '_'));
        let is_name = name.filter(|text| text.starts_with(|c: char| c.is_alphabetic()));
        objects.extend(is_name.map(|text| made(ObjectKind::Relation, TableName::new(None, text))));
    }
    let named = |object: &Object| object.name.name.as_str() != "today";
    objects.retain(named);
    (!objects.is_empty()).then(|| Found { objects, ..Found::of(Effect::Calls) })
}

/// Words before a parenthesis that call nothing of the author's.
const HARMLESS: &[&str] = &[
    "count",
    "max",
    "min",
    "sum",
    "avg",
    "coalesce",
    "in",
    "exists",
    "and",
    "or",
    "not",
    "as",
    "select",
    "from",
    "where",
    "now",
    "setval",
    "set_config",
    "current_setting",
    "pg_sleep",
    "version",
    "values",
    "cast",
    "over",
    "by",
    "using",
    "on",
    "any",
    "all",
    "to_regclass",
];

fn setting(walk: &Walk<'_>) -> Found {
    const OURS: [&str; 8] = [
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "transaction",
        "constraints",
        "client_min_messages",
        "row_security",
        "xmloption",
    ];
    let mut rest = *walk;
    let _ = rest.takes(&["local"]) || rest.takes(&["session"]);
    let ours = OURS.iter().any(|word| rest.sees(&[word]));
    Found::of(if ours { Effect::Boundary } else { Effect::Setting })
}

/// The names by which a statement's objects are known.
#[cfg(test)]
pub(super) fn names(plain: &Plain) -> Vec<String> {
    plain.objects.iter().map(|one| one.name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::interpret;
    use super::*;
    use crate::sql::Span;

    #[test]
    fn effects_are_told_by_the_first_words() {
        for (text, effect, objects) in [
            ("CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "Adds", "s.f"),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "Replaces", "v"),
            ("CREATE TRIGGER tr BEFORE INSERT ON t EXECUTE FUNCTION f()", "Adds", "tr"),
            ("CREATE TYPE m AS ENUM ('a')", "Adds", "m"),
            ("ALTER TYPE m ADD VALUE IF NOT EXISTS 'b'", "Adds", "m"),
            ("ALTER TYPE m RENAME VALUE 'a' TO 'b'", "Removes", "m"),
            ("ALTER TYPE m RENAME TO n", "Removes", "m n"),
            ("ALTER INDEX IF EXISTS i RENAME TO j", "Settles", "i j"),
            ("ALTER SEQUENCE q OWNED BY t.a", "Settles", "q"),
            ("ALTER TABLE t ALTER a SET GENERATED ALWAYS", "Tightens", "a"),
            ("ALTER TABLE t ALTER a SET GENERATED BY DEFAULT", "Settles", "a"),
            ("ALTER TABLE t ALTER a DROP EXPRESSION", "Removes", "a"),
            ("ALTER ROLE r NOLOGIN", "Tightens", "r"),
            ("ALTER ROLE r CREATEDB", "Settles", "r"),
            ("DROP FUNCTION IF EXISTS f(int, text), g", "Removes", "f g"),
            ("DROP TRIGGER tr ON t", "Removes", "tr"),
            ("CREATE RULE ru AS ON INSERT TO t DO NOTHING", "Adds", "ru"),
            ("DROP SCHEMA s CASCADE", "Destroys", "s"),
            ("COMMENT ON COLUMN t.a IS 'x'", "Settles", ""),
            (
                "INSERT INTO t (a) VALUES (1), ('do update') ON CONFLICT DO NOTHING",
                "Seeds { merges: false, positional: false }",
                "t",
            ),
            (
                "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 'nothing'",
                "Seeds { merges: true, positional: true }",
                "t",
            ),
            ("INSERT INTO t SELECT 1", "Moves", "t"),
            ("MERGE INTO t USING x ON t.a = x.a WHEN MATCHED THEN DELETE", "Moves", "t"),
            ("SELECT 1", "Nothing", ""),
            ("SELECT make_partitions('t'::text, 'today')", "Calls", "t"),
            ("SELECT setval('q', (SELECT max(a) FROM t))", "Moves", ""),
            ("SET LOCAL lock_timeout = '5s'", "Boundary", ""),
            ("SET timezone = 'UTC'", "Setting", ""),
            ("BEGIN", "Boundary", ""),
            ("TRUNCATE TABLE a, b", "Destroys", "a b"),
            ("ALTER TABLE t ENABLE ROW LEVEL SECURITY", "Tightens", ""),
            ("ALTER TABLE t RENAME CONSTRAINT a TO b", "Settles", "a b"),
            ("CREATE TEMP TABLE x (a int)", "Temporary", "x"),
        ] {
            let mut found = interpret(text, Span::new(0, text.len()));
            let Some(ChangeKind::Plain(plain)) = found.pop() else { panic!("{text}: {found:?}") };
            let word = format!("{:?}", plain.effect);
            assert_eq!(word.split('(').next(), Some(effect), "{text}");
            assert_eq!(names(&plain).join(" "), objects, "{text}");
        }
    }

    #[test]
    fn what_calls_something_unknown_is_not_understood() {
        for text in [
            "SELECT refresh_all()",
            "DO $$ BEGIN END $$",
            "CALL f()",
            "VACUUM t",
            "ALTER EXTENSION x UPDATE",
            "UPDATE t SET a = 1, a = 2",
        ] {
            let found = interpret(text, Span::new(0, text.len()));
            assert!(matches!(found.as_slice(), [ChangeKind::Opaque(_)]), "{text}: {found:?}");
        }
    }
}
