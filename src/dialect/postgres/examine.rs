//! What of a server makes the gate's evidence weaker than it could be.

use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use super::server_log::ServerLog;
use super::session::exists;
use super::statements;
use crate::dialect::{Finding, SessionError};

pub(super) async fn examine(
    conn: &mut PgConnection,
    roles: &[String],
) -> Result<Vec<Finding>, SessionError> {
    let mut all = vec![bookkeeping(conn, roles).await?];
    all.extend(roles_of(conn, roles).await?);
    all.extend(sessions(conn).await?);
    all.extend(counting(conn).await?);
    all.push(log(conn).await?);
    all.extend(streams(conn).await?);
    Ok(all)
}

/// Whether applications may send heartbeats.
async fn bookkeeping(conn: &mut PgConnection, roles: &[String]) -> Result<Finding, SessionError> {
    const ABOUT: &str = "heartbeats";
    if !exists(conn, "zdmig.heartbeat").await? {
        return Ok(Finding::ill(
            ABOUT,
            "zdmig has never run here, so nobody can send any",
            "zdmig expand, or zdmig heartbeat, as the role that owns the tables",
        ));
    }
    let row = sqlx::query(
        "SELECT string_agg(rolname::text, ', ' ORDER BY rolname) FROM pg_roles
          WHERE rolname = ANY ($1) AND NOT (has_schema_privilege(oid, 'zdmig', 'USAGE')
            AND has_function_privilege(oid, 'zdmig.heartbeat(text, text, text, text)', 'EXECUTE'))",
    )
    .bind(roles)
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    Ok(match get::<Option<String>>(&row, 0)? {
        None => Finding::well(ABOUT, "every consumer's role may call zdmig.heartbeat"),
        Some(roles) => Finding::ill(
            ABOUT,
            format!("these roles may not call zdmig.heartbeat: {roles}"),
            "GRANT USAGE ON SCHEMA zdmig, EXECUTE ON FUNCTION zdmig.heartbeat, zdmig.goodbye to them",
        ),
    })
}

/// Whether privileges stop applications, and whether zdmig can be told from them.
async fn roles_of(conn: &mut PgConnection, roles: &[String]) -> Result<Vec<Finding>, SessionError> {
    const ABOUT: &str = "roles";
    let row = sqlx::query(
        "SELECT session_user::text,
                (SELECT string_agg(r.rolname::text, ', ' ORDER BY r.rolname) FROM pg_roles r
                  WHERE r.rolname = ANY ($1) AND (r.rolsuper OR EXISTS (SELECT FROM pg_roles m
                     WHERE m.rolname IN ('pg_read_all_data', 'pg_write_all_data')
                       AND pg_has_role(r.oid, m.oid, 'MEMBER')))),
                (SELECT string_agg(w, ', ') FROM unnest($1::text[]) w
                  WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = w))",
    )
    .bind(roles)
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    let own: String = get(&row, 0)?;
    let mut found = Vec::new();
    if roles.contains(&own) {
        found.push(Finding::ill(
            ABOUT,
            format!(
                "zdmig logs in as `{own}`, as a consumer does: what either runs looks the same"
            ),
            "give zdmig a role of its own, a member of the one that owns the tables",
        ));
    }
    if let Some(free) = get::<Option<String>>(&row, 1)? {
        found.push(Finding::ill(
            ABOUT,
            format!("no privilege stops these consumers' roles: {free}"),
            "let applications log in as roles that are no superusers and read not all data: only then \
             can a column be taken from them without a lock, and tried in a brownout",
        ));
    }
    if let Some(missing) = get::<Option<String>>(&row, 2)? {
        found.push(Finding::ill(
            ABOUT,
            format!("these roles of consumers are not in this database: {missing}"),
            "correct `roles` in zdmig.toml",
        ));
    }
    if found.is_empty() {
        found.push(Finding::well(
            ABOUT,
            "privileges stop every consumer's role, and zdmig has its own",
        ));
    }
    Ok(found)
}

async fn sessions(conn: &mut PgConnection) -> Result<Vec<Finding>, SessionError> {
    const ABOUT: &str = "sessions";
    let rows = sqlx::query(
        "SELECT usename::text, count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND usesysid IS NOT NULL AND pid <> pg_backend_pid()
            AND coalesce(backend_type, 'client backend') = 'client backend'
            AND application_name !~ '^[^@]+@[^#]' AND application_name !~ '^zdmig'
          GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(wrap)?;
    let unnamed = |row| {
        Ok::<_, SessionError>(format!("{} of `{}`", get::<i64>(row, 1)?, get::<String>(row, 0)?))
    };
    let unnamed: Vec<String> = rows.iter().map(unnamed).collect::<Result<_, _>>()?;
    let mut found = vec![match unnamed.as_slice() {
        [] => Finding::well(ABOUT, "every session says which version it is"),
        some => Finding::ill(
            ABOUT,
            format!("sessions do not say which version they are: {}", some.join(", ")),
            "set application_name to `service@version#instance`, or send heartbeats and set \
             `unnamed_sessions = true`",
        ),
    }];
    let row = sqlx::query("SELECT pg_has_role(session_user, 'pg_read_all_stats', 'USAGE')")
        .fetch_one(conn)
        .await
        .map_err(wrap)?;
    if !get::<bool>(&row, 0)? {
        found.push(Finding::ill(
            ABOUT,
            "this role does not see what other roles' sessions do",
            "GRANT pg_read_all_stats to it (or pg_monitor)",
        ));
    }
    Ok(found)
}

async fn counting(conn: &mut PgConnection) -> Result<Vec<Finding>, SessionError> {
    const ABOUT: &str = "observe";
    let set = "add pg_stat_statements to shared_preload_libraries, restart, CREATE EXTENSION pg_stat_statements";
    Ok(match statements::read(conn).await? {
        Err(why) => vec![Finding::ill(ABOUT, why, set)],
        Ok(log) if log.flaws.is_empty() => {
            vec![Finding::well(ABOUT, format!("{} statements are counted", log.counted.len()))]
        }
        Ok(log) => log
            .flaws
            .into_iter()
            .map(|flaw| Finding::ill(ABOUT, flaw, "as it says, and zdmig observe start"))
            .collect(),
    })
}

async fn log(conn: &mut PgConnection) -> Result<Finding, SessionError> {
    const ABOUT: &str = "brownout";
    Ok(match ServerLog::of_server(conn).await {
        Some(log) if log.name().contains(".json") => {
            Finding::well(ABOUT, format!("the log says who fails: {}", log.name()))
        }
        Some(log) => Finding::ill(
            ABOUT,
            format!("the log {} says that somebody fails, and not who", log.name()),
            "add jsonlog to log_destination (15 and later)",
        ),
        None => Finding::ill(
            ABOUT,
            "the server's log cannot be read through the server",
            "set logging_collector = on and let this role read it: EXECUTE on pg_stat_file(text) and \
             pg_read_binary_file(text, bigint, bigint), and pg_monitor; or brownout --log, --probe",
        ),
    })
}

async fn streams(conn: &mut PgConnection) -> Result<Option<Finding>, SessionError> {
    let row = sqlx::query(
        "SELECT string_agg(slot_name::text || CASE WHEN active THEN '' ELSE ' (idle)' END, ', ')
           FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database()",
    )
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    let slots = get::<Option<String>>(&row, 0)?;
    Ok(slots
        .map(|slots| Finding::well("streams", format!("changes are read through slots: {slots}"))))
}
