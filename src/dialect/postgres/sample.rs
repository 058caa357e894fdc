//! Rows of the original for a rehearsal: some of each table, and all that they point to.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection};
use tokio_stream::StreamExt;

use super::catalog::get;
use super::connect::{connect, settle, wrap};
use super::{invent, quote};
use crate::dialect::{DatabaseUrl, SessionError};
use crate::sql::TableName;

const LIMIT: Duration = Duration::from_secs(10);

/// A table of fewer pages is read whole, so that rows come from everywhere in it; of a larger one some pages are,
/// and no fewer than the second number, because rows that are beside each other are alike.
const SMALL: f64 = 10_000.0;
const PAGES: f64 = 100.0;

/// So many keys are asked for at once.
const KEYS: u32 = 10_000;

/// Rows that are pointed to may be so many times as many as were copied of the tables themselves, and `KEYS` more.
const FURTHER: u64 = 10;

/// Rows go over in parts of so many bytes.
const PART: usize = 64 * 1024;

/// A foreign key between two tables that are copied.
struct Link {
    name: String,
    child: String,
    parent: String,
    pairs: Vec<Pair>,
}

/// A column of a foreign key, and the one that it points to.
struct Pair {
    own: String,
    theirs: String,
    /// The type of the latter.
    of: String,
    /// By which they are compared: the key's own, which need not be on anybody's path.
    operator: String,
}

/// Copies rows into those of the tables that are empty: at most so many of each, and those that they point to. How
/// many it brought.
pub(super) async fn rows(
    from: &DatabaseUrl,
    into: &DatabaseUrl,
    tables: &[TableName],
    rows: u64,
) -> Result<u64, SessionError> {
    let mut source = connect(from, "zdmig", LIMIT).await?;
    let mut conn = connect(into, "zdmig", LIMIT).await?;
    settle(&mut source, "on").await?;
    // All of one instant, so that whatever is pointed to is there.
    let reading = "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::raw_sql(reading).execute(&mut source).await.map_err(wrap)?;
    // Triggers of the author's have fired when the rows were written, and tables are filled one after another.
    let writing = "SET session_replication_role = replica";
    sqlx::raw_sql(writing).execute(&mut conn).await.map_err(|error| {
        let message = format!(
            "rows cannot be copied: {}; let `--scratch` be an address of a superuser, or leave `--sample` out",
            wrap(error)
        );
        SessionError::Denied { message }
    })?;
    let asked: Vec<String> = tables.iter().map(quote::table).collect();
    let (mut all, mut empty, mut filled) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut copied = 0;
    for (name, asked) in invent::closure(&mut conn, &asked).await? {
        if invent::is_empty(&mut conn, &name).await? {
            if asked {
                copied += some(&mut source, &mut conn, &name, rows).await?;
                filled.insert(name.clone());
            }
            empty.insert(name.clone());
        }
        all.insert(name);
    }
    let most = copied.saturating_mul(FURTHER) + u64::from(KEYS);
    let links = links(&mut conn, &all).await?;
    let further = pointed_to(&mut source, &mut conn, &links, &mut filled, most).await?;
    let mut next = Vec::new();
    // Where somebody had rows of their own, theirs are counted on.
    for name in filled.intersection(&empty) {
        next.extend(numbers(&mut source, &mut conn, name).await?);
    }
    // Nobody waits for us any longer than it took to read.
    sqlx::raw_sql("COMMIT").execute(&mut source).await.map_err(wrap)?;
    source.close().await.map_err(wrap)?;
    for (sequence, last, called) in next {
        let query = sqlx::query("SELECT pg_catalog.setval($1::regclass, $2, $3)");
        let query = query.bind(sequence).bind(last).bind(called);
        query.execute(&mut conn).await.map_err(wrap)?;
    }
    for name in &filled {
        let gather = format!("VACUUM (ANALYZE) {name}");
        sqlx::query(AssertSqlSafe(gather)).execute(&mut conn).await.map_err(wrap)?;
    }
    Ok(copied + further)
}

/// Copies some rows of a table, from everywhere in it; how many.
async fn some(
    source: &mut PgConnection,
    conn: &mut PgConnection,
    name: &str,
    rows: u64,
) -> Result<u64, SessionError> {
    let row = sqlx::query(
        "WITH RECURSIVE t AS (
            SELECT c.oid, c.relkind = 'p' AS parted FROM pg_catalog.pg_class c WHERE c.oid = $1::regclass
            UNION ALL
            SELECT i.inhrelid, true FROM t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid AND t.parted)
         SELECT coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind = 'r'), 0)::float8,
                coalesce(sum(c.relpages) FILTER (WHERE c.relkind = 'r'), 0)::float8, bool_or(t.parted)
           FROM t JOIN pg_catalog.pg_class c USING (oid) WHERE c.relkind IN ('r', 'p')",
    )
    .bind(name)
    .fetch_one(&mut *source)
    .await
    .map_err(|error| hindered(name, wrap(error)))?;
    let (there, pages): (f64, f64) = (get(&row, 0)?, get(&row, 1)?);
    // Those that inherit from a table are no parts of it.
    let table = if get(&row, 2)? { name.to_owned() } else { format!("ONLY {name}") };
    let any = format!("SELECT * FROM {table} LIMIT {rows}");
    // A little more than is wanted: it is an estimate.
    #[expect(clippy::cast_precision_loss, reason = "a share of an estimate")]
    let share = rows as f64 * 120.0 / there.max(1.0);
    let (how, share) = if pages < SMALL {
        ("BERNOULLI", share)
    } else {
        ("SYSTEM", share.max(PAGES * 100.0 / pages))
    };
    if share < 100.0 {
        // In no order, so that none of them is cut off more often than another.
        let sampled = format!(
            "SELECT * FROM {table} TABLESAMPLE {how} ({share:.9}) ORDER BY pg_catalog.random() LIMIT {rows}"
        );
        let brought = copy(source, conn, &sampled, name).await?;
        if brought > 0 {
            return Ok(brought);
        }
    }
    copy(source, conn, &any, name).await
}

/// Foreign keys from one of the tables to another of them.
async fn links(
    conn: &mut PgConnection,
    tables: &BTreeSet<String>,
) -> Result<Vec<Link>, SessionError> {
    let found = sqlx::query(
        "SELECT c.conname::text, c.child, c.parent,
                array_agg(pg_catalog.quote_ident(own.attname) ORDER BY k.at),
                array_agg(pg_catalog.quote_ident(theirs.attname) ORDER BY k.at),
                array_agg(pg_catalog.format('%I.%I', tn.nspname, t.typname) ORDER BY k.at),
                array_agg(pg_catalog.format('OPERATOR(%I.%s)', o.nspname, p.oprname) ORDER BY k.at)
           FROM (SELECT c.*, pg_catalog.format('%I.%I', cn.nspname, cr.relname) AS child,
                        pg_catalog.format('%I.%I', pn.nspname, pr.relname) AS parent
                   FROM pg_catalog.pg_constraint c
                   JOIN pg_catalog.pg_class cr ON cr.oid = c.conrelid
                   JOIN pg_catalog.pg_namespace cn ON cn.oid = cr.relnamespace
                   JOIN pg_catalog.pg_class pr ON pr.oid = c.confrelid
                   JOIN pg_catalog.pg_namespace pn ON pn.oid = pr.relnamespace
                  WHERE c.contype = 'f' AND c.conparentid = 0) c
          CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(c.conkey), pg_catalog.unnest(c.confkey),
                pg_catalog.unnest(c.conpfeqop)) WITH ORDINALITY AS k (own, theirs, same, at)
           JOIN pg_catalog.pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = k.own
           JOIN pg_catalog.pg_attribute theirs ON theirs.attrelid = c.confrelid AND theirs.attnum = k.theirs
           JOIN pg_catalog.pg_type t ON t.oid = theirs.atttypid
           JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace
           JOIN pg_catalog.pg_operator p ON p.oid = k.same
           JOIN pg_catalog.pg_namespace o ON o.oid = p.oprnamespace
          WHERE c.child = ANY ($1) AND c.parent = ANY ($1)
          GROUP BY c.oid, c.conname, c.child, c.parent ORDER BY c.oid",
    )
    .bind(tables.iter().cloned().collect::<Vec<_>>())
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let link = |row: &PgRow| {
        let (own, theirs): (Vec<String>, Vec<String>) = (get(row, 3)?, get(row, 4)?);
        let (types, operators): (Vec<String>, Vec<String>) = (get(row, 5)?, get(row, 6)?);
        let pairs = own.into_iter().zip(theirs).zip(types).zip(operators);
        let pair = |(((own, theirs), of), operator)| Pair { own, theirs, of, operator };
        Ok(Link {
            name: get(row, 0)?,
            child: get(row, 1)?,
            parent: get(row, 2)?,
            pairs: pairs.map(pair).collect(),
        })
    };
    found.iter().map(link).collect()
}

/// Brings rows that are pointed to and are not there, and those that these point to; how many it brought.
async fn pointed_to(
    source: &mut PgConnection,
    conn: &mut PgConnection,
    links: &[Link],
    filled: &mut BTreeSet<String>,
    most: u64,
) -> Result<u64, SessionError> {
    let mut brought = 0;
    loop {
        let before = brought;
        for link in links {
            while let Some(query) = link.lacking(conn).await? {
                let rows = copy(source, conn, &query, &link.parent).await?;
                // What the original lacks as well is not to be had.
                if rows == 0 {
                    break;
                }
                brought += rows;
                filled.insert(link.parent.clone());
                if brought > most {
                    let message = format!(
                        "the rows of {} lead to more than {most} further ones, by its key `{}`: take fewer with \
                         `--rows`, or leave `--sample` out",
                        link.child, link.name
                    );
                    return Err(SessionError::Denied { message });
                }
            }
        }
        if brought == before {
            return Ok(brought);
        }
    }
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
            each(&|_, one| format!("p.{} {} c.{}", one.theirs, one.operator, one.own), " AND "),
        );
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(conn).await;
        let row = row.map_err(|error| hindered(&self.parent, wrap(error)))?;
        let mut keys = Vec::new();
        for at in 0..self.pairs.len() {
            let Some(list) = get::<Option<String>>(&row, at)? else { return Ok(None) };
            keys.push(list);
        }
        // COPY takes no parameters.
        let lists = each(&|at, pair| format!("{}::{}[]", quote::literal(&keys[at]), pair.of), ", ");
        let names = each(&|at, _| format!("k{at}"), ", ");
        let same = each(&|at, one| format!("p.{} {} k.k{at}", one.theirs, one.operator), " AND ");
        Ok(Some(format!(
            "SELECT p.* FROM {} p WHERE EXISTS (SELECT FROM unnest({lists}) AS k ({names}) WHERE {same})",
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
        "SELECT string_agg(pg_catalog.quote_ident(attname), ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute
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

/// The sequences that a table's columns are numbered by, with where each stands on the original.
async fn numbers(
    source: &mut PgConnection,
    conn: &mut PgConnection,
    table: &str,
) -> Result<Vec<(String, i64, bool)>, SessionError> {
    let found = sqlx::query(
        "SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, s.relname)
           FROM pg_catalog.pg_class s JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
          WHERE s.relkind = 'S' AND (
                s.oid IN (SELECT d.objid FROM pg_catalog.pg_depend d WHERE d.refobjid = $1::regclass
                             AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))
             OR s.oid IN (SELECT d.refobjid FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d ON d.objid = a.oid
                           WHERE a.adrelid = $1::regclass AND d.classid = 'pg_catalog.pg_attrdef'::regclass
                             AND d.refclassid = 'pg_catalog.pg_class'::regclass))",
    )
    .bind(table)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let mut all = Vec::new();
    for row in &found {
        let sequence: String = get(row, 0)?;
        let query = format!("SELECT last_value, is_called FROM {sequence}");
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(&mut *source).await;
        let row = row.map_err(|error| hindered(table, wrap(error)))?;
        all.push((sequence, get(&row, 0)?, get(&row, 1)?));
    }
    Ok(all)
}
