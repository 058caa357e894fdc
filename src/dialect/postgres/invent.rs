//! Rows that are made up: as many and as wide as real ones, with as many values and as many NULLs as the
//! statistics say, and none of the real values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::catalog::get;
use super::connect::{connect, wrap};
use super::quote;
use crate::dialect::{DatabaseUrl, SessionError};
use crate::sql::{Ident, TableName};

const LIMIT: Duration = Duration::from_secs(10);

/// So many rows of another table are pointed to.
const POINTED_TO: u64 = 1_000;

/// A column, and what is known of its values.
struct Column {
    name: String,
    type_name: String,
    /// The letter of the type's category.
    category: String,
    /// `e` for an enum, `d` for a domain, `b` for what is built in.
    kind: String,
    nullable: bool,
    /// Filled by the server: an identity or a serial.
    generated: bool,
    default: bool,
    /// The length that a text may have, or the digits before the point.
    room: Option<i32>,
    /// Whether each row must have a value of its own.
    unique: bool,
    /// The table and column whose values it holds.
    points_to: Option<(String, String)>,
    /// Of real rows: the share of NULLs, the number of values (as the server counts them), the bytes.
    real: Option<(f32, f32, i32)>,
}

/// Makes rows up.
pub(super) async fn rows(
    from: &DatabaseUrl,
    into: &DatabaseUrl,
    tables: &[TableName],
    rows: u64,
) -> Result<BTreeMap<String, u64>, SessionError> {
    let mut source = connect(from, "zdmig", LIMIT).await?;
    let mut conn = connect(into, "zdmig", LIMIT).await?;
    let asked: Vec<String> = tables.iter().map(quote::table).collect();
    let mut all = Vec::new();
    let mut only_pointed_to = BTreeSet::new();
    for (name, asked) in closure(&mut conn, &asked).await? {
        let columns = columns(&mut conn, &mut source, &name).await?;
        if !asked {
            only_pointed_to.insert(name.clone());
        }
        all.push((name, columns));
    }
    let mut counted = BTreeMap::new();
    while !all.is_empty() {
        let (name, columns) = all.remove(next(&all));
        if is_empty(&mut conn, &name).await? {
            let pointed_to = only_pointed_to.contains(&name);
            // What is only pointed to is as large as it is.
            let own = if pointed_to { real(&mut source, &name, rows).await? } else { rows };
            fill(&mut conn, &name, &columns, own).await?;
        }
        let row = one(&mut conn, format!("SELECT count(*) FROM {name}")).await?;
        counted.insert(name, u64::try_from(get::<i64>(&row, 0)?).unwrap_or_default());
    }
    Ok(counted)
}

/// The first table that points to none of the others that are left; any, where they all do.
fn next(all: &[(String, Vec<Column>)]) -> usize {
    let waits = |(name, columns): &(String, Vec<Column>)| {
        let parents = columns.iter().filter_map(|column| column.points_to.as_ref());
        let mut others = parents.filter(|(parent, _)| parent != name);
        others.any(|(parent, _)| all.iter().any(|(other, _)| other == parent))
    };
    all.iter().position(|one| !waits(one)).unwrap_or_default()
}

/// How many rows a table has on the original, by its statistics, and at least one.
async fn real(source: &mut PgConnection, name: &str, most: u64) -> Result<u64, SessionError> {
    let query = "SELECT coalesce((SELECT reltuples::bigint FROM pg_catalog.pg_class
                                   WHERE oid = pg_catalog.to_regclass($1)), 0)";
    let row = sqlx::query(query).bind(name).fetch_one(source).await.map_err(wrap)?;
    let rows = u64::try_from(get::<i64>(&row, 0)?).unwrap_or_default();
    Ok(rows.clamp(1, most.max(1)))
}

/// The largest number that a column has.
pub(super) async fn largest(
    conn: &mut PgConnection,
    table: &TableName,
    column: &Ident,
) -> Result<Option<i64>, SessionError> {
    let (table, column) = (quote::table(table), quote::ident(column));
    let row = one(conn, format!("SELECT max({column})::text FROM {table}")).await?;
    let text: Option<String> = row.try_get(0).map_err(wrap)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Some of the values that a column has, as texts, each once.
pub(super) async fn values(
    conn: &mut PgConnection,
    table: &TableName,
    column: &Ident,
    most: u32,
) -> Result<Vec<String>, SessionError> {
    let (table, column) = (quote::table(table), quote::ident(column));
    let query = format!(
        "SELECT DISTINCT {column}::text FROM (SELECT {column} FROM {table} LIMIT 20000) t
          WHERE {column} IS NOT NULL LIMIT {most}"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(conn).await.map_err(wrap)?;
    rows.iter().map(|row| get(row, 0)).collect()
}

async fn one(conn: &mut PgConnection, sql: String) -> Result<PgRow, SessionError> {
    sqlx::query(AssertSqlSafe(sql)).fetch_one(conn).await.map_err(wrap)
}

pub(super) async fn is_empty(conn: &mut PgConnection, name: &str) -> Result<bool, SessionError> {
    let row = one(conn, format!("SELECT NOT EXISTS (SELECT FROM {name})")).await?;
    get(&row, 0)
}

/// The tables and all that they point to, as the server writes their names, and which of them were asked for.
pub(super) async fn closure(
    conn: &mut PgConnection,
    names: &[String],
) -> Result<Vec<(String, bool)>, SessionError> {
    let found = sqlx::query(
        "WITH RECURSIVE t AS (
            SELECT pg_catalog.to_regclass(n)::oid AS oid FROM pg_catalog.unnest($1::text[]) n
            UNION SELECT c.confrelid FROM t JOIN pg_catalog.pg_constraint c ON c.conrelid = t.oid WHERE c.contype = 'f')
         SELECT pg_catalog.format('%I.%I', n.nspname, c.relname),
                EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) n WHERE pg_catalog.to_regclass(n)::oid = t.oid)
           FROM t JOIN pg_catalog.pg_class c USING (oid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1",
    )
    .bind(names.to_vec())
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    found.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

async fn columns(
    conn: &mut PgConnection,
    source: &mut PgConnection,
    table: &str,
) -> Result<Vec<Column>, SessionError> {
    let found = sqlx::query(
        "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod),
                b.typcategory::text, t.typtype::text, a.attnotnull OR t.typnotnull,
                a.attidentity <> '' OR pg_catalog.pg_get_serial_sequence($1, a.attname) IS NOT NULL,
                a.atthasdef,
                CASE WHEN a.atttypmod < 0 THEN NULL
                     WHEN t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4
                     WHEN t.typname IN ('bit', 'varbit') THEN a.atttypmod
                     WHEN t.typname = 'numeric' THEN ((a.atttypmod - 4) >> 16) - ((a.atttypmod - 4) & 65535) END,
                EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique
                           AND a.attnum = ANY (i.indkey)),
                f.parent, f.attname
           FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
           JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
           LEFT JOIN LATERAL (
                SELECT pg_catalog.format('%I.%I', n.nspname, r.relname) AS parent, p.attname::text AS attname
                  FROM pg_catalog.pg_constraint c
                  JOIN pg_catalog.pg_class r ON r.oid = c.confrelid
                  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
                  JOIN pg_catalog.pg_attribute p ON p.attrelid = c.confrelid
                   AND p.attnum = c.confkey[pg_catalog.array_position(c.conkey, a.attnum)]
                 WHERE c.conrelid = a.attrelid AND c.contype = 'f' AND a.attnum = ANY (c.conkey)
                 ORDER BY c.oid LIMIT 1) f ON true
          WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
          ORDER BY a.attnum",
    )
    .bind(table)
    .fetch_all(conn)
    .await
    .map_err(wrap)?;
    let real = sqlx::query(
        "SELECT attname::text, null_frac, n_distinct, avg_width FROM pg_catalog.pg_stats
          WHERE pg_catalog.format('%I.%I', schemaname, tablename) = $1",
    )
    .bind(table)
    .fetch_all(source)
    .await
    .map_err(wrap)?;
    let mut known = BTreeMap::new();
    for row in &real {
        known.insert(get::<String>(row, 0)?, (get(row, 1)?, get(row, 2)?, get(row, 3)?));
    }
    let column = |row: &PgRow| {
        let name: String = get(row, 0)?;
        Ok(Column {
            real: known.get(&name).copied(),
            name,
            type_name: get(row, 1)?,
            category: get(row, 2)?,
            kind: get(row, 3)?,
            nullable: !get::<bool>(row, 4)?,
            generated: get(row, 5)?,
            default: get(row, 6)?,
            room: row.try_get(7).map_err(wrap)?,
            unique: get(row, 8)?,
            points_to: row
                .try_get::<Option<String>, _>(9)
                .map_err(wrap)?
                .zip(row.try_get::<Option<String>, _>(10).map_err(wrap)?),
        })
    };
    found.iter().map(column).collect()
}

async fn fill(
    conn: &mut PgConnection,
    table: &str,
    columns: &[Column],
    rows: u64,
) -> Result<(), SessionError> {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in columns {
        let Some(value) = column.value(table, rows) else {
            if column.nullable || column.default {
                continue;
            }
            let message = format!(
                "nothing is known to make up for `{}` of {table}, which is {}: give a database with rows by \
                 `--scratch` or `--template`",
                column.name, column.type_name
            );
            return Err(SessionError::Denied { message });
        };
        names.push(quote::ident(&Ident::new(column.name.clone())));
        values.push(value);
    }
    // Triggers of the author's and foreign keys are left out, because the tables are filled one after another.
    let insert = format!(
        "SET session_replication_role = replica;
         INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM pg_catalog.generate_series(1::bigint, {rows}) n;
         RESET session_replication_role;",
        names.join(", "),
        values.join(", "),
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut *conn).await.map_err(|error| {
        let message = format!(
            "no rows can be made up for {table}: {}; give a database with rows by `--scratch` or `--template`",
            wrap(error)
        );
        SessionError::Denied { message }
    })?;
    for column in columns.iter().filter(|column| column.generated) {
        let next = "SELECT pg_catalog.setval(pg_catalog.pg_get_serial_sequence($1, $2), $3)";
        let query = sqlx::query(next).bind(table.to_owned()).bind(column.name.clone());
        query
            .bind(i64::try_from(rows).unwrap_or(i64::MAX))
            .execute(&mut *conn)
            .await
            .map_err(wrap)?;
    }
    let gather = format!("VACUUM (ANALYZE) {table}");
    sqlx::query(AssertSqlSafe(gather)).execute(conn).await.map_err(wrap)?;
    Ok(())
}

impl Column {
    /// An expression over `n`, the number of the row; `None` where nothing is known to make up.
    fn value(&self, table: &str, rows: u64) -> Option<String> {
        // Which of its values: a key's are as many as there are rows, those of others fewer.
        let number = if self.unique {
            "n".to_owned()
        } else {
            format!("(1 + (n - 1) % {})", self.distinct(rows))
        };
        let value = match &self.points_to {
            // One that is there; the list of them is made once. A row may point to itself.
            Some((parent, key)) if parent != table => {
                let key = quote::ident(&Ident::new(key.clone()));
                let most = if self.unique { rows } else { POINTED_TO };
                let list = format!("ARRAY(SELECT {key} FROM {parent} LIMIT {most})");
                format!("({list})[(1 + ({number} - 1) % pg_catalog.cardinality({list}))::int]")
            }
            Some(_) => self.plain("n")?,
            None => self.plain(&number)?,
        };
        let nulls = self.real.map_or(0.0, |(nulls, ..)| nulls);
        if self.nullable && !self.unique && nulls > 0.0 {
            return Some(format!(
                "CASE WHEN n % 1000 * 7919 % 1000 < {:.0} THEN NULL ELSE {value} END",
                nulls * 1_000.0
            ));
        }
        Some(value)
    }

    /// How many values it has.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "statistics are estimates"
    )]
    fn distinct(&self, rows: u64) -> u64 {
        let values = match self.real {
            Some((_, values, _)) if values > 0.0 => values as u64,
            Some((_, share, _)) if share < 0.0 => (-share * rows as f32) as u64,
            _ => rows / 10,
        };
        values.clamp(1, rows.max(1))
    }

    fn plain(&self, number: &str) -> Option<String> {
        let base = self.type_name.split('(').next().unwrap_or_default().trim();
        let cast = |value: String| Some(format!("({value})::{}", self.type_name));
        if self.kind == "e" {
            let values = format!("pg_catalog.enum_range(NULL::{})", self.type_name);
            return Some(format!(
                "({values})[(1 + {number} % pg_catalog.cardinality({values}))::int]"
            ));
        }
        match (self.category.as_str(), base) {
            ("B", _) => cast(format!("{number} % 2 = 0")),
            ("N", "smallint") => cast(format!("{number} % 32000")),
            ("N", "integer") => cast(format!("{number} % 2147483647")),
            ("N", "numeric") if self.room.is_some_and(|room| room < 18) => {
                let digits = u32::try_from(self.room.unwrap_or_default()).unwrap_or_default();
                cast(format!("{number} % {}", 10_u64.pow(digits)))
            }
            ("N", _) => cast(number.to_owned()),
            ("S", _) => {
                let width = self.real.map_or(12, |(.., width)| width).clamp(1, 8_000);
                let whole = format!(
                    "pg_catalog.rpad('v' || {number} || '-', {width}, pg_catalog.md5(({number})::text))"
                );
                // Who must have a value of their own must not lose it where it is cut off.
                let kept =
                    if self.unique { format!("greatest({whole}, 'v' || {number})") } else { whole };
                match self.room {
                    Some(room) => cast(format!("pg_catalog.left({kept}, {room})")),
                    None => cast(kept),
                }
            }
            ("D", "date") => cast(format!("DATE '2026-01-01' - ({number} % 3650)::int")),
            ("D", base) if base.starts_with("time ") || base == "time" => {
                cast(format!("TIME '00:00' + {number} * INTERVAL '1 second'"))
            }
            ("D", _) => {
                cast(format!("TIMESTAMP '2026-01-01' - ({number} % 5000000) * INTERVAL '1 minute'"))
            }
            ("T", _) => cast(format!("{number} * INTERVAL '1 second'")),
            ("A", _) => cast("'{}'".into()),
            ("I", _) => cast(format!("'10.0.0.0'::inet + {number} % 16000000")),
            (_, "uuid") => cast(format!("pg_catalog.md5(({number})::text)")),
            (_, "bytea") => {
                cast(format!("pg_catalog.decode(pg_catalog.md5(({number})::text), 'hex')"))
            }
            (_, "json" | "jsonb") => cast(format!("pg_catalog.format('{{\"n\": %s}}', {number})")),
            (_, "tsvector") => cast(format!("pg_catalog.to_tsvector('simple', 'v' || {number})")),
            ("R", _) => cast("'empty'".into()),
            _ => None,
        }
    }
}
