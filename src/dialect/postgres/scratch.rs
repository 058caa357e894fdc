use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::catalog::get;
use super::connect::{connect, wrap};
use super::quote;
use crate::dialect::{DatabaseUrl, Scratch, SessionError};
use crate::sql::Ident;

/// Makes a database of its own beside the one that `url` names.
pub(super) async fn make(url: Option<&DatabaseUrl>) -> Result<Scratch, SessionError> {
    let missing =
        || SessionError::Unreachable { url: String::new(), message: "no server is named".into() };
    let url = url.ok_or_else(missing)?;
    let mut conn = connect(url, "zdmig", Duration::from_secs(10)).await?;
    let name = format!("zdmig_demo_{}", std::process::id());
    let quoted = quote::ident(&Ident::new(name.clone()));
    let run = format!("CREATE DATABASE {quoted}");
    sqlx::query(AssertSqlSafe(run)).execute(&mut conn).await.map_err(wrap)?;
    let rows = sqlx::query(
        "SELECT rolname::text, rolname = current_user FROM pg_roles WHERE rolcanlogin ORDER BY 1",
    )
    .fetch_all(&mut conn)
    .await
    .map_err(wrap)?;
    let (mut role, mut others) = (None, Vec::new());
    for row in &rows {
        if row.try_get(1).map_err(wrap)? {
            role = Some(get(row, 0)?);
        } else {
            others.push(get(row, 0)?);
        }
    }
    Ok(Scratch {
        url: url.in_database(&name),
        role,
        others,
        drop: Some((url.clone(), format!("DROP DATABASE IF EXISTS {quoted} WITH (FORCE)"))),
    })
}
