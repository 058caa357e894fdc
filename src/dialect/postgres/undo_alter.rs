//! How an ALTER of something that is no table, run as written, is taken back.

use super::undo::{again, kind, object, run, stays};
use super::undo_table::{named_back, options_of};
use super::words::Walk;
use super::{domain, lower, privileges, quote};
use crate::catalog::{Catalog, Mark, Object};
use crate::plan::Undo;
use crate::sql::{Ident, Sql, TableName};

/// The statement up to the name of what it is about.
struct Altered<'a> {
    kind: &'static str,
    name: TableName,
    arguments: Option<String>,
    /// As it is known.
    before: Option<&'a Object>,
    /// `ALTER VIEW "v"`.
    head: String,
}

/// The undo of an ALTER, after its first word.
pub(super) fn of(mut walk: Walk<'_>, catalog: &Catalog) -> Undo {
    let Some(kind) = kind(&mut walk) else { return stays() };
    let lenient = walk.takes(&["if", "exists"]);
    let Some(name) = walk.name() else { return stays() };
    let arguments = walk.inside();
    let on = if walk.takes(&["on"]) { walk.name() } else { None };
    let known = on.as_ref().and_then(|table| catalog.find(table)).map(|table| &table.name);
    let before = object(catalog, kind, &name, known.or(on.as_ref()), arguments.as_deref());
    let there = match kind {
        "index" => catalog.index(&name).is_some(),
        _ => before.is_some() || catalog.find(&name).is_some(),
    };
    if lenient && !there {
        return Undo::Nothing;
    }
    let tail = format!(
        "{}{}",
        arguments.as_ref().map(|one| format!("({one})")).unwrap_or_default(),
        on.map(|table| format!(" ON {}", quote::table(&table))).unwrap_or_default()
    );
    let word = kind.to_uppercase();
    let head = format!("ALTER {word} {}{tail}", quote::table(&name));
    if walk.takes(&["rename", "to"])
        && let Some(to) = walk.name()
    {
        let renamed = TableName { schema: name.schema.clone(), name: to.name };
        let (renamed, was) = (quote::table(&renamed), quote::ident(&name.name));
        return run(format!("ALTER {word} {renamed}{tail} RENAME TO {was}"));
    }
    if walk.takes(&["set", "schema"])
        && let Some(to) = walk.name()
    {
        let Some(was) = catalog.placed(&name).schema else { return stays() };
        let was = before.and_then(|one| one.name.schema.clone()).unwrap_or(was);
        let moved = TableName { schema: Some(to.name), name: name.name.clone() };
        let (moved, was) = (quote::table(&moved), quote::ident(&was));
        return run(format!("ALTER {word} {moved}{tail} SET SCHEMA {was}"));
    }
    let altered = Altered { kind, name, arguments, before, head };
    if walk.takes(&["owner", "to"]) {
        return altered.owner(walk.name().map(|one| one.name), catalog);
    }
    match kind {
        "sequence" => altered.sequence(),
        "domain" => domain::undo(&altered.name, walk, before),
        "type" => altered.of_type(walk),
        "function" | "procedure" => before.map_or_else(stays, |one| run(&one.definition)),
        "policy" => altered.policy(catalog),
        "statistics" => altered
            .said("SET STATISTICS")
            .unwrap_or_else(|| run(format!("{} SET STATISTICS -1", altered.head))),
        "view" | "materialized view" => altered.view(walk, catalog),
        "index" => altered.index(walk, catalog),
        "publication" => altered.publication(walk),
        _ => stays(),
    }
}

impl Altered<'_> {
    fn run(&self, words: impl AsRef<str>) -> Undo {
        run(format!("{} {}", self.head, words.as_ref()))
    }

    /// A statement about it that holds these words.
    fn said(&self, words: &str) -> Option<Undo> {
        let mut said = self.before.into_iter().flat_map(|one| &one.said);
        said.find(|sql| sql.starts_with("ALTER ") && sql.contains(words)).map(run)
    }

    fn owner(&self, to: Option<Ident>, catalog: &Catalog) -> Undo {
        let arguments = self.arguments.clone();
        let before = privileges::of_owner(self.kind, &self.name, arguments, to.as_ref(), catalog);
        let Some((before, had)) = before else { return stays() };
        let back = format!("{} OWNER TO {}", self.head, quote::ident(&before));
        Undo::Run(std::iter::once(Sql::new(back)).chain(had).collect())
    }

    /// A sequence as it was, but for where it stands.
    fn sequence(&self) -> Undo {
        let Some(before) = self.before else { return stays() };
        let again = before.definition.replacen("CREATE SEQUENCE", "ALTER SEQUENCE", 1);
        let owned = match before.said.iter().find(|sql| sql.contains(" OWNED BY ")) {
            Some(sql) => sql.clone(),
            None => format!("{} OWNED BY NONE", self.head),
        };
        Undo::Run(vec![Sql::new(again), Sql::new(owned)])
    }

    fn of_type(&self, mut walk: Walk<'_>) -> Undo {
        if walk.takes(&["rename", "value"]) {
            let from = walk.next().unwrap_or_default();
            walk.takes(&["to"]);
            let to = walk.next().unwrap_or_default();
            return self.run(format!("RENAME VALUE {to} TO {from}"));
        }
        if walk.takes(&["add", "value"]) {
            return Undo::Stays("the server cannot take a value away; nobody need use it".into());
        }
        if walk.takes(&["rename", "attribute"])
            && let Some((from, to)) = renamed(&mut walk)
        {
            let cascade = if walk.takes(&["cascade"]) { " CASCADE" } else { "" };
            return self.run(format!("RENAME ATTRIBUTE {to} TO {from}{cascade}"));
        }
        // What the attribute held is gone, and it would come back in another place.
        if walk.holds(&["drop", "attribute"]) || walk.holds(&["alter", "attribute"]) {
            return Undo::Impossible;
        }
        let mut gone = Vec::new();
        while walk.past(&["add", "attribute"]) {
            gone.extend(
                walk.name().map(|one| format!("DROP ATTRIBUTE {}", quote::ident(&one.name))),
            );
        }
        if gone.is_empty() { stays() } else { self.run(gone.join(", ")) }
    }

    /// Without what it has got since: that can only be left out in a new one.
    fn policy(&self, catalog: &Catalog) -> Undo {
        let Some(before) = self.before else { return stays() };
        let drop = Sql::new(self.head.replacen("ALTER", "DROP", 1));
        Undo::Run(std::iter::once(drop).chain(again(before, catalog)).collect())
    }

    fn view(&self, mut walk: Walk<'_>, catalog: &Catalog) -> Undo {
        let found = catalog.find(&self.name);
        if walk.takes(&["rename"]) {
            walk.takes(&["column"]);
            return match renamed(&mut walk) {
                Some((from, to)) => self.run(format!("RENAME COLUMN {to} TO {from}")),
                None => stays(),
            };
        }
        if walk.takes(&["set"]) || walk.takes(&["reset"]) {
            let before = found.and_then(|found| options_of(&found.settings));
            return named_back(&self.head, Some(walk), before);
        }
        if !walk.takes(&["alter"]) {
            return stays();
        }
        walk.takes(&["column"]);
        let Some(name) = walk.name().map(|one| one.name) else { return stays() };
        let column = found.and_then(|found| catalog.column(found, &name));
        let of = format!("ALTER COLUMN {}", quote::ident(&name));
        if walk.sees(&["set", "default"]) || walk.sees(&["drop", "default"]) {
            return match column.and_then(|known| known.default.as_ref()) {
                Some(default) => self.run(format!("{of} SET DEFAULT {}", default.sql)),
                None => self.run(format!("{of} DROP DEFAULT")),
            };
        }
        if walk.takes(&["set", "statistics"]) {
            let mut settings = column.into_iter().flat_map(|known| &known.settings);
            let before = settings.find(|one| one.clause.starts_with("SET STATISTICS"));
            let clause = before.map_or("SET STATISTICS -1", |one| one.clause.as_str());
            return self.run(format!("{of} {clause}"));
        }
        stays()
    }

    fn index(&self, mut walk: Walk<'_>, catalog: &Catalog) -> Undo {
        let Some((table, index)) = catalog.index(&self.name) else { return stays() };
        if walk.takes(&["set"]) || walk.takes(&["reset"]) {
            if !walk.sees(&["("]) {
                return stays();
            }
            let options = index.definition.find(" WITH (").map(|at| &index.definition[at + 6..]);
            let options = options.and_then(|rest| rest.find(')').map(|end| &rest[..=end]));
            let before = options.map(|options| format!("SET {options}"));
            return named_back(&self.head, Some(walk), before.as_deref());
        }
        if walk.takes(&["alter"]) {
            walk.takes(&["column"]);
            let column = walk.next().and_then(|word| word.parse::<i32>().ok());
            let known = |mark: &&Mark| {
                matches!(mark, Mark::Statistics(name, at, _)
                if *name == index.name && Some(*at) == column)
            };
            let sql = match (table.marks.iter().find(known), column) {
                (Some(mark), _) => lower::mark(&table.name, mark),
                (None, Some(at)) => {
                    Some(format!("{} ALTER COLUMN {at} SET STATISTICS -1", self.head))
                }
                (None, None) => None,
            };
            return sql.map_or_else(stays, run);
        }
        stays()
    }

    /// What a publication lists, and what of it.
    fn publication(&self, mut walk: Walk<'_>) -> Undo {
        let Some(definition) = self.before.map(|one| one.definition.as_str()) else {
            return stays();
        };
        let Some((list, options)) = definition.rsplit_once(" WITH (publish = ") else {
            return stays();
        };
        if walk.sees(&["set", "("]) {
            return self.run(format!("SET (publish = {options}"));
        }
        let listed = list.split_once(" FOR ").map(|(_, listed)| listed);
        match listed {
            Some("ALL TABLES") => stays(),
            Some(listed) => self.run(format!("SET {listed}")),
            // What it did not list before.
            None if walk.takes(&["add", "table"]) => {
                walk.takes(&["only"]);
                let names: Vec<_> = walk.names().iter().map(quote::table).collect();
                self.run(format!("DROP TABLE {}", names.join(", ")))
            }
            None => Undo::Impossible,
        }
    }
}

/// `a TO b`, quoted.
fn renamed(walk: &mut Walk<'_>) -> Option<(String, String)> {
    let from = walk.name()?.name;
    let to = walk.takes(&["to"]).then(|| walk.name()).flatten()?.name;
    Some((quote::ident(&from), quote::ident(&to)))
}
