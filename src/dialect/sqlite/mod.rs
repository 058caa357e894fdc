//! SQLite 3.35 and later, as a file that several programs have open. One writer at a time;
//! readers go on in WAL mode.

mod bookkeeping;
mod catalog;
mod fill;
mod filler;
mod interpret;
mod lower;
mod monitor;
mod observer;
mod quote;
mod session;
mod singly;
mod split;
mod sync;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;

use super::{
    Advice, Attached, Capabilities, Client, Connected, DatabaseUrl, Dialect, Dimmer, Options,
    Retyping, SAME_DATABASE, Scratch, Session, SessionError, Site, Stage, SyntaxError, Unsupported,
};
use crate::catalog::{Catalog, Column, Server, Table};
use crate::change::{ChangeKind, NewType};
use crate::plan::{Action, Expr, Lock, Lowered, Walk};
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

/// The dialect.
pub(super) struct Sqlite;

#[async_trait]
impl Dialect for Sqlite {
    fn product(&self) -> &'static str {
        "SQLite"
    }

    fn empty(&self) -> Catalog {
        Catalog {
            server: Server {
                product: self.product().into(),
                version: String::new(),
                number: (3, 0),
            },
            search_path: Vec::new(),
            tables: std::collections::BTreeMap::new(),
            objects: Vec::new(),
            held: Vec::new(),
            case_insensitive: true,
        }
    }

    fn split(&self, source: &str) -> Result<Vec<Span>, SyntaxError> {
        split::split(source)
    }

    fn grammar(&self) -> &'static dyn sqlparser::dialect::Dialect {
        &sqlparser::dialect::SQLiteDialect {}
    }

    fn interpret(&self, source: &str, statement: Span) -> Vec<ChangeKind> {
        interpret::interpret(source, statement)
    }

    fn advice(&self, _source: &str, _statement: Span) -> Vec<Advice> {
        // Types say little here, and nothing is cut off.
        Vec::new()
    }

    fn retyping(
        &self,
        _catalog: &Catalog,
        _table: &Table,
        _column: &Column,
        _change: &NewType,
    ) -> Retyping {
        Retyping::Whole
    }

    fn new_column_rewrites(&self, _catalog: &Catalog, _type_name: &str) -> bool {
        false
    }

    fn of_type(&self, _catalog: &Catalog, _type_name: &TableName) -> Vec<ColumnRef> {
        Vec::new()
    }

    fn next_of(&self, _sequence: &TableName) -> Option<Expr> {
        None
    }

    fn capabilities(&self, _server: &Server) -> Capabilities {
        Capabilities {
            row_rewriting_triggers: false,
            online_index: false,
            notes_rows: false,
            table_alias: false,
            add_constraint: false,
            alter_column: false,
            drop_keyed_column: false,
            drop_rewrites: true,
            privileges: false,
            cached_plans: false,
            column_statistics: false,
            single_writer: true,
        }
    }

    fn walk(&self, _catalog: &Catalog, _table: &Table, _columns: &[Ident]) -> Walk {
        Walk::Key
    }

    fn lower(&self, action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
        lower::lower(action, catalog)
    }

    fn locks(&self, _sql: &[Sql], _catalog: &Catalog) -> Vec<Lock> {
        Vec::new()
    }

    async fn connect(
        &self,
        url: &DatabaseUrl,
        options: &Options,
    ) -> Result<Box<dyn Session>, SessionError> {
        Ok(Box::new(session::SqliteSession::open(url, options).await?))
    }

    async fn scratch(
        &self,
        _url: Option<&DatabaseUrl>,
        folder: &Path,
    ) -> Result<Scratch, SessionError> {
        session::scratch(folder).await
    }

    async fn copy(&self, _url: &DatabaseUrl) -> Result<Scratch, SessionError> {
        Err(SessionError::Denied {
            message: "this database has one lock, and nothing of it is measured".into(),
        })
    }

    fn host(&self, _url: &DatabaseUrl) -> Option<String> {
        None
    }

    async fn stage(
        &self,
        from: &DatabaseUrl,
        site: &Site,
        folder: &Path,
    ) -> Result<Stage, SessionError> {
        let url = match site {
            Site::Own => {
                let path = folder.join("rehearsal.db");
                let target = quote::literal(&path.display().to_string());
                let mut client = observer::SqliteClient::open(from).await?;
                client.script(&format!("VACUUM INTO {target}")).await?;
                let url = DatabaseUrl::file(&path);
                observer::SqliteObserver::open(&url).await?.forget().await?;
                // Whether readers and writers wait for each other is part of what is rehearsed.
                let mode = client.rows("PRAGMA journal_mode", &[]).await?;
                if let Some(mode) = mode.into_iter().flatten().flatten().next() {
                    let mut copy = observer::SqliteClient::open(&url).await?;
                    copy.script(&format!("PRAGMA journal_mode = {}", quote::literal(&mode)))
                        .await?;
                }
                let words = format!("{} of its own", self.product());
                return Ok(Stage { url, words, drop: None, server: None });
            }
            Site::Given(url) => url.clone(),
            Site::Like(..) => {
                let message = "files have no templates: give a copy with `--scratch`".to_owned();
                return Err(SessionError::Denied { message });
            }
        };
        if identity(&url)? == identity(from)? {
            return Err(SessionError::Denied { message: SAME_DATABASE.into() });
        }
        Ok(Stage { words: url.to_string(), url, drop: None, server: None })
    }

    async fn invent(
        &self,
        _from: &DatabaseUrl,
        into: &DatabaseUrl,
        tables: &[TableName],
        _rows: u64,
    ) -> Result<BTreeMap<String, u64>, SessionError> {
        // The copy has the rows of the file itself.
        let mut client = observer::SqliteClient::open(into).await?;
        let mut counted = BTreeMap::new();
        for table in tables {
            let query = format!("SELECT count(*) FROM {}", quote::ident(&table.name));
            let rows = client.rows(&query, &[]).await?;
            let count = rows.first().and_then(|row| row.first()?.as_ref()?.parse().ok());
            counted.insert(table.to_string(), count.unwrap_or_default());
        }
        Ok(counted)
    }

    async fn sample(
        &self,
        _from: &DatabaseUrl,
        _into: &DatabaseUrl,
        _tables: &[TableName],
        _rows: u64,
    ) -> Result<u64, SessionError> {
        Err(SessionError::Denied {
            message: "rows are not copied from file to file: leave `--sample` out; without `--scratch` a rehearsal \
                      is in a copy of the file, with all of its rows"
                .into(),
        })
    }

    async fn dimmer(&self, url: &DatabaseUrl) -> Result<Box<dyn Dimmer>, SessionError> {
        let message = format!("{url} has no privileges that could be taken from anybody");
        Err(SessionError::Denied { message })
    }

    async fn clients_of(
        &self,
        pooler: &DatabaseUrl,
        _database: &DatabaseUrl,
    ) -> Result<Vec<Connected>, SessionError> {
        let message = "there are no poolers before a file".to_owned();
        Err(SessionError::Unreachable { url: pooler.to_string(), message })
    }

    async fn attach(&self, url: &DatabaseUrl, _name: &str) -> Result<Attached, SessionError> {
        Ok(Attached {
            observer: Box::new(observer::SqliteObserver::open(url).await?),
            client: Box::new(observer::SqliteClient::open(url).await?),
        })
    }
}

/// What tells a file from every other one, however it is reached.
fn identity(url: &DatabaseUrl) -> Result<(u64, u64), SessionError> {
    use std::os::unix::fs::MetadataExt;
    let unreachable = |message: String| SessionError::Unreachable { url: url.to_string(), message };
    let options = SqliteConnectOptions::from_str(url.with_secrets())
        .map_err(|error| unreachable(error.to_string()))?;
    let found = std::fs::metadata(options.get_filename())
        .map_err(|error| unreachable(error.to_string()))?;
    Ok((found.dev(), found.ino()))
}
