//! FROM: what its entries are called and which columns they have.

use sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::scope::{Columns, Env, Found, Frame, Shape, Source};
use super::{Resolver, Way, parts, place, place_of};
use crate::sql::Ident;

impl<'s> Resolver<'s> {
    /// The sources of a FROM. `seen` are those that stand before it and that what is lateral sees.
    pub(super) fn from(
        &mut self,
        tables: &[TableWithJoins],
        env: Env<'_, 's>,
        seen: &[Source<'s>],
    ) -> Vec<Source<'s>> {
        let mut all = Vec::new();
        for table in tables {
            let before: Vec<_> = seen.iter().chain(&all).cloned().collect();
            all.extend(self.joined(table, env, &before));
        }
        all
    }

    fn joined(
        &mut self,
        table: &TableWithJoins,
        env: Env<'_, 's>,
        before: &[Source<'s>],
    ) -> Vec<Source<'s>> {
        let mut sources = self.factor(&table.relation, env, before);
        for join in &table.joins {
            let seen: Vec<_> = before.iter().chain(&sources).cloned().collect();
            let right = self.factor(&join.relation, env, &seen);
            self.join(join, &sources, &right, env);
            sources.extend(right);
        }
        sources
    }

    fn join(&mut self, join: &Join, left: &[Source<'s>], right: &[Source<'s>], env: Env<'_, 's>) {
        let constraint = match &join.join_operator {
            JoinOperator::Join(it)
            | JoinOperator::Inner(it)
            | JoinOperator::Left(it)
            | JoinOperator::LeftOuter(it)
            | JoinOperator::Right(it)
            | JoinOperator::RightOuter(it)
            | JoinOperator::FullOuter(it)
            | JoinOperator::CrossJoin(it)
            | JoinOperator::StraightJoin(it) => it,
            JoinOperator::CrossApply => return,
            _ => return self.gap("a kind of join that is not read"),
        };
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                let both: Vec<_> = left.iter().chain(right).cloned().collect();
                let frame = Frame { sources: &both, outer: env.frame };
                self.exprs(condition, Env { frame: Some(&frame), ..env });
            }
            JoinConstraint::Using(names) => {
                for name in names {
                    self.all_understood(name);
                    let at = place_of(name);
                    if let [.., word] = parts(name).as_slice() {
                        let column = self.fold(word);
                        for source in left.iter().chain(right) {
                            self.column_of(source, &column, at);
                        }
                    }
                }
            }
            JoinConstraint::Natural => self.natural(left, right),
        }
    }

    /// Every column that both sides have is one by which they are joined.
    fn natural(&mut self, left: &[Source<'s>], right: &[Source<'s>]) {
        let shape = |of: &[Source<'s>]| {
            let mut all = Shape::default();
            for source in of {
                let one = source.shape(&|name| self.schema.fold(name.as_str(), true));
                all.names.extend(one.names);
                all.open |= one.open;
            }
            all
        };
        let (mine, theirs) = (shape(left), shape(right));
        for source in left.iter().chain(right) {
            if mine.open || theirs.open {
                self.whole(source, Way::Star, (0, 0));
                continue;
            }
            for name in mine.names.iter().flatten().filter(|name| theirs.has(name)) {
                self.column_of(source, name, (0, 0));
            }
        }
    }

    fn column_of(&mut self, source: &Source<'s>, name: &str, at: (u64, u64)) {
        match self.find(source, name) {
            Found::Yes(columns) => {
                for (table, column) in &columns {
                    self.used(table, Some(column), Way::Read, at);
                }
            }
            Found::Maybe(Some(table)) => {
                self.used(&table, Some(&Ident::new(name)), Way::Read, at);
            }
            Found::Maybe(None) | Found::No => {}
        }
    }

    /// The sources of one entry. `seen` is what stands left of it.
    pub(super) fn factor(
        &mut self,
        factor: &TableFactor,
        env: Env<'_, 's>,
        seen: &[Source<'s>],
    ) -> Vec<Source<'s>> {
        let frame = Frame { sources: seen, outer: env.frame };
        let lateral = Env { frame: Some(&frame), ..env };
        match factor {
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.exprs(args, lateral);
                vec![self.rows_of_function(name, alias.as_ref(), *with_ordinality)]
            }
            TableFactor::Table { name, alias, args: None, sample, with_hints, .. } => {
                self.exprs(sample, lateral);
                self.exprs(with_hints, lateral);
                vec![self.table(name, alias.as_ref(), env)]
            }
            TableFactor::Derived { lateral: sees, subquery, alias, .. } => {
                let shape = self.query(subquery, if *sees { lateral } else { env }, &[]);
                vec![self.shaped(alias.as_ref(), shape)]
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.exprs(args, lateral);
                vec![self.rows_of_function(name, alias.as_ref(), *with_ordinality)]
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let parts = self.joined(table_with_joins, env, seen);
                match alias {
                    None => parts,
                    Some(alias) => vec![self.named_join(alias, parts)],
                }
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                self.exprs(array_exprs, lateral);
                let name = alias.as_ref().map_or("unnest".into(), |one| self.fold(&one.name));
                vec![self.open(alias.as_ref(), name, *with_ordinality)]
            }
            TableFactor::JsonTable { alias, .. }
            | TableFactor::OpenJsonTable { alias, .. }
            | TableFactor::XmlTable { alias, .. }
            | TableFactor::TableFunction { alias, .. } => {
                self.exprs(factor, lateral);
                vec![self.shaped(alias.as_ref(), Shape::open())]
            }
            _ => {
                self.gap("an entry of FROM that is not read");
                vec![Source::shaped(None, Shape::open())]
            }
        }
    }

    /// A table, a view or a query with a name.
    pub(super) fn table(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        env: Env<'_, 's>,
    ) -> Source<'s> {
        if let [word] = parts(name).as_slice()
            && let Some(shape) = env.cte(&self.fold(word))
        {
            self.all_understood(name);
            let shape = shape.clone();
            let own = self.fold(word);
            let mut source = self.shaped(alias, shape);
            source.name.get_or_insert(own);
            return source;
        }
        let (tables, written) = self.tables_of(name);
        let renamed = self.renamed(alias);
        if !renamed.is_empty() {
            // One column less, and each name stands for the next.
            for table in &tables {
                for column in table.columns.iter().take(renamed.len()) {
                    for way in [Way::Read, Way::Positional] {
                        self.used(&table.name, Some(&column.name), way, place_of(name));
                    }
                }
            }
            if tables.is_empty() {
                self.used(&written, None, Way::Positional, place_of(name));
            }
        }
        let own = parts(name).last().map(|word| self.fold(word));
        let schema = written.schema.as_ref().map_or(String::new(), ToString::to_string);
        Source {
            name: alias.map(|alias| self.fold(&alias.name)).or(own),
            schema: alias.is_none().then_some(schema),
            apart: false,
            columns: if tables.is_empty() {
                Columns::Unknown(written)
            } else {
                Columns::Tables(tables, renamed)
            },
        }
    }

    /// What a table's alias calls its columns.
    fn renamed(&mut self, alias: Option<&TableAlias>) -> Vec<String> {
        let Some(alias) = alias else { return Vec::new() };
        self.understood(&alias.name);
        for column in &alias.columns {
            self.understood(&column.name);
        }
        alias.columns.iter().map(|column| self.fold(&column.name)).collect()
    }

    /// A query in FROM.
    pub(super) fn shaped(&mut self, alias: Option<&TableAlias>, shape: Shape) -> Source<'s> {
        let renamed = self.renamed(alias);
        Source::shaped(alias.map(|alias| self.fold(&alias.name)), shape.renamed(&renamed))
    }

    fn rows_of_function(
        &mut self,
        name: &ObjectName,
        alias: Option<&TableAlias>,
        with_ordinality: bool,
    ) -> Source<'s> {
        self.called(name);
        let own = parts(name).last().map_or(String::new(), |word| self.fold(word));
        let own = alias.map_or(own, |alias| self.fold(&alias.name));
        self.open(alias, own, with_ordinality)
    }

    /// Rows of a function: of one value under the name of the source, or of columns that only the
    /// server knows, but where they are all given with their types.
    fn open(
        &mut self,
        alias: Option<&TableAlias>,
        own: String,
        with_ordinality: bool,
    ) -> Source<'s> {
        let names = self.renamed(alias);
        let typed = alias.is_some_and(|alias| {
            !alias.columns.is_empty() && alias.columns.iter().all(|one| one.data_type.is_some())
        });
        let mut shape = Shape { names: names.into_iter().map(Some).collect(), open: !typed };
        if with_ordinality {
            shape.names.push(Some("ordinality".into()));
        }
        if shape.names.is_empty() {
            shape.names.push(Some(own.clone()));
        }
        Source::shaped(Some(own), shape)
    }

    fn named_join(&mut self, alias: &TableAlias, parts: Vec<Source<'s>>) -> Source<'s> {
        let renamed = self.renamed(Some(alias));
        if !renamed.is_empty() {
            for part in &parts {
                self.whole(part, Way::Positional, place(alias.name.span));
            }
        }
        let mut columns = Columns::Join(parts);
        if !renamed.is_empty() {
            // Their places are counted as used already; by name they are a query's.
            let join = Source { name: None, schema: None, apart: false, columns };
            let shape = join.shape(&|name| self.schema.fold(name.as_str(), true));
            columns = Columns::Shape(shape.renamed(&renamed));
        }
        Source { name: Some(self.fold(&alias.name)), schema: None, apart: false, columns }
    }
}
