//! What a statement's words alone can say: whether it may use something at all. Sound by leaning
//! to one side: what it does not suspect cannot be a use, what it suspects is read properly.

use std::collections::BTreeSet;

use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Word};

/// A statement cut into words.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// Without blanks and comments.
    pub(super) list: Vec<TokenWithSpan>,
}

/// The names that a use of one thing must mention, all of them in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// The table, the tables that it is a part of, and its parts.
    pub(super) tables: BTreeSet<String>,
    /// The column; `None` where it is the whole table, or no table at all.
    pub(super) column: Option<String>,
    /// Views and functions through which it is used.
    pub(super) carriers: BTreeSet<String>,
}

impl Tokens {
    /// Cuts a text; `None` where it is not made of the product's words.
    pub(super) fn of(text: &str, grammar: &dyn Grammar) -> Option<Self> {
        let mut list = Tokenizer::new(grammar, text).tokenize_with_location().ok()?;
        list.retain(|one| !matches!(one.token, Token::Whitespace(_)));
        Some(Self { list })
    }

    /// With what the parser does not know put into words that it knows: `TABLE t` is a query of
    /// everything, and `ONLY` and `OVERRIDING … VALUE` change nothing of what is used.
    pub(super) fn for_the_parser(&self) -> Vec<TokenWithSpan> {
        let mut list = Vec::with_capacity(self.list.len());
        let mut at = 0;
        while let Some(one) = self.list.get(at) {
            let before = at.checked_sub(1).and_then(|before| self.lower(before));
            let begins = at == 0
                || self.is(at - 1, &Token::LParen)
                || matches!(
                    before.as_deref(),
                    Some("union" | "all" | "except" | "intersect" | "as" | "explain")
                );
            let named = self.word(at + 1).is_some();
            let follows = matches!(
                before.as_deref(),
                Some("from" | "join" | "update" | "into" | "using" | "truncate" | "table")
            ) || at > 0
                && (self.is(at - 1, &Token::Comma) || self.is(at - 1, &Token::LParen));
            match self.bare(at).as_deref() {
                Some("table") if begins && named => {
                    let words = ["SELECT", "*", "FROM"].map(|word| match word {
                        "*" => Token::Mul,
                        word => Token::make_keyword(word),
                    });
                    list.extend(words.map(|token| TokenWithSpan { token, span: one.span }));
                }
                Some("only") if follows && (named || self.is(at + 1, &Token::LParen)) => {}
                Some("overriding") if self.lower(at + 2).as_deref() == Some("value") => at += 2,
                _ => list.push(one.clone()),
            }
            at += 1;
        }
        list
    }

    /// The word at a place in lower case, where it is not quoted.
    fn bare(&self, at: usize) -> Option<String> {
        self.word(at)
            .filter(|word| word.quote_style.is_none())
            .map(|word| word.value.to_lowercase())
    }

    fn word(&self, at: usize) -> Option<&Word> {
        match self.list.get(at).map(|one| &one.token) {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn is(&self, at: usize, token: &Token) -> bool {
        self.list.get(at).is_some_and(|one| one.token == *token)
    }

    /// The word at a place in lower case.
    fn lower(&self, at: usize) -> Option<String> {
        self.word(at).map(|word| word.value.to_lowercase())
    }

    /// Whether a word of it is this one, which is in lower case.
    pub(super) fn names(&self, word: &str) -> bool {
        (0..self.list.len()).any(|at| self.lower(at).as_deref() == Some(word))
    }

    /// Whether it may use what has these names.
    pub(super) fn suspect(&self, names: &Names) -> bool {
        let named: Vec<usize> = (0..self.list.len())
            .filter(|at| self.lower(*at).is_some_and(|word| names.tables.contains(&word)))
            .collect();
        let carried = |at: usize| self.lower(at).is_some_and(|word| names.carriers.contains(&word));
        if self.is_escaped() || (0..self.list.len()).any(carried) || self.says_it(names) {
            return true;
        }
        let Some(column) = &names.column else { return !named.is_empty() };
        if named.is_empty() {
            return false;
        }
        let is_column = |at: usize| self.lower(at).as_ref() == Some(column);
        !self.is_of_a_plain_kind()
            || (0..self.list.len()).any(|at| is_column(at) || self.takes_all(at))
            || named.iter().any(|at| self.is_without_names(*at) || self.is_a_value(*at))
    }

    /// `U&"…"`, whose letters are not what they seem.
    pub(super) fn is_escaped(&self) -> bool {
        (0..self.list.len()).any(|at| {
            self.lower(at).as_deref() == Some("u")
                && self.is(at + 1, &Token::Ampersand)
                && self.word(at + 2).is_some_and(|word| word.quote_style.is_some())
        })
    }

    /// Its strings, and whether each is in the quotes in which code is written.
    fn strings(&self) -> impl Iterator<Item = (&str, bool)> {
        self.list.iter().filter_map(|one| match &one.token {
            Token::SingleQuotedString(text)
            | Token::EscapedStringLiteral(text)
            | Token::NationalStringLiteral(text) => Some((text.as_str(), false)),
            Token::DollarQuotedString(quoted) => Some((quoted.value.as_str(), true)),
            _ => None,
        })
    }

    /// Whether a string is a statement, as far as its words tell.
    pub(super) fn holds_a_statement(&self) -> bool {
        self.strings().any(|(text, _)| {
            let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
            let first = words.first().map_or("", String::as_str);
            let second = ["from", "into", "set", "as"];
            ["select", "insert", "update", "delete", "with"].contains(&first)
                && words.iter().any(|word| second.contains(&word.as_str()))
        })
    }

    /// Text in quotes that is a statement itself, and names it.
    pub(super) fn says_it(&self, names: &Names) -> bool {
        self.strings().any(|(text, is_code)| {
            let said: BTreeSet<String> = text
                .to_lowercase()
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .map(str::to_owned)
                .collect();
            let verbs = ["select", "insert", "update", "delete", "with", "copy", "merge", "table"];
            (is_code || verbs.iter().any(|verb| said.contains(*verb)))
                && said
                    .iter()
                    .any(|word| names.tables.contains(word) || names.carriers.contains(word))
                && names.column.as_ref().is_none_or(|column| {
                    said.contains(column) || text.contains('*') || said.contains("natural")
                })
        })
    }

    fn is_of_a_plain_kind(&self) -> bool {
        let plain = ["select", "insert", "update", "delete", "with"];
        self.lower(0).is_some_and(|word| plain.contains(&word.as_str()))
            && !(0..self.list.len())
                .any(|at| matches!(self.lower(at).as_deref(), Some("table" | "merge")))
    }

    /// A `*` that may stand for columns, or what joins by whatever columns there are.
    fn takes_all(&self, at: usize) -> bool {
        let counts = || {
            at >= 2
                && self.is(at - 1, &Token::LParen)
                && self.is(at + 1, &Token::RParen)
                && self.lower(at - 2).as_deref() == Some("count")
        };
        self.is(at, &Token::Mul) && !counts() || self.lower(at).as_deref() == Some("natural")
    }

    /// A table whose columns an INSERT does not name.
    fn is_without_names(&self, at: usize) -> bool {
        let mut before = at;
        while before >= 2 && self.is(before - 1, &Token::Period) {
            before -= 2;
        }
        if before == 0 || self.lower(before - 1).as_deref() != Some("into") {
            return false;
        }
        let mut after = at + 1;
        if self.lower(after).as_deref() == Some("as") {
            after += 2;
        }
        let listed = self.is(after, &Token::LParen)
            && !matches!(self.lower(after + 1).as_deref(), Some("select" | "with" | "values"));
        !listed && self.lower(after).as_deref() != Some("default")
    }

    /// A table whose columns are given names by their places, or of which a row is used as a value,
    /// by its own name or by another one that it is given.
    fn is_a_value(&self, at: usize) -> bool {
        let mut after = at + 1;
        if self.is(after, &Token::Mul) {
            after += 1;
        }
        if self.lower(after).as_deref() == Some("as") {
            after += 1;
        }
        let alias = self.lower(after);
        let inserted = self.is_inserted_into(at);
        let placed = alias.is_some() && self.is(after + 1, &Token::LParen) && !inserted;
        let alone = |name: &String| {
            let here = |at: &usize| {
                self.lower(*at).as_ref() == Some(name) && !self.is(at + 1, &Token::Period)
            };
            (0..self.list.len()).filter(here).count() > 1
        };
        let name = self.lower(at);
        let called = self.is(at + 1, &Token::LParen) && !inserted;
        placed || called || name.iter().chain(&alias).any(alone)
    }

    fn is_inserted_into(&self, at: usize) -> bool {
        let mut before = at;
        while before >= 2 && self.is(before - 1, &Token::Period) {
            before -= 2;
        }
        before > 0 && self.lower(before - 1).as_deref() == Some("into")
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    fn suspects(text: &str) -> bool {
        let names = Names {
            tables: BTreeSet::from(["users".into()]),
            column: Some("legacy_name".into()),
            carriers: BTreeSet::from(["v_users".into()]),
        };
        Tokens::of(text, &PostgreSqlDialect {}).expect("words").suspect(&names)
    }

    #[test]
    fn what_cannot_be_a_use_is_not_suspected() {
        for text in [
            "SELECT id, email FROM users WHERE id = $1",
            "SELECT u.id FROM public.users AS u WHERE u.email = 'x'",
            "SELECT count(*) FROM users",
            "INSERT INTO users (email) VALUES ($1)",
            "INSERT INTO users AS u (email) VALUES ($1)",
            "INSERT INTO users DEFAULT VALUES",
            "UPDATE users SET email = $1 WHERE id = $2",
            "SELECT legacy_name FROM orders",
            "SELECT * FROM orders",
            "SELECT id FROM users -- legacy_name *",
        ] {
            assert!(!suspects(text), "{text}");
        }
    }

    #[test]
    fn whatever_can_be_a_use_is_suspected() {
        for text in [
            "SELECT LEGACY_NAME FROM USERS",
            "SELECT * FROM users",
            "SELECT u.* FROM users u",
            "SELECT o.id FROM users NATURAL JOIN orders o",
            "INSERT INTO users VALUES ($1)",
            "INSERT INTO public.users SELECT 1",
            "INSERT INTO users (SELECT 1)",
            "SELECT u FROM users u",
            "SELECT users FROM users",
            "SELECT to_jsonb(u) FROM users AS u",
            "SELECT a.n FROM users a(i, e, n)",
            "SELECT U&\"legacy\\005Fname\" FROM users",
            "TABLE users",
            "COPY users TO STDOUT",
            "SELECT nm FROM v_users",
            "DO $$ BEGIN PERFORM legacy_name FROM users; END $$",
            "SELECT query_to_xml('select legacy_name from users', true, true, '')",
        ] {
            assert!(suspects(text), "{text}");
        }
    }
}
