//! PostgreSQL 12 and later. Lock modes and costs are those measured on 15; where a version
//! differs, [`capabilities`](crate::dialect::Capabilities) says so.

mod advice;
mod bookkeeping;
mod bound;
mod catalog;
mod chunk;
mod client;
mod connect;
mod dimmer;
mod domain;
mod examine;
mod facts;
mod fill;
mod filler;
mod foreign;
mod horizon;
mod interpret;
mod invent;
mod locks;
mod lower;
mod measure;
mod monitor;
mod objects;
mod observer;
mod parts;
mod places;
mod pooler;
mod privileges;
mod quote;
mod rewrite;
mod run_lock;
mod said;
mod sample;
mod scratch;
mod server_log;
mod session;
mod singly;
mod split;
mod stage;
mod statements;
mod steering;
mod sync;
mod types;
mod undo;
mod undo_alter;
mod undo_comment;
mod undo_create;
mod undo_table;
mod watch;
mod words;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use super::{
    Advice, Attached, Capabilities, Connected, DatabaseUrl, Dialect, Dimmer, Options, Retyping,
    Scratch, Session, SessionError, Site, Stage, SyntaxError, Unsupported,
};
use crate::catalog::{Catalog, Column, Server, Table};
use crate::change::{ChangeKind, NewType};
use crate::plan::{Action, Expr, Lock, Lowered, Walk};
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

/// The dialect.
pub(super) struct Postgres;

#[async_trait]
impl Dialect for Postgres {
    fn product(&self) -> &'static str {
        "PostgreSQL"
    }

    fn in_schema(&self, url: &DatabaseUrl, schema: &Ident) -> Option<DatabaseUrl> {
        // What all of them share lies in `public`, most often extensions.
        let path = format!("{}, public", quote::ident(schema));
        Some(url.with("options[search_path]", &path))
    }

    fn empty(&self) -> Catalog {
        Catalog {
            server: Server {
                product: self.product().into(),
                version: String::new(),
                number: (15, 0),
            },
            search_path: vec![Ident::new("public")],
            tables: std::collections::BTreeMap::new(),
            objects: Vec::new(),
            held: Vec::new(),
            case_insensitive: false,
        }
    }

    fn split(&self, source: &str) -> Result<Vec<Span>, SyntaxError> {
        split::split(source)
    }

    fn grammar(&self) -> &'static dyn sqlparser::dialect::Dialect {
        &sqlparser::dialect::PostgreSqlDialect {}
    }

    fn interpret(&self, source: &str, statement: Span) -> Vec<ChangeKind> {
        interpret::interpret(source, statement)
    }

    fn advice(&self, source: &str, statement: Span) -> Vec<Advice> {
        advice::advice(source, statement)
    }

    fn retyping(
        &self,
        catalog: &Catalog,
        table: &Table,
        column: &Column,
        change: &NewType,
    ) -> Retyping {
        types::retyping(catalog, table, column, change)
    }

    fn new_column_rewrites(&self, catalog: &Catalog, type_name: &str) -> bool {
        domain::checks(catalog, type_name)
    }

    fn of_type(&self, catalog: &Catalog, type_name: &TableName) -> Vec<ColumnRef> {
        domain::users(catalog, type_name)
    }

    fn next_of(&self, sequence: &TableName) -> Option<Expr> {
        Some(Expr::Verbatim(Sql::new(lower::next_of(sequence))))
    }

    fn capabilities(&self, _server: &Server) -> Capabilities {
        Capabilities {
            row_rewriting_triggers: true,
            online_index: true,
            notes_rows: true,
            table_alias: true,
            add_constraint: true,
            alter_column: true,
            drop_keyed_column: true,
            drop_rewrites: false,
            privileges: true,
            cached_plans: true,
            column_statistics: true,
            single_writer: false,
        }
    }

    fn walk(&self, catalog: &Catalog, table: &Table, columns: &[Ident]) -> Walk {
        fill::walk(catalog, table, columns)
    }

    fn lower(&self, action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported> {
        lower::lower(action, catalog)
    }

    fn locks(&self, sql: &[Sql], catalog: &Catalog) -> Vec<Lock> {
        locks::of(sql, catalog)
    }

    async fn connect(
        &self,
        url: &DatabaseUrl,
        options: &Options,
    ) -> Result<Box<dyn Session>, SessionError> {
        Ok(Box::new(session::PostgresSession::open(url, options).await?))
    }

    async fn scratch(
        &self,
        url: Option<&DatabaseUrl>,
        _folder: &Path,
    ) -> Result<Scratch, SessionError> {
        scratch::make(url, None).await
    }

    async fn copy(&self, url: &DatabaseUrl) -> Result<Scratch, SessionError> {
        scratch::copy(url).await
    }

    fn host(&self, url: &DatabaseUrl) -> Option<String> {
        url.host(5432)
    }

    async fn stage(
        &self,
        from: &DatabaseUrl,
        site: &Site,
        folder: &Path,
    ) -> Result<Stage, SessionError> {
        stage::open(from, site, folder).await
    }

    async fn invent(
        &self,
        from: &DatabaseUrl,
        into: &DatabaseUrl,
        tables: &[TableName],
        rows: u64,
    ) -> Result<BTreeMap<String, u64>, SessionError> {
        invent::rows(from, into, tables, rows).await
    }

    async fn sample(
        &self,
        from: &DatabaseUrl,
        into: &DatabaseUrl,
        tables: &[TableName],
        rows: u64,
    ) -> Result<u64, SessionError> {
        sample::rows(from, into, tables, rows).await
    }

    async fn dimmer(&self, url: &DatabaseUrl) -> Result<Box<dyn Dimmer>, SessionError> {
        Ok(Box::new(dimmer::PostgresDimmer::open(url).await?))
    }

    async fn clients_of(
        &self,
        pooler: &DatabaseUrl,
        database: &DatabaseUrl,
    ) -> Result<Vec<Connected>, SessionError> {
        pooler::clients(pooler, database).await
    }

    async fn attach(&self, url: &DatabaseUrl, name: &str) -> Result<Attached, SessionError> {
        Ok(Attached {
            observer: Box::new(observer::PostgresObserver::open(url, name).await?),
            client: Box::new(client::PostgresClient::open(url, name).await?),
        })
    }
}
