//! What each statement locks, told from its text and the catalogue. Measured on
//! PostgreSQL 15; the tests run every step of every case and compare with `pg_locks`.

mod alter_table;
mod other;

use std::collections::BTreeMap;

use squawk_syntax::SourceFile;
use squawk_syntax::ast::{self, AstNode};

use super::words::{Walk, Words};
use crate::catalog::Catalog;
use crate::plan::{Blocks, Held, Lock};
use crate::sql::{Sql, TableName};

/// The server's modes, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }

    /// The mode that LOCK TABLE … IN names.
    fn named(mut walk: Walk<'_>) -> Option<Self> {
        const ALL: [Mode; 8] = [
            Mode::AccessExclusive,
            Mode::AccessShare,
            Mode::RowExclusive,
            Mode::RowShare,
            Mode::ShareRowExclusive,
            Mode::ShareUpdateExclusive,
            Mode::Share,
            Mode::Exclusive,
        ];
        ALL.into_iter().find(|mode| {
            let lower = mode.word().to_lowercase();
            let words: Vec<_> = lower.split(' ').collect();
            walk.takes(&words)
        })
    }

    fn blocks(self) -> Blocks {
        match self {
            Self::AccessShare | Self::RowShare | Self::ShareUpdateExclusive => Blocks::Nobody,
            Self::RowExclusive => Blocks::SameRows,
            Self::Share | Self::ShareRowExclusive | Self::Exclusive => Blocks::Writes,
            Self::AccessExclusive => Blocks::Everything,
        }
    }
}

/// The locks of statements that run in one transaction: on each relation the strongest.
pub(super) fn of(sql: &[Sql], catalog: &Catalog) -> Vec<Lock> {
    let mut ledger = Ledger { catalog, taken: BTreeMap::new(), order: Vec::new() };
    for one in sql {
        ledger.statement(one.as_str());
    }
    ledger.locks()
}

/// Locks as they are taken.
struct Ledger<'a> {
    catalog: &'a Catalog,
    taken: BTreeMap<TableName, (Mode, Held)>,
    order: Vec<TableName>,
}

impl Ledger<'_> {
    fn statement(&mut self, sql: &str) {
        let parsed = SourceFile::parse(sql);
        let Some(tree) = parsed.tree().stmts().next() else { return };
        match &tree {
            ast::Stmt::AlterTable(alter) => self.alter_table(alter),
            other => {
                let words = Words::of(other.syntax());
                self.other(Walk::along(&words));
            }
        }
    }

    /// The relation that a name stands for; as it is where the catalogue does not know it.
    fn named(&self, name: &TableName) -> TableName {
        match self.catalog.find(name) {
            Some(table) => table.name.clone(),
            None => self.catalog.placed(name),
        }
    }

    /// Takes a lock, or makes a weaker or shorter one what it has to be.
    fn take(&mut self, name: &TableName, mode: Mode, held: Held) {
        let name = self.named(name);
        if !self.taken.contains_key(&name) {
            self.order.push(name.clone());
        }
        let lock = self.taken.entry(name).or_insert((mode, held));
        if *lock < (mode, held) {
            *lock = (mode, held);
        }
    }

    /// A new partition takes from the default one what belongs to it, if there is such.
    fn take_default_of(&mut self, name: &TableName) {
        let rest = self.catalog.find(name).and_then(|table| table.part_default.clone());
        if let Some(rest) = rest {
            self.take_all(&rest, Mode::AccessExclusive, Held::WhileScanning);
        }
    }

    /// The same on a table and all of its partitions.
    fn take_all(&mut self, name: &TableName, mode: Mode, held: Held) {
        self.take(name, mode, held);
        let partitions = self.catalog.find(name).map(|table| table.partitions.clone());
        for partition in partitions.into_iter().flatten() {
            self.take(&partition, mode, held);
        }
    }

    fn locks(self) -> Vec<Lock> {
        let lock = |name: &TableName| {
            let (mode, held) = self.taken.get(name)?;
            Some(Lock {
                object: name.to_string(),
                mode: mode.word().to_owned(),
                blocks: mode.blocks(),
                held: *held,
            })
        };
        self.order.iter().filter_map(lock).collect()
    }
}

/// The lock of one statement on one table, where there is no more to it.
fn single(table: &TableName, mode: Mode, held: Held) -> Lock {
    Lock { object: table.to_string(), mode: mode.word().to_owned(), blocks: mode.blocks(), held }
}

/// A chunk of a fill.
pub(super) fn chunk(table: &TableName, catalog: &Catalog) -> Vec<Lock> {
    with_partitions(table, Mode::RowExclusive, Held::PerChunk, catalog)
}

/// The table that a foreign key points to, while the key is checked.
pub(super) fn referenced(table: &TableName, catalog: &Catalog) -> Lock {
    let known = catalog.find(table).map_or(table, |found| &found.name);
    single(known, Mode::RowShare, Held::WhileScanning)
}

/// A query that reads a whole table.
pub(super) fn scan(table: &TableName, catalog: &Catalog) -> Vec<Lock> {
    with_partitions(table, Mode::AccessShare, Held::WhileScanning, catalog)
}

fn with_partitions(table: &TableName, mode: Mode, held: Held, catalog: &Catalog) -> Vec<Lock> {
    let partitions = catalog.find(table).into_iter().flat_map(|found| &found.partitions);
    std::iter::once(table).chain(partitions).map(|one| single(one, mode, held)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Constraint, ConstraintKind, Server, Table, TableKind};
    use crate::sql::Ident;

    fn catalog() -> Catalog {
        let name = |name: &str| TableName::new(Some("public"), name);
        let mut t = Table::bare(name("t"));
        t.constraints.push(Constraint {
            name: Ident::new("t_p_fkey"),
            kind: ConstraintKind::Foreign,
            columns: vec![Ident::new("p")],
            definition: "FOREIGN KEY (p) REFERENCES p(id)".into(),
            references: Some(TableName::new(None, "p")),
        });
        let mut parts = Table::bare(name("parts"));
        parts.kind = TableKind::Partitioned;
        parts.partitions.push(name("parts_1"));
        let tables = [t, Table::bare(name("p")), parts, Table::bare(name("parts_1"))];
        Catalog {
            server: Server { product: String::new(), version: String::new(), number: (15, 0) },
            search_path: vec![Ident::new("public")],
            tables: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
            objects: Vec::new(),
            held: Vec::new(),
            case_insensitive: false,
        }
    }

    #[test]
    fn each_form_has_its_locks() {
        let catalog = catalog();
        for (sql, expected) in [
            ("ALTER TABLE t ADD COLUMN a int", "t ACCESS EXCLUSIVE"),
            (
                "ALTER TABLE parts ADD COLUMN a int",
                "parts ACCESS EXCLUSIVE, parts_1 ACCESS EXCLUSIVE",
            ),
            ("ALTER TABLE t DROP COLUMN p", "t ACCESS EXCLUSIVE, p ACCESS EXCLUSIVE"),
            ("ALTER TABLE t DROP CONSTRAINT t_p_fkey", "t ACCESS EXCLUSIVE, p ACCESS EXCLUSIVE"),
            (
                "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p (id) NOT VALID",
                "t SHARE ROW EXCLUSIVE, p SHARE ROW EXCLUSIVE",
            ),
            ("ALTER TABLE t VALIDATE CONSTRAINT t_p_fkey", "t SHARE UPDATE EXCLUSIVE, p ROW SHARE"),
            ("ALTER TABLE t SET (fillfactor = 70)", "t SHARE UPDATE EXCLUSIVE"),
            ("CREATE INDEX i ON t (a)", "t SHARE"),
            ("CREATE UNIQUE INDEX CONCURRENTLY i ON ONLY t (a)", "t SHARE UPDATE EXCLUSIVE"),
            ("CREATE TRIGGER tr BEFORE INSERT ON t EXECUTE FUNCTION f()", "t SHARE ROW EXCLUSIVE"),
            ("DROP TRIGGER tr ON t", "t ACCESS EXCLUSIVE"),
            ("DROP TABLE t", "t ACCESS EXCLUSIVE, p ACCESS EXCLUSIVE"),
            ("CREATE VIEW v AS SELECT * FROM t, p", "t ACCESS SHARE, p ACCESS SHARE"),
            ("COMMENT ON COLUMN t.a IS 'x'", "t SHARE UPDATE EXCLUSIVE"),
            ("GRANT SELECT ON t TO PUBLIC", ""),
            ("CREATE TYPE e AS ENUM ('a')", ""),
        ] {
            let locks = of(&[Sql::new(sql)], &catalog);
            let shown: Vec<_> = locks
                .iter()
                .map(|lock| format!("{} {}", lock.object.trim_start_matches("public."), lock.mode))
                .collect();
            assert_eq!(shown.join(", "), expected, "{sql}");
        }
    }
}
