//! What a query uses, by the rules by which a server finds what its names stand for. Where these
//! leave room it takes more rather than less; what it does not understand it says.

mod dml;
mod from;
mod names;
mod query;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sqlparser::ast::{Ident as Word, ObjectName, Spanned, Statement, Visit};
use sqlparser::dialect::Dialect as Grammar;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use self::names::Walk;
use self::scope::Env;
use super::schema::{Body, Schema};
use super::tokens::Tokens;
use crate::sql::{Ident, TableName};

/// How something is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// It is read by its name.
    Read,
    /// It is written by its name.
    Write,
    /// It is one of all columns.
    Star,
    /// It is told from others by its place.
    Positional,
    /// It is part of a row that is used as a value.
    WholeRow,
    /// Without it the query would still run, and its name would stand for something else.
    Rebind,
}

/// One use of a column, or of all columns of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Used {
    pub(super) table: TableName,
    /// `None` is all.
    pub(super) column: Option<Ident>,
    pub(super) way: Way,
    /// Line and column in the statement, from 1; 0 where it is in what the statement calls.
    pub(super) at: (u64, u64),
    /// What it is used through.
    pub(super) via: Option<TableName>,
}

/// What one statement uses.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) used: BTreeSet<Used>,
    /// Tables that it touches in any way.
    pub(super) tables: BTreeSet<TableName>,
    /// Columns by which it upserts.
    pub(super) upserts: BTreeSet<(TableName, Ident)>,
    /// Columns that it may leave NULL, by table; `None` where it cannot be told.
    pub(super) nulls: BTreeMap<TableName, Option<BTreeSet<Ident>>>,
    /// Words whose meaning was found, by line and column.
    pub(super) understood: BTreeSet<(u64, u64)>,
    /// Names that stand for nothing that is known.
    pub(super) unknown: BTreeSet<String>,
    /// What was not understood.
    pub(super) gaps: Vec<String>,
}

/// Reads the statements of one catalogue.
pub(super) struct Resolver<'s> {
    schema: &'s Schema<'s>,
    grammar: &'s dyn Grammar,
    /// What views and functions use, once it was looked up, by their texts: several functions may
    /// have one name.
    bodies: BTreeMap<&'s str, Rc<Reading>>,
    /// Those that are being looked up.
    open: Vec<&'s str>,
    reading: Reading,
}

impl<'s> Resolver<'s> {
    pub(super) fn new(schema: &'s Schema<'s>, grammar: &'s dyn Grammar) -> Self {
        let reading = Reading::default();
        Self { schema, grammar, bodies: BTreeMap::new(), open: Vec::new(), reading }
    }

    /// Reads a statement; the error says what the parser expected.
    pub(super) fn read(&mut self, tokens: &Tokens) -> Result<Reading, String> {
        let before = std::mem::take(&mut self.reading);
        let read = self.statements(tokens);
        let reading = std::mem::replace(&mut self.reading, before);
        read.map(|()| reading)
    }

    fn statements(&mut self, tokens: &Tokens) -> Result<(), String> {
        let mut parser =
            Parser::new(self.grammar).with_tokens_with_locations(tokens.for_the_parser());
        let parsed = parser.parse_statements().map_err(|error| error.to_string())?;
        for statement in &parsed {
            self.statement(statement, Env::default());
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement, env: Env<'_, 's>) {
        match statement {
            Statement::Query(query) => {
                self.query(query, env, &[]);
            }
            Statement::Insert(insert) => {
                self.insert(insert, env);
            }
            Statement::Update(update) => {
                self.update(update, env);
            }
            Statement::Delete(delete) => {
                self.delete(delete, env);
            }
            Statement::Merge(merge) => {
                self.merge(merge, env);
            }
            Statement::Copy { source, to, .. } => self.copy(source, *to, env),
            Statement::Prepare { statement, .. } | Statement::Explain { statement, .. } => {
                self.statement(statement, env);
            }
            Statement::Declare { stmts } => {
                for one in stmts {
                    match &one.for_query {
                        Some(query) => {
                            self.query(query, env, &[]);
                        }
                        None => self.gap("a DECLARE of what is no query"),
                    }
                }
            }
            Statement::Truncate(truncate) => {
                for table in &truncate.table_names {
                    self.named_table(&table.name);
                }
            }
            Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. }
            | Statement::Set(_)
            | Statement::ShowVariable { .. }
            | Statement::Deallocate { .. }
            | Statement::Execute { .. }
            | Statement::Fetch { .. }
            | Statement::Close { .. }
            | Statement::Discard { .. } => self.exprs(statement, env),
            _ => self.gap("a statement of a kind that is not read"),
        }
    }

    fn gap(&mut self, what: impl Into<String>) {
        self.reading.gaps.push(what.into());
    }

    /// Reads every expression of something.
    fn exprs<T: Visit>(&mut self, node: &T, env: Env<'_, 's>) {
        // It never breaks off.
        let _ = node.visit(&mut Walk::new(self, env));
    }

    fn fold(&self, word: &Word) -> String {
        self.schema.fold(&word.value, word.quote_style.is_some())
    }

    fn understood(&mut self, word: &Word) {
        self.reading.understood.insert(place(word.span));
    }

    fn all_understood(&mut self, name: &ObjectName) {
        for word in name.0.iter().filter_map(|part| part.as_ident()) {
            self.understood(word);
        }
    }

    fn used(&mut self, table: &TableName, column: Option<&Ident>, way: Way, at: (u64, u64)) {
        let (table, column) = (table.clone(), column.cloned());
        self.reading.used.insert(Used { table, column, way, at, via: None });
    }

    /// Takes over what something uses that the statement calls.
    fn through(&mut self, name: &TableName, body: Body<'s>) {
        let text = body.text();
        if self.open.contains(&text) {
            return;
        }
        let reading = match self.bodies.get(text) {
            Some(reading) => Rc::clone(reading),
            None => {
                self.open.push(text);
                let reading = Rc::new(self.body(name, body));
                self.open.pop();
                // One that calls itself is read whole only from its own beginning.
                if self.open.is_empty() {
                    self.bodies.insert(text, Rc::clone(&reading));
                }
                reading
            }
        };
        self.reading.tables.extend(reading.tables.iter().cloned());
        self.reading.gaps.extend(reading.gaps.iter().cloned());
        for used in &reading.used {
            let via = Some(used.via.clone().unwrap_or_else(|| name.clone()));
            self.reading.used.insert(Used { at: (0, 0), via, ..used.clone() });
        }
    }

    fn body(&mut self, name: &TableName, body: Body<'s>) -> Reading {
        let read = body
            .sql()
            .and_then(|sql| Tokens::of(sql, self.grammar))
            .ok_or_else(|| String::from("it is not plain SQL"))
            .and_then(|tokens| self.read(&tokens));
        read.unwrap_or_else(|why| Reading {
            gaps: vec![format!("what `{name}` does: {why}")],
            ..Reading::default()
        })
    }
}

/// Line and column.
fn place(span: Span) -> (u64, u64) {
    (span.start.line, span.start.column)
}

/// The words of a name.
fn parts(name: &ObjectName) -> Vec<&Word> {
    name.0.iter().filter_map(|part| part.as_ident()).collect()
}

/// Where a name begins.
fn place_of(name: &ObjectName) -> (u64, u64) {
    place(name.span())
}
