//! Floor 5: the one seam to a product. Knowledge is synchronous and pure; only connecting
//! and what a session does is I/O.

mod client;
mod dimmer;
mod disk;
mod filler;
mod monitor;
mod observer;
mod postgres;
mod session;
mod sqlite;
mod statements;
mod url;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use sqlparser::dialect::Dialect as Grammar;
use thiserror::Error;

pub use client::{ByTexts, Client, Value};
pub use dimmer::{Dark, Dimmer, Dimming, Refused};
pub use filler::{ChunkDone, FailedRow, FillOrder, Filled, Filler, Taken};
pub use monitor::{
    FillState, Look, Monitor, MonitorOptions, Reading, Report, Signal, Steer, Steering,
};
pub use observer::{
    Approval, AtWork, Beat, Bound, Connected, Deployed, Fact, Finding, Manifest, Observer,
    RoleAccess, Strain, Witness,
};
pub use session::{
    Answer, Blocker, Doing, Measure, Measured, Options, Session, SessionError, Work,
};
pub use statements::{Counted, Observation, StatementLog};
pub use url::{DatabaseUrl, UrlError};

use crate::catalog::{Catalog, Column, Server, Table};
use crate::change::{ChangeKind, NewType};
use crate::plan::{Action, Expr, Lock, Lowered, Walk};
use crate::sql::{ColumnRef, Ident, Span, Sql, TableName};

/// What zdmig knows of one product.
#[async_trait]
pub trait Dialect: Send + Sync {
    /// The product's name, as plans and messages say it.
    fn product(&self) -> &'static str;

    /// A database with nothing in it yet, as a file's author sees it.
    fn empty(&self) -> Catalog;

    /// Cuts a file into statements.
    ///
    /// # Errors
    /// When the text is not in the product's grammar, with the place.
    fn split(&self, source: &str) -> Result<Vec<Span>, SyntaxError>;

    /// The address by which names without a schema are looked up in this one first; `None` where
    /// there are no schemas.
    fn in_schema(&self, _: &DatabaseUrl, _: &Ident) -> Option<DatabaseUrl> {
        None
    }

    /// How an application's queries are written.
    fn grammar(&self) -> &'static dyn Grammar;

    /// What a statement means. One statement may hold several changes.
    fn interpret(&self, source: &str, statement: Span) -> Vec<ChangeKind>;

    /// What a statement makes that is well today and dear to change later.
    fn advice(&self, source: &str, statement: Span) -> Vec<Advice>;

    /// What the server can do; the planner asks this and never the product's name.
    fn capabilities(&self, server: &Server) -> Capabilities;

    /// What it takes to give a column another type.
    fn retyping(
        &self,
        catalog: &Catalog,
        table: &Table,
        column: &Column,
        change: &NewType,
    ) -> Retyping;

    /// Whether a new column of this type makes the server write its table anew, whatever its
    /// default.
    fn new_column_rewrites(&self, catalog: &Catalog, type_name: &str) -> bool;

    /// The columns of a type of the author's own.
    fn of_type(&self, catalog: &Catalog, type_name: &TableName) -> Vec<ColumnRef>;

    /// What a sequence gives next, as an expression; `None` where there are no sequences.
    fn next_of(&self, sequence: &TableName) -> Option<Expr>;

    /// How a fill of these columns gets over a table whose triggers fill whatever is written
    /// meanwhile.
    fn walk(&self, catalog: &Catalog, table: &Table, columns: &[Ident]) -> Walk;

    /// Puts an action into the product's words.
    ///
    /// # Errors
    /// When the product cannot do it without downtime, with the way out.
    fn lower(&self, action: &Action, catalog: &Catalog) -> Result<Lowered, Unsupported>;

    /// What statements lock when they run one by one; nothing where each locks all there is.
    fn locks(&self, sql: &[Sql], catalog: &Catalog) -> Vec<Lock>;

    /// The host and port of a server; `None` where there is none, or several.
    fn host(&self, url: &DatabaseUrl) -> Option<String>;

    /// Opens the door through which the schema is changed.
    async fn connect(
        &self,
        url: &DatabaseUrl,
        options: &Options,
    ) -> Result<Box<dyn Session>, SessionError>;

    /// Makes an empty database for the demonstration: in `folder`, or on the server of `url`.
    async fn scratch(
        &self,
        url: Option<&DatabaseUrl>,
        folder: &Path,
    ) -> Result<Scratch, SessionError>;

    /// Makes a database with the schema of the one that `url` names, and none of its rows.
    async fn copy(&self, url: &DatabaseUrl) -> Result<Scratch, SessionError>;

    /// Opens a database for a rehearsal: with the schema of the one that `from` names, or as somebody has
    /// prepared it. `folder` is empty, and the caller's to remove once the stage is struck.
    ///
    /// # Errors
    /// When there is nowhere to have one, with what to say instead.
    async fn stage(
        &self,
        from: &DatabaseUrl,
        site: &Site,
        folder: &Path,
    ) -> Result<Stage, SessionError>;

    /// Makes up rows for those of the tables, and of what they point to, that are empty: so many in each,
    /// spread as the statistics of `from` say. The rows that each table has then.
    ///
    /// # Errors
    /// When a table has a column for which nothing is known to make up, or rules that what is made up breaks.
    async fn invent(
        &self,
        from: &DatabaseUrl,
        into: &DatabaseUrl,
        tables: &[TableName],
        rows: u64,
    ) -> Result<BTreeMap<String, u64>, SessionError>;

    /// Copies rows of `from` into those of the tables that are empty: at most so many of each, and all that they
    /// point to. How many it brought.
    ///
    /// # Errors
    /// When they cannot be read or written, or the stage has all rows of `from` anyway.
    async fn sample(
        &self,
        from: &DatabaseUrl,
        into: &DatabaseUrl,
        tables: &[TableName],
        rows: u64,
    ) -> Result<u64, SessionError>;

    /// Opens what takes columns away for a while.
    ///
    /// # Errors
    /// When the database cannot be reached, or no privilege stops anybody there.
    async fn dimmer(&self, url: &DatabaseUrl) -> Result<Box<dyn Dimmer>, SessionError>;

    /// Who is connected to a database through a pooler, by its console.
    ///
    /// # Errors
    /// When it cannot be reached, or the product has none.
    async fn clients_of(
        &self,
        pooler: &DatabaseUrl,
        database: &DatabaseUrl,
    ) -> Result<Vec<Connected>, SessionError>;

    /// Opens a connection for what stands beside the schema: facts for the gate, and the
    /// statements of an application.
    async fn attach(&self, url: &DatabaseUrl, name: &str) -> Result<Attached, SessionError>;
}

/// A database that is thrown away after use.
pub struct Scratch {
    /// Its address.
    pub url: DatabaseUrl,
    /// The role that applications use there, where there are roles.
    pub role: Option<String>,
    /// Other roles that could log in there.
    pub others: Vec<String>,
    /// What to run on which address to be rid of it; `None` where a folder is removed.
    pub drop: Option<(DatabaseUrl, String)>,
}

/// What is said of a database that must not be touched.
const SAME_DATABASE: &str = "the scratch database is the one that the migration is for: name one that may be \
                             changed and thrown away";

/// Where a rehearsal is to be.
#[derive(Clone, Debug)]
pub enum Site {
    /// On a server of its own on this machine, or in a file of its own.
    Own,
    /// In a database that is there for it, and is left changed: empty, or with rows.
    Given(DatabaseUrl),
    /// In a copy that is made of another database of a server, by that one's name.
    Like(DatabaseUrl, String),
}

/// A database for a rehearsal.
pub struct Stage {
    /// Its address.
    pub url: DatabaseUrl,
    /// What it is, in words.
    pub words: String,
    /// What to run on which address to be rid of it.
    pub drop: Option<(DatabaseUrl, String)>,
    /// A server that ends with it.
    pub server: Option<Box<dyn Send + Sync>>,
}

/// What [`Dialect::attach`] opens.
pub struct Attached {
    /// Answers the gate's questions and takes the facts of deployments.
    pub observer: Box<dyn Observer>,
    /// Runs an application's statements.
    pub client: Box<dyn Client>,
}

/// What a server can do, as answers to the planner's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// A trigger can change the row on its way in, so that new code may leave out a column
    /// that is NOT NULL.
    pub row_rewriting_triggers: bool,
    /// An index can be built beside writers.
    pub online_index: bool,
    /// Rows that a statement inserts can be noted by it.
    pub notes_rows: bool,
    /// A view can stand for a renamed table, writes and all.
    pub table_alias: bool,
    /// A constraint can be added to a table that exists.
    pub add_constraint: bool,
    /// A column's default and not null can be changed in place.
    pub alter_column: bool,
    /// A column that a unique constraint or a primary key covers can be dropped.
    pub drop_keyed_column: bool,
    /// Dropping a column writes the table anew.
    pub drop_rewrites: bool,
    /// Privileges can be taken from applications.
    pub privileges: bool,
    /// Sessions prepare statements that a new column breaks once.
    pub cached_plans: bool,
    /// Statistics are of columns, and a query on a column without any is planned blindly.
    pub column_statistics: bool,
    /// One writer at a time in the whole database, so that a fill must step aside.
    pub single_writer: bool,
}

/// Something that is well today and dear to change later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The card's code.
    pub code: &'static str,
    /// What it means here.
    pub message: String,
    /// What to do here.
    pub remedy: String,
}

/// What it takes to give a column another type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retyping {
    /// Neither the table nor an index is written anew.
    InPlace,
    /// Every value is converted, by an expression that gives the same each time.
    Converted(Conversion),
    /// Nothing but the server's own rewrite of the whole table will do.
    Whole,
}

/// How values get from one type to another, and back. Both expressions are over the
/// column's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The new type in the product's words.
    pub type_name: String,
    /// New from old.
    pub forward: Expr,
    /// Old from new, where the author only asked for a cast or another time zone.
    pub reverse: Option<Expr>,
    /// Whether every value has one of its own in the new type, in the same order.
    pub widens: bool,
    /// Whether that comes to the very value, for each there can be.
    pub exact: bool,
}

/// A statement that is not in the product's grammar.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message}")]
pub struct SyntaxError {
    /// Where.
    pub span: Span,
    /// What the parser expected.
    pub message: String,
}

/// Something a product cannot do without stopping the application.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}")]
pub struct Unsupported {
    /// What cannot be done, and why.
    pub what: String,
    /// What to do instead.
    pub remedy: String,
}

/// The dialect that a URL asks for.
///
/// # Errors
/// When the URL's scheme is not one we speak.
pub fn for_url(url: &DatabaseUrl) -> Result<&'static dyn Dialect, UrlError> {
    named(url.scheme())
}

/// The dialect of a URL scheme.
///
/// # Errors
/// When it is not one we speak.
pub fn named(scheme: &str) -> Result<&'static dyn Dialect, UrlError> {
    match scheme {
        "postgres" | "postgresql" => Ok(&postgres::Postgres),
        "sqlite" => Ok(&sqlite::Sqlite),
        scheme => Err(UrlError::Scheme { scheme: scheme.to_owned() }),
    }
}

/// The dialect of a product, by the name that plans and snapshots say.
pub fn of_product(product: &str) -> Option<&'static dyn Dialect> {
    let all: [&'static dyn Dialect; 2] = [&postgres::Postgres, &sqlite::Sqlite];
    all.into_iter().find(|dialect| dialect.product() == product)
}

/// The dialect of a database that needs no server.
pub fn embedded() -> &'static dyn Dialect {
    &sqlite::Sqlite
}

/// The dialect of files for which no database is named.
pub fn default() -> &'static dyn Dialect {
    &postgres::Postgres
}
