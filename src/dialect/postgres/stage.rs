//! A database for a rehearsal: on a server of its own that is booted from the programs on this machine, or
//! where somebody says.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::{connect, wrap};
use super::scratch;
use crate::dialect::{DatabaseUrl, SAME_DATABASE, SessionError, Site, Stage};

/// What is said where there is no server to be had.
const OTHERWISE: &str = "give a database that may be changed with `--scratch URL`, or one to copy with `--template NAME`";

/// Forgets who runs.
const FORGET: &str = "
    DO $$ DECLARE ours text; BEGIN
        FOREACH ours IN ARRAY ARRAY['zdmig.heartbeat', 'zdmig.deployment', 'zdmig.release'] LOOP
            IF pg_catalog.to_regclass(ours) IS NOT NULL THEN
                EXECUTE 'DELETE FROM ' || ours;
            END IF;
        END LOOP;
    END $$";

/// Who owns the server: no role of an application's, whose powers are set as they are on the original.
const OWNER: &str = "zdmig_rehearsal";

const LIMIT: Duration = Duration::from_secs(10);

fn denied(message: String) -> SessionError {
    SessionError::Denied { message }
}

/// Opens it, with the schema of `from` where it has none of its own.
pub(super) async fn open(
    from: &DatabaseUrl,
    site: &Site,
    folder: &Path,
) -> Result<Stage, SessionError> {
    match site {
        Site::Own => own(from, folder).await,
        Site::Given(url) => {
            let mut conn = connect(url, "zdmig", LIMIT).await?;
            let mut real = connect(from, "zdmig", LIMIT).await?;
            if identity(&mut conn).await? == identity(&mut real).await? {
                return Err(denied(SAME_DATABASE.into()));
            }
            drop(real);
            let row = sqlx::query(
                "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
                    AND n.nspname NOT IN ('information_schema', 'zdmig')",
            )
            .fetch_one(&mut conn)
            .await
            .map_err(wrap)?;
            drop(conn);
            if get::<i64>(&row, 0)? == 0 {
                scratch::load(url, scratch::schema(from).await?).await?;
            }
            Ok(Stage { url: url.clone(), words: url.to_string(), drop: None, server: None })
        }
        Site::Like(server, template) => {
            let made = scratch::make(Some(server), Some(template)).await?;
            if let Err(error) = made_ready(&made.url, from).await {
                scratch::discard(&made).await?;
                return Err(error);
            }
            let words = format!("a copy of `{template}` on {server}");
            Ok(Stage { url: made.url, words, drop: made.drop, server: None })
        }
    }
}

/// A copy that is none of the real one; nobody is at work on it, whatever the original knows of who is.
async fn made_ready(url: &DatabaseUrl, from: &DatabaseUrl) -> Result<(), SessionError> {
    let mut conn = connect(url, "zdmig", LIMIT).await?;
    let mut real = connect(from, "zdmig", LIMIT).await?;
    if identity(&mut conn).await? == identity(&mut real).await? {
        return Err(denied(SAME_DATABASE.into()));
    }
    sqlx::raw_sql(FORGET).execute(&mut conn).await.map_err(wrap)?;
    Ok(())
}

/// What tells a database from every other one, however it is reached.
async fn identity(conn: &mut PgConnection) -> Result<(f64, i64), SessionError> {
    let row = sqlx::query(
        "SELECT extract(epoch FROM pg_postmaster_start_time())::float8,
                (SELECT oid FROM pg_database WHERE datname = current_database())::bigint",
    )
    .fetch_one(conn)
    .await
    .map_err(wrap)?;
    Ok((get(&row, 0)?, get(&row, 1)?))
}

/// A server that is stopped when it is dropped.
struct Own {
    program: PathBuf,
    data: PathBuf,
    user: Option<(u32, u32)>,
}

impl Drop for Own {
    fn drop(&mut self) {
        let data = self.data.display().to_string();
        // Nothing of it is wanted any more; where it cannot be stopped, nobody is left to be told.
        let arguments = ["-D", &data, "-m", "immediate", "-w", "stop"];
        let _ = program(&self.program, self.user, &self.data).args(arguments).output();
    }
}

async fn own(from: &DatabaseUrl, folder: &Path) -> Result<Stage, SessionError> {
    let mut conn = connect(from, "zdmig", LIMIT).await?;
    let query = "SELECT current_setting('server_version_num')::int / 10000";
    let row = sqlx::query(query).fetch_one(&mut conn).await.map_err(wrap)?;
    drop(conn);
    let major: i32 = get(&row, 0)?;
    let folder = folder.to_owned();
    let booted = tokio::task::spawn_blocking(move || boot(major, &folder)).await;
    let (server, address, version) = booted.map_err(|error| denied(error.to_string()))??;
    let admin = DatabaseUrl::new(address).map_err(|error| denied(error.to_string()))?;
    let mut conn = connect(&admin, "zdmig", LIMIT).await?;
    // Statements of roles that are there already are the only ones that may fail.
    let roles =
        scratch::dumped("pg_dumpall", &["--roles-only", "--no-role-passwords"], from).await?;
    for statement in roles.lines().filter(|line| line.ends_with(';')) {
        let _ = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut conn).await;
    }
    sqlx::query("CREATE DATABASE zdmig_rehearsal TEMPLATE template0")
        .execute(&mut conn)
        .await
        .map_err(wrap)?;
    drop(conn);
    let url = admin.in_database("zdmig_rehearsal");
    scratch::load(&url, scratch::schema(from).await?).await?;
    let words = format!("a server of its own, {version}");
    Ok(Stage { url, words, drop: None, server: Some(Box::new(server)) })
}

/// Boots a server; it, the address of its first database, and its version.
fn boot(major: i32, folder: &Path) -> Result<(Own, String, String), SessionError> {
    let failed = |what: &str, why: String| denied(format!("{what}: {}; {OTHERWISE}", why.trim()));
    let bin = programs(major).ok_or_else(|| {
        denied(format!("there are no programs of a server on this machine; {OTHERWISE}"))
    })?;
    let (data, secret) = (folder.join("data"), folder.join("password"));
    let text = random().map_err(|error| failed("no password can be made", error.to_string()))?;
    // A server refuses to run as root.
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let user = if root { Some(unprivileged()) } else { None };
    let prepare = || -> std::io::Result<()> {
        std::fs::create_dir(&data)?;
        std::fs::write(&secret, &text)?;
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o711))?;
        if let Some((uid, gid)) = user {
            for path in [&data, &secret] {
                std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
            }
        }
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700))
    };
    prepare().map_err(|error| failed("a folder cannot be made", error.to_string()))?;
    let shown = data.display().to_string();
    let run = |file: &str, arguments: &[&str]| {
        let output = program(&bin.join(file), user, &data).args(arguments).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(failed(file, String::from_utf8_lossy(&output.stderr).into_owned())),
            Err(error) => Err(failed(file, error.to_string())),
        }
    };
    let secret = format!("--pwfile={}", secret.display());
    run("initdb", &["-D", &shown, "-U", OWNER, "--auth=scram-sha-256", &secret, "-E", "UTF8"])?;
    let port = free_port().map_err(|error| failed("no port is free", error.to_string()))?;
    let options = format!(
        "-p {port} -k '' -c listen_addresses=127.0.0.1 -c max_connections=300 -c max_wal_size=4GB -c shared_buffers=256MB"
    );
    let log = data.join("server.log");
    let shown_log = log.display().to_string();
    // From here on it is stopped whatever happens.
    let server = Own { program: bin.join("pg_ctl"), data: data.clone(), user };
    run("pg_ctl", &["-D", &shown, "-l", &shown_log, "-w", "-t", "60", "-o", &options, "start"])
        .map_err(|error| {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<_> = said.lines().rev().take(3).collect();
            failed(&error.to_string(), last.into_iter().rev().collect::<Vec<_>>().join(" | "))
        })?;
    let version = version(&bin).map_or_else(String::new, |(_, words)| words);
    Ok((
        server,
        format!("postgres://{OWNER}:{text}@127.0.0.1:{port}/postgres?sslmode=disable"),
        version,
    ))
}

/// A program of the server's, as the user that may run it.
fn program(path: &Path, user: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = Command::new(path);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder.parent().unwrap_or(folder)).stdin(Stdio::null());
    command
}

/// Who runs a server for root: a user and its group.
fn unprivileged() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |wanted: &str| {
        users.lines().find_map(|line| {
            let cells: Vec<&str> = line.split(':').collect();
            let number = |at: usize| cells.get(at)?.parse::<u32>().ok();
            let fits = cells.first() == Some(&wanted);
            if fits { Some((number(2)?, number(3)?)) } else { None }
        })
    };
    of("postgres").or_else(|| of("nobody")).unwrap_or((65_534, 65_534))
}

/// Where a server's programs are: those of the version that is wanted, else the newest.
fn programs(major: i32) -> Option<PathBuf> {
    let mut found: Vec<(bool, i32, PathBuf)> = Vec::new();
    let mut look = |folder: PathBuf| {
        if folder.join("initdb").is_file()
            && folder.join("pg_ctl").is_file()
            && let Some((number, _)) = version(&folder)
        {
            found.push((number == major, number, folder));
        }
    };
    let configured = Command::new("pg_config").arg("--bindir").output();
    if let Ok(output) = configured {
        look(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
    }
    for parent in
        ["/usr/lib/postgresql", "/usr", "/opt/homebrew/opt", "/usr/local/opt", "/usr/local"]
    {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            look(entry.path().join("bin"));
            look(entry.path());
        }
    }
    found.sort();
    found.pop().map(|(.., folder)| folder)
}

/// The version of a server's programs: its first number, and all of it in words.
fn version(bin: &Path) -> Option<(i32, String)> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let number = words.split(' ').find_map(|word| word.split('.').next()?.parse().ok())?;
    Some((number, words))
}

fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A password that nobody guesses: whoever gets in here may run programs.
fn random() -> std::io::Result<String> {
    use std::io::Read;
    let mut bytes = [0_u8; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}
