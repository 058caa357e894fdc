//! What writes.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, CopySource, Delete, Expr, FromTable, Insert,
    Merge, MergeAction, MergeInsertKind, MergeUpdateKind, ObjectName, OnConflictAction, OnInsert,
    OutputClause, Query, SelectItem, SetExpr, TableFactor, TableObject, TableWithJoins, Update,
    UpdateTableFromKind, Value, ValueWithSpan,
};

use super::scope::{Columns, Env, Found, Frame, Shape, Source};
use super::{Resolver, Way, parts, place, place_of};
use crate::sql::{Ident, TableName};

impl<'s> Resolver<'s> {
    pub(super) fn insert(&mut self, insert: &Insert, env: Env<'_, 's>) -> Shape {
        let TableObject::TableName(name) = &insert.table else {
            self.gap("an INSERT into what is no table");
            return Shape::open();
        };
        let mut target = self.table(name, None, Env::default());
        if let Some(alias) = &insert.table_alias {
            self.understood(&alias.alias);
            (target.name, target.schema) = (Some(self.fold(&alias.alias)), None);
        }
        if let Some(source) = &insert.source {
            self.query(source, env, &[]);
        }
        let places: Vec<_> = insert.columns.iter().collect();
        if places.is_empty() && insert.source.is_some() {
            self.whole(&target, Way::Positional, place_of(name));
            self.forget_nulls(&target);
        }
        self.written(&target, &places);
        if !places.is_empty() || insert.source.is_none() {
            self.left_out(&target, &places, insert.source.as_deref());
        }
        let own = [target.clone()];
        let frame = Frame { sources: &own, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        self.assigned(&insert.assignments, &target, inner);
        if let Some(on) = &insert.on {
            self.on_insert(on, &target, env);
        }
        if insert.or.is_some() || insert.replace_into || insert.ignore {
            // By whichever unique index there is; none of them is named.
            self.exprs(&insert.partitioned, inner);
        }
        self.returned(insert.returning.as_deref(), &own, inner)
    }

    fn on_insert(&mut self, on: &OnInsert, target: &Source<'s>, env: Env<'_, 's>) {
        let mut excluded = target.clone();
        (excluded.name, excluded.schema) = (Some("excluded".into()), None);
        let both = [target.clone(), excluded];
        let frame = Frame { sources: &both, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        match on {
            OnInsert::DuplicateKeyUpdate(assignments) => self.assigned(assignments, target, inner),
            OnInsert::OnConflict(conflict) => {
                match &conflict.conflict_target {
                    Some(ConflictTarget::Columns(words)) => {
                        for word in words {
                            self.understood(word);
                            let name = self.fold(word);
                            self.upserted(target, &name, place(word.span));
                        }
                    }
                    Some(ConflictTarget::OnConstraint(name)) => self.by_constraint(target, name),
                    None => {}
                }
                if let OnConflictAction::DoUpdate(update) = &conflict.action {
                    // A name by itself is the target's here; the other is asked by its name.
                    self.assigned(&update.assignments, target, inner);
                    self.exprs(&update.selection, inner);
                }
            }
            _ => self.gap("a clause that is not read"),
        }
    }

    fn upserted(&mut self, target: &Source<'s>, name: &str, at: (u64, u64)) {
        match self.find(target, name) {
            Found::Yes(columns) => {
                for (table, column) in columns {
                    self.used(&table, Some(&column), Way::Read, at);
                    self.reading.upserts.insert((table, column));
                }
            }
            Found::Maybe(Some(table)) => {
                self.used(&table, Some(&Ident::new(name)), Way::Read, at);
                self.reading.upserts.insert((table, Ident::new(name)));
            }
            Found::Maybe(None) | Found::No => {}
        }
    }

    /// A constraint goes with any of its columns.
    fn by_constraint(&mut self, target: &Source<'s>, name: &ObjectName) {
        self.all_understood(name);
        let Some(wanted) = parts(name).last().map(|word| self.fold(word)) else { return };
        let Columns::Tables(tables, _) = &target.columns else {
            return self.gap("a constraint of a table that is not known");
        };
        for table in tables {
            let rule = table.constraints.iter().find(|one| self.schema.same(&one.name, &wanted));
            let Some(rule) = rule else {
                self.gap(format!("the constraint `{wanted}`, which is not known"));
                continue;
            };
            for column in &rule.columns {
                self.used(&table.name, Some(column), Way::Read, place_of(name));
                self.reading.upserts.insert((table.name.clone(), column.clone()));
            }
        }
    }

    pub(super) fn update(&mut self, update: &Update, env: Env<'_, 's>) -> Shape {
        let before = match &update.from {
            Some(UpdateTableFromKind::BeforeSet(tables)) => tables.as_slice(),
            _ => &[],
        };
        let after = match &update.from {
            Some(UpdateTableFromKind::AfterSet(tables)) => tables.as_slice(),
            _ => &[],
        };
        let mut sources = self.from(std::slice::from_ref(&update.table), tables_only(env), &[]);
        let targets = sources.len();
        let seen = sources.clone();
        sources.extend(self.from(before, env, &seen));
        sources.extend(self.from(after, env, &seen));
        let frame = Frame { sources: &sources, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        for target in &sources[..targets] {
            self.assigned(&update.assignments, target, inner);
        }
        self.exprs(&update.selection, inner);
        self.exprs(&update.order_by, inner);
        self.exprs(&update.limit, inner);
        self.returned(update.returning.as_deref(), &sources, inner)
    }

    pub(super) fn delete(&mut self, delete: &Delete, env: Env<'_, 's>) -> Shape {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let mut sources = self.from(tables, tables_only(env), &[]);
        let using: &[TableWithJoins] = delete.using.as_deref().unwrap_or_default();
        let seen = sources.clone();
        sources.extend(self.from(using, env, &seen));
        for name in &delete.tables {
            self.all_understood(name);
        }
        let frame = Frame { sources: &sources, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        self.exprs(&delete.selection, inner);
        self.exprs(&delete.order_by, inner);
        self.exprs(&delete.limit, inner);
        self.returned(delete.returning.as_deref(), &sources, inner)
    }

    pub(super) fn merge(&mut self, merge: &Merge, env: Env<'_, 's>) -> Shape {
        let mut sources = match &merge.table {
            table @ TableFactor::Table { .. } => self.factor(table, tables_only(env), &[]),
            _ => {
                self.gap("a MERGE into what is no table");
                return Shape::open();
            }
        };
        let target = sources[0].clone();
        let source = self.factor(&merge.source, env, &[]);
        let only = Frame { sources: &source.clone(), outer: env.frame };
        let given = Env { frame: Some(&only), ..env };
        sources.extend(source.iter().cloned());
        let frame = Frame { sources: &sources, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        self.exprs(&*merge.on, inner);
        for clause in &merge.clauses {
            self.exprs(&clause.predicate, inner);
            match &clause.action {
                MergeAction::Insert(insert) => {
                    let places: Vec<_> = insert.columns.iter().collect();
                    match &insert.kind {
                        MergeInsertKind::Values(values) => {
                            self.exprs(values, given);
                            if places.is_empty() && !values.rows.is_empty() {
                                self.whole(&target, Way::Positional, (0, 0));
                            }
                        }
                        _ => self.whole(&target, Way::Positional, (0, 0)),
                    }
                    self.written(&target, &places);
                    self.forget_nulls(&target);
                    self.exprs(&insert.insert_predicate, inner);
                }
                MergeAction::Update(update) => {
                    match &update.kind {
                        MergeUpdateKind::Set(assignments) => {
                            self.assigned(assignments, &target, inner);
                        }
                        MergeUpdateKind::Wildcard => self.gap("a clause of MERGE that is not read"),
                    }
                    self.exprs(&update.update_predicate, inner);
                    self.exprs(&update.delete_predicate, inner);
                }
                MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
            }
        }
        match &merge.output {
            Some(OutputClause::Returning { select_items, .. }) => {
                self.items(select_items, &sources, inner)
            }
            Some(OutputClause::Output { .. }) => {
                self.gap("OUTPUT");
                Shape::open()
            }
            None => Shape::default(),
        }
    }

    pub(super) fn copy(&mut self, source: &CopySource, to: bool, env: Env<'_, 's>) {
        match source {
            CopySource::Query(query) => {
                self.query(query, env, &[]);
            }
            CopySource::Table { table_name, columns } => {
                let target = self.table(table_name, None, Env::default());
                if columns.is_empty() {
                    let way = if to { Way::Star } else { Way::Positional };
                    self.whole(&target, way, place_of(table_name));
                }
                let way = if to { Way::Read } else { Way::Write };
                for word in columns {
                    self.understood(word);
                    let name = self.fold(word);
                    self.touched(&target, &name, way, place(word.span));
                }
                if !to {
                    self.forget_nulls(&target);
                }
            }
        }
    }

    fn returned(
        &mut self,
        items: Option<&[SelectItem]>,
        sources: &[Source<'s>],
        env: Env<'_, 's>,
    ) -> Shape {
        match items {
            None => Shape::default(),
            // `old` and `new` are rows of the target, where the server knows them.
            Some(items) => {
                let mut rows = Vec::new();
                for name in ["old", "new"] {
                    let mut row = sources[0].clone();
                    (row.name, row.schema, row.apart) = (Some(name.into()), None, true);
                    rows.push(row);
                }
                let around = Frame { sources: &rows, outer: env.frame.and_then(|one| one.outer) };
                let frame = Frame { sources, outer: Some(&around) };
                self.items(items, sources, Env { frame: Some(&frame), ..env })
            }
        }
    }

    /// `SET` and what it is set to.
    fn assigned(&mut self, list: &[Assignment], target: &Source<'s>, env: Env<'_, 's>) {
        for one in list {
            match &one.target {
                AssignmentTarget::ColumnName(name) => self.written(target, &[name]),
                AssignmentTarget::Tuple(names) => {
                    self.written(target, &names.iter().collect::<Vec<_>>());
                }
            }
            self.exprs(&one.value, env);
            if !is_a_value(&one.value) {
                self.forget_nulls(target);
            }
        }
    }

    fn written(&mut self, target: &Source<'s>, names: &[&ObjectName]) {
        for name in names {
            self.all_understood(name);
            let words = parts(name);
            // `column.field`, or where the product allows it `table.column`.
            let named = words.first().map(|word| self.fold(word));
            let own = words.len() > 1 && named == target.name;
            let Some(word) = (if own { words.get(1) } else { words.first() }) else { continue };
            let column = self.fold(word);
            self.touched(target, &column, Way::Write, place(word.span));
        }
    }

    fn touched(&mut self, target: &Source<'s>, name: &str, way: Way, at: (u64, u64)) {
        match self.find(target, name) {
            Found::Yes(columns) => {
                for (table, column) in &columns {
                    self.used(table, Some(column), way, at);
                }
            }
            Found::Maybe(Some(table)) => self.used(&table, Some(&Ident::new(name)), way, at),
            Found::Maybe(None) | Found::No => {}
        }
    }

    /// What an INSERT leaves out it may leave NULL; what it gives may be NULL where it is no value.
    fn left_out(&mut self, target: &Source<'s>, given: &[&ObjectName], from: Option<&Query>) {
        let known = from.is_none_or(|query| match &*query.body {
            SetExpr::Values(values) => {
                values.rows.iter().all(|row| row.content.iter().all(is_a_value))
            }
            _ => false,
        });
        let Columns::Tables(tables, _) = &target.columns else { return self.forget_nulls(target) };
        let given: BTreeSet<String> = given
            .iter()
            .filter_map(|name| parts(name).last().map(|word| self.fold(word)))
            .collect();
        for table in tables {
            let entry = self.reading.nulls.entry(table.name.clone());
            let nulls = entry.or_insert_with(|| Some(BTreeSet::new()));
            if !known {
                *nulls = None;
            }
            if let Some(nulls) = nulls {
                let left = table.columns.iter().filter(|one| {
                    one.default.is_none()
                        && !given.iter().any(|name| self.schema.same(&one.name, name))
                });
                nulls.extend(left.map(|one| one.name.clone()));
            }
        }
    }

    /// It cannot be told what may be NULL.
    fn forget_nulls(&mut self, target: &Source<'s>) {
        let names: Vec<TableName> = match &target.columns {
            Columns::Tables(tables, _) => tables.iter().map(|table| table.name.clone()).collect(),
            Columns::Unknown(table) => vec![table.clone()],
            _ => Vec::new(),
        };
        for name in names {
            self.reading.nulls.insert(name, None);
        }
    }
}

/// What is written is a table, even where a query has its name.
fn tables_only<'e, 's>(env: Env<'e, 's>) -> Env<'e, 's> {
    Env { ctes: None, ..env }
}

/// Whether it is written out and not NULL.
fn is_a_value(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value, .. }) => {
            !matches!(value, Value::Null | Value::Placeholder(_))
        }
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_a_value(inner),
        Expr::TypedString(_) => true,
        _ => false,
    }
}
