//! What each form locks, as measured on PostgreSQL 15.

use crate::plan::{Blocks, Held, Lock};
use crate::sql::TableName;

fn lock(table: &TableName, mode: &str, blocks: Blocks, held: Held) -> Lock {
    Lock { object: table.to_string(), mode: mode.to_owned(), blocks, held }
}

/// Most forms of ALTER TABLE, DROP TRIGGER.
pub(super) fn exclusive(table: &TableName) -> Lock {
    lock(table, "ACCESS EXCLUSIVE", Blocks::Everything, Held::Instant)
}

/// CREATE TRIGGER, ADD FOREIGN KEY … NOT VALID.
pub(super) fn share_row(table: &TableName) -> Lock {
    lock(table, "SHARE ROW EXCLUSIVE", Blocks::Writes, Held::Instant)
}

/// CONCURRENTLY, VALIDATE.
pub(super) fn share_update(table: &TableName) -> Lock {
    lock(table, "SHARE UPDATE EXCLUSIVE", Blocks::Nobody, Held::WhileScanning)
}

/// VALIDATE of a foreign key, on the table it points to.
pub(super) fn row_share(table: &TableName) -> Lock {
    lock(table, "ROW SHARE", Blocks::Nobody, Held::WhileScanning)
}

/// UPDATE.
pub(super) fn row_exclusive(table: &TableName) -> Lock {
    lock(table, "ROW EXCLUSIVE", Blocks::SameRows, Held::PerChunk)
}

/// SELECT.
pub(super) fn access_share(table: &TableName) -> Lock {
    lock(table, "ACCESS SHARE", Blocks::Nobody, Held::WhileScanning)
}
