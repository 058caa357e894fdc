use sqlparser::dialect::SQLiteDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, Tokenizer};

use crate::dialect::SyntaxError;
use crate::sql::Span;

/// A token and where it stands, in bytes.
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
}

impl Lexeme {
    pub(super) fn is_blank(&self) -> bool {
        matches!(self.token, Token::Whitespace(_))
    }

    pub(super) fn keyword(&self) -> Keyword {
        match &self.token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        }
    }
}

/// Cuts a text into tokens.
pub(super) fn lex(source: &str) -> Result<Vec<Lexeme>, SyntaxError> {
    let lines = Lines::of(source);
    let tokens = Tokenizer::new(&SQLiteDialect {}, source).tokenize_with_location();
    let tokens = tokens.map_err(|error| {
        let at = lines.byte(error.location);
        SyntaxError { span: Span::new(at, at), message: error.message }
    })?;
    Ok(tokens
        .into_iter()
        .map(|one| Lexeme {
            span: Span::new(lines.byte(one.span.start), lines.byte(one.span.end)),
            token: one.token,
        })
        .collect())
}

/// Cuts a file at its semicolons, those inside a trigger's body apart, and refuses what we
/// claim to read and cannot.
pub(super) fn split(source: &str) -> Result<Vec<Span>, SyntaxError> {
    let mut spans = Vec::new();
    let mut current: Option<Span> = None;
    let (mut trigger, mut depth) = (false, 0_u32);
    let mut words = 0;
    for lexeme in lex(source)?.iter().filter(|one| !one.is_blank()) {
        if lexeme.token == Token::SemiColon && depth == 0 {
            spans.extend(current.take());
            (trigger, words) = (false, 0);
            continue;
        }
        words += 1;
        match lexeme.keyword() {
            Keyword::TRIGGER if words <= 4 => trigger = true,
            Keyword::BEGIN if trigger && depth == 0 => depth = 1,
            Keyword::CASE if depth > 0 => depth += 1,
            Keyword::END if depth > 0 => depth -= 1,
            _ => {}
        }
        let start = current.map_or(lexeme.span.start, |span| span.start);
        current = Some(Span { start, end: lexeme.span.end });
    }
    spans.extend(current);
    for span in &spans {
        check(source, *span)?;
    }
    Ok(spans)
}

/// Statements that we take apart must parse; others may be beyond the parser.
fn check(source: &str, span: Span) -> Result<(), SyntaxError> {
    let text = span.of(source);
    let head: Vec<_> = text.split_whitespace().take(3).map(str::to_uppercase).collect();
    let words: Vec<&str> = head.iter().map(String::as_str).collect();
    let ours = matches!(
        words.as_slice(),
        ["ALTER", "TABLE", ..]
            | ["CREATE", "TABLE" | "INDEX", ..]
            | ["CREATE", "UNIQUE", "INDEX"]
            | ["DROP", "INDEX" | "TABLE", ..]
            | ["UPDATE", ..]
    );
    let known = [
        "ALTER",
        "CREATE",
        "DROP",
        "UPDATE",
        "INSERT",
        "DELETE",
        "REPLACE",
        "WITH",
        "SELECT",
        "PRAGMA",
        "REINDEX",
        "ANALYZE",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "END",
        "ROLLBACK",
        "SAVEPOINT",
        "RELEASE",
        "ATTACH",
        "DETACH",
        "EXPLAIN",
        "VALUES",
    ];
    if !words.first().is_some_and(|word| known.contains(word)) {
        let message = "this is no statement of SQLite".to_owned();
        let end = span.start as usize + text.split_whitespace().next().unwrap_or_default().len();
        return Err(SyntaxError { span: Span::new(span.start as usize, end), message });
    }
    if !ours {
        return Ok(());
    }
    match Parser::parse_sql(&SQLiteDialect {}, text) {
        Ok(_) => Ok(()),
        Err(ParserError::ParserError(said) | ParserError::TokenizerError(said)) => {
            let (message, at) = located(&said, text);
            let at = span.start as usize + at;
            Err(SyntaxError { span: Span::new(at, at + 1), message })
        }
        Err(ParserError::RecursionLimitExceeded) => {
            Err(SyntaxError { span, message: "it is nested too deeply".into() })
        }
    }
}

/// Takes the place out of a parser's message.
fn located(said: &str, text: &str) -> (String, usize) {
    let Some((message, place)) = said.rsplit_once(" at Line: ") else {
        return (said.to_owned(), text.len().saturating_sub(1));
    };
    let mut numbers = place.split(", Column: ").map(|word| word.trim().parse::<u64>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => {
            (message.to_owned(), Lines::of(text).byte(Location { line, column }))
        }
        _ => (message.to_owned(), 0),
    }
}

/// Where each line of a text begins.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts }
    }

    fn byte(&self, at: Location) -> usize {
        let number = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(start) = self.starts.get(number(at.line)) else { return self.text.len() };
        self.text[*start..]
            .char_indices()
            .nth(number(at.column))
            .map_or(self.text.len(), |(offset, _)| start + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_keep_their_semicolons() {
        let source = "CREATE TABLE t (a TEXT DEFAULT ';');\n\
                      CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET a = CASE a WHEN 1 \
                      THEN 2 END; SELECT 1; END;\nSELECT 'ä'; -- x;\nSELECT 2";
        let texts: Vec<_> =
            split(source).expect("valid").iter().map(|span| span.of(source)).collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert_eq!(&texts[2..], ["SELECT 'ä'", "SELECT 2"]);
    }

    #[test]
    fn a_typo_has_its_place() {
        let source = "SELECT 1;\nALTER TABLE users RENAM COLUMN a TO b;";
        let error = split(source).expect_err("not in the grammar");
        assert_eq!(error.span.place(source).line, 2);
        assert!(split("ALTR TABLE t ADD a").is_err());
    }
}
