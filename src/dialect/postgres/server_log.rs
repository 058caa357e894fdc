//! The server's log, read on from where it was: statements that failed for want of a privilege.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;
use sqlx::postgres::PgConnection;

use super::catalog::get;
use super::connect::wrap;
use crate::dialect::{Refused, SessionError};
use crate::sql::{mentions, without_values};

/// So much is read at once.
const PIECE: i64 = 1 << 20;

/// So much of a statement is shown.
const SHOWN: usize = 300;

/// Where a log is, and how far it was read.
pub(super) struct ServerLog {
    place: Place,
    upto: i64,
    /// A line that was not written to its end yet.
    half: Vec<u8>,
    /// A text log's last line, which the statement's may follow.
    last: Option<Refused>,
}

enum Place {
    /// Read through the server, from its own folder.
    Server(String),
    /// A file on this machine.
    Local(PathBuf),
}

/// What is said of one event in a log of JSON.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Line {
    user: String,
    dbname: String,
    state_code: String,
    message: String,
    statement: String,
    application_name: String,
}

impl ServerLog {
    /// The end of the server's log; `None` where it keeps none, or does not let us read it.
    pub(super) async fn of_server(conn: &mut PgConnection) -> Option<Self> {
        let path = current(conn).await?;
        let row = sqlx::query("SELECT (pg_stat_file($1)).size")
            .bind(&path)
            .fetch_one(&mut *conn)
            .await
            .ok()?;
        let upto = get(&row, 0).ok()?;
        // Who may know its size may not read it, for all that.
        sqlx::query("SELECT pg_read_binary_file($1, 0, 1)")
            .bind(&path)
            .fetch_one(conn)
            .await
            .ok()?;
        Some(Self { place: Place::Server(path), upto, half: Vec::new(), last: None })
    }

    /// The end of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of_file(path: PathBuf) -> std::io::Result<Self> {
        let mut file = std::fs::File::open(&path)?;
        let upto = i64::try_from(file.seek(SeekFrom::End(0))?).unwrap_or(i64::MAX);
        Ok(Self { place: Place::Local(path), upto, half: Vec::new(), last: None })
    }

    /// For a person.
    pub(super) fn name(&self) -> String {
        match &self.place {
            Place::Server(path) => format!("{path} of the server"),
            Place::Local(path) => path.display().to_string(),
        }
    }

    /// What was refused since the last look.
    pub(super) async fn look(
        &mut self,
        conn: &mut PgConnection,
        database: &str,
        tables: &BTreeSet<String>,
    ) -> Result<Vec<Refused>, SessionError> {
        let mut found = Vec::new();
        loop {
            let piece = self.piece(conn).await?;
            if piece.is_empty() {
                return Ok(found);
            }
            self.upto += i64::try_from(piece.len()).unwrap_or(i64::MAX);
            self.take(&piece, database, tables, &mut found);
        }
    }

    async fn piece(&mut self, conn: &mut PgConnection) -> Result<Vec<u8>, SessionError> {
        let lost = |error: std::io::Error| SessionError::Lost { message: error.to_string() };
        match &self.place {
            Place::Local(path) => {
                let mut file = std::fs::File::open(path).map_err(lost)?;
                let length = i64::try_from(file.metadata().map_err(lost)?.len()).unwrap_or(0);
                if length < self.upto {
                    // It was begun anew.
                    self.upto = 0;
                }
                file.seek(SeekFrom::Start(self.upto.unsigned_abs())).map_err(lost)?;
                let mut piece = Vec::new();
                file.take(PIECE.unsigned_abs()).read_to_end(&mut piece).map_err(lost)?;
                Ok(piece)
            }
            Place::Server(path) => {
                let read = "SELECT pg_read_binary_file($1, $2, $3)";
                let row = sqlx::query(read)
                    .bind(path)
                    .bind(self.upto)
                    .bind(PIECE)
                    .fetch_one(&mut *conn)
                    .await
                    .map_err(wrap)?;
                let piece: Vec<u8> = get(&row, 0)?;
                if piece.is_empty() {
                    let size = sqlx::query("SELECT coalesce((pg_stat_file($1, true)).size, 0)")
                        .bind(path)
                        .fetch_one(&mut *conn)
                        .await
                        .map_err(wrap)?;
                    if get::<i64>(&size, 0)? < self.upto {
                        // It was begun anew under the same name.
                        self.upto = 0;
                        return Ok(Vec::new());
                    }
                    let now = current(conn).await;
                    if let Some(now) = now.filter(|now| now != path) {
                        (self.place, self.upto) = (Place::Server(now), 0);
                    }
                }
                Ok(piece)
            }
        }
    }

    fn take(
        &mut self,
        piece: &[u8],
        database: &str,
        tables: &BTreeSet<String>,
        found: &mut Vec<Refused>,
    ) {
        self.half.extend_from_slice(piece);
        let Some(end) = self.half.iter().rposition(|byte| *byte == b'\n') else { return };
        let whole: Vec<u8> = self.half.drain(..=end).collect();
        for line in String::from_utf8_lossy(&whole).lines() {
            if line.starts_with('{') {
                found.extend(of_json(line, database, tables));
            } else if let Some((_, statement)) = line.split_once("STATEMENT:") {
                if let Some(one) = self.last.take() {
                    found.retain(|known| *known != one);
                    found.push(Refused { statement: shown(statement), ..one });
                }
            } else {
                self.last = of_text(line, tables);
                found.extend(self.last.clone());
            }
        }
    }
}

async fn current(conn: &mut PgConnection) -> Option<String> {
    let row = sqlx::query(
        "SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
                     THEN pg_current_logfile('jsonlog') END, pg_current_logfile()",
    )
    .fetch_one(conn)
    .await
    .ok()?;
    get::<Option<String>>(&row, 0).ok()?.or(get(&row, 1).ok()?)
}

fn of_json(line: &str, database: &str, tables: &BTreeSet<String>) -> Option<Refused> {
    let line: Line = serde_json::from_str(line).ok()?;
    let ours = line.state_code == "42501"
        && (line.dbname.is_empty() || line.dbname == database)
        && tables.iter().any(|table| mentions(&line.message, table));
    ours.then(|| Refused {
        role: line.user,
        application: line.application_name,
        statement: shown(&line.statement),
    })
}

fn of_text(line: &str, tables: &BTreeSet<String>) -> Option<Refused> {
    let refused = line.contains("permission denied") || line.contains("42501");
    let ours = refused && tables.iter().any(|table| mentions(line, table));
    ours.then(|| Refused {
        role: String::new(),
        application: String::new(),
        statement: shown(line.split_once("ERROR:").map_or(line, |(_, said)| said)),
    })
}

fn shown(text: &str) -> String {
    let line = without_values(text).split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> Vec<Refused> {
        let place = Place::Local(PathBuf::new());
        let mut log = ServerLog { place, upto: 0, half: Vec::new(), last: None };
        let (mut found, tables) = (Vec::new(), BTreeSet::from(["users".to_owned()]));
        for piece in pieces {
            log.take(piece.as_bytes(), "shop", &tables, &mut found);
        }
        found
    }

    #[test]
    fn refused_statements_are_found_in_both_kinds_of_log() {
        let json = r#"{"user":"app","dbname":"shop","error_severity":"ERROR","state_code":"42501","message":"permission denied for table users","statement":"SELECT\n  username FROM users","application_name":"api@1#p"}"#;
        let found = read(&[&json[..40], &json[40..], "\n"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].application, "api@1#p");
        assert_eq!(found[0].statement, "SELECT username FROM users");
        for other in [
            json.replace("42501", "42P01"),
            json.replace("\"shop\"", "\"other\""),
            json.replace("table users", "table users2"),
        ] {
            assert_eq!(read(&[&other, "\n"]), [], "{other}");
        }
        let found = read(&[
            "2026-11-28 [7] app@shop ERROR:  permission denied for table users\n",
            "2026-11-28 [7] app@shop STATEMENT:  SELECT * FROM users\n",
            "2026-11-28 [7] app@shop ERROR:  permission denied for table other_users\n",
            "2026-11-28 [7] app@shop STATEMENT:  SELECT * FROM other_users\n",
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].statement, "SELECT * FROM users");
    }
}
