//! GRANT and REVOKE are taken back to what was: a privilege that somebody had before stays
//! with them, and nobody gets one that they did not have.

use super::quote;
use super::undo::signature;
use super::words::Walk;
use crate::catalog::{Catalog, Held, Object};
use crate::plan::Undo;
use crate::sql::{Ident, Sql, TableName};

/// What a GRANT or a REVOKE says.
struct Asked {
    /// The privileges, each with the columns that it is about; none where it is about all.
    privileges: Vec<(String, Vec<Ident>)>,
    things: Vec<Thing>,
    /// The roles; `None` for everybody.
    roles: Vec<Option<Ident>>,
    /// Whether it is about the right to pass on.
    option: bool,
    cascade: bool,
}

/// What it is about.
struct Thing {
    kind: &'static str,
    name: TableName,
    arguments: Option<String>,
}

/// The undo of a GRANT, after its first word.
pub(super) fn granted(walk: Walk<'_>, catalog: &Catalog) -> Undo {
    let Some(asked) = read(walk, catalog) else {
        return Undo::Stays("the privilege stays, because who had it before is not known".into());
    };
    let mut sql = Vec::new();
    for (thing, role) in asked.each() {
        let held = held(catalog, thing);
        let (mut gone, mut option, mut back) = (Vec::new(), Vec::new(), Vec::new());
        for (privilege, columns) in &asked.privileges {
            for one in every(thing.kind, privilege) {
                for column in each_column(columns) {
                    let mine = held.iter().find(|known| {
                        known.column.as_ref() == column
                            && known.role == *role
                            && known.privileges.contains(&one)
                    });
                    let words = with_column(&one, column);
                    match mine {
                        None => {
                            gone.push(words);
                            // What is taken from a table is taken from its columns as well.
                            back.extend(held.iter().filter(|known| {
                                column.is_none()
                                    && known.column.is_some()
                                    && known.role == *role
                                    && known.privileges.contains(&one)
                            }));
                        }
                        Some(known) if asked.option && !known.grantable.contains(&one) => {
                            option.push(words);
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        let tail = format!("ON {} FROM {}", thing.shown(&held), shown(role.as_ref()));
        if !gone.is_empty() {
            sql.push(Sql::new(format!("REVOKE {} {tail}", gone.join(", "))));
        }
        if !option.is_empty() {
            sql.push(Sql::new(format!("REVOKE GRANT OPTION FOR {} {tail}", option.join(", "))));
        }
        back.dedup();
        sql.extend(back.into_iter().flat_map(|known| again(thing, known)));
    }
    done(sql)
}

/// The undo of a REVOKE, after its first word.
pub(super) fn revoked(walk: Walk<'_>, catalog: &Catalog) -> Undo {
    let Some(asked) = read(walk, catalog).filter(|asked| !asked.cascade) else {
        return Undo::Impossible;
    };
    let mut sql = Vec::new();
    for (thing, role) in asked.each() {
        let held = held(catalog, thing);
        let (mut plain, mut option) = (Vec::new(), Vec::new());
        for (privilege, columns) in &asked.privileges {
            for one in every(thing.kind, privilege) {
                // What is taken from a table is taken from its columns as well.
                let mine = held.iter().filter(|known| {
                    let column = known.column.as_ref();
                    known.role == *role
                        && known.privileges.contains(&one)
                        && (columns.is_empty() || column.is_some_and(|name| columns.contains(name)))
                });
                for known in mine {
                    let words = with_column(&one, known.column.as_ref());
                    match (known.grantable.contains(&one), asked.option) {
                        (true, _) => option.push(words),
                        (false, false) => plain.push(words),
                        (false, true) => {}
                    }
                }
            }
        }
        let tail = format!("ON {} TO {}", thing.shown(&held), shown(role.as_ref()));
        if !plain.is_empty() {
            sql.push(Sql::new(format!("GRANT {} {tail}", plain.join(", "))));
        }
        if !option.is_empty() {
            let words = option.join(", ");
            sql.push(Sql::new(format!("GRANT {words} {tail} WITH GRANT OPTION")));
        }
    }
    done(sql)
}

/// The statements by which a role gets what it had.
fn again(thing: &Thing, had: &Held) -> Vec<Sql> {
    let on = thing.shown(std::slice::from_ref(had));
    let role = shown(had.role.as_ref());
    let grant = |one: &String| {
        let words = with_column(one, had.column.as_ref());
        let option = if had.grantable.contains(one) { " WITH GRANT OPTION" } else { "" };
        Sql::new(format!("GRANT {words} ON {on} TO {role}{option}"))
    };
    had.privileges.iter().map(grant).collect()
}

/// The old owner of something, and what the new one had before on it: the old one, who gets it
/// back, has theirs merged into his own.
pub(super) fn of_owner(
    kind: &str,
    name: &TableName,
    arguments: Option<String>,
    owner: Option<&Ident>,
    catalog: &Catalog,
) -> Option<(Ident, Vec<Sql>)> {
    let kind = match kind {
        "function" | "procedure" => "routine",
        "type" | "domain" => "type",
        "sequence" => "sequence",
        "schema" => "schema",
        _ => "table",
    };
    let thing = Thing { kind, name: name.clone(), arguments };
    let held = held(catalog, &thing);
    let before = held.iter().find(|one| one.owner)?.role.clone()?;
    let had = held.iter().filter(|one| !one.owner && one.role.as_ref() == owner);
    let had = had.filter(|_| owner.is_some()).flat_map(|one| again(&thing, one)).collect();
    Some((before, had))
}

/// What others may do with an object, once it is made again.
pub(super) fn of_object(object: &Object, catalog: &Catalog) -> Vec<Sql> {
    let (kind, given) = match object.kind.as_str() {
        "function" | "procedure" => ("routine", Some("EXECUTE")),
        "type" | "domain" => ("type", Some("USAGE")),
        "view" | "materialized view" => ("table", None),
        "sequence" => ("sequence", None),
        "schema" => ("schema", None),
        _ => return Vec::new(),
    };
    let arguments = (kind == "routine").then(|| object.arguments.clone()).flatten();
    let thing = Thing { kind, name: object.name.clone(), arguments };
    let held: Vec<_> = held(catalog, &thing).into_iter().filter(|one| one.kind != "new").collect();
    let mut sql = Vec::new();
    // The server gives it to everybody at first.
    let everybody = held.iter().find(|one| one.role.is_none());
    if let Some(word) = given.filter(|_| !held.is_empty() && everybody.is_none()) {
        sql.push(Sql::new(format!("REVOKE {word} ON {} FROM PUBLIC", thing.shown(&held))));
    }
    let others = held.iter().filter(|one| {
        let usual = one.role.is_none() && one.column.is_none() && given.is_some();
        !one.owner && !usual
    });
    sql.extend(others.flat_map(|one| again(&thing, one)));
    sql
}

fn done(sql: Vec<Sql>) -> Undo {
    if sql.is_empty() { Undo::Nothing } else { Undo::Run(sql) }
}

impl Asked {
    fn each(&self) -> impl Iterator<Item = (&Thing, &Option<Ident>)> {
        self.things.iter().flat_map(|thing| self.roles.iter().map(move |role| (thing, role)))
    }
}

impl Thing {
    fn shown(&self, held: &[Held]) -> String {
        let known = held.iter().find(|one| one.kind != "new");
        let name = quote::table(known.map_or(&self.name, |one| &one.name));
        let arguments = known.map_or(&self.arguments, |one| &one.arguments);
        let arguments = arguments.as_ref().map(|one| format!("({one})")).unwrap_or_default();
        match known.map_or(self.kind, |one| one.kind.as_str()) {
            "table" => name,
            kind => format!("{} {name}{arguments}", kind.to_uppercase()),
        }
    }
}

fn shown(role: Option<&Ident>) -> String {
    role.map_or_else(|| "PUBLIC".to_owned(), quote::ident)
}

fn with_column(privilege: &str, column: Option<&Ident>) -> String {
    match column {
        Some(column) => format!("{privilege} ({})", quote::ident(column)),
        None => privilege.to_owned(),
    }
}

fn each_column(columns: &[Ident]) -> impl Iterator<Item = Option<&Ident>> {
    let whole = columns.is_empty().then_some(None);
    whole.into_iter().chain(columns.iter().map(Some))
}

/// What ALL stands for.
fn every(kind: &str, privilege: &str) -> Vec<String> {
    let all: &[&str] = match kind {
        _ if privilege != "ALL" => return vec![privilege.to_owned()],
        "table" => &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"],
        "sequence" => &["USAGE", "SELECT", "UPDATE"],
        "routine" => &["EXECUTE"],
        "schema" => &["USAGE", "CREATE"],
        _ => &["USAGE"],
    };
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// Who has what on a thing. What this file makes has what the server gives to everybody.
fn held(catalog: &Catalog, thing: &Thing) -> Vec<Held> {
    let here = |one: &&Held| {
        let schema = match (&thing.name.schema, &one.name.schema) {
            (Some(wanted), Some(has)) => wanted == has,
            (None, Some(has)) => catalog.search_path.contains(has),
            _ => true,
        };
        let types = match (&thing.arguments, &one.arguments) {
            (Some(wanted), Some(has)) => signature(wanted) == signature(has),
            _ => true,
        };
        // Sequences go by as tables.
        let kind = one.kind == thing.kind || thing.kind == "table" && one.kind == "sequence";
        kind && schema && types && one.name.name == thing.name.name
    };
    let found: Vec<_> = catalog.held.iter().filter(here).cloned().collect();
    let given = match thing.kind {
        "routine" => "EXECUTE",
        "type" => "USAGE",
        _ => return found,
    };
    if !found.is_empty() {
        return found;
    }
    vec![Held {
        kind: "new".into(),
        name: thing.name.clone(),
        arguments: None,
        column: None,
        owner: false,
        role: None,
        privileges: vec![given.to_owned()],
        grantable: Vec::new(),
    }]
}

/// Reads the statement; `None` where it is about what the catalogue does not tell of, as
/// memberships and databases.
fn read(mut walk: Walk<'_>, catalog: &Catalog) -> Option<Asked> {
    let for_option = walk.takes(&["grant", "option", "for"]);
    let mut privileges = Vec::new();
    loop {
        let word = walk.next()?.to_uppercase();
        walk.takes(&["privileges"]);
        let mut columns = Vec::new();
        if walk.takes(&["("]) {
            while !walk.takes(&[")"]) {
                columns.push(Ident::new(walk.next()?));
                walk.takes(&[","]);
            }
        }
        privileges.push((word, columns));
        if !walk.takes(&[","]) {
            break;
        }
    }
    if !walk.takes(&["on"]) {
        return None;
    }
    let things = things(&mut walk, catalog)?;
    if !walk.takes(&["to"]) && !walk.takes(&["from"]) {
        return None;
    }
    let mut roles = Vec::new();
    loop {
        walk.takes(&["group"]);
        match walk.next()? {
            "public" => roles.push(None),
            "current_user" | "current_role" | "session_user" => return None,
            name => roles.push(Some(Ident::new(name))),
        }
        if !walk.takes(&[","]) {
            break;
        }
    }
    let option = for_option || walk.holds(&["with", "grant", "option"]);
    Some(Asked { privileges, things, roles, option, cascade: walk.holds(&["cascade"]) })
}

fn things(walk: &mut Walk<'_>, catalog: &Catalog) -> Option<Vec<Thing>> {
    const ALL: [(&str, &str); 5] = [
        ("tables", "table"),
        ("sequences", "sequence"),
        ("functions", "routine"),
        ("procedures", "routine"),
        ("routines", "routine"),
    ];
    const ONE: [(&str, &str); 8] = [
        ("table", "table"),
        ("sequence", "sequence"),
        ("function", "routine"),
        ("procedure", "routine"),
        ("routine", "routine"),
        ("schema", "schema"),
        ("type", "type"),
        ("domain", "type"),
    ];
    for (word, kind) in ALL {
        if walk.takes(&["all", word, "in", "schema"]) {
            let schemas: Vec<_> = walk.names().into_iter().map(|one| one.name).collect();
            let mut found: Vec<Thing> = Vec::new();
            for one in catalog.held.iter().filter(|one| one.kind == kind) {
                let inside = one.name.schema.as_ref().is_some_and(|name| schemas.contains(name));
                let known =
                    |thing: &Thing| thing.name == one.name && thing.arguments == one.arguments;
                if inside && !found.iter().any(known) {
                    let (name, arguments) = (one.name.clone(), one.arguments.clone());
                    found.push(Thing { kind, name, arguments });
                }
            }
            return Some(found);
        }
    }
    let other = ["database", "foreign", "language", "large", "tablespace", "parameter"];
    if other.iter().any(|word| walk.sees(&[word])) {
        return None;
    }
    let kind = ONE.iter().find(|(word, _)| walk.takes(&[word])).map_or("table", |(_, kind)| kind);
    let mut found = Vec::new();
    loop {
        let name = walk.name()?;
        let arguments = if kind == "routine" { walk.inside() } else { None };
        found.push(Thing { kind, name, arguments });
        if !walk.takes(&[","]) {
            return Some(found);
        }
    }
}
