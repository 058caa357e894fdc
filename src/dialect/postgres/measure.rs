//! What a statement really locked, rewrote and read, asked of the server in the same
//! transaction: the measure that plans are held against.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

use super::catalog::get;
use super::connect::wrap;
use super::said::{self, Work};
use crate::dialect::{Measured, SessionError};
use crate::sql::{Sql, TableName};

type Read<T> = Result<T, SessionError>;

/// How long to look for the lock of a statement that waits.
const LOOK: Duration = Duration::from_secs(5);

/// How often to look what a statement locks that nobody makes wait.
const PEEK: Duration = Duration::from_millis(2);

/// Relations as they were before a statement.
pub(super) struct Before(BTreeMap<i64, Relation>);

struct Relation {
    name: String,
    /// Without its schema.
    bare: String,
    filenode: i64,
    scans: i64,
    /// The table of an index.
    of: Option<i64>,
}

impl Before {
    /// Takes in what the server said of tables that were there before.
    fn told(&self, said: Vec<String>, measured: &mut Measured) {
        for line in said {
            let Some((work, table)) = said::work(&line) else { continue };
            // Messages bear no schema; whatever is worked on is locked.
            let named = |one: &&Relation| {
                one.of.is_none() && one.bare == table && measured.locks.contains_key(&one.name)
            };
            for relation in self.0.values().filter(named) {
                let told = match work {
                    Work::Rewrites => &mut measured.rewritten,
                    Work::Scans | Work::Builds => &mut measured.scanned,
                };
                told.push(relation.name.clone());
            }
            measured.said.push(line);
        }
    }
}

const RELATIONS: &str = "
    SELECT c.oid::int8, n.nspname::text, c.relname::text, coalesce(pg_relation_filenode(c.oid), 0)::int8,
           pg_stat_get_xact_numscans(c.oid), i.indrelid::int8
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'i')
       AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zdmig')";

async fn relations(conn: &mut PgConnection) -> Read<BTreeMap<i64, Relation>> {
    let mut found = BTreeMap::new();
    for row in sqlx::query(RELATIONS).fetch_all(conn).await.map_err(wrap)? {
        let name = TableName::new(Some(&get::<String>(&row, 1)?), &get::<String>(&row, 2)?);
        let relation = Relation {
            name: name.to_string(),
            bare: name.name.as_str().to_owned(),
            filenode: get(&row, 3)?,
            scans: get(&row, 4)?,
            of: get(&row, 5)?,
        };
        found.insert(get(&row, 0)?, relation);
    }
    Ok(found)
}

/// Remembers what is there.
pub(super) async fn before(conn: &mut PgConnection) -> Read<Before> {
    Ok(Before(relations(conn).await?))
}

/// What the transaction holds now on what was there before, and what it did to it.
pub(super) async fn after(
    conn: &mut PgConnection,
    before: &Before,
    said: Vec<String>,
) -> Read<Measured> {
    let mut measured = Measured { locks: locks(conn, None, before).await?, ..Measured::default() };
    before.told(said, &mut measured);
    let now = relations(conn).await?;
    for (oid, relation) in &before.0 {
        let Some(now) = now.get(oid).filter(|now| now.of.is_none()) else { continue };
        if now.filenode != relation.filenode {
            measured.rewritten.push(relation.name.clone());
        }
        if now.scans > relation.scans {
            measured.scanned.push(relation.name.clone());
        }
    }
    for told in [&mut measured.rewritten, &mut measured.scanned] {
        told.sort();
        told.dedup();
    }
    Ok(measured)
}

/// What the transaction holds now on what was there before.
pub(super) async fn held(conn: &mut PgConnection, before: &Before) -> Read<Measured> {
    Ok(Measured { locks: locks(conn, None, before).await?, ..Measured::default() })
}

/// The strongest lock on each relation that a server process holds.
async fn locks(
    conn: &mut PgConnection,
    pid: Option<i32>,
    before: &Before,
) -> Read<BTreeMap<String, String>> {
    let rows = sqlx::query(
        "SELECT l.relation::int8, l.mode FROM pg_locks l
          WHERE l.locktype = 'relation' AND l.granted AND l.pid = coalesce($1, pg_backend_pid())
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .bind(pid)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let mut strongest: BTreeMap<i64, usize> = BTreeMap::new();
    for row in &rows {
        let oid: i64 = row.try_get(0).map_err(wrap)?;
        let mode: String = get(row, 1)?;
        let strength = MODES.iter().position(|(name, _)| *name == mode).unwrap_or_default();
        let known = strongest.entry(oid).or_insert(strength);
        *known = strength.max(*known);
    }
    let most = MODES.len() - 1;
    let mut found = BTreeMap::new();
    for (oid, strength) in &strongest {
        let Some(relation) = before.0.get(oid) else { continue };
        // An index says something of its own only where readers of its table wait for it alone.
        let of = relation.of.map(|table| strongest.get(&table).copied().unwrap_or_default());
        if of.is_none_or(|table| *strength == most && table < most) {
            found.insert(relation.name.clone(), MODES[*strength].1.to_owned());
        }
    }
    Ok(found)
}

/// The server's names for its modes, weakest first, and the words of its manual.
const MODES: [(&str, &str); 8] = [
    ("AccessShareLock", "ACCESS SHARE"),
    ("RowShareLock", "ROW SHARE"),
    ("RowExclusiveLock", "ROW EXCLUSIVE"),
    ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
    ("ShareLock", "SHARE"),
    ("ShareRowExclusiveLock", "SHARE ROW EXCLUSIVE"),
    ("ExclusiveLock", "EXCLUSIVE"),
    ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
];

/// Runs a statement that has no transaction of ours. A second session stands where a writer
/// could, so that the statement waits with its lock in hand and can be looked at.
pub(super) async fn outside(
    conn: &mut PgConnection,
    holder: &mut PgConnection,
    pid: i32,
    sql: &Sql,
) -> Read<Measured> {
    let before = before(holder).await?;
    // A materialized view takes no LOCK: one that is read, and the snapshot, are waited for.
    let mut hold = String::from("BEGIN ISOLATION LEVEL REPEATABLE READ");
    for (name, kept) in tables(holder).await? {
        hold.push_str(&if kept {
            format!("; EXPLAIN SELECT FROM {name}")
        } else {
            format!("; LOCK TABLE {name} IN ROW EXCLUSIVE MODE")
        });
    }
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut *holder).await.map_err(wrap)?;
    sqlx::query(said::ASK_OUTSIDE).execute(&mut *conn).await.map_err(wrap)?;
    let statement = sqlx::raw_sql(AssertSqlSafe(sql.as_str().to_owned())).execute(&mut *conn);
    let run = said::listening(statement);
    let look = async {
        let begun = Instant::now();
        let mut seen = BTreeMap::new();
        while begun.elapsed() < LOOK {
            let now = locks(holder, Some(pid), &before).await?;
            if now.values().any(|mode| mode != MODES[0].1) {
                seen = now;
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sqlx::query("ROLLBACK").execute(&mut *holder).await.map_err(wrap)?;
        Ok::<_, SessionError>(seen)
    };
    let ((ran, lines), locks) = tokio::join!(run, look);
    sqlx::query(said::ASK_NO_MORE).execute(&mut *conn).await.map_err(wrap)?;
    ran.map_err(wrap)?;
    let mut measured = Measured { locks: locks?, ..Measured::default() };
    before.told(lines, &mut measured);
    Ok(measured)
}

/// Runs a statement that has no transaction of ours, beside an application that is at work. What it locks is looked
/// at again and again: a lock that is let go between two looks is not seen. What the step's statements before it
/// locked is added to.
pub(super) async fn beside(
    other: &mut PgConnection,
    pid: i32,
    earlier: Option<Measured>,
    run: impl Future<Output = Result<(), SessionError>> + Send,
) -> Read<Measured> {
    let before = before(other).await?;
    let (mut measured, begun) = (earlier.unwrap_or_default(), Instant::now());
    let mut run = pin!(run);
    loop {
        tokio::select! {
            ran = &mut run => {
                ran?;
                break;
            }
            () = tokio::time::sleep(PEEK) => {
                // A look that fails is no look: the statement is what matters.
                for (name, mode) in locks(other, Some(pid), &before).await.unwrap_or_default() {
                    let known = measured.locks.entry(name).or_default();
                    if strength(&mode) >= strength(known) {
                        *known = mode;
                    }
                }
            }
        }
    }
    measured.held = measured.held.max(begun.elapsed());
    Ok(measured)
}

/// Which of the modes it is, by the words of the manual.
fn strength(mode: &str) -> usize {
    MODES.iter().position(|(_, words)| *words == mode).unwrap_or_default()
}

/// Every table and every materialized view, and whether it is one of the latter.
async fn tables(conn: &mut PgConnection) -> Read<Vec<(String, bool)>> {
    let rows = sqlx::query(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relkind = 'm'
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
            AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zdmig')
          ORDER BY 1",
    )
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}
