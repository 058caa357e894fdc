use sqlparser::dialect::Dialect as Grammar;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// One statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Its text.
    pub text: &'a str,
    /// Where it begins: line and column, from 1.
    pub at: (u64, u64),
}

impl<'a> Statement<'a> {
    /// The statements of a text, each up to its semicolon; the whole text as one where it is not
    /// made of the product's words.
    pub fn all(text: &'a str, grammar: &dyn Grammar) -> Vec<Self> {
        let Ok(tokens) = Tokenizer::new(grammar, text).tokenize_with_location() else {
            return vec![Self { text, at: (1, 1) }];
        };
        let offsets = Offsets::of(text);
        let (mut found, mut begun, mut end) = (Vec::new(), None, 0);
        for token in &tokens {
            match token.token {
                Token::Whitespace(_) => {}
                Token::SemiColon => {
                    if let Some(start) = begun.take() {
                        found.push(offsets.cut(text, start, end));
                    }
                }
                _ => {
                    begun.get_or_insert(token.span.start);
                    end = offsets.of_place(token.span.end);
                }
            }
        }
        found.extend(begun.map(|start| offsets.cut(text, start, end)));
        found
    }

    /// Where in the file something is whose place in the statement is given.
    pub fn place(&self, (line, column): (u64, u64)) -> (u64, u64) {
        match line {
            0 => self.at,
            1 => (self.at.0, self.at.1 + column - 1),
            line => (self.at.0 + line - 1, column),
        }
    }
}

/// Where lines begin, because the tokenizer counts lines and characters.
struct Offsets<'a> {
    lines: Vec<(usize, &'a str)>,
}

impl<'a> Offsets<'a> {
    fn of(text: &'a str) -> Self {
        let mut at = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            let begin = at;
            at += line.len();
            (begin, line)
        });
        Self { lines: lines.collect() }
    }
}

impl Offsets<'_> {
    /// The byte at a place.
    fn of_place(&self, place: Location) -> usize {
        let line = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
        let Some((begin, text)) = self.lines.get(line) else {
            return self.lines.last().map_or(0, |(begin, text)| begin + text.len());
        };
        let column = usize::try_from(place.column).unwrap_or(usize::MAX).saturating_sub(1);
        begin + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at)
    }

    fn cut<'t>(&self, text: &'t str, start: Location, end: usize) -> Statement<'t> {
        let begin = self.of_place(start);
        Statement { text: &text[begin..end.max(begin)], at: (start.line, start.column) }
    }
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;

    use super::*;

    #[test]
    fn a_file_is_cut_at_its_semicolons_and_nowhere_else() {
        let text = "-- a; b\nSELECT 'é;' ;\n\n  SELECT $$;$$,\n  2\n;;  SELECT 3";
        let found = Statement::all(text, &PostgreSqlDialect {});
        let found: Vec<_> = found.iter().map(|one| (one.text, one.at)).collect();
        let expected =
            [("SELECT 'é;'", (2, 1)), ("SELECT $$;$$,\n  2", (4, 3)), ("SELECT 3", (6, 5))];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_place_in_a_statement_is_a_place_in_its_file() {
        let one = Statement { text: "", at: (4, 3) };
        assert_eq!(
            (one.place((1, 8)), one.place((2, 8)), one.place((0, 0))),
            ((4, 10), (5, 8), (4, 3))
        );
    }
}
