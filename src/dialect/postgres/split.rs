use squawk_syntax::SourceFile;
use squawk_syntax::ast::AstNode;

use crate::dialect::SyntaxError;
use crate::sql::Span;

/// Cuts a file at its statements, by the complete grammar.
pub(super) fn split(source: &str) -> Result<Vec<Span>, SyntaxError> {
    let parsed = SourceFile::parse(source);
    if let Some(error) = parsed.errors().first() {
        let (start, end) = (error.range().start().into(), error.range().end().into());
        return Err(SyntaxError {
            span: Span::new(start, end),
            message: error.message().to_owned(),
        });
    }
    Ok(parsed
        .tree()
        .stmts()
        .map(|statement| {
            let range = statement.syntax().text_range();
            trimmed(source, range.start().into(), range.end().into())
        })
        .filter(|span| span.start < span.end)
        .collect())
}

/// The statement without blanks and the semicolon at its end.
fn trimmed(source: &str, start: usize, end: usize) -> Span {
    let text = &source[start..end];
    let kept = text.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    let start = start + kept.len() - kept.trim_start().len();
    Span::new(start, start + kept.trim_start().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_strings_and_bodies_do_not_cut() {
        let source = "CREATE TABLE t (a text DEFAULT ';');\n-- a; b\n\
                      CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;\nSELECT 1";
        let spans = split(source).expect("valid");
        let texts: Vec<_> = spans.iter().map(|span| span.of(source)).collect();
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[0], "CREATE TABLE t (a text DEFAULT ';')");
        assert_eq!(texts[2], "SELECT 1");
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let source = "ALTER TABLE users RENAM COLUMN a TO b;";
        let error = split(source).expect_err("not in the grammar");
        assert!(error.span.start >= 18, "{error:?}");
    }
}
