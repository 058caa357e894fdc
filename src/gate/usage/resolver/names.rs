//! Names in expressions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident as Word,
    ObjectName, Query, Visitor, WindowType,
};

use super::scope::{Columns, Env, Found, Frame, Source};
use super::{Body, Resolver, Way, parts, place, place_of};
use crate::sql::{Ident, TableName};

/// Goes through an expression; a query in it has names of its own.
pub(super) struct Walk<'w, 'e, 's> {
    resolver: &'w mut Resolver<'s>,
    env: Env<'e, 's>,
    /// How deep in queries it is that were read already.
    depth: u32,
    /// Expressions that were read with the one that they are in.
    read: BTreeSet<*const Expr>,
}

impl<'w, 'e, 's> Walk<'w, 'e, 's> {
    pub(super) fn new(resolver: &'w mut Resolver<'s>, env: Env<'e, 's>) -> Self {
        Self { resolver, env, depth: 0, read: BTreeSet::new() }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(word) => self.resolver.bare(word, self.env),
            Expr::CompoundIdentifier(words) => {
                let words: Vec<_> = words.iter().collect();
                self.resolver.qualified(&words, self.env);
            }
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.field(root, access_chain);
            }
            Expr::QualifiedWildcard(name, _) => self.resolver.all_of(name, self.env),
            Expr::Function(function) => self.function(function),
            _ => {}
        }
    }

    /// `(u).c`: a column of a row.
    fn field(&mut self, root: &Expr, chain: &[AccessExpr]) {
        let mut inner = root;
        while let Expr::Nested(nested) = inner {
            inner = nested;
        }
        let Some(AccessExpr::Dot(dot)) = chain.first() else { return };
        // Whatever the row is of, the field is not looked up among the sources.
        self.read.insert(dot);
        let Expr::Identifier(field) = dot else { return };
        match inner {
            // The server asks for the right to read the whole row, whichever column it takes.
            Expr::Identifier(row) if self.resolver.is_row(row, self.env) => {
                self.resolver.qualified(&[row, field], self.env);
            }
            Expr::Identifier(value) if !self.resolver.is_column(value, self.env) => {}
            // A field of a value: the value itself is read.
            _ => self.resolver.understood(field),
        }
    }

    fn function(&mut self, function: &Function) {
        self.resolver.called(&function.name);
        if let FunctionArguments::List(list) = &function.args {
            for argument in &list.args {
                let (FunctionArg::Named { arg, .. }
                | FunctionArg::ExprNamed { arg, .. }
                | FunctionArg::Unnamed(arg)) = argument;
                match argument {
                    FunctionArg::Named { name, .. } => self.resolver.understood(name),
                    FunctionArg::ExprNamed { name, .. } => {
                        self.read.insert(name);
                        if let Expr::Identifier(name) = name {
                            self.resolver.understood(name);
                        }
                    }
                    FunctionArg::Unnamed(_) => {}
                }
                if let FunctionArgExpr::QualifiedWildcard(name) = arg {
                    self.resolver.all_of(name, self.env);
                }
            }
        }
        if let Some(WindowType::NamedWindow(name)) = &function.over {
            self.resolver.understood(name);
        }
    }
}

impl Visitor for Walk<'_, '_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.depth == 0 {
            self.resolver.query(query, self.env, &[]);
        }
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 && !self.read.contains(&std::ptr::from_ref(expr)) {
            self.expr(expr);
        }
        ControlFlow::Continue(())
    }
}

impl<'s> Resolver<'s> {
    /// A name by itself: a column of the innermost sources that have one, else a row.
    pub(super) fn bare(&mut self, word: &Word, env: Env<'_, 's>) {
        let name = self.fold(word);
        for frame in env.frames() {
            if self.in_frame(frame, &name, word) {
                return;
            }
        }
        if let Some(source) = rows(env, &name).next() {
            self.understood(word);
            self.whole(source, Way::WholeRow, place(word.span));
            return;
        }
        let is_open = |source: &Source<'s>| matches!(self.find(source, &name), Found::Maybe(_));
        let is_known = env.frames().flat_map(|frame| frame.sources).any(is_open);
        if !is_known && (word.quote_style.is_some() || name != "default") {
            self.not_yet(&name, env, place(word.span));
        }
    }

    /// A name that no source has: a column that is still to come, perhaps, of one of the innermost.
    fn not_yet(&mut self, name: &str, env: Env<'_, 's>, at: (u64, u64)) {
        self.reading.unknown.insert(name.to_owned());
        for source in env.frame.map_or(&[][..], |frame| frame.sources) {
            if let Columns::Tables(tables, _) = &source.columns {
                for table in tables {
                    self.used(&table.name, Some(&Ident::new(name)), Way::Read, at);
                }
            }
        }
    }

    /// Whether a name is found among the sources of one level.
    pub(super) fn in_frame(&mut self, frame: &Frame<'_, 's>, name: &str, word: &Word) -> bool {
        let mut found = false;
        for source in frame.sources.iter().filter(|source| !source.apart) {
            match self.find(source, name) {
                Found::Yes(columns) => {
                    found = true;
                    for (table, column) in &columns {
                        self.used(table, Some(column), Way::Read, place(word.span));
                        if self.is_known_beyond(frame, name) {
                            self.used(table, Some(column), Way::Rebind, place(word.span));
                        }
                    }
                }
                Found::Maybe(table) => {
                    self.understood(word);
                    if let Some(table) = table {
                        let column = Ident::new(name);
                        self.used(&table, Some(&column), Way::Read, place(word.span));
                    }
                }
                Found::No => {}
            }
        }
        if found {
            self.understood(word);
        }
        found
    }

    pub(super) fn find(&self, source: &Source<'s>, name: &str) -> Found {
        let schema = self.schema;
        source.find(name, &|column, name| schema.same(column, name))
    }

    /// Whether a name would stand for something else if this level did not have it.
    fn is_known_beyond(&self, frame: &Frame<'_, 's>, name: &str) -> bool {
        let beyond = std::iter::successors(frame.outer, |frame| frame.outer);
        let has =
            |source: &Source<'s>| !source.apart && matches!(self.find(source, name), Found::Yes(_));
        beyond.flat_map(|frame| frame.sources).any(has)
            || frame.sources.iter().any(|source| source.name.as_deref() == Some(name))
    }

    /// A name that says whose column it is.
    pub(super) fn qualified(&mut self, words: &[&Word], env: Env<'_, 's>) {
        let Some((column, owner)) = words.split_last() else { return };
        let name = self.fold(column);
        let Some(source) = self.owner(owner, env) else {
            // Of a row in a column, perhaps; the word stays as it is, not understood.
            if let [first, ..] = owner {
                self.bare(first, env);
            }
            self.reading.unknown.insert(name);
            return;
        };
        for word in words {
            self.understood(word);
        }
        match self.find(source, &name) {
            Found::Yes(columns) => {
                for (table, column_name) in &columns {
                    self.used(table, Some(column_name), Way::Read, place(column.span));
                }
            }
            Found::Maybe(Some(table)) => {
                self.used(&table, Some(&Ident::new(name)), Way::Read, place(column.span));
            }
            Found::Maybe(None) => {}
            // A function that is called like a column takes the row; or it is still to come.
            Found::No => {
                self.whole(source, Way::WholeRow, place(column.span));
                if let Columns::Tables(tables, _) = &source.columns {
                    for table in tables {
                        let column_name = Ident::new(name.as_str());
                        self.used(&table.name, Some(&column_name), Way::Read, place(column.span));
                    }
                    self.reading.unknown.insert(name);
                }
            }
        }
    }

    /// The source that a qualifier means.
    fn owner<'e>(&self, words: &[&Word], env: Env<'e, 's>) -> Option<&'e Source<'s>> {
        let names: Vec<String> = words.iter().map(|word| self.fold(word)).collect();
        let (name, schema) = match names.as_slice() {
            [name] => (name, None),
            [.., schema, name] => (name, Some(schema)),
            [] => return None,
        };
        let is = |source: &&Source<'s>| {
            source.name.as_ref() == Some(name)
                && schema.is_none_or(|schema| {
                    source.schema.as_ref() == Some(schema)
                        || matches!(&source.columns, Columns::Tables(tables, _)
                            if source.schema.as_deref() == Some("")
                            && tables.iter().any(|table| table.name.schema.as_ref()
                                .is_some_and(|one| self.schema.same(one, schema))))
                })
        };
        env.frames().flat_map(|frame| frame.sources).find(is)
    }

    fn is_row(&self, word: &Word, env: Env<'_, 's>) -> bool {
        !self.is_column(word, env) && rows(env, &self.fold(word)).next().is_some()
    }

    fn is_column(&self, word: &Word, env: Env<'_, 's>) -> bool {
        let name = self.fold(word);
        let has = |source: &Source<'s>| matches!(self.find(source, &name), Found::Yes(_));
        env.frames().flat_map(|frame| frame.sources).any(has)
    }

    /// `t.*` of a name, wherever it is a row.
    pub(super) fn all_of(&mut self, name: &ObjectName, env: Env<'_, 's>) {
        let words = parts(name);
        match self.owner(&words, env) {
            Some(source) => {
                self.all_understood(name);
                self.whole(source, Way::Star, place_of(name));
            }
            // Of a row that is a value.
            None => match words.as_slice() {
                [word] if self.is_column(word, env) => self.bare(word, env),
                _ => self.gap(format!("`{name}.*`, of what is not known")),
            },
        }
    }

    /// All columns of a source.
    pub(super) fn whole(&mut self, source: &Source<'s>, way: Way, at: (u64, u64)) {
        match &source.columns {
            Columns::Tables(tables, _) => {
                for table in tables {
                    self.used(&table.name, None, way, at);
                }
            }
            Columns::Unknown(table) => self.used(table, None, way, at),
            Columns::Shape(_) => {}
            Columns::Join(parts) => {
                for part in parts {
                    self.whole(part, way, at);
                }
            }
        }
    }

    /// A function that is called by its name.
    pub(super) fn called(&mut self, name: &ObjectName) {
        self.all_understood(name);
        let Some(last) = parts(name).last().map(|word| self.fold(word)) else { return };
        for function in self.schema.functions(&last) {
            self.through(&function.name, Body::Function(function));
        }
    }

    /// The tables that a name in a statement stands for, wherever it is.
    pub(super) fn tables_of(
        &mut self,
        name: &ObjectName,
    ) -> (Vec<&'s crate::catalog::Table>, TableName) {
        self.all_understood(name);
        let words = parts(name);
        let folded: Vec<String> = words.iter().map(|word| self.fold(word)).collect();
        let (schema, table) = match folded.as_slice() {
            [.., schema, table] => (Some(schema.as_str()), table.as_str()),
            [table] => (None, table.as_str()),
            [] => (None, ""),
        };
        let tables = self.schema.named(schema, table);
        let written = TableName::new(schema, table);
        for one in &tables {
            self.reading.tables.insert(one.name.clone());
        }
        for (view, query) in self.schema.views(schema, table) {
            self.through(view, Body::View(query));
        }
        if tables.is_empty() {
            self.reading.tables.insert(written.clone());
        }
        (tables, written)
    }

    pub(super) fn named_table(&mut self, name: &ObjectName) {
        self.tables_of(name);
    }
}

/// The sources of that name, from the inside out.
fn rows<'e, 's: 'e>(env: Env<'e, 's>, name: &str) -> impl Iterator<Item = &'e Source<'s>> {
    env.frames()
        .flat_map(|frame| frame.sources)
        .filter(move |source| source.name.as_deref() == Some(name))
}
