//! Who is connected to a pooler, idle or not: its console knows everybody, where the server sees only
//! those whose turn it is.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{Connection, Row};

use super::connect::wrap;
use crate::dialect::{Connected, DatabaseUrl, SessionError};

const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn clients(
    url: &DatabaseUrl,
    database: &DatabaseUrl,
) -> Result<Vec<Connected>, SessionError> {
    let unreachable = |message: String| SessionError::Unreachable { url: url.to_string(), message };
    let options = PgConnectOptions::from_str(url.with_secrets())
        .map_err(|_| unreachable("the address cannot be read as a PostgreSQL URL".into()))?
        .application_name("zdmig gate")
        // The console refuses what it does not know.
        .extra_float_digits(None);
    let options = match options.get_ssl_mode() {
        PgSslMode::Prefer => options.ssl_mode(PgSslMode::Allow),
        _ => options,
    };
    let asked = async {
        let mut conn = PgConnection::connect_with(&options).await?;
        let databases = sqlx::raw_sql("SHOW DATABASES").fetch_all(&mut conn).await?;
        Ok((databases, sqlx::raw_sql("SHOW CLIENTS").fetch_all(&mut conn).await?))
    };
    let (databases, rows) = match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(sqlx::Error::Database(error))) => {
            return Err(unreachable(error.message().to_owned()));
        }
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Err(_) => return Err(unreachable(format!("no answer within {} s", LIMIT.as_secs()))),
    };
    // What the pooler calls a database may be another name than its own. One that it makes up as it
    // goes is not in the list, and counts.
    let ours = PgConnectOptions::from_str(database.with_secrets());
    let ours = ours.ok().and_then(|ours| ours.get_database().map(ToOwned::to_owned));
    let others: Vec<String> = databases
        .iter()
        .filter_map(|row| {
            let real: Option<String> = row.try_get("database").ok()?;
            let name: String = row.try_get("name").ok()?;
            (real.is_some() && real != ours).then_some(name)
        })
        .collect();
    let mut clients = Vec::new();
    for row in &rows {
        let text = |name: &str| row.try_get::<Option<String>, _>(name).map_err(wrap);
        // Before 1.18 it does not tell the name, and whoever has none is not known.
        let application = text("application_name").unwrap_or_default().unwrap_or_default();
        let database = text("database")?.unwrap_or_default();
        if database == "pgbouncer" || others.contains(&database) || application.starts_with("zdmig")
        {
            continue;
        }
        let role = text("user")?.unwrap_or_default();
        clients.push(Connected {
            application,
            role,
            place: format!("a client of the pooler {url}"),
        });
    }
    Ok(clients)
}
