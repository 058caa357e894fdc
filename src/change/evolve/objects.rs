use crate::catalog::{
    Catalog, ConstraintKind, Dependent, DependentKind, Table, TableKind, Trigger,
};
use crate::change::{Effect, Object, ObjectKind, Plain};
use crate::sql::{Ident, TableName, mentions};

impl Catalog {
    /// What a statement that is run as written leaves, as far as it matters to those after it.
    pub(super) fn run_plain(&mut self, plain: &Plain) {
        match plain.effect {
            Effect::Adds | Effect::Replaces | Effect::Moves(_) | Effect::Temporary => {
                for object in &plain.objects {
                    self.appears(object, plain);
                }
            }
            // What a type allows is told from all that was said of it.
            Effect::Tightens => {
                let named = |one: &&mut crate::catalog::Object| {
                    plain.objects.iter().any(|object| {
                        object.kind == ObjectKind::Type && object.name.name == one.name.name
                    })
                };
                for one in self.objects.iter_mut().filter(named) {
                    one.definition = format!("{};\n{}", one.definition, plain.sql);
                }
            }
            Effect::Removes => match plain.retitles() {
                Some((from, to)) => self.retitles(from, to),
                None => plain.objects.iter().for_each(|object| self.vanishes(object)),
            },
            Effect::Settles => {
                if let [from, to] = plain.objects.as_slice() {
                    self.renames(from, to);
                }
            }
            Effect::Destroys => {
                for object in &plain.objects {
                    if let Ok(table) = self.table_mut(&object.name) {
                        (table.rows, table.bytes) = (0, 0);
                    }
                }
            }
            _ => {}
        }
    }

    fn appears(&mut self, object: &Object, plain: &Plain) {
        match object.kind {
            ObjectKind::Relation if plain.on.is_none() && self.find(&object.name).is_none() => {
                let view = TableKind::View;
                let name = self.placed(&object.name);
                self.tables.insert(name.clone(), Table { kind: view, ..Table::bare(name) });
            }
            ObjectKind::Type => self.objects.push(crate::catalog::Object {
                kind: if plain.sql.to_lowercase().starts_with("create domain") {
                    "domain".to_owned()
                } else {
                    "type".to_owned()
                },
                name: self.placed(&object.name),
                on: None,
                arguments: None,
                definition: plain.sql.clone(),
                said: Vec::new(),
            }),
            ObjectKind::Silent => self.fires(object, plain),
            // A new body may not name what the old one did.
            ObjectKind::Routine => {
                let named = |column: &Ident| mentions(&plain.sql, column.as_str());
                for table in self.tables.values_mut() {
                    for one in &mut table.dependents {
                        if one.kind == DependentKind::Body && one.name == object.name.name {
                            one.columns.retain(named);
                        }
                    }
                    let gone =
                        |one: &Dependent| one.kind == DependentKind::Body && one.columns.is_empty();
                    table.dependents.retain(|one| !gone(one));
                }
            }
            _ => {}
        }
    }

    /// A trigger, by the statement that makes it.
    fn fires(&mut self, object: &Object, plain: &Plain) {
        let lower = plain.sql.to_lowercase();
        let body = ["execute function", "execute procedure"]
            .iter()
            .find_map(|words| Some(lower.find(words)? + words.len()));
        let Some(at) = body else { return };
        let called = plain.sql[at..].split('(').next().unwrap_or_default().trim().replace('"', "");
        let Some(on) = object.on.as_ref() else { return };
        let Ok(table) = self.table_mut(on) else { return };
        let name = object.name.name.clone();
        table.triggers.retain(|one| one.name != name);
        table.triggers.push(Trigger {
            name,
            function: TableName::from(called),
            state: None,
            comment: None,
            definition: plain.sql.clone(),
        });
    }

    /// An index or a constraint under another name.
    fn renames(&mut self, from: &Object, to: &Object) {
        let (from_name, to_name) = (&from.name.name, &to.name.name);
        let on = from.on.as_ref().and_then(|table| self.find(table));
        let on = on.map(|table| table.name.clone());
        for table in self.tables.values_mut() {
            if on.as_ref().is_some_and(|name| *name != table.name) {
                continue;
            }
            let marks = table.marks.iter_mut().map(|mark| mark.name_mut());
            marks.filter(|name| **name == *from_name).for_each(|name| name.clone_from(to_name));
            for index in &mut table.indexes {
                if index.name == *from_name {
                    index.name = to_name.clone();
                }
                if on.is_some() && index.constraint.as_ref() == Some(from_name) {
                    index.constraint = Some(to_name.clone());
                }
            }
            for constraint in &mut table.constraints {
                let own = constraint.kind != ConstraintKind::Incoming;
                if on.is_some() && own && constraint.name == *from_name {
                    constraint.name = to_name.clone();
                }
            }
        }
    }

    /// A type under another name: the server tells of it by that name from then on.
    fn retitles(&mut self, from: &Ident, to: &Ident) {
        // The body of a function is kept as it was written.
        for one in &mut self.objects {
            let printed = ["view", "materialized view", "policy", "rule", "statistics", "domain"];
            if printed.contains(&one.kind.as_str()) {
                for sql in one.said.iter_mut().chain([&mut one.definition]) {
                    *sql = retitled(sql, "::", from, to);
                }
            }
        }
        for table in self.tables.values_mut() {
            for column in &mut table.columns {
                column.type_name = retitled(&column.type_name, "", from, to);
                if let Some(default) = &mut column.default {
                    default.sql = retitled(&default.sql, "::", from, to);
                }
            }
            for index in &mut table.indexes {
                index.definition = retitled(&index.definition, "::", from, to);
            }
            for constraint in &mut table.constraints {
                constraint.definition = retitled(&constraint.definition, "::", from, to);
            }
        }
    }

    fn vanishes(&mut self, object: &Object) {
        let name = &object.name.name;
        if object.kind == ObjectKind::Relation
            && let Some(found) = self.find(&object.name).map(|table| table.name.clone())
        {
            self.tables.remove(&found);
        }
        let on = object.on.as_ref().and_then(|table| self.find(table));
        let on = on.map(|table| table.name.clone());
        for table in self.tables.values_mut() {
            let here = on.as_ref().is_none_or(|name| *name == table.name);
            if object.kind == ObjectKind::Silent && on.is_some() && here {
                table.triggers.retain(|one| one.name != *name);
            }
            table.dependents.retain(|one| {
                let same = match (object.kind, one.kind) {
                    (ObjectKind::Relation, DependentKind::View) => one.name == *name,
                    (ObjectKind::Routine, DependentKind::Body) => one.name == *name,
                    (ObjectKind::Silent, DependentKind::Body) => {
                        here && one.what.starts_with(&format!("trigger {name} "))
                    }
                    (ObjectKind::Silent, DependentKind::Other | DependentKind::Statistics) => {
                        here && one.name == *name
                    }
                    _ => false,
                };
                !same
            });
        }
    }
}

/// The text with a type's other name, where the name stands as one: after `before`, with or
/// without a schema.
fn retitled(text: &str, before: &str, from: &Ident, to: &Ident) -> String {
    let quoted = |name: &Ident| format!("\"{}\"", name.as_str().replace('"', "\"\""));
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '"';
    let mut out = text.to_owned();
    for name in [quoted(from), from.to_string()] {
        let mut done = String::new();
        let mut rest = out.as_str();
        while let Some(at) = rest.find(&name) {
            let (head, tail) = (&rest[..at], &rest[at + name.len()..]);
            done.push_str(head);
            let schema = done.trim_end_matches(word).len();
            let start = match done.strip_suffix('.') {
                Some(path) => path.trim_end_matches(word).len(),
                None => schema,
            };
            let whole = done.ends_with('.') || schema == done.len();
            if whole && !tail.starts_with(word) && done[..start].ends_with(before) {
                done.push_str(&quoted(to));
            } else {
                done.push_str(&name);
            }
            rest = tail;
        }
        out = done + rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_its_new_name_where_it_is_named() {
        for (text, before, from, expected) in [
            ("'status'::status", "::", "status", "'status'::\"new\""),
            ("'a'::public.status", "::", "status", "'a'::public.\"new\""),
            ("'{}'::\"Role\"[]", "::", "Role", "'{}'::\"new\"[]"),
            ("(status <> 'x'::status_old)", "::", "status", "(status <> 'x'::status_old)"),
            ("status[]", "", "status", "\"new\"[]"),
            ("public.status", "", "status", "public.\"new\""),
            ("other_status", "", "status", "other_status"),
        ] {
            let found = retitled(text, before, &Ident::new(from), &Ident::new("new"));
            assert_eq!(found, expected, "{text}");
        }
    }
}
