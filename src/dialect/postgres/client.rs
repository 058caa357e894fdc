use async_trait::async_trait;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Either, Executor, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::catalog::get;
use super::connect::{connect_through, wrap};
use super::observer::CONNECT_LIMIT;
use crate::dialect::{ByTexts, Client, DatabaseUrl, SessionError, Value};

/// An application's connection.
pub(super) struct PostgresClient {
    conn: PgConnection,
}

impl PostgresClient {
    pub(super) async fn open(url: &DatabaseUrl, name: &str) -> Result<Self, SessionError> {
        Ok(Self { conn: connect_through(url, name, CONNECT_LIMIT).await?.conn })
    }
}

fn bound<'q>(
    sql: &str,
    values: &[Value<'_>],
) -> sqlx::query::Query<'q, sqlx::Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    for value in values {
        query = match value {
            Value::Int(number) => query.bind(*number),
            Value::Text(text) => query.bind((*text).to_owned()),
        };
    }
    query
}

fn as_text(row: &PgRow, at: usize) -> Result<Option<String>, SessionError> {
    let raw = row.try_get_raw(at).map_err(wrap)?;
    if raw.is_null() {
        return Ok(None);
    }
    let type_name = raw.type_info().name().to_owned();
    Ok(Some(match type_name.as_str() {
        "INT8" => get::<i64>(row, at)?.to_string(),
        "INT4" => get::<i32>(row, at)?.to_string(),
        "INT2" => get::<i16>(row, at)?.to_string(),
        "BOOL" => get::<bool>(row, at)?.to_string(),
        "FLOAT8" => get::<f64>(row, at)?.to_string(),
        _ => row.try_get_unchecked(at).map_err(wrap)?,
    }))
}

#[async_trait]
impl Client for PostgresClient {
    async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SessionError> {
        Ok(bound(sql, values).execute(&mut self.conn).await.map_err(wrap)?.rows_affected())
    }

    async fn rows(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Option<String>>>, SessionError> {
        let rows = bound(sql, values).fetch_all(&mut self.conn).await.map_err(wrap)?;
        rows.iter().map(|row| (0..row.len()).map(|at| as_text(row, at)).collect()).collect()
    }

    async fn by_texts(&mut self, sql: &str) -> Result<Option<ByTexts>, SessionError> {
        let text = AssertSqlSafe(sql.to_owned()).into_sql_str();
        let statement = (&mut self.conn).prepare(text).await.map_err(wrap)?;
        let Some(Either::Left(types)) = statement.parameters() else { return Ok(None) };
        let types: Vec<String> = types.iter().map(|one| one.name().to_owned()).collect();
        // A type of the author's own may have no name here.
        if types.iter().any(|name| name == "?") {
            return Ok(None);
        }
        let mut told = sql.to_owned();
        // From the last, because `$1` is how `$10` begins; and never one that is written already.
        for (at, name) in types.iter().enumerate().rev() {
            let number = at + 1;
            told = told.replace(
                &format!("${number}"),
                &format!("CAST(CAST(§{number} AS text) AS {name})"),
            );
        }
        Ok(Some(ByTexts { sql: told.replace('§', "$"), types }))
    }

    async fn script(&mut self, sql: &str) -> Result<(), SessionError> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.conn).await.map_err(wrap)?;
        Ok(())
    }
}
