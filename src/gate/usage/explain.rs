use std::collections::{BTreeMap, BTreeSet};

use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::Token;

pub use super::resolver::Way;
use super::resolver::{Reading, Resolver, Used};
use super::schema::Schema;
use super::tokens::{Names, Tokens};
use crate::catalog::{Dependent, DependentKind};
use crate::sql::{ColumnRef, TableName};

/// Reads statements, and says of each what it does with a column or a table.
pub struct Reader<'s> {
    schema: &'s Schema<'s>,
    grammar: &'s dyn Grammar,
    resolver: Resolver<'s>,
    watched: BTreeMap<ColumnRef, Watched>,
}

/// What one statement does with one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// How it uses it, with the first place of each: line and column in the statement, from 1,
    /// or 0 where it is used through something that the statement names.
    pub ways: BTreeMap<Way, (u64, u64)>,
    /// The views and functions through which it is used.
    pub through: BTreeSet<TableName>,
    /// Why it cannot be told whether it uses it, where its words are not enough to say no.
    pub unresolved: Option<String>,
}

impl Explained {
    /// Whether it is known to be no use.
    pub fn is_none(&self) -> bool {
        self.ways.is_empty() && self.unresolved.is_none()
    }
}

/// A target, and everything by whose name it can be used.
struct Watched {
    family: BTreeSet<TableName>,
    names: Names,
    /// What uses it and is not known any better.
    opaque: BTreeSet<String>,
}

impl<'s> Reader<'s> {
    /// Of the statements that are written for a catalogue, in a product's grammar.
    pub fn new(schema: &'s Schema<'s>, grammar: &'s dyn Grammar) -> Self {
        let resolver = Resolver::new(schema, grammar);
        Self { schema, grammar, resolver, watched: BTreeMap::new() }
    }

    /// What a statement does with a target; its column is `*` for a whole table.
    pub fn explain(&mut self, text: &str, target: &ColumnRef) -> Explained {
        if !self.watched.contains_key(target) {
            let watched = self.watch(target);
            self.watched.insert(target.clone(), watched);
        }
        let watched = &self.watched[target];
        let Some(tokens) = Tokens::of(text, self.grammar) else {
            return if watched.names.are_in(text) {
                Explained::unresolved("its words are not in the grammar")
            } else {
                Explained::default()
            };
        };
        if !tokens.suspect(&watched.names) {
            return Explained::default();
        }
        if tokens.is_escaped() {
            return Explained::unresolved(
                "a name is written with `U&`, in letters that are not its own",
            );
        }
        match self.resolver.read(&tokens) {
            Ok(reading) => watched.explain((&reading, &tokens), target, self.schema),
            Err(why) => Explained::unresolved(&why),
        }
    }

    /// Views, and functions whose body the server has read, that take whole rows of a target's table: no
    /// dependency on the column tells of them.
    pub fn takes_rows(&mut self, target: &ColumnRef) -> Vec<TableName> {
        let bodies: Vec<_> = self.schema.bodies().collect();
        let mut found = Vec::new();
        for (name, body) in bodies {
            let Some(sql) = body.sql() else { continue };
            let ways = self.explain(sql, target).ways;
            if ways.contains_key(&Way::WholeRow) || ways.contains_key(&Way::Star) {
                found.push(name.clone());
            }
        }
        found
    }

    /// Finds everything through which a target can be used without its own name.
    fn watch(&mut self, target: &ColumnRef) -> Watched {
        let family = self.schema.family(&target.table);
        let column = (target.column.as_str() != "*").then(|| target.column.as_str().to_lowercase());
        let lower = |name: &TableName| name.name.as_str().to_lowercase();
        let tables: BTreeSet<String> = family.iter().map(lower).collect();
        let mut names = Names { tables, column, carriers: BTreeSet::new() };
        for table in family.iter().filter_map(|name| self.schema.catalog.tables.get(name)) {
            let rules = table.constraints_of(&target.column).map(|rule| &rule.name);
            names.carriers.extend(rules.map(|name| name.as_str().to_lowercase()));
        }
        let bodies: Vec<_> = self.schema.bodies().collect();
        let bodied: BTreeSet<String> = bodies.iter().map(|(name, _)| lower(name)).collect();
        let mut opaque = BTreeSet::new();
        for table in family.iter().filter_map(|name| self.schema.catalog.tables.get(name)) {
            let runs =
                |one: &&Dependent| matches!(one.kind, DependentKind::View | DependentKind::Body);
            let names = table.dependents_of(&target.column).filter(runs);
            opaque.extend(names.map(|one| one.name.as_str().to_lowercase()));
        }
        opaque.retain(|name| !bodied.contains(name));
        names.carriers.extend(opaque.iter().cloned());
        loop {
            let before = names.carriers.len();
            for (name, body) in &bodies {
                let mentions = match Tokens::of(body.text(), self.grammar) {
                    Some(tokens) => tokens.suspect(&names),
                    None => names.are_in(body.text()),
                };
                if mentions {
                    names.carriers.insert(lower(name));
                }
            }
            if names.carriers.len() == before {
                return Watched { family, names, opaque };
            }
        }
    }
}

impl Explained {
    fn unresolved(why: &str) -> Self {
        Self { unresolved: Some(why.to_owned()), ..Self::default() }
    }
}

impl Watched {
    fn explain(
        &self,
        (reading, tokens): (&Reading, &Tokens),
        target: &ColumnRef,
        schema: &Schema<'_>,
    ) -> Explained {
        let mut explained = Explained::default();
        let whole = target.column.as_str() == "*";
        let is_it = |used: &&Used| {
            self.is_of_family(&used.table, schema)
                && (whole
                    || used
                        .column
                        .as_ref()
                        .is_none_or(|column| schema.same(&target.column, column.as_str())))
        };
        for used in reading.used.iter().filter(is_it) {
            let at = explained.ways.entry(used.way).or_insert(used.at);
            *at = if *at == (0, 0) { used.at } else { (*at).min(used.at) };
            explained.through.extend(used.via.clone());
        }
        if whole
            && explained.ways.is_empty()
            && reading.tables.iter().any(|table| self.is_of_family(table, schema))
        {
            explained.ways.insert(Way::Read, (0, 0));
        }
        let gap = reading.gaps.first().cloned();
        explained.unresolved = gap.or_else(|| self.overlooked(reading, tokens));
        if explained.is_none()
            && let Some(name) = self.opaque.iter().find(|name| tokens.names(name))
        {
            explained = Explained::unresolved(&format!("`{name}` uses it in some way"));
        }
        if explained.is_none() && tokens.says_it(&self.names) {
            explained = Explained::unresolved("a text in it is a statement itself, and names it");
        }
        explained
    }

    /// A word that is the column's name, and of which it was not found what it stands for.
    fn overlooked(&self, reading: &Reading, tokens: &Tokens) -> Option<String> {
        let column = self.names.column.as_ref()?;
        let overlooked = tokens.list.iter().find(|one| {
            let Token::Word(word) = &one.token else { return false };
            word.value.to_lowercase() == *column
                && !reading.understood.contains(&(one.span.start.line, one.span.start.column))
        })?;
        let at = overlooked.span.start;
        Some(format!(
            "`{column}` at {}:{} stands where it is not known what it means",
            at.line, at.column
        ))
    }

    fn is_of_family(&self, table: &TableName, schema: &Schema<'_>) -> bool {
        self.family.contains(table)
            || table.schema.is_none()
                && self.family.iter().any(|one| schema.same(&one.name, table.name.as_str()))
    }
}

impl Names {
    /// Whether a text that cannot be cut into words may hold any of them.
    fn are_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        text.contains("u&")
            || self.tables.iter().chain(&self.carriers).any(|name| text.contains(name))
    }
}
