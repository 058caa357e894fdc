use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode};

use super::{Ledger, Mode};
use crate::catalog::{Catalog, Constraint, ConstraintKind, TableKind};
use crate::change::ChangeKind;
use crate::dialect::postgres::interpret::{self, one_name, table_name};
use crate::dialect::postgres::{domain, quote, types};
use crate::plan::Held;
use crate::sql::{Span, TableName};

impl Ledger<'_> {
    pub(super) fn alter_table(&mut self, alter: &ast::AlterTable) {
        let name = alter
            .table_relation_name()
            .and_then(|relation| relation.table_name_ref())
            .and_then(|name| table_name(name.syntax()).ok());
        let Some(table) = name else { return };
        for action in alter.actions() {
            self.action(&table, &action);
        }
    }

    fn action(&mut self, table: &TableName, action: &AlterTableAction) {
        use AlterTableAction as A;
        match action {
            A::AddColumn(add) => {
                self.take_all(table, Mode::AccessExclusive, added(add, self.catalog));
                for node in add.constraints() {
                    self.points(node.syntax(), Mode::ShareRowExclusive, Held::Instant);
                }
            }
            A::DropColumn(drop) => {
                self.take_all(table, Mode::AccessExclusive, Held::Instant);
                let name = drop.column_name_ref().and_then(|name| one_name(name.syntax()).ok());
                self.foreign(table, Mode::AccessExclusive, Held::Instant, |constraint| {
                    name.as_ref().is_some_and(|name| constraint.columns.contains(name))
                });
            }
            A::AddConstraint(add) => self.add_constraint(table, add),
            A::DropConstraint(drop) => {
                self.take_all(table, Mode::AccessExclusive, Held::Instant);
                let name = drop.constraint_name_ref().and_then(|name| one_name(name.syntax()).ok());
                self.foreign(table, Mode::AccessExclusive, Held::Instant, |constraint| {
                    name.as_ref() == Some(&constraint.name)
                });
            }
            A::ValidateConstraint(one) => {
                let mode = Mode::ShareUpdateExclusive;
                self.take_all(table, mode, Held::WhileScanning);
                let name = one.constraint_name_ref().and_then(|name| one_name(name.syntax()).ok());
                self.foreign(table, Mode::RowShare, Held::WhileScanning, |constraint| {
                    name.as_ref() == Some(&constraint.name)
                });
            }
            A::AlterColumn(column) => self.alter_column(table, column),
            A::EnableTrigger(_)
            | A::DisableTrigger(_)
            | A::EnableAlwaysTrigger(_)
            | A::EnableReplicaTrigger(_) => {
                self.take_all(table, Mode::ShareRowExclusive, Held::Instant);
            }
            A::SetOptions(_) | A::ResetOptions(_) | A::ClusterOn(_) | A::SetWithoutCluster(_) => {
                self.take(table, Mode::ShareUpdateExclusive, Held::Instant);
            }
            A::AttachPartition(attach) => {
                self.take(table, Mode::ShareUpdateExclusive, Held::Instant);
                self.take_default_of(table);
                if let Some(part) = attach.table_name_ref() {
                    self.take_node(part.syntax(), Mode::AccessExclusive, Held::WhileScanning);
                }
            }
            A::DetachPartition(detach) => {
                self.take(table, Mode::AccessExclusive, Held::Instant);
                let part = detach.table_name_ref().and_then(|part| table_name(part.syntax()).ok());
                if let Some(part) = part {
                    self.take_all(&part, Mode::AccessExclusive, Held::Instant);
                    // Its foreign keys become its own.
                    self.foreign(&part, Mode::ShareRowExclusive, Held::Instant, |_| true);
                }
                let rest = self.catalog.find(table).and_then(|found| found.part_default.clone());
                if let Some(rest) = rest {
                    self.take(&rest, Mode::AccessExclusive, Held::Instant);
                }
            }
            A::SetLogged(_) | A::SetUnlogged(_) | A::SetTablespace(_) | A::SetAccessMethod(_) => {
                self.take(table, Mode::AccessExclusive, Held::WhileRewriting);
            }
            A::RenameColumn(_) => self.take_all(table, Mode::AccessExclusive, Held::Instant),
            _ => self.take(table, Mode::AccessExclusive, Held::Instant),
        }
    }

    fn add_constraint(&mut self, table: &TableName, add: &ast::AddConstraint) {
        let Some(constraint) = add.constraint() else { return };
        let words = constraint.syntax().text().to_string().to_lowercase();
        let unchecked = words.trim_end().ends_with("not valid") || words.contains("using index");
        let held = if unchecked { Held::Instant } else { Held::WhileScanning };
        match constraint {
            ast::Constraint::ForeignKeyConstraint(_) => {
                self.take_all(table, Mode::ShareRowExclusive, held);
                self.points(constraint.syntax(), Mode::ShareRowExclusive, held);
            }
            ast::Constraint::UniqueConstraint(_) | ast::Constraint::PrimaryKeyConstraint(_) => {
                self.take_all(table, Mode::Share, held);
                self.take(table, Mode::AccessExclusive, held);
                if words.contains("deferrable") && !words.contains("not deferrable") {
                    self.defers(table, held);
                }
            }
            _ => self.take_all(table, Mode::AccessExclusive, held),
        }
    }

    /// Partitions with partitions of their own get the trigger of a deferred key.
    fn defers(&mut self, table: &TableName, held: Held) {
        let partitions = self.catalog.find(table).map(|found| found.partitions.clone());
        for part in partitions.into_iter().flatten() {
            if self.catalog.find(&part).is_some_and(|one| one.kind == TableKind::Partitioned) {
                self.take(&part, Mode::ShareRowExclusive, held);
            }
        }
    }

    fn alter_column(&mut self, table: &TableName, column: &ast::AlterColumn) {
        match column.option() {
            Some(
                AlterColumnOption::SetStatistics(_)
                | AlterColumnOption::SetOptions(_)
                | AlterColumnOption::SetOptionsList(_)
                | AlterColumnOption::ResetOptions(_),
            ) => self.take_all(table, Mode::ShareUpdateExclusive, Held::Instant),
            Some(AlterColumnOption::SetType(_)) => {
                self.take_all(table, Mode::AccessExclusive, self.retyped(table, column));
                let name = column.column_name_ref().and_then(|name| one_name(name.syntax()).ok());
                let of =
                    |one: &Constraint| name.as_ref().is_some_and(|it| one.columns.contains(it));
                self.foreign(table, Mode::AccessExclusive, Held::WhileScanning, of);
                let child = |one: &&Constraint| one.kind == ConstraintKind::Incoming && of(one);
                let children: Vec<TableName> = self
                    .catalog
                    .find(table)
                    .into_iter()
                    .flat_map(|found| found.constraints.iter().filter(child))
                    .map(|one| TableName::from(one.definition.clone()))
                    .collect();
                for child in children {
                    self.take(&child, Mode::AccessExclusive, Held::WhileScanning);
                }
            }
            Some(AlterColumnOption::SetNotNull(_)) => {
                self.take_all(table, Mode::AccessExclusive, Held::WhileScanning);
            }
            Some(AlterColumnOption::SetExpression(_)) => {
                self.take_all(table, Mode::AccessExclusive, Held::WhileRewriting);
            }
            _ => self.take_all(table, Mode::AccessExclusive, Held::Instant),
        }
    }

    /// For how long a change of type holds its lock.
    fn retyped(&self, table: &TableName, column: &ast::AlterColumn) -> Held {
        let text = column.syntax().text().to_string();
        let sql = format!("ALTER TABLE t {text}");
        let changes = interpret::interpret(&sql, Span::new(0, sql.len()));
        let [ChangeKind::ChangeType(change)] = changes.as_slice() else {
            return Held::WhileRewriting;
        };
        let found = self.catalog.find(table);
        let known = found.and_then(|found| {
            found
                .columns
                .iter()
                .find(|one| one.name == change.column.column)
                .map(|one| (found, one))
        });
        match known {
            Some((found, one)) if types::in_place(found, one, change) => Held::Instant,
            _ => Held::WhileRewriting,
        }
    }

    /// The tables that a foreign key of a statement points to.
    fn points(&mut self, node: &squawk_syntax::SyntaxNode, mode: Mode, held: Held) {
        let names = node.descendants().filter_map(|node| {
            ast::ReferencesConstraint::cast(node.clone()).and_then(|one| one.table()).or_else(
                || ast::ForeignKeyConstraint::cast(node).and_then(|one| one.table_name_ref()),
            )
        });
        for name in names.collect::<Vec<_>>() {
            self.take_node(name.syntax(), mode, held);
        }
    }

    /// The tables that the foreign keys of a table point to.
    fn foreign(
        &mut self,
        table: &TableName,
        mode: Mode,
        held: Held,
        which: impl Fn(&Constraint) -> bool,
    ) {
        let others: Vec<TableName> = self
            .catalog
            .find(table)
            .into_iter()
            .flat_map(|found| &found.constraints)
            .filter(|one| one.kind == ConstraintKind::Foreign && which(one))
            .filter_map(|one| one.references.clone())
            .collect();
        for other in others {
            self.take_all(&other, mode, held);
        }
    }

    pub(super) fn take_node(&mut self, node: &squawk_syntax::SyntaxNode, mode: Mode, held: Held) {
        if let Ok(name) = table_name(node) {
            self.take_all(&name, mode, held);
        }
    }

    /// What goes with a table that is dropped.
    pub(super) fn drop_table(&mut self, table: &TableName) {
        self.take_all(table, Mode::AccessExclusive, Held::Instant);
        self.foreign(table, Mode::AccessExclusive, Held::Instant, |_| true);
    }
}

/// For how long a new column holds its lock: one that each row computes for itself makes the
/// server write the table anew.
fn added(add: &ast::AddColumn, catalog: &Catalog) -> Held {
    let ty = add.ty().map(|ty| ty.syntax().text().to_string()).unwrap_or_default();
    let serial = ty.to_lowercase().contains("serial");
    let computed = add.constraints().any(|one| match one {
        ast::Constraint::GeneratedConstraint(_) => true,
        ast::Constraint::DefaultConstraint(default) => default.expr().is_some_and(|expression| {
            let text = expression.syntax().text().to_string();
            !quote::is_constant(&text) && !quote::is_stable(&text)
        }),
        _ => false,
    });
    let checked = add.constraints().any(|one| {
        matches!(
            one,
            ast::Constraint::CheckConstraint(_)
                | ast::Constraint::UniqueConstraint(_)
                | ast::Constraint::PrimaryKeyConstraint(_)
        )
    });
    match () {
        () if serial || computed || domain::checks(catalog, &ty) => Held::WhileRewriting,
        () if checked => Held::WhileScanning,
        () => Held::Instant,
    }
}
