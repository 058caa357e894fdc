//! Change × Catalog → Catalog: the world as it is once a change is wholly done, so that
//! the next statement is planned against it.

mod objects;

use std::collections::BTreeSet;

use thiserror::Error;

use super::{ChangeKind, NewColumn, NewConstraint, NewIndex};
use crate::catalog::{Catalog, Column, Constraint, ConstraintKind, Default, Index, Table};
use crate::sql::{ColumnRef, Ident, TableName};

/// Why a change cannot be made to this catalogue.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EvolveError {
    /// The table is not there.
    #[error("there is no table `{table}`{}", hint.as_ref().map(|h| format!("; did you mean `{h}`?")).unwrap_or_default())]
    NoTable {
        /// As written.
        table: TableName,
        /// A near name.
        hint: Option<String>,
    },
    /// The column is not there.
    #[error("table `{table}` has no column `{column}`{}", hint.as_ref().map(|h| format!("; did you mean `{h}`?")).unwrap_or_default())]
    NoColumn {
        /// The table.
        table: TableName,
        /// As written.
        column: Ident,
        /// A near name.
        hint: Option<String>,
    },
    /// The index is not there.
    #[error("there is no index `{index}`")]
    NoIndex {
        /// As written.
        index: TableName,
    },
    /// The name is taken.
    #[error("{what} `{name}` exists already")]
    Taken {
        /// A table, a column, an index.
        what: &'static str,
        /// The name.
        name: String,
    },
}

impl Catalog {
    /// The table, or the error that names it.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn require(&self, table: &TableName) -> Result<&Table, EvolveError> {
        self.find(table).ok_or_else(|| {
            let names = self.tables.keys().map(|one| one.name.as_str());
            let hint = self.near(table.name.as_str(), names).map(ToOwned::to_owned);
            EvolveError::NoTable { table: table.clone(), hint }
        })
    }

    /// The column, or the error that names it.
    ///
    /// # Errors
    /// When the table has none of that name.
    pub fn require_column<'a>(
        &self,
        table: &'a Table,
        column: &Ident,
    ) -> Result<&'a Column, EvolveError> {
        self.column(table, column).ok_or_else(|| {
            let names = table.columns.iter().map(|one| one.name.as_str());
            EvolveError::NoColumn {
                table: table.name.clone(),
                column: column.clone(),
                hint: self.near(column.as_str(), names).map(ToOwned::to_owned),
            }
        })
    }

    /// Makes a change.
    ///
    /// # Errors
    /// When the change names something that is not there, or makes what is there already.
    pub fn make(&mut self, change: &ChangeKind) -> Result<(), EvolveError> {
        if change.table().and_then(|table| self.find(table)).is_some_and(|table| table.vague)
            && !change.is_of_whole_table()
        {
            return Ok(());
        }
        match change {
            ChangeKind::CreateTable { table, columns, key, constraints, parent, if_not_exists } => {
                let new = self.find(table).is_none();
                self.create_table(table, columns, key, *if_not_exists)?;
                if new {
                    for constraint in constraints {
                        self.add_constraint(constraint)?;
                    }
                    self.belongs(table, parent.as_ref());
                }
            }
            ChangeKind::AddColumn { table, column, if_not_exists } => {
                let there = self.column(self.require(table)?, &column.name).is_some();
                if !(*if_not_exists && there) {
                    let added = self.new_column(table, column)?;
                    self.table_mut(table)?.columns.push(added);
                }
            }
            ChangeKind::RenameColumn { column, to } => self.rename(column, to)?,
            ChangeKind::DropColumn { column, if_exists } => {
                let there = self.column(self.require(&column.table)?, &column.column).is_some();
                if there || !if_exists {
                    self.drop_column(column)?;
                }
            }
            ChangeKind::SetNotNull(column) => self.column_mut(column)?.nullable = false,
            ChangeKind::DropNotNull(column) => self.column_mut(column)?.nullable = true,
            ChangeKind::SetDefault { column, default, constant } => {
                let default = Default { sql: default.clone(), constant: *constant };
                self.column_mut(column)?.default = Some(default);
            }
            ChangeKind::DropDefault(column) => self.column_mut(column)?.default = None,
            ChangeKind::ChangeType(change) => {
                let column = self.column_mut(&change.column)?;
                column.type_name.clone_from(&change.type_name);
                column.collation.clone_from(&change.collation);
            }
            ChangeKind::AddConstraint(constraint) => self.add_constraint(constraint)?,
            ChangeKind::DropConstraint { table, name, .. } => {
                let table = self.table_mut(table)?;
                if table
                    .constraints
                    .iter()
                    .any(|one| one.name == *name && one.kind == ConstraintKind::Primary)
                {
                    table.key.clear();
                }
                let incoming = ConstraintKind::Incoming;
                table.constraints.retain(|one| one.name != *name || one.kind == incoming);
                table.indexes.retain(|one| one.constraint.as_ref() != Some(name));
                let child = table.name.clone();
                self.forget_incoming(&child, name);
            }
            ChangeKind::RenameTable { table, to } => self.rename_table(table, to)?,
            ChangeKind::DropTable { tables, if_exists } => {
                for table in tables {
                    match self.require(table).map(|found| found.name.clone()) {
                        Ok(found) => self.drop_table(&found),
                        Err(_) if *if_exists => {}
                        Err(error) => return Err(error),
                    }
                }
            }
            ChangeKind::CreateIndex(index) => self.create_index(index)?,
            ChangeKind::DropIndex { index, if_exists } => {
                let found = self.index(index);
                match found.map(|(table, found)| (table.name.clone(), found.name.clone())) {
                    Some((table, name)) => {
                        self.table_mut(&table)?.indexes.retain(|one| one.name != name);
                    }
                    None if *if_exists => {}
                    None => return Err(EvolveError::NoIndex { index: index.clone() }),
                }
            }
            ChangeKind::Plain(plain) => self.run_plain(plain),
            ChangeKind::Fill(_) | ChangeKind::IfTable(_) | ChangeKind::Opaque(_) => {}
        }
        Ok(())
    }

    fn column_mut(&mut self, column: &ColumnRef) -> Result<&mut Column, EvolveError> {
        let table = self.require(&column.table)?;
        let name = self.require_column(table, &column.column)?.name.clone();
        let missing =
            EvolveError::NoColumn { table: table.name.clone(), column: name.clone(), hint: None };
        let table = self.table_mut(&column.table)?;
        table.columns.iter_mut().find(|one| one.name == name).ok_or(missing)
    }

    /// The name of a new constraint: the author's, else the one that the server would
    /// choose, with a number where it is taken.
    pub fn constraint_name(&self, new: &NewConstraint, table: &Table) -> Ident {
        let here = |one: &&Table| one.name.schema == table.name.schema;
        let taken = |name: &Ident| {
            self.tables.values().filter(here).any(|one| {
                let own = |one: &&Constraint| one.kind != ConstraintKind::Incoming;
                one.constraints.iter().filter(own).any(|one| one.name == *name)
                    || one.indexes.iter().any(|one| one.name == *name)
            })
        };
        if new.named || new.using_index.is_some() || !taken(&new.name) {
            return new.name.clone();
        }
        let numbered = |number: u32| Ident::new(format!("{}{number}", new.name));
        (1..=u32::MAX).map(numbered).find(|name| !taken(name)).unwrap_or_else(|| new.name.clone())
    }

    fn add_constraint(&mut self, new: &NewConstraint) -> Result<(), EvolveError> {
        let name = self.constraint_name(new, self.require(&new.table)?);
        let new = &NewConstraint { name, ..new.clone() };
        let target = new.references.as_ref().and_then(|name| self.find(name));
        let target = target.map(|table| table.name.clone());
        let table = self.table_mut(&new.table)?;
        if table.constraints.iter().any(|one| one.name == new.name && !one.name.as_str().is_empty())
        {
            return Err(EvolveError::Taken { what: "constraint", name: new.name.to_string() });
        }
        if matches!(new.kind, ConstraintKind::Primary | ConstraintKind::Unique) {
            if let Some(index) = &new.using_index {
                let of = |one: &&mut Index| one.name == *index;
                if let Some(index) = table.indexes.iter_mut().find(of) {
                    (index.name, index.constraint) = (new.name.clone(), Some(new.name.clone()));
                }
            } else {
                table.indexes.push(Index {
                    name: new.name.clone(),
                    definition: String::new(),
                    unique: true,
                    columns: new.columns.iter().cloned().collect(),
                    keys: new.columns.clone(),
                    constraint: Some(new.name.clone()),
                    valid: true,
                });
            }
        }
        if new.kind == ConstraintKind::Primary {
            table.key.clone_from(&new.columns);
            for column in table.columns.iter_mut().filter(|one| new.columns.contains(&one.name)) {
                column.nullable = false;
            }
        }
        table.constraints.push(Constraint {
            name: new.name.clone(),
            kind: new.kind,
            columns: new.columns.clone(),
            definition: new.definition.clone(),
            references: target.clone(),
        });
        let child = table.name.clone();
        if let Some(parent) = target.and_then(|name| self.tables.get_mut(&name)) {
            parent.constraints.push(Constraint {
                name: new.name.clone(),
                kind: ConstraintKind::Incoming,
                columns: if new.keys.is_empty() { parent.key.clone() } else { new.keys.clone() },
                definition: child.to_string(),
                references: None,
            });
        }
        Ok(())
    }

    /// Takes a foreign key off the tables that it pointed to.
    fn forget_incoming(&mut self, child: &TableName, name: &Ident) {
        let bare = |name: &str| name.replace('"', "");
        let from = bare(&child.to_string());
        for table in self.tables.values_mut() {
            table.constraints.retain(|one| {
                one.kind != ConstraintKind::Incoming
                    || one.name != *name
                    || bare(&one.definition) != from
                        && bare(&one.definition) != bare(child.name.as_str())
            });
        }
    }

    fn drop_table(&mut self, name: &TableName) {
        let gone = self.tables.remove(name);
        for constraint in gone.iter().flat_map(|table| &table.constraints) {
            if constraint.kind == ConstraintKind::Foreign {
                self.forget_incoming(name, &constraint.name);
            }
        }
    }

    fn rename_table(&mut self, table: &TableName, to: &TableName) -> Result<(), EvolveError> {
        let from = self.require(table)?.name.clone();
        let full = from.renamed(to);
        if self.tables.contains_key(&full) {
            return Err(EvolveError::Taken { what: "table", name: full.to_string() });
        }
        if let Some(mut moved) = self.tables.remove(&from) {
            moved.name = full.clone();
            self.tables.insert(full.clone(), moved);
        }
        for table in self.tables.values_mut() {
            for constraint in &mut table.constraints {
                let points = constraint.references.as_ref().is_some_and(|one| {
                    one.name == from.name && (one.schema.is_none() || one.schema == from.schema)
                });
                if points {
                    constraint.references = Some(full.clone());
                    constraint.definition = pointed(&constraint.definition, &full);
                }
            }
        }
        Ok(())
    }

    fn table_mut(&mut self, name: &TableName) -> Result<&mut Table, EvolveError> {
        let full = self.require(name)?.name.clone();
        let missing = EvolveError::NoTable { table: full.clone(), hint: None };
        self.tables.get_mut(&full).ok_or(missing)
    }

    fn create_table(
        &mut self,
        table: &TableName,
        columns: &[NewColumn],
        key: &[Ident],
        if_not_exists: bool,
    ) -> Result<(), EvolveError> {
        let name = self.placed(table);
        if self.find(&name).is_some() {
            if if_not_exists {
                return Ok(());
            }
            return Err(EvolveError::Taken { what: "table", name: name.to_string() });
        }
        let vague = columns.is_empty();
        let columns = columns.iter().map(plain_column).collect();
        self.tables
            .insert(name.clone(), Table { vague, columns, key: key.to_vec(), ..Table::bare(name) });
        Ok(())
    }

    /// What a new partition means for the tables above it.
    fn belongs(&mut self, table: &TableName, parent: Option<&TableName>) {
        let name = self.placed(table);
        let Some(parent) = parent.and_then(|name| self.find(name)).map(|one| one.name.clone())
        else {
            return;
        };
        for above in self.tables.values_mut() {
            if above.name == parent || above.partitions.contains(&parent) {
                above.partitions.push(name.clone());
            }
        }
    }

    fn new_column(&self, table: &TableName, column: &NewColumn) -> Result<Column, EvolveError> {
        let table = self.require(table)?;
        if self.column(table, &column.name).is_some() {
            let name = format!("{}.{}", table.name, column.name);
            return Err(EvolveError::Taken { what: "column", name });
        }
        Ok(plain_column(column))
    }

    fn rename(&mut self, column: &ColumnRef, to: &Ident) -> Result<(), EvolveError> {
        let table = self.require(&column.table)?;
        let from = self.require_column(table, &column.column)?.name.clone();
        if self.column(table, to).is_some_and(|taken| taken.name != from) {
            let name = format!("{}.{to}", table.name);
            return Err(EvolveError::Taken { what: "column", name });
        }
        let renamed = |names: &BTreeSet<Ident>| -> BTreeSet<Ident> {
            names.iter().map(|one| if *one == from { to.clone() } else { one.clone() }).collect()
        };
        let table = self.table_mut(&column.table)?;
        for one in table.columns.iter_mut().filter(|one| one.name == from) {
            one.name = to.clone();
        }
        for index in &mut table.indexes {
            index.columns = renamed(&index.columns);
            for key in index.keys.iter_mut().filter(|key| **key == from) {
                *key = to.clone();
            }
        }
        for dependent in &mut table.dependents {
            dependent.columns = renamed(&dependent.columns);
        }
        let mentioned = table.constraints.iter_mut().flat_map(|one| one.columns.iter_mut());
        for name in mentioned.chain(table.key.iter_mut()).filter(|name| **name == from) {
            *name = to.clone();
        }
        Ok(())
    }

    fn drop_column(&mut self, column: &ColumnRef) -> Result<(), EvolveError> {
        let table = self.require(&column.table)?;
        let gone = self.require_column(table, &column.column)?.name.clone();
        let table = self.table_mut(&column.table)?;
        table.columns.retain(|one| one.name != gone);
        table.indexes.retain(|one| !one.columns.contains(&gone));
        let lost: Vec<_> = table
            .constraints
            .iter()
            .filter(|one| one.kind == ConstraintKind::Foreign && one.columns.contains(&gone))
            .map(|one| one.name.clone())
            .collect();
        table.constraints.retain(|one| !one.columns.contains(&gone));
        if table.key.contains(&gone) {
            table.key.clear();
        }
        let child = table.name.clone();
        for name in &lost {
            self.forget_incoming(&child, name);
        }
        Ok(())
    }

    fn create_index(&mut self, index: &NewIndex) -> Result<(), EvolveError> {
        let table = self.require(&index.table)?.clone();
        if let Some(name) = &index.name {
            let full = TableName { schema: table.name.schema.clone(), name: name.clone() };
            if self.index(&full).is_some() {
                if index.if_not_exists {
                    return Ok(());
                }
                return Err(EvolveError::Taken { what: "index", name: name.to_string() });
            }
        }
        let mut columns = BTreeSet::new();
        for key in &index.keys {
            columns.insert(self.require_column(&table, key)?.name.clone());
        }
        let mentioned = index.mentions.iter().filter_map(|name| self.column(&table, name));
        columns.extend(mentioned.map(|column| column.name.clone()));
        let name = index.name.clone().unwrap_or_else(|| Ident::new(""));
        self.table_mut(&index.table)?.indexes.push(Index {
            name,
            definition: index.definition.clone(),
            unique: index.unique,
            columns,
            keys: index.keys.clone(),
            constraint: None,
            valid: true,
        });
        Ok(())
    }
}

/// A foreign key's clause that points to another table.
fn pointed(definition: &str, to: &TableName) -> String {
    let quoted = |name: &Ident| format!("\"{}\"", name.as_str().replace('"', "\"\""));
    let name = match &to.schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(&to.name)),
        None => quoted(&to.name),
    };
    let parts = definition
        .split_once(" REFERENCES ")
        .and_then(|(head, rest)| rest.find('(').map(|list| (head, &rest[list..])));
    match parts {
        Some((head, list)) => format!("{head} REFERENCES {name}{list}"),
        None => definition.to_owned(),
    }
}

fn plain_column(column: &NewColumn) -> Column {
    Column {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        collation: column.collation.clone(),
        nullable: !column.not_null,
        default: column
            .default
            .clone()
            .map(|sql| Default { sql, constant: column.default_constant }),
        comment: None,
        grants: Vec::new(),
        // Of a table that is not made yet only what makes a column special can be known.
        peculiar: column
            .others
            .iter()
            .filter(|clause| {
                let clause = clause.to_uppercase();
                clause.starts_with("GENERATED") || clause.starts_with("THE TYPE")
            })
            .cloned()
            .collect(),
        settings: Vec::new(),
    }
}
