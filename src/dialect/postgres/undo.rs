//! How a statement that is run as written is taken back: what it makes is dropped, what it
//! replaces or drops is made again as the catalogue knows it.

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode};

use super::types::canonical;
use super::words::{Walk, Words};
use super::{lower, privileges, quote, undo_alter, undo_comment, undo_create, undo_table};
use crate::catalog::{Catalog, DependentKind, Mark, Object};
use crate::plan::Undo;
use crate::sql::{Sql, TableName};

/// The undo of a statement.
pub(super) fn of(sql: &str, catalog: &Catalog) -> Undo {
    let parsed = SourceFile::parse(sql);
    let Some(tree) = parsed.tree().stmts().next() else { return Undo::Nothing };
    let words = Words::of(tree.syntax());
    let mut walk = Walk::along(&words);
    match walk.next().unwrap_or_default() {
        "create" => create(&tree, walk, sql, catalog),
        "drop" => drop(walk, catalog),
        "alter" => match &tree {
            ast::Stmt::AlterTable(alter) => undo_table::of(alter, catalog),
            _ => undo_alter::of(walk, catalog),
        },
        "comment" => undo_comment::of(walk, sql, catalog),
        "grant" => privileges::granted(walk, catalog),
        "revoke" => privileges::revoked(walk, catalog),
        "refresh" | "analyze" | "reindex" => Undo::Nothing,
        "select" => Undo::Stays("what it called may have done more than it gave back".into()),
        "cluster" => clustered(walk, catalog),
        "insert" | "update" | "delete" | "with" | "merge" => {
            Undo::Stays("rows, and what it called for, stay as it left them".into())
        }
        _ => Undo::Impossible,
    }
}

/// The rows stay in the new order; what the next CLUSTER goes by is put back.
fn clustered(mut walk: Walk<'_>, catalog: &Catalog) -> Undo {
    walk.takes(&["verbose"]);
    let stays = Undo::Stays("the rows stay in that order".into());
    let Some(name) = walk.name() else { return stays };
    let Some(table) = catalog.find(&name).filter(|_| walk.takes(&["using"])) else { return stays };
    let before = table.marks.iter().find(|mark| matches!(mark, Mark::Clustered(_)));
    let words = match before {
        Some(mark) => format!("CLUSTER ON {}", quote::ident(mark.name())),
        None => "SET WITHOUT CLUSTER".into(),
    };
    run(format!("ALTER TABLE {} {words}", quote::table(&table.name)))
}

pub(super) fn run(sql: impl Into<String>) -> Undo {
    Undo::Run(vec![Sql::new(sql)])
}

/// The kinds of objects that CREATE and DROP name, longest first.
const KINDS: &[&str] = &[
    "materialized view",
    "foreign table",
    "event trigger",
    "constraint trigger",
    "text search configuration",
    "text search dictionary",
    "text search parser",
    "text search template",
    "foreign data wrapper",
    "access method",
    "procedural language",
    "language",
    "conversion",
    "function",
    "procedure",
    "aggregate",
    "view",
    "type",
    "domain",
    "sequence",
    "trigger",
    "policy",
    "rule",
    "statistics",
    "publication",
    "schema",
    "extension",
    "collation",
    "index",
    "table",
    "role",
    "server",
];

pub(super) fn kind(walk: &mut Walk<'_>) -> Option<&'static str> {
    KINDS.iter().copied().find(|kind| {
        let words: Vec<_> = kind.split(' ').collect();
        walk.takes(&words)
    })
}

fn create(tree: &ast::Stmt, mut walk: Walk<'_>, sql: &str, catalog: &Catalog) -> Undo {
    if let Some(undo) = undo_create::by_more_than_a_name(tree, sql) {
        return undo;
    }
    let replaces = walk.takes(&["or", "replace"]);
    for word in ["unlogged", "recursive", "unique", "trusted"] {
        walk.takes(&[word]);
    }
    let Some(kind) = kind(&mut walk) else { return Undo::Impossible };
    walk.takes(&["concurrently"]);
    let lenient = walk.takes(&["if", "not", "exists"]);
    let Some(name) = walk.name() else { return Undo::Impossible };
    let arguments = arguments(tree, sql);
    let before_table = if kind == "rule" { ["to"] } else { ["on"] };
    let on = (hangs(kind) && walk.past(&before_table)).then(|| walk.name()).flatten();
    let there = find(catalog, kind, &name, on.as_ref(), arguments.as_deref());
    if there.is_none() && (lenient || replaces) && !LISTED.contains(&kind) {
        return Undo::Stays(format!("the {kind} stays, because it may have been there before"));
    }
    match there {
        Some(_) if lenient => Undo::Nothing,
        Some(again) if replaces && kind == "view" => view_again(&name, again, catalog),
        // The rest of it stays as it was.
        Some(again) if replaces && !again.is_empty() => Undo::Run(again[..1].to_vec()),
        _ => run(drop_words(kind, &name, on.as_ref(), arguments.as_deref())),
    }
}

/// The kinds of which the catalogue has all that there are.
const LISTED: &[&str] = &[
    "materialized view",
    "foreign table",
    "constraint trigger",
    "function",
    "procedure",
    "view",
    "type",
    "domain",
    "sequence",
    "trigger",
    "policy",
    "rule",
    "statistics",
    "schema",
    "extension",
    "index",
    "table",
];

/// Whether the name means something only on a table.
fn hangs(kind: &str) -> bool {
    matches!(kind, "trigger" | "constraint trigger" | "policy" | "rule")
}

fn drop_words(
    kind: &str,
    name: &TableName,
    on: Option<&TableName>,
    arguments: Option<&str>,
) -> String {
    let kind = kind.trim_start_matches("constraint ").to_uppercase();
    let arguments = arguments.map(|one| format!("({one})")).unwrap_or_default();
    let on = on.map(|table| format!(" ON {}", quote::table(table))).unwrap_or_default();
    format!("DROP {kind} IF EXISTS {}{arguments}{on}", quote::table(name))
}

/// The types by which a function is told from others of its name.
fn arguments(tree: &ast::Stmt, sql: &str) -> Option<String> {
    let list = match tree {
        ast::Stmt::CreateFunction(one) => one.param_list(),
        ast::Stmt::CreateProcedure(one) => one.param_list(),
        _ => return None,
    }?;
    let slice = |node: &squawk_syntax::SyntaxNode| {
        let range = node.text_range();
        sql[usize::from(range.start())..usize::from(range.end())].trim().to_owned()
    };
    let given = list.params().filter(|param| {
        !param.mode().is_some_and(|mode| slice(mode.syntax()).eq_ignore_ascii_case("out"))
    });
    let types: Vec<_> =
        given.filter_map(|param| param.func_type().map(|ty| slice(ty.syntax()))).collect();
    Some(types.join(", "))
}

/// A view does not give a column back that it got: it is made anew, and so are the views that
/// rest on it.
fn view_again(name: &TableName, again: Vec<Sql>, catalog: &Catalog) -> Undo {
    let in_place = again.first().map(|sql| sql.as_str().replacen("CREATE", "CREATE OR REPLACE", 1));
    let mut views = vec![(catalog.placed(name), again)];
    let mut at = 0;
    while let Some((view, _)) = views.get(at) {
        let known = catalog.find(view).into_iter().flat_map(|table| &table.dependents);
        for one in known.filter(|one| one.kind == DependentKind::View) {
            let found = catalog.objects.iter().find(|object| object.name.name == one.name);
            let Some(object) = found.filter(|object| object.kind == "view") else {
                return run(in_place.unwrap_or_default());
            };
            // What rests on several of them is made after the last, and so is what rests on it.
            if let Some(earlier) = views.iter().position(|(known, _)| *known == object.name) {
                views.remove(earlier);
                at -= usize::from(earlier <= at);
            }
            views.push((object.name.clone(), self::again(object, catalog)));
        }
        at += 1;
    }
    let drop = |view: &TableName| Sql::new(format!("DROP VIEW {}", quote::table(view)));
    let mut sql: Vec<_> = views.iter().rev().map(|(view, _)| drop(view)).collect();
    sql.extend(views.into_iter().flat_map(|(_, again)| again));
    Undo::Run(sql)
}

/// The statements that make something again that is there; none where they are not known.
fn find(
    catalog: &Catalog,
    kind: &str,
    name: &TableName,
    on: Option<&TableName>,
    arguments: Option<&str>,
) -> Option<Vec<Sql>> {
    if matches!(kind, "trigger" | "constraint trigger") {
        let table = catalog.find(on?)?;
        let trigger = table.triggers.iter().find(|one| one.name == name.name)?;
        let (of, on) = (quote::ident(&trigger.name), quote::table(&table.name));
        let state = trigger.state.as_ref();
        let state = state.map(|word| format!("ALTER TABLE {on} {word} TRIGGER {of}"));
        let comment = trigger.comment.as_ref();
        let comment = comment
            .map(|text| format!("COMMENT ON TRIGGER {of} ON {on} IS {}", quote::literal(text)));
        let all = std::iter::once(trigger.definition.clone()).chain(state).chain(comment);
        return Some(all.map(Sql::new).collect());
    }
    if kind == "index" {
        let (table, index) = catalog.index(name)?;
        let mut all = vec![Sql::new(index.definition.as_str())];
        all.extend(lower::marks(&table.name, &index.name, catalog));
        return Some(all);
    }
    if matches!(kind, "table" | "foreign table") {
        return catalog.find(name).map(|_| Vec::new());
    }
    object(catalog, kind, name, on, arguments).map(|one| again(one, catalog))
}

/// The statements that make an object again, with all that was said about it.
pub(super) fn again(object: &Object, catalog: &Catalog) -> Vec<Sql> {
    if object.definition.is_empty() {
        return Vec::new();
    }
    let all = std::iter::once(&object.definition).chain(&object.said);
    let mut all: Vec<_> = all.map(|sql| Sql::new(sql.as_str())).collect();
    all.extend(privileges::of_object(object, catalog));
    all
}

pub(super) fn object<'a>(
    catalog: &'a Catalog,
    kind: &str,
    name: &TableName,
    on: Option<&TableName>,
    arguments: Option<&str>,
) -> Option<&'a Object> {
    let same = |one: &&Object| {
        let schema = match (&name.schema, &one.name.schema) {
            (Some(a), Some(b)) => a == b,
            (None, Some(b)) => catalog.search_path.contains(b),
            _ => true,
        };
        let types = match (arguments, &one.arguments) {
            (Some(mine), Some(theirs)) => signature(mine) == signature(theirs),
            _ => true,
        };
        one.kind == kind
            && one.name.name == name.name
            && schema
            && types
            && on.is_none_or(|table| one.on.as_ref().is_none_or(|known| *known == table.name))
    };
    let mut found = catalog.objects.iter().filter(same);
    let first = found.next()?;
    // Of several with one name, none is meant for certain.
    found.next().is_none().then_some(first)
}

/// The types of a list of arguments, in the server's own names.
pub(super) fn signature(arguments: &str) -> Vec<String> {
    let sql = format!("CREATE FUNCTION f({arguments}) RETURNS void LANGUAGE sql AS ''");
    let parsed = SourceFile::parse(&sql);
    let listed = parsed.tree().stmts().next().and_then(|tree| self::arguments(&tree, &sql));
    let listed = listed.unwrap_or_default();
    listed.split(',').map(|one| canonical(one.trim())).filter(|one| !one.is_empty()).collect()
}

fn drop(mut walk: Walk<'_>, catalog: &Catalog) -> Undo {
    let Some(kind) = kind(&mut walk) else { return Undo::Impossible };
    let lenient = walk.takes(&["if", "exists"]);
    let mut named = Vec::new();
    loop {
        let Some(name) = walk.name() else { return Undo::Impossible };
        let arguments = walk.inside();
        named.push((name, arguments));
        if !walk.takes(&[","]) {
            break;
        }
    }
    let on = if walk.takes(&["on"]) { walk.name() } else { None };
    // What CASCADE takes along is not named, and where a sequence stood nothing keeps: from its
    // start on it would give numbers that are taken.
    let whole = !walk.takes(&["cascade"]) && kind != "sequence";
    let mut undo = Vec::new();
    for (name, arguments) in named.iter().rev() {
        match find(catalog, kind, name, on.as_ref(), arguments.as_deref()) {
            Some(again) if whole && !again.is_empty() => undo.extend(again),
            None if lenient => {}
            _ => return Undo::Impossible,
        }
    }
    if undo.is_empty() { Undo::Nothing } else { Undo::Run(undo) }
}

/// A setting whose old value is not known here.
pub(super) fn stays() -> Undo {
    Undo::Stays("what it set stays set, because what was set before is not known".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Held, Index, Server, Table, Trigger};
    use crate::sql::Ident;

    fn catalog() -> Catalog {
        let name = |name: &str| TableName::new(Some("public"), name);
        let object = |kind: &str, of: &str, arguments: Option<&str>, definition: &str| Object {
            kind: kind.into(),
            name: name(of),
            on: None,
            arguments: arguments.map(ToOwned::to_owned),
            definition: definition.into(),
            said: Vec::new(),
        };
        let held = |role: &str, column: Option<&str>, privileges: &[&str]| Held {
            kind: "table".into(),
            name: name("t"),
            arguments: None,
            column: column.map(Ident::new),
            owner: role == "o",
            role: Some(Ident::new(role)),
            privileges: privileges.iter().map(ToString::to_string).collect(),
            grantable: Vec::new(),
        };
        let mut table = Table::bare(name("t"));
        table.indexes.push(Index {
            name: Ident::new("t_x"),
            unique: false,
            definition: "CREATE INDEX t_x …".into(),
            columns: [Ident::new("x")].into(),
            keys: vec![Ident::new("x")],
            constraint: None,
            valid: true,
        });
        table.triggers.push(Trigger {
            name: Ident::new("tr"),
            function: name("f"),
            state: None,
            comment: None,
            definition: "CREATE TRIGGER tr …".into(),
        });
        Catalog {
            server: Server { product: String::new(), version: String::new(), number: (15, 0) },
            search_path: vec![Ident::new("public")],
            held: vec![
                held("a", None, &["SELECT"]),
                held("a", Some("two words"), &["UPDATE"]),
                held(
                    "o",
                    None,
                    &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"],
                ),
            ],
            tables: [(table.name.clone(), table)].into(),
            objects: vec![
                object("function", "f", Some("a integer, b text"), "CREATE OR REPLACE f(int)"),
                object("view", "v", None, "CREATE VIEW v"),
                object("type", "e", None, "CREATE TYPE e"),
            ],
            case_insensitive: false,
        }
    }

    #[test]
    fn each_statement_has_its_undo() {
        let catalog = catalog();
        for (sql, expected) in [
            (
                "CREATE FUNCTION g(a int, b text DEFAULT 'x') RETURNS int AS ''",
                "DROP FUNCTION IF EXISTS \"g\"(int, text)",
            ),
            (
                "CREATE OR REPLACE FUNCTION f(x int4, y text) RETURNS int AS ''",
                "CREATE OR REPLACE f(int)",
            ),
            (
                "CREATE OR REPLACE FUNCTION f(x text) RETURNS int AS ''",
                "DROP FUNCTION IF EXISTS \"f\"(text)",
            ),
            ("CREATE OR REPLACE VIEW v AS SELECT 1", "DROP VIEW \"public\".\"v\"; CREATE VIEW v"),
            (
                "CREATE TRIGGER a BEFORE INSERT ON t EXECUTE FUNCTION f()",
                "DROP TRIGGER IF EXISTS \"a\" ON \"t\"",
            ),
            ("CREATE EXTENSION IF NOT EXISTS pg_trgm", "DROP EXTENSION IF EXISTS \"pg_trgm\""),
            ("DROP FUNCTION f(int, text)", "CREATE OR REPLACE f(int)"),
            ("DROP TRIGGER tr ON t", "CREATE TRIGGER tr …"),
            ("DROP TYPE IF EXISTS e, missing", "CREATE TYPE e"),
            ("DROP TYPE e CASCADE", "impossible"),
            ("DROP FUNCTION missing()", "impossible"),
            ("ALTER INDEX i RENAME TO j", "ALTER INDEX \"j\" RENAME TO \"i\""),
            ("ALTER TYPE e RENAME VALUE 'A' TO 'B'", "ALTER TYPE \"e\" RENAME VALUE 'B' TO 'A'"),
            (
                "ALTER TABLE t RENAME CONSTRAINT a TO b",
                "ALTER TABLE \"t\" RENAME CONSTRAINT \"b\" TO \"a\"",
            ),
            (
                "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE \"t\" DISABLE ROW LEVEL SECURITY",
            ),
            ("COMMENT ON TABLE t IS 'x'", "COMMENT ON TABLE t IS NULL"),
            ("COMMENT ON FUNCTION f(int) IS\n  'x'", "COMMENT ON FUNCTION f(int) IS NULL"),
            (
                "GRANT SELECT, INSERT (x) ON t TO a, b WITH GRANT OPTION",
                "REVOKE INSERT (\"x\") ON \"public\".\"t\" FROM \"a\"; \
                 REVOKE GRANT OPTION FOR SELECT ON \"public\".\"t\" FROM \"a\"; \
                 REVOKE SELECT, INSERT (\"x\") ON \"public\".\"t\" FROM \"b\"",
            ),
            ("GRANT SELECT ON TABLE public.t TO a", "nothing"),
            ("GRANT ALL ON ALL TABLES IN SCHEMA public TO o", "nothing"),
            (
                "REVOKE ALL ON t FROM a, PUBLIC",
                "GRANT SELECT, UPDATE (\"two words\") ON \"public\".\"t\" TO \"a\"",
            ),
            ("REVOKE ALL ON t FROM a CASCADE", "impossible"),
            (
                "REVOKE EXECUTE ON FUNCTION g(int) FROM PUBLIC",
                "GRANT EXECUTE ON ROUTINE \"g\"(int) TO PUBLIC",
            ),
            ("GRANT reader TO a", "stays"),
            ("CREATE INDEX IF NOT EXISTS t_x ON t (x)", "nothing"),
            ("CREATE COLLATION IF NOT EXISTS c (provider = icu)", "stays"),
            ("INSERT INTO t VALUES (1)", "stays"),
            ("TRUNCATE t", "impossible"),
        ] {
            let undo = of(sql, &catalog);
            let found = match undo {
                Undo::Run(_) | Undo::Stages { .. } => {
                    undo.statements().map(ToString::to_string).collect::<Vec<_>>().join("; ")
                }
                Undo::Nothing => "nothing".into(),
                Undo::Stays(_) => "stays".into(),
                Undo::Impossible => "impossible".into(),
            };
            assert_eq!(found, expected, "{sql}");
        }
    }
}
