use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::catalog::get;
use super::connect::{connect, wrap};
use super::quote;
use crate::dialect::{DatabaseUrl, Scratch, SessionError};
use crate::sql::Ident;

/// Our own tables came without their rows, and are made anew; the functions stay, because the
/// triggers of a migration in flight call them.
const FORGET: &str = "
    DO $$ DECLARE ours regclass; BEGIN
        FOR ours IN SELECT c.oid FROM pg_catalog.pg_class c
                      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE n.nspname = 'zdmig' AND c.relkind = 'r' LOOP
            EXECUTE pg_catalog.format('DROP TABLE IF EXISTS %s CASCADE', ours);
        END LOOP;
    END $$";

/// A database with the same schema. The server's own tool knows best what that is.
pub(super) async fn copy(url: &DatabaseUrl) -> Result<Scratch, SessionError> {
    let script = schema(url).await?;
    let scratch = make(Some(url), None).await?;
    if let Err(error) = load(&scratch.url, script).await {
        discard(&scratch).await?;
        return Err(error);
    }
    Ok(scratch)
}

fn refused(message: String) -> SessionError {
    SessionError::Failed { message, code: None, statement: None }
}

/// The schema of a database, as a script that makes it.
pub(super) async fn schema(url: &DatabaseUrl) -> Result<String, SessionError> {
    dumped("pg_dump", &["--schema-only", "--no-subscriptions"], url).await
}

/// What one of the server's programs writes of a database.
pub(super) async fn dumped(
    program: &'static str,
    arguments: &[&str],
    url: &DatabaseUrl,
) -> Result<String, SessionError> {
    let (address, password) = url.apart();
    let mut command = std::process::Command::new(program);
    command.args(arguments).args(["-d", &address]);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    let ran = tokio::task::spawn_blocking(move || command.output()).await;
    let ran = ran.map_err(|error| refused(error.to_string()))?;
    let dumped = ran.map_err(|error| {
        refused(format!("the schema cannot be copied: `{program}` does not start ({error})"))
    })?;
    if !dumped.status.success() {
        let said = String::from_utf8_lossy(&dumped.stderr);
        return Err(refused(format!("the schema cannot be copied: {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&dumped.stdout).into_owned())
}

/// Makes a schema in an empty database.
pub(super) async fn load(url: &DatabaseUrl, script: String) -> Result<(), SessionError> {
    // Its commands to the client stand on lines of their own.
    let script: Vec<_> = script.lines().filter(|line| !line.starts_with('\\')).collect();
    let mut conn = connect(url, "zdmig", Duration::from_secs(10)).await?;
    let script = format!("{};\n{FORGET}", script.join("\n"));
    let ran = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut conn).await;
    ran.map_err(|error| refused(format!("the copy of the schema cannot be made: {error}")))?;
    Ok(())
}

pub(super) async fn discard(scratch: &Scratch) -> Result<(), SessionError> {
    let Some((url, sql)) = &scratch.drop else { return Ok(()) };
    let mut conn = connect(url, "zdmig", Duration::from_secs(10)).await?;
    sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut conn).await.map_err(wrap)?;
    Ok(())
}

/// Makes a database of its own beside the one that `url` names: an empty one, or a copy of another.
pub(super) async fn make(
    url: Option<&DatabaseUrl>,
    template: Option<&str>,
) -> Result<Scratch, SessionError> {
    let missing =
        || SessionError::Unreachable { url: String::new(), message: "no server is named".into() };
    let url = url.ok_or_else(missing)?;
    let mut conn = connect(url, "zdmig", Duration::from_secs(10)).await?;
    // A process of the same number may have left one behind: in containers it is often the same.
    let name = format!("zdmig_scratch_{}_{:06x}", std::process::id(), fastrand::u32(..0x0100_0000));
    let quoted = quote::ident(&Ident::new(name.clone()));
    let like = template.map(|name| format!(" TEMPLATE {}", quote::ident(&Ident::new(name))));
    let run = format!("CREATE DATABASE {quoted}{}", like.unwrap_or_default());
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
