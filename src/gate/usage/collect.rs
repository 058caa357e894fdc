use std::collections::{BTreeMap, BTreeSet};

use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::Token;

use super::manifest::{Item, Unresolved, Usage};
use super::resolver::{Reading, Resolver, Way};
use super::schema::Schema;
use super::tokens::Tokens;
use crate::sql::TableName;

/// Puts a manifest together from the statements of a version.
pub struct Collector<'s> {
    schema: &'s Schema<'s>,
    grammar: &'s dyn Grammar,
    resolver: Resolver<'s>,
    /// What is used of a table, and where.
    items: BTreeMap<Key, BTreeSet<String>>,
    unresolved: BTreeMap<String, Unresolved>,
    names: BTreeSet<String>,
    read: usize,
}

/// An item without its places, to be told from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: String,
    read: BTreeSet<String>,
    write: BTreeSet<String>,
    star: bool,
    positional: bool,
    nulls: Option<BTreeSet<String>>,
    upsert: BTreeSet<String>,
}

impl<'s> Collector<'s> {
    /// Of statements that are written for a catalogue.
    pub fn new(schema: &'s Schema<'s>, grammar: &'s dyn Grammar) -> Self {
        Self {
            schema,
            grammar,
            resolver: Resolver::new(schema, grammar),
            items: BTreeMap::new(),
            unresolved: BTreeMap::new(),
            names: BTreeSet::new(),
            read: 0,
        }
    }

    /// How many statements were read.
    pub fn read(&self) -> usize {
        self.read
    }

    /// How many could not be.
    pub fn unresolved(&self) -> usize {
        self.unresolved.len()
    }

    /// Takes in a statement.
    pub fn statement(&mut self, at: &str, text: &str) {
        let Some(tokens) = Tokens::of(text, self.grammar) else {
            return self.cannot_read(at, text);
        };
        self.names.extend(names_in(&tokens));
        if tokens.is_escaped() {
            return self.cannot_read(at, text);
        }
        let Ok(reading) = self.resolver.read(&tokens) else { return self.cannot_read(at, text) };
        self.read += 1;
        let understood = reading.gaps.is_empty() && reading.unknown.is_empty();
        if !understood || tokens.holds_a_statement() || self.overlooks(&reading, &tokens) {
            self.cannot_read(at, text);
        }
        for key in keys(&reading) {
            self.items.entry(key).or_default().insert(at.to_owned());
        }
    }

    /// Whether a word is the name of a column of its tables, and was not found to stand for anything.
    fn overlooks(&self, reading: &Reading, tokens: &Tokens) -> bool {
        let columns: BTreeSet<String> = reading
            .tables
            .iter()
            .filter_map(|name| self.schema.catalog.tables.get(name))
            .flat_map(|table| &table.columns)
            .map(|column| column.name.as_str().to_lowercase())
            .collect();
        tokens.list.iter().any(|one| match &one.token {
            Token::Word(word) => {
                let place = (one.span.start.line, one.span.start.column);
                !reading.understood.contains(&place) && columns.contains(&word.value.to_lowercase())
            }
            _ => false,
        })
    }

    /// Takes in what is no statement as it stands.
    pub fn cannot_read(&mut self, at: &str, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let one = Unresolved { at: at.to_owned(), sql: text.clone(), waiver: None };
        self.unresolved.entry(text).or_insert(one);
    }

    /// The manifest. What `known` says, which people wrote, is taken over: its items are added, and
    /// what it waives is waived here.
    pub fn manifest(self, known: Option<Usage>, of: (&str, &str)) -> Usage {
        let mut usage = known.unwrap_or_default();
        (usage.zdmig_usage, usage.service, usage.version) = (1, of.0.into(), of.1.into());
        let list = |some: BTreeSet<String>| some.into_iter().collect::<Vec<_>>();
        usage.items.extend(self.items.into_iter().map(|(key, via)| Item {
            table: key.table,
            read: list(key.read),
            write: list(key.write),
            star: key.star,
            positional: key.positional,
            nulls: key.nulls.map(list),
            upsert: Some(list(key.upsert)),
            via: list(via),
        }));
        let said: BTreeSet<String> = usage.unresolved.iter().map(|one| one.sql.clone()).collect();
        let found = self.unresolved.into_iter().filter(|(sql, _)| !said.contains(sql));
        usage.unresolved.extend(found.map(|(_, one)| one));
        let mut names: BTreeSet<String> =
            usage.names.take().unwrap_or_default().into_iter().collect();
        names.extend(self.names);
        usage.names = Some(list(names));
        usage
    }
}

/// What a statement does with each table.
fn keys(reading: &Reading) -> Vec<Key> {
    let mut keys: BTreeMap<&TableName, Key> = BTreeMap::new();
    for table in &reading.tables {
        let nulls = match reading.nulls.get(table) {
            Some(nulls) => nulls.as_ref().map(|all| all.iter().map(ToString::to_string).collect()),
            None => Some(BTreeSet::new()),
        };
        let key = Key { table: table.to_string(), nulls, ..Key::default() };
        keys.insert(table, key);
    }
    for used in &reading.used {
        let key = keys.entry(&used.table).or_insert_with(|| Key {
            table: used.table.to_string(),
            nulls: Some(BTreeSet::new()),
            ..Key::default()
        });
        match (&used.column, used.way) {
            (Some(column), Way::Write) => {
                key.write.insert(column.to_string());
            }
            (Some(column), _) => {
                key.read.insert(column.to_string());
            }
            (None, Way::Positional) => key.positional = true,
            (None, _) => key.star = true,
        }
    }
    for (table, column) in &reading.upserts {
        if let Some(key) = keys.get_mut(table) {
            key.upsert.insert(column.to_string());
        }
    }
    keys.into_values().collect()
}

/// Every word that may name a function, a type or a sequence: those of its strings as well, because
/// sequences are named there.
fn names_in(tokens: &Tokens) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for one in &tokens.list {
        match &one.token {
            Token::Word(word) => {
                names.insert(word.value.to_lowercase());
            }
            Token::SingleQuotedString(text) => {
                let name = text.rsplit('.').next().unwrap_or(text).trim_matches('"');
                if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    names.insert(name.to_lowercase());
                }
            }
            _ => {}
        }
    }
    names
}
