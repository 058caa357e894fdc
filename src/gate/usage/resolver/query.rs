//! Queries: which names each of their parts sees.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident as Word, OrderBy, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, With,
};

use super::scope::{Cte, Ctes, Env, Frame, Shape, Source};
use super::{Resolver, Way, parts, place};

impl<'s> Resolver<'s> {
    /// Reads a query and tells its columns. `orders` are the ORDER BYs around it that see what it
    /// sees.
    pub(super) fn query(&mut self, query: &Query, env: Env<'_, 's>, orders: &[&OrderBy]) -> Shape {
        let list = match &query.with {
            Some(with) => self.ctes(with, env),
            None => Vec::new(),
        };
        let ctes = Ctes { list: &list, outer: env.ctes };
        let env = Env { ctes: Some(&ctes), ..env };
        let orders: Vec<&OrderBy> = query.order_by.iter().chain(orders.iter().copied()).collect();
        let shape = self.set_expr(&query.body, env, &orders);
        self.exprs(&query.limit_clause, env);
        self.exprs(&query.fetch, env);
        for lock in &query.locks {
            if let Some(of) = &lock.of {
                self.all_understood(of);
            }
        }
        if query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            self.gap("a clause that is not read");
        }
        shape
    }

    fn ctes(&mut self, with: &With, env: Env<'_, 's>) -> Vec<Cte> {
        let mut list: Vec<Cte> = Vec::new();
        if with.recursive {
            // Each sees all of them, itself as well.
            for cte in &with.cte_tables {
                let renamed: Vec<_> =
                    cte.alias.columns.iter().map(|one| self.fold(&one.name)).collect();
                let shape = self.names_of(&cte.query.body).renamed(&renamed);
                list.push(Cte { name: self.fold(&cte.alias.name), shape });
            }
        }
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let ctes = Ctes { list: &list, outer: env.ctes };
            let shape = self.query(&cte.query, Env { ctes: Some(&ctes), ..env }, &[]);
            let source = self.shaped(Some(&cte.alias), shape);
            let shape = source.shape(&|name| self.schema.fold(name.as_str(), true));
            let known = Cte { name: self.fold(&cte.alias.name), shape };
            match list.get_mut(at) {
                Some(before) if with.recursive => *before = known,
                _ => list.push(known),
            }
        }
        list
    }

    /// The names of a query's columns as far as its own words give them.
    fn names_of(&self, body: &SetExpr) -> Shape {
        match body {
            SetExpr::Select(select) => {
                let mut shape = Shape::default();
                for item in &select.projection {
                    match item {
                        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {
                            shape.open = true;
                        }
                        item => shape.names.extend(self.names_of_item(item)),
                    }
                }
                shape
            }
            SetExpr::Query(query) => self.names_of(&query.body),
            SetExpr::SetOperation { left, .. } => self.names_of(left),
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                Shape { names: numbered(width), open: false }
            }
            _ => Shape::open(),
        }
    }

    fn set_expr(&mut self, body: &SetExpr, env: Env<'_, 's>, orders: &[&OrderBy]) -> Shape {
        match body {
            SetExpr::Select(select) => self.select(select, env, orders),
            SetExpr::Query(query) => self.query(query, env, orders),
            SetExpr::SetOperation { left, right, .. } => {
                let shape = self.set_expr(left, env, &[]);
                let other = self.set_expr(right, env, &[]);
                self.order_of_rows(orders, &shape, env);
                Shape { open: shape.open || other.open, ..shape }
            }
            SetExpr::Values(values) => {
                self.exprs(values, env);
                let width = values.rows.first().map_or(0, |row| row.content.len());
                let shape = Shape { names: numbered(width), open: false };
                self.order_of_rows(orders, &shape, env);
                shape
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => match statement {
                Statement::Insert(insert) => self.insert(insert, env),
                Statement::Update(update) => self.update(update, env),
                Statement::Delete(delete) => self.delete(delete, env),
                Statement::Merge(merge) => self.merge(merge, env),
                _ => {
                    self.gap("a statement in a query");
                    Shape::open()
                }
            },
            SetExpr::Table(_) => {
                self.gap("TABLE");
                Shape::open()
            }
        }
    }

    fn select(&mut self, select: &Select, env: Env<'_, 's>, orders: &[&OrderBy]) -> Shape {
        let sources = self.from(&select.from, env, &[]);
        let frame = Frame { sources: &sources, outer: env.frame };
        let inner = Env { frame: Some(&frame), ..env };
        let shape = self.items(&select.projection, &sources, inner);
        if let Some(Distinct::On(keys)) = &select.distinct {
            for key in keys {
                self.sorted_by(key, &shape, inner);
            }
        }
        self.exprs(&select.prewhere, inner);
        self.exprs(&select.selection, inner);
        self.exprs(&select.having, inner);
        self.exprs(&select.qualify, inner);
        self.exprs(&select.top, inner);
        for window in &select.named_window {
            self.understood(&window.0);
        }
        self.exprs(&select.named_window, inner);
        match &select.group_by {
            GroupByExpr::Expressions(keys, _) => {
                for key in keys {
                    self.grouped_by(key, &shape, &frame, inner);
                }
            }
            // By every column that is selected.
            GroupByExpr::All(_) => {}
        }
        for order in orders {
            match &order.kind {
                OrderByKind::Expressions(keys) => {
                    for key in keys {
                        self.sorted_by(&key.expr, &shape, inner);
                    }
                }
                OrderByKind::All(_) => {}
            }
        }
        if !select.lateral_views.is_empty()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.exclude.is_some()
        {
            self.gap("a clause that is not read");
        }
        if let Some(into) = &select.into {
            self.exprs(into, inner);
        }
        shape
    }

    /// What is selected or returned.
    pub(super) fn items(
        &mut self,
        items: &[SelectItem],
        sources: &[Source<'s>],
        env: Env<'_, 's>,
    ) -> Shape {
        let mut shape = Shape::default();
        for item in items {
            match item {
                SelectItem::Wildcard(options) => {
                    let at = place(options.wildcard_token.0.span);
                    for source in sources {
                        self.whole(source, Way::Star, at);
                        let one = source.shape(&|name| self.schema.fold(name.as_str(), true));
                        shape.names.extend(one.names);
                        shape.open |= one.open;
                    }
                }
                SelectItem::QualifiedWildcard(kind, _) => {
                    self.starred(kind, env);
                    shape.extend(self.shape_of_row(kind, env));
                }
                SelectItem::UnnamedExpr(expr) => {
                    self.exprs(expr, env);
                    shape.names.extend(self.names_of_item(item));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.exprs(expr, env);
                    self.understood(alias);
                    shape.names.extend(self.names_of_item(item));
                }
                SelectItem::ExprWithAliases { expr, aliases } => {
                    self.exprs(expr, env);
                    for alias in aliases {
                        self.understood(alias);
                    }
                    shape.names.extend(self.names_of_item(item));
                }
            }
        }
        shape
    }

    fn starred(&mut self, kind: &SelectItemQualifiedWildcardKind, env: Env<'_, 's>) {
        match kind {
            SelectItemQualifiedWildcardKind::ObjectName(name) => self.all_of(name, env),
            SelectItemQualifiedWildcardKind::Expr(expr) => self.exprs(expr, env),
        }
    }

    fn shape_of_row(&self, kind: &SelectItemQualifiedWildcardKind, env: Env<'_, 's>) -> Shape {
        let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else { return Shape::open() };
        let Some(word) = parts(name).last().map(|word| self.fold(word)) else {
            return Shape::open();
        };
        env.frames()
            .flat_map(|frame| frame.sources)
            .find(|source| source.name.as_ref() == Some(&word))
            .map_or_else(Shape::open, |source| {
                source.shape(&|name| self.schema.fold(name.as_str(), true))
            })
    }

    /// What a column is called that a SELECT makes.
    fn names_of_item(&self, item: &SelectItem) -> Vec<Option<String>> {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => vec![Some(self.fold(alias))],
            SelectItem::ExprWithAliases { aliases, .. } => {
                aliases.iter().map(|alias| Some(self.fold(alias))).collect()
            }
            SelectItem::UnnamedExpr(expr) => vec![self.name_of(expr)],
            _ => Vec::new(),
        }
    }

    fn name_of(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Identifier(word) => Some(self.fold(word)),
            Expr::CompoundIdentifier(words) => words.last().map(|word| self.fold(word)),
            Expr::Nested(inner)
            | Expr::Cast { expr: inner, .. }
            | Expr::Collate { expr: inner, .. } => self.name_of(inner),
            Expr::Function(function) => parts(&function.name).last().map(|word| self.fold(word)),
            Expr::CompoundFieldAccess { access_chain, .. } => {
                access_chain.iter().rev().find_map(|access| match access {
                    sqlparser::ast::AccessExpr::Dot(Expr::Identifier(word)) => {
                        Some(self.fold(word))
                    }
                    _ => None,
                })
            }
            Expr::Subquery(query) => self.names_of(&query.body).names.into_iter().next().flatten(),
            _ => None,
        }
    }

    /// A key of ORDER BY or DISTINCT ON: by itself a name is a column of the result first.
    fn sorted_by(&mut self, key: &Expr, shape: &Shape, env: Env<'_, 's>) {
        if let Expr::Identifier(word) = key
            && shape.has(&self.fold(word))
        {
            self.understood(word);
            return;
        }
        self.exprs(key, env);
    }

    /// A key of GROUP BY: by itself a name is a column of the sources first, and a column of the
    /// result where none of them has it.
    fn grouped_by(&mut self, key: &Expr, shape: &Shape, frame: &Frame<'_, 's>, env: Env<'_, 's>) {
        let word: &Word = match key {
            Expr::Identifier(word) => word,
            _ => return self.exprs(key, env),
        };
        let name = self.fold(word);
        let before = self.reading.used.clone();
        if !self.in_frame(frame, &name, word) {
            if shape.has(&name) {
                self.understood(word);
            } else {
                self.exprs(key, env);
            }
            return;
        }
        if shape.has(&name) {
            // Without the column it would go on with the result's.
            let new: Vec<_> = self.reading.used.difference(&before).cloned().collect();
            for used in new {
                self.used(&used.table, used.column.as_ref(), Way::Rebind, used.at);
            }
        }
    }

    /// ORDER BY of rows that several queries make: it sees only their names.
    fn order_of_rows(&mut self, orders: &[&OrderBy], shape: &Shape, env: Env<'_, 's>) {
        for order in orders {
            if let OrderByKind::Expressions(keys) = &order.kind {
                for key in keys {
                    self.sorted_by(&key.expr, shape, env);
                }
            }
        }
    }
}

impl Shape {
    fn extend(&mut self, other: Self) {
        self.names.extend(other.names);
        self.open |= other.open;
    }
}

/// `column1`, `column2`, as the server calls what VALUES makes.
fn numbered(width: usize) -> Vec<Option<String>> {
    (1..=width).map(|at| Some(format!("column{at}"))).collect()
}
