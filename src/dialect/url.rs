use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

/// A database's address. It is printed without its password, whatever its form.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// Why a text is no address of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UrlError {
    /// It has no scheme.
    #[error(
        "the database URL has no scheme: write `postgres://user@host/name` or `sqlite://file.db`"
    )]
    NoScheme,
    /// The scheme is not one we speak.
    #[error("`{scheme}://` is not a database zdmig speaks: `postgres://` and `sqlite://` are")]
    Scheme {
        /// What was written.
        scheme: String,
    },
}

impl DatabaseUrl {
    /// Takes an address as it was given.
    ///
    /// # Errors
    /// When it has no scheme.
    pub fn new(text: impl Into<String>) -> Result<Self, UrlError> {
        let text = text.into();
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.is_empty() => Ok(Self(text)),
            _ if text.starts_with("sqlite:") => Ok(Self(text.replacen("sqlite:", "sqlite://", 1))),
            _ => Err(UrlError::NoScheme),
        }
    }

    /// The address of a database file.
    pub(super) fn file(path: &std::path::Path) -> Self {
        Self(format!("sqlite://{}", path.display()))
    }

    /// The part before `://`.
    pub fn scheme(&self) -> &str {
        self.0.split_once("://").map_or("", |(scheme, _)| scheme)
    }

    /// The same server, another database.
    pub(super) fn in_database(&self, name: &str) -> Self {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A database that the parameters name would be the one.
        let pairs = query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && name != "dbname"
        });
        let pairs: Vec<_> = pairs.collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        let host = address.rfind('@').map_or(0, |at| at + 1);
        let end = address[host..].find('/').map_or(address.len(), |at| host + at);
        Self(format!("{scheme}://{}/{name}{query}", &address[..end]))
    }

    /// The same with one more parameter.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let joint = if self.0.contains('?') { '&' } else { '?' };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        Self(format!("{}{joint}{name}={value}", self.0))
    }

    /// The address without its password, and the password, for a program that must not get it
    /// where other users of the machine can read it.
    pub(super) fn apart(&self) -> (String, Option<String>) {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (address, query) = rest.split_once('?').map_or((rest, ""), |(a, q)| (a, q));
        let (user, host) = address.rfind('@').map_or(("", address), |at| address.split_at(at));
        let (user, in_address) = user.split_once(':').map_or((user, None), |(a, b)| (a, Some(b)));
        let (mut kept, mut in_query) = (Vec::new(), None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("password", value)) => in_query = Some(value),
                _ => kept.push(pair),
            }
        }
        let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
        (format!("{scheme}://{user}{host}{query}"), in_address.or(in_query).map(decoded))
    }

    /// The host and port; `None` where there is none, or several.
    pub(super) fn host(&self, port: u16) -> Option<String> {
        let (_, rest) = self.0.split_once("://")?;
        let address = rest.split(['/', '?']).next()?;
        let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
        let named = host.rsplit_once(']').map_or(host, |(_, after)| after).contains(':');
        match host {
            "" => None,
            several if several.contains(',') => None,
            host if named => Some(host.to_owned()),
            host => Some(format!("{host}:{port}")),
        }
    }

    /// The address with its secrets, for a driver only.
    pub(super) fn with_secrets(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (address, query) = rest.split_once('?').map_or((rest, ""), |(a, q)| (a, q));
        let host_end = address.rfind('@');
        let (user, host) = host_end.map_or(("", address), |at| address.split_at(at));
        let user = user.split_once(':').map_or(user, |(name, _)| name);
        write!(f, "{scheme}://{user}{host}")?;
        let shown: Vec<_> =
            query.split('&').filter(|pair| !pair.is_empty() && !secret(pair)).collect();
        if !shown.is_empty() {
            write!(f, "?{}", shown.join("&"))?;
        }
        Ok(())
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let coded = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(coded.unwrap_or(*first));
        rest = if coded.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn secret(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().to_lowercase();
    name.contains("pass") || name.contains("secret") || name.contains("key")
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server() {
        for (given, expected) in [
            ("postgres://me:p/w@db:5432/shop?host=/run", "postgres://me:p/w@db:5432/x?host=/run"),
            ("postgres://db", "postgres://db/x"),
        ] {
            let url = DatabaseUrl::new(given).expect("has a scheme").in_database("x");
            assert_eq!(url.with_secrets(), expected);
        }
    }

    #[test]
    fn a_password_goes_its_own_way() {
        for (given, address, password) in [
            ("postgres://me:p%40ss@db/shop?a=b", "postgres://me@db/shop?a=b", Some("p@ss")),
            ("postgres://db/shop?user=me&password=s3", "postgres://db/shop?user=me", Some("s3")),
            ("postgres://me@db/shop", "postgres://me@db/shop", None),
        ] {
            let url = DatabaseUrl::new(given).expect("has a scheme");
            assert_eq!(url.apart(), (address.to_owned(), password.map(ToOwned::to_owned)));
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        for (given, shown) in [
            ("postgres://me:s3cret@db:5432/shop", "postgres://me@db:5432/shop"),
            ("postgres://me:p@ss:w@db/shop", "postgres://me@db/shop"),
            ("postgres://db/shop?user=me&password=s3cret", "postgres://db/shop?user=me"),
            ("postgres://db/shop?sslkey=/k&host=/run", "postgres://db/shop?host=/run"),
            ("sqlite://app.db", "sqlite://app.db"),
        ] {
            let url = DatabaseUrl::new(given).expect("has a scheme");
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("DatabaseUrl({shown})"));
        }
    }
}
