//! Columns of another type that take the place of the old ones: everything that hangs on
//! them changes places in one transaction, and can change back.

use super::sync::{self, Stage};
use super::{alter, asks, column_is, index, quote, step};
use crate::catalog::{Catalog, Object};
use crate::dialect::Unsupported;
use crate::plan::{Expect, Expr, IndexRole, Lowered, Swap, Sync, Undo};
use crate::sql::{ColumnRef, Ident, Sql, TableName};

/// From now on a value that cannot be converted fails the write, so that none gets lost.
pub(super) fn tighten(one: &Sync, catalog: &Catalog) -> Lowered {
    // Statements that still run the old function must end before the rows are looked at.
    let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", quote::table(&one.table));
    let function = |stage| sync::create_function(one, stage, catalog);
    let mut lowered = step(
        vec![lock, function(Stage::Strict).to_string()],
        asks(String::new(), Expect::Journal),
        Undo::Run(vec![function(Stage::Both)]),
    );
    lowered.note = Some("a value that the new type cannot hold is an error from here on".into());
    lowered
}

/// Both directions of the swap.
struct Places<'a> {
    swap: &'a Swap,
    table: &'a TableName,
    alter: String,
}

impl Places<'_> {
    fn column(&self, name: &Ident, form: &str) -> String {
        format!("{} ALTER COLUMN {} {form}", self.alter, quote::ident(name))
    }

    fn rename_column(&self, from: &Ident, to: &Ident) -> String {
        format!("{} RENAME COLUMN {} TO {}", self.alter, quote::ident(from), quote::ident(to))
    }

    fn rename_index(&self, from: &Ident, to: &Ident) -> String {
        format!("ALTER INDEX {} RENAME TO {}", quote::beside(self.table, from), quote::ident(to))
    }

    fn drop_index(&self, name: &Ident) -> String {
        format!("DROP INDEX {}", quote::beside(self.table, name))
    }

    fn move_counting(&self, gone: &Ident, comes: &Ident) -> String {
        let literal = |name: &Ident| quote::literal(name.as_str());
        format!(
            "SELECT zdmig.move_counting({}, {}, {})",
            quote::literal(&quote::table(self.table)),
            literal(gone),
            literal(comes)
        )
    }

    /// All tables whose constraints change, locked at once so that no deadlock can come of
    /// taking them one after the other.
    fn lock(&self) -> String {
        let mut tables = vec![self.table];
        for one in &self.swap.constraints {
            for table in std::iter::once(&one.table).chain(&one.references) {
                if !tables.contains(&table) {
                    tables.push(table);
                }
            }
        }
        let names: Vec<_> = tables.iter().map(|table| quote::table(table)).collect();
        format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "))
    }

    /// A foreign key needs the index that it points to: other constraints go after it, and
    /// come before it.
    fn foreign_last(&self) -> Vec<&crate::plan::SwappedConstraint> {
        let mut all: Vec<_> = self.swap.constraints.iter().collect();
        all.sort_by_key(|one| one.references.is_some());
        all
    }

    fn statistics_away(&self) -> impl Iterator<Item = String> {
        self.swap
            .statistics
            .iter()
            .map(|one| format!("DROP STATISTICS {}", quote::table(&one.name)))
    }

    fn statistics_again(&self) -> impl Iterator<Item = String> {
        let each = |one: &Object| [std::slice::from_ref(&one.definition), &one.said].concat();
        self.swap.statistics.iter().flat_map(each)
    }

    fn marks(&self) -> impl Iterator<Item = String> {
        self.swap.marks.iter().filter_map(|(table, one)| super::mark(table, one))
    }

    fn forth(&self, catalog: &Catalog) -> Vec<String> {
        let mut sql = vec![self.lock()];
        for one in self.foreign_last().into_iter().rev() {
            sql.push(drop_constraint(&one.table, &one.name));
        }
        for one in &self.swap.indexes {
            sql.push(match one.role {
                IndexRole::Plain => self.rename_index(&one.name, &hidden(&one.working)),
                IndexRole::Unique => self.drop_index(&one.name),
                IndexRole::Constraint | IndexRole::Primary => {
                    drop_constraint(self.table, &one.name)
                }
            });
        }
        sql.extend(self.statistics_away());
        for one in self.swap.columns() {
            let name = &one.old.name;
            sql.push(self.rename_column(name, &one.kept));
            sql.push(self.rename_column(&one.new.name, name));
            if one.counts.is_some() {
                sql.push(self.move_counting(&one.kept, name));
            }
            if one.old.default.is_some() {
                sql.push(self.column(&one.kept, "DROP DEFAULT"));
            }
            if !one.old.nullable {
                sql.push(self.column(&one.kept, "DROP NOT NULL"));
            }
            if let Some(default) = &one.default {
                sql.push(self.column(name, &format!("SET DEFAULT {}", default.sql)));
            }
        }
        for one in &self.swap.indexes {
            let (working, name) = (quote::ident(&one.working), quote::ident(&one.name));
            let kind = match one.role {
                IndexRole::Plain | IndexRole::Unique => {
                    sql.push(self.rename_index(&one.working, &one.name));
                    continue;
                }
                IndexRole::Constraint => "UNIQUE",
                IndexRole::Primary => "PRIMARY KEY",
            };
            sql.push(format!("{} ADD CONSTRAINT {name} {kind} USING INDEX {working}", self.alter));
        }
        for one in &self.swap.constraints {
            sql.push(rename_constraint(&one.table, &one.working, &one.name));
        }
        sql.extend(self.statistics_again());
        sql.extend(self.marks());
        sql.push(sync::create_function(&self.swap.sync, Stage::Swapped, catalog).to_string());
        sql
    }

    fn back(&self, catalog: &Catalog) -> Result<Vec<String>, Unsupported> {
        let mut sql = vec![self.lock(), self.nothing_lost(catalog)];
        for one in self.swap.constraints.iter().rev() {
            sql.push(rename_constraint(&one.table, &one.name, &one.working));
        }
        for one in self.swap.indexes.iter().filter(|one| !one.role.is_constraint()) {
            sql.push(self.rename_index(&one.name, &one.working));
        }
        sql.extend(self.statistics_away());
        for one in self.swap.columns() {
            let name = &one.old.name;
            sql.push(self.rename_column(name, &one.new.name));
            sql.push(self.rename_column(&one.kept, name));
            if !one.old.nullable {
                sql.push(self.column(name, "SET NOT NULL"));
            }
            if one.counts.is_some() {
                sql.push(self.move_counting(&one.new.name, name));
            }
            if one.default.is_some() {
                sql.push(self.column(&one.new.name, "DROP DEFAULT"));
            }
            if let Some(default) = &one.old.default {
                sql.push(self.column(name, &format!("SET DEFAULT {}", default.sql)));
            }
        }
        // An index goes with its constraint, and foreign keys may rest on it.
        let keys = || self.swap.indexes.iter().filter(|one| one.role.is_constraint());
        for one in keys() {
            let index = quote::literal(&quote::beside(self.table, &one.name));
            sql.push(format!("SELECT zdmig.set_keys_aside({index})"));
            sql.push(drop_constraint(self.table, &one.name));
        }
        for one in &self.swap.indexes {
            match one.role {
                IndexRole::Plain => {
                    sql.push(self.rename_index(&hidden(&one.working), &one.name));
                }
                IndexRole::Unique => sql.push(one.definition.to_string()),
                IndexRole::Constraint | IndexRole::Primary => {
                    let name = quote::ident(&one.name);
                    sql.push(format!("{} ADD CONSTRAINT {name} {}", self.alter, one.definition));
                    sql.push(index::whole(self.table, one)?);
                }
            }
        }
        if keys().next().is_some() {
            sql.push("SELECT zdmig.put_keys_back()".into());
        }
        for one in self.foreign_last() {
            let name = quote::ident(&one.name);
            sql.push(format!("{} ADD CONSTRAINT {name} {}", alter(&one.table), one.definition));
        }
        sql.extend(self.statistics_again());
        sql.extend(self.marks());
        sql.push(sync::create_function(&self.swap.sync, Stage::Both, catalog).to_string());
        Ok(sql)
    }

    /// Fails where a value came in that the old one, converted, does not give again.
    fn nothing_lost(&self, catalog: &Catalog) -> String {
        let columns = self.swap.columns();
        let known = catalog.find(self.table).into_iter().flat_map(|table| &table.columns);
        let others = known
            .filter(|column| columns.iter().all(|one| one.old.name != column.name))
            .map(|column| quote::ident(&column.name));
        let now = |at: usize| quote::ident(&Ident::new(format!("zdmig now {at}")));
        // The old values under the names that the author's expressions know.
        let old = columns.iter().enumerate().flat_map(|(at, one)| {
            let name = quote::ident(&one.old.name);
            [format!("{} AS {name}", quote::ident(&one.kept)), format!("{name} AS {}", now(at))]
        });
        let shown: Vec<_> = others.chain(old).collect();
        let lost = columns.iter().enumerate().map(|(at, one)| {
            let forward = match &one.forward {
                Expr::Verbatim(sql) => format!("({sql})::{}", one.new.type_name),
                Expr::Column(name) => quote::ident(name),
            };
            let [a, b] = sync::compared(
                [&now(at), &forward],
                &one.new.type_name,
                one.new.collation.as_deref(),
            );
            format!("{a} IS DISTINCT FROM {b}")
        });
        let body = format!(
            "\nBEGIN\n  IF EXISTS (SELECT FROM (SELECT {} FROM {}) AS {} WHERE {}) THEN\n    RAISE \
             EXCEPTION 'rows of % hold values that the old type cannot', {}\n      USING HINT = \
             'change or delete them, or finish with purge';\n  END IF;\nEND\n",
            shown.join(", "),
            quote::table(self.table),
            quote::ident(&self.table.name),
            lost.collect::<Vec<_>>().join(" OR "),
            quote::literal(&self.table.to_string()),
        );
        format!("DO {}", quote::dollar(&body))
    }
}

/// The name of an old index while it waits for a restore or for its end.
fn hidden(working: &Ident) -> Ident {
    Ident::new(format!("{}_old", working.as_str()))
}

fn drop_constraint(table: &TableName, name: &Ident) -> String {
    format!("{} DROP CONSTRAINT {}", alter(table), quote::ident(name))
}

fn rename_constraint(table: &TableName, from: &Ident, to: &Ident) -> String {
    format!("{} RENAME CONSTRAINT {} TO {}", alter(table), quote::ident(from), quote::ident(to))
}

/// The columns change places.
pub(super) fn swap(one: &Swap, catalog: &Catalog) -> Result<Lowered, Unsupported> {
    let places = Places { swap: one, table: &one.sync.table, alter: alter(&one.sync.table) };
    let kept = one.columns().first().map_or_else(|| Ident::new(""), |column| column.kept.clone());
    let undo = places.back(catalog)?.into_iter().map(Sql::new).collect();
    let mut lowered = step(
        places.forth(catalog),
        column_is(&ColumnRef::new(&one.sync.table, &kept), "", Expect::Rows),
        Undo::Run(undo),
    );
    lowered.note = Some(
        "no scan: all of it was built and checked before; its undo looks for values that the old \
         type cannot hold while nobody else uses the table"
            .into(),
    );
    Ok(lowered)
}

/// The old columns go.
pub(super) fn drop_swapped(one: &Swap) -> Lowered {
    let table = &one.sync.table;
    let removed = sync::remove(&one.sync);
    let gone: Vec<_> = one
        .columns()
        .iter()
        .map(|column| format!("DROP COLUMN {}", quote::ident(&column.kept)))
        .collect();
    let mut sql = vec![format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", quote::table(table))];
    sql.push(removed[0].to_string());
    sql.push(format!("{} {}", alter(table), gone.join(", ")));
    sql.push(removed[1].to_string());
    let kept = one.columns().first().map_or_else(|| Ident::new(""), |column| column.kept.clone());
    let gone = column_is(&ColumnRef::new(table, &kept), "", Expect::NoRows);
    step(sql, gone, Undo::Impossible)
}
