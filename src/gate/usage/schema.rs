use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Object, Table};
use crate::sql::{Ident, TableName};

/// What names in a query can stand for: a catalogue, arranged to be asked by name.
pub struct Schema<'a> {
    pub(super) catalog: &'a Catalog,
    tables: BTreeMap<String, Vec<&'a Table>>,
    /// By their names as they are compared.
    views: BTreeMap<String, Vec<(&'a TableName, &'a str)>>,
    functions: BTreeMap<String, Vec<&'a Object>>,
    /// Whether a name without a schema is looked up along the catalogue's search path; else it
    /// may be any schema's.
    by_path: bool,
}

impl<'a> Schema<'a> {
    /// Of a catalogue. Whose search path is known, of them names without a schema are looked up
    /// along it; of others they stand for all tables of that name.
    pub fn new(catalog: &'a Catalog, by_path: bool) -> Self {
        let mut tables: BTreeMap<String, Vec<&Table>> = BTreeMap::new();
        for table in catalog.tables.values() {
            tables.entry(folded(catalog, table.name.name.as_str())).or_default().push(table);
        }
        let mut views: BTreeMap<String, Vec<_>> = BTreeMap::new();
        let mut functions: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
        for object in &catalog.objects {
            match object.kind.as_str() {
                "view" => {
                    if let Some(query) = query_of(&object.definition) {
                        let name = folded(catalog, object.name.name.as_str());
                        views.entry(name).or_default().push((&object.name, query));
                    }
                }
                "function" | "procedure" | "aggregate" => {
                    let name = folded(catalog, object.name.name.as_str());
                    functions.entry(name).or_default().push(object);
                }
                _ => {}
            }
        }
        Self { catalog, tables, views, functions, by_path }
    }

    /// A name as it is compared: `quoted` ones are exact where the product makes a difference.
    pub(super) fn fold(&self, name: &str, quoted: bool) -> String {
        if quoted && !self.catalog.case_insensitive { name.to_owned() } else { name.to_lowercase() }
    }

    /// Every table and view that a name may stand for.
    pub(super) fn named(&self, schema: Option<&str>, name: &str) -> Vec<&'a Table> {
        let Some(all) = self.tables.get(name) else { return Vec::new() };
        let of = |table: &&&Table, schema: &str| {
            table
                .name
                .schema
                .as_ref()
                .is_none_or(|one| folded(self.catalog, one.as_str()) == schema)
        };
        if let Some(schema) = schema {
            return all.iter().filter(|table| of(table, schema)).copied().collect();
        }
        if self.by_path {
            let first = self.catalog.search_path.iter().find_map(|schema| {
                let schema = folded(self.catalog, schema.as_str());
                all.iter().find(|table| of(table, &schema))
            });
            return first.copied().into_iter().collect();
        }
        all.clone()
    }

    /// The views that a name may stand for, with what they show.
    pub(super) fn views(&self, schema: Option<&str>, name: &str) -> Vec<(&'a TableName, &'a str)> {
        let all = self.views.get(name).into_iter().flatten().copied();
        let tables = self.named(schema, name);
        let is_one = |view: &TableName| tables.iter().any(|table| table.name == *view);
        // Where views are no tables of the catalogue a name that is no table's is one.
        all.filter(|(view, _)| is_one(view) || tables.is_empty()).collect()
    }

    /// Every function of the author's that a name may stand for.
    pub(super) fn functions(&self, name: &str) -> &[&'a Object] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The table, those that it is a part of, and its own parts: a column that one of them loses
    /// all of them lose.
    pub(super) fn family(&self, table: &TableName) -> BTreeSet<TableName> {
        let mut parents: BTreeMap<&TableName, Vec<&TableName>> = BTreeMap::new();
        for one in self.catalog.tables.values() {
            for part in &one.partitions {
                parents.entry(part).or_default().push(&one.name);
            }
        }
        let mut family = BTreeSet::new();
        let mut waiting = vec![table];
        while let Some(one) = waiting.pop() {
            if family.insert(one.clone()) {
                waiting.extend(parents.get(one).into_iter().flatten());
                waiting.extend(self.catalog.tables.get(one).iter().flat_map(|it| &it.partitions));
            }
        }
        family
    }

    /// Whether two names of columns are one.
    pub(super) fn same(&self, a: &Ident, b: &str) -> bool {
        if self.catalog.case_insensitive {
            a.as_str().eq_ignore_ascii_case(b)
        } else {
            a.as_str() == b
        }
    }

    /// Every view and function of the author's, for whoever looks for what rests on something.
    pub(super) fn bodies(&self) -> impl Iterator<Item = (&'a TableName, Body<'a>)> {
        let views = self.views.values().flatten();
        let views = views.map(|(name, query)| (*name, Body::View(query)));
        views.chain(self.functions.values().flatten().map(|one| (&one.name, Body::Function(one))))
    }
}

/// What is run when a name is used.
#[derive(Clone, Copy)]
pub(super) enum Body<'a> {
    View(&'a str),
    Function(&'a Object),
}

impl<'a> Body<'a> {
    /// What would be run, where it is nothing but SQL.
    pub(super) fn sql(self) -> Option<&'a str> {
        match self {
            Self::View(query) => Some(query),
            Self::Function(object) => {
                let (head, body) = quoted_body(&object.definition)?;
                let language = head.to_lowercase();
                let mut words = language.split_whitespace();
                let is_sql = words.any(|word| word == "language") && words.next() == Some("sql");
                is_sql.then_some(body)
            }
        }
    }

    /// Everything that it says.
    pub(super) fn text(self) -> &'a str {
        match self {
            Self::View(query) => query,
            Self::Function(object) => &object.definition,
        }
    }
}

fn folded(catalog: &Catalog, name: &str) -> String {
    if catalog.case_insensitive { name.to_lowercase() } else { name.to_owned() }
}

/// The query of a statement that makes a view: what follows its first `AS` outside of parentheses
/// and quotes.
fn query_of(definition: &str) -> Option<&str> {
    let (mut depth, mut quote, mut word) = (0_u32, None, 0);
    for (at, c) in definition.char_indices() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => continue,
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() {
            if depth == 0 && definition[word..at].eq_ignore_ascii_case("as") {
                return Some(&definition[at..]);
            }
            word = at + c.len_utf8();
        }
    }
    None
}

/// What stands before a body in dollar quotes, and the body.
fn quoted_body(definition: &str) -> Option<(&str, &str)> {
    let at = definition.find("AS $")? + "AS ".len();
    let (head, rest) = definition.split_at(at);
    let tag = &rest[..=rest[1..].find('$')? + 1];
    let body = rest.strip_prefix(tag)?;
    Some((head, &body[..body.rfind(tag)?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_a_view_is_found_behind_its_names_and_options() {
        for (definition, expected) in [
            ("CREATE VIEW public.v AS  SELECT 1 AS x", Some("SELECT 1 AS x")),
            ("CREATE VIEW \"as as\".v (a, as_) AS SELECT 2", Some("SELECT 2")),
            ("CREATE VIEW v WITH (check_option=local) AS\n SELECT 3", Some("SELECT 3")),
            ("CREATE TABLE t (a int)", None),
        ] {
            assert_eq!(query_of(definition).map(str::trim), expected, "{definition}");
        }
    }

    #[test]
    fn a_body_is_sql_only_where_its_language_says_so() {
        let of = |language: &str| Object {
            kind: "function".into(),
            name: TableName::new(Some("public"), "f"),
            on: None,
            arguments: None,
            definition: format!(
                "CREATE OR REPLACE FUNCTION public.f()\n RETURNS text\n LANGUAGE {language}\nAS \
                 $function$ SELECT $1 $function$\n"
            ),
            said: Vec::new(),
        };
        assert_eq!(Body::Function(&of("sql")).sql().map(str::trim), Some("SELECT $1"));
        assert_eq!(Body::Function(&of("plpgsql")).sql(), None);
    }
}
