use async_trait::async_trait;

use super::SessionError;

/// An application's connection: what the demonstration and the tests write and read with.
#[async_trait]
pub trait Client: Send {
    /// Runs one statement with bound values; the rows it changed.
    async fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, SessionError>;

    /// Runs a query; every value as text.
    async fn rows(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Vec<Vec<Option<String>>>, SessionError>;

    /// A statement with every value given as a text, and the types that they are then cast to; nothing
    /// where the product does not say them.
    async fn by_texts(&mut self, sql: &str) -> Result<Option<ByTexts>, SessionError>;

    /// Runs several statements as they stand.
    async fn script(&mut self, sql: &str) -> Result<(), SessionError>;
}

/// A bound value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
}

/// A statement that takes its values as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByTexts {
    /// Its text.
    pub sql: String,
    /// The types of its values.
    pub types: Vec<String>,
}
