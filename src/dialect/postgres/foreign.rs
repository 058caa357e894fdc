//! Tables and schemas that are not ours.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgRow};

use super::catalog::get;
use super::connect::wrap;
use super::quote;
use super::session::exists;
use crate::dialect::SessionError;
use crate::migration::Row;
use crate::sql::{Ident, TableName};

/// Some columns of a table that is not ours, as text; `None` where there is none.
pub(super) async fn rows(
    conn: &mut PgConnection,
    table: &TableName,
    columns: &[&str],
) -> Result<Option<Vec<Row>>, SessionError> {
    let table = quote::table(table);
    if !exists(conn, &table).await? {
        return Ok(None);
    }
    let names = columns.iter().map(|name| quote::ident(&Ident::new(*name)));
    // Whatever the server is set to.
    sqlx::raw_sql("SET bytea_output = 'hex'").execute(&mut *conn).await.map_err(wrap)?;
    let texts: Vec<_> = names.map(|name| format!("{name}::text")).collect();
    let first = columns.first().map(|name| quote::ident(&Ident::new(*name))).unwrap_or_default();
    let sql = format!("SELECT {} FROM {table} ORDER BY {table}.{first}", texts.join(", "));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *conn).await.map_err(wrap)?;
    let value = |row: &PgRow, at| -> Result<Option<String>, SessionError> {
        let text: Option<String> = get(row, at)?;
        Ok(text.map(|text| text.strip_prefix("\\x").map(ToOwned::to_owned).unwrap_or(text)))
    };
    let row = |row: &PgRow| (0..columns.len()).map(|at| value(row, at)).collect();
    rows.iter().map(row).collect::<Result<_, _>>().map(Some)
}

/// Schemas that are neither the server's nor ours.
const OF_APPLICATIONS: &str = "FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%'
    AND nspname NOT IN ('information_schema', 'zdmig')";

/// Whether there is one of this name, and whether the role may use it.
pub(super) async fn has_schema(
    conn: &mut PgConnection,
    name: &str,
) -> Result<Option<bool>, SessionError> {
    let sql =
        format!("SELECT has_schema_privilege(oid, 'USAGE') {OF_APPLICATIONS} AND nspname = $1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(name.to_owned());
    let row = query.fetch_optional(conn).await.map_err(wrap)?;
    row.map(|row| get(&row, 0)).transpose()
}

/// Their names, by a pattern.
pub(super) async fn schemas(
    conn: &mut PgConnection,
    pattern: &str,
) -> Result<Vec<String>, SessionError> {
    let escaped = pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let like = escaped.replace('*', "%").replace('?', "_");
    let sql = format!("SELECT nspname::text {OF_APPLICATIONS} AND nspname LIKE $1 ORDER BY 1");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(like);
    let rows = query.fetch_all(conn).await.map_err(wrap)?;
    rows.iter().map(|row| get(row, 0)).collect()
}
