//! Rows of the original for a rehearsal: some of each table, and all that they point to.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};
use tokio_stream::StreamExt;

use super::catalog::get;
use super::connect::{connect, wrap};
use super::{invent, quote};
use crate::dialect::{DatabaseUrl, SessionError};
use crate::sql::TableName;

const LIMIT: Duration = Duration::from_secs(10);

/// A table of fewer pages is read whole, so that rows come from everywhere in it; of a larger one some pages are.
const SMALL: i64 = 10_000;

/// So many keys are asked for at once.
const KEYS: u32 = 10_000;

/// Rows go over in parts of so many bytes.
const PART: usize = 64 * 1024;

/// A foreign key between two tables that are copied.
struct Link {
    child: String,
    parent: String,
    pairs: Vec<Pair>,
}

/// A column of a foreign key, in quotes, and the one that it points to.
struct Pair {
    own: String,
    theirs: String,
    /// The type of the latter.
    of: String,
}

/// Copies rows into those of the tables that are empty: at most so many of each, and those that they point to.
pub(super) async fn rows(
    from: &DatabaseUrl,
    into: &DatabaseUrl,
    tables: &[TableName],
    rows: u64,
) -> Result<(), SessionError> {
    let mut source = connect(from, "zdmig", LIMIT).await?;
    let mut conn = connect(into, "zdmig", LIMIT).await?;
    // All of one instant, so that whatever is pointed to is there.
    let reading = "SET search_path = pg_catalog; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(reading).execute(&mut source).await.map_err(wrap)?;
    // Triggers of the author's have fired when the rows were written; keys are looked at in the end.
    let writing = "SET search_path = pg_catalog; SET session_replication_role = replica";
    sqlx::raw_sql(writing).execute(&mut conn).await.map_err(wrap)?;
    let asked: Vec<String> = tables.iter().map(quote::table).collect();
    let mut ours = BTreeSet::new();
    for (name, asked) in invent::closure(&mut conn, &asked).await? {
        if !invent::is_empty(&mut conn, &name).await? {
            continue;
        }
        if asked {
            let query = some(&mut source, &name, rows).await?;
            copy(&mut source, &mut conn, &query, &name).await?;
        }
        ours.insert(name);
    }
    let links = links(&mut conn, &ours).await?;
    // What is brought may point further.
    while pointed_to(&mut source, &mut conn, &links).await? > 0 {}
    for name in &ours {
        settle(&mut conn, name).await?;
    }
    Ok(())
}

/// A query of some rows of a table, from everywhere in it.
async fn some(source: &mut PgConnection, name: &str, rows: u64) -> Result<String, SessionError> {
    let row = sqlx::query(
        "WITH RECURSIVE t AS (
            SELECT $1::regclass::oid AS oid
            UNION ALL SELECT i.inhrelid FROM t JOIN pg_inherits i ON i.inhparent = t.oid)
         SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8, coalesce(sum(c.relpages), 0)::bigint
           FROM t JOIN pg_class c USING (oid) WHERE c.relkind = 'r'",
    )
    .bind(name)
    .fetch_one(source)
    .await
    .map_err(|error| hindered(name, wrap(error)))?;
    let (there, pages): (f64, i64) = (get(&row, 0)?, get(&row, 1)?);
    // A little more than is wanted: it is an estimate.
    #[expect(clippy::cast_precision_loss, reason = "a share of an estimate")]
    let share = rows as f64 * 120.0 / there.max(1.0);
    if share >= 100.0 {
        return Ok(format!("SELECT * FROM {name} LIMIT {rows}"));
    }
    let how = if pages < SMALL { "BERNOULLI" } else { "SYSTEM" };
    Ok(format!("SELECT * FROM {name} TABLESAMPLE {how} ({share:.6}) LIMIT {rows}"))
}

/// Foreign keys from one of the tables to another of them.
async fn links(
    conn: &mut PgConnection,
    tables: &BTreeSet<String>,
) -> Result<Vec<Link>, SessionError> {
    let found = sqlx::query(
        "SELECT child, parent,
                ARRAY(SELECT quote_ident(attname) FROM unnest(conkey) WITH ORDINALITY k (attnum, at)
                        JOIN pg_attribute USING (attnum) WHERE attrelid = conrelid ORDER BY at),
                ARRAY(SELECT quote_ident(attname) FROM unnest(confkey) WITH ORDINALITY k (attnum, at)
                        JOIN pg_attribute USING (attnum) WHERE attrelid = confrelid ORDER BY at),
                ARRAY(SELECT format_type(atttypid, -1) FROM unnest(confkey) WITH ORDINALITY k (attnum, at)
                        JOIN pg_attribute USING (attnum) WHERE attrelid = confrelid ORDER BY at)
           FROM (SELECT *, conrelid::regclass::text AS child, confrelid::regclass::text AS parent
                   FROM pg_constraint WHERE contype = 'f' AND conparentid = 0) c
          WHERE child = ANY ($1) AND parent = ANY ($1) ORDER BY oid",
    )
    .bind(tables.iter().cloned().collect::<Vec<_>>())
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let link = |row: &PgRow| {
        let (own, theirs): (Vec<String>, Vec<String>) = (get(row, 2)?, get(row, 3)?);
        let types: Vec<String> = get(row, 4)?;
        let pairs = own.into_iter().zip(theirs).zip(types);
        let pairs = pairs.map(|((own, theirs), of)| Pair { own, theirs, of }).collect();
        Ok(Link { child: get(row, 0)?, parent: get(row, 1)?, pairs })
    };
    found.iter().map(link).collect()
}

/// Brings rows that are pointed to and are not there; how many it brought.
async fn pointed_to(
    source: &mut PgConnection,
    conn: &mut PgConnection,
    links: &[Link],
) -> Result<u64, SessionError> {
    let mut brought = 0;
    for link in links {
        while let Some(query) = link.lacking(conn).await? {
            let rows = copy(source, conn, &query, &link.parent).await?;
            brought += rows;
            // What the original lacks as well is not to be had.
            if rows == 0 {
                break;
            }
        }
    }
    Ok(brought)
}

impl Link {
    /// A query of the parents that are lacking, where some are.
    async fn lacking(&self, conn: &mut PgConnection) -> Result<Option<String>, SessionError> {
        let each = |form: &dyn Fn(usize, &Pair) -> String, between: &str| {
            let all: Vec<_> =
                self.pairs.iter().enumerate().map(|(at, one)| form(at, one)).collect();
            all.join(between)
        };
        let query = format!(
            "SELECT {} FROM (SELECT DISTINCT {} FROM {} c WHERE {} AND NOT EXISTS (SELECT FROM {} p WHERE {}) LIMIT {KEYS}) k",
            each(&|at, _| format!("array_agg(k{at}::text)::text"), ", "),
            each(&|at, pair| format!("c.{} AS k{at}", pair.own), ", "),
            self.child,
            each(&|_, pair| format!("c.{} IS NOT NULL", pair.own), " AND "),
            self.parent,
            each(&|_, pair| format!("p.{} = c.{}", pair.theirs, pair.own), " AND "),
        );
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(conn).await.map_err(wrap)?;
        let mut keys = Vec::new();
        for at in 0..self.pairs.len() {
            let Some(list) = get::<Option<String>>(&row, at)? else { return Ok(None) };
            keys.push(list);
        }
        // COPY takes no parameters.
        let lists = each(&|at, pair| format!("{}::{}[]", quote::literal(&keys[at]), pair.of), ", ");
        let names = each(&|at, _| format!("k{at}"), ", ");
        let same = each(&|at, pair| format!("p.{} = k.k{at}", pair.theirs), " AND ");
        Ok(Some(format!(
            "SELECT p.* FROM unnest({lists}) AS k ({names}) JOIN {} p ON {same}",
            self.parent
        )))
    }
}

/// Copies what a query of whole rows gives into a table; how many rows.
async fn copy(
    source: &mut PgConnection,
    conn: &mut PgConnection,
    query: &str,
    table: &str,
) -> Result<u64, SessionError> {
    // What the server computes is computed again.
    let row = sqlx::query(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
          WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
    )
    .bind(table)
    .fetch_one(&mut *conn)
    .await
    .map_err(wrap)?;
    let Some(columns) = get::<Option<String>>(&row, 0)? else { return Ok(0) };
    let failed = |error: sqlx::Error| hindered(table, wrap(error));
    let read = format!("COPY (SELECT {columns} FROM ({query}) r) TO STDOUT");
    let mut rows = source.copy_out_raw(&read).await.map_err(failed)?;
    let write = format!("COPY {table} ({columns}) FROM STDIN");
    let mut into = conn.copy_in_raw(&write).await.map_err(failed)?;
    let mut part = Vec::new();
    while let Some(row) = rows.next().await {
        part.extend_from_slice(&row.map_err(failed)?);
        if part.len() >= PART {
            into.send(std::mem::take(&mut part)).await.map_err(failed)?;
        }
    }
    into.send(part).await.map_err(failed)?;
    into.finish().await.map_err(failed)
}

/// What cannot be copied is named, and what to do instead.
fn hindered(table: &str, error: SessionError) -> SessionError {
    let message = format!(
        "no rows of {table} can be copied: {error}; leave `--sample` out, and rows are made up"
    );
    SessionError::Denied { message }
}

/// Lets the next of a table's numbers follow on those that are there, and gathers statistics.
async fn settle(conn: &mut PgConnection, table: &str) -> Result<(), SessionError> {
    let found = sqlx::query(
        "SELECT quote_ident(attname), pg_get_serial_sequence($1, attname) FROM pg_attribute
          WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
            AND pg_get_serial_sequence($1, attname) IS NOT NULL",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await
    .map_err(wrap)?;
    for row in &found {
        let (column, sequence): (String, String) = (get(row, 0)?, get(row, 1)?);
        let next = format!("SELECT setval($1::regclass, greatest(max({column}), 1)) FROM {table}");
        let query = sqlx::query(AssertSqlSafe(next)).bind(sequence);
        query.execute(&mut *conn).await.map_err(wrap)?;
    }
    let gather = format!("VACUUM (ANALYZE) {table}");
    sqlx::query(AssertSqlSafe(gather)).execute(conn).await.map_err(wrap)?;
    Ok(())
}
