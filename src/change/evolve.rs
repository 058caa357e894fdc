//! Change × Catalog → Catalog: the world as it is once a change is wholly done, so that
//! the next statement is planned against it.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{ChangeKind, NewColumn, NewIndex};
use crate::catalog::{Catalog, Column, Default, Index, Table, TableKind};
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

    /// The catalogue after a change.
    ///
    /// # Errors
    /// When the change names something that is not there, or makes what is there already.
    pub fn after(&self, change: &ChangeKind) -> Result<Self, EvolveError> {
        let mut next = self.clone();
        match change {
            ChangeKind::CreateTable { table, columns, key, if_not_exists, .. } => {
                next.create_table(table, columns, key, *if_not_exists)?;
            }
            ChangeKind::AddColumn { table, column } => {
                let added = self.new_column(table, column)?;
                next.table_mut(table)?.columns.push(added);
            }
            ChangeKind::RenameColumn { column, to } => next.rename(column, to)?,
            ChangeKind::DropColumn(column) => next.drop_column(column)?,
            ChangeKind::SetNotNull(column) => {
                let table = self.require(&column.table)?;
                let name = self.require_column(table, &column.column)?.name.clone();
                let table = next.table_mut(&column.table)?;
                for one in table.columns.iter_mut().filter(|one| one.name == name) {
                    one.nullable = false;
                }
            }
            ChangeKind::CreateIndex(index) => next.create_index(index)?,
            ChangeKind::DropIndex(index) => {
                let (table, found) = self
                    .index(index)
                    .ok_or_else(|| EvolveError::NoIndex { index: index.clone() })?;
                let name = found.name.clone();
                next.table_mut(&table.name)?.indexes.retain(|one| one.name != name);
            }
            ChangeKind::Fill(_) | ChangeKind::Opaque(_) => {}
        }
        Ok(next)
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
        let columns = columns.iter().map(plain_column).collect();
        self.tables.insert(
            name.clone(),
            Table {
                name,
                kind: TableKind::Ordinary,
                columns,
                key: key.to_vec(),
                indexes: Vec::new(),
                constraints: Vec::new(),
                dependents: Vec::new(),
                rows: 0,
                bytes: 0,
                guarded: false,
                retired: Vec::new(),
            },
        );
        Ok(())
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
        table.constraints.retain(|one| !one.columns.contains(&gone));
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
    }
}
