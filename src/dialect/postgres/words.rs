use squawk_syntax::SyntaxNode;

use super::interpret::fold;
use crate::sql::{ColumnRef, Ident, TableName};

/// The words of a clause, folded; signs are words too.
pub(super) struct Words(Vec<String>);

impl Words {
    /// The words below a node, comments and blanks apart.
    pub(super) fn of(node: &SyntaxNode) -> Self {
        let tokens = node.descendants_with_tokens().filter_map(|one| one.into_token());
        Self(tokens.filter(|one| !one.kind().is_trivia()).map(|one| word(one.text())).collect())
    }

    /// The first word.
    pub(super) fn first(&self) -> Option<String> {
        self.0.first().cloned()
    }

    /// Where a run of words begins.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        self.0.windows(words.len()).position(|found| found == words)
    }

    /// How often a word is there.
    pub(super) fn count(&self, word: &str) -> usize {
        self.0.iter().filter(|one| *one == word).count()
    }

    /// The words that stand before a word.
    pub(super) fn before(&self, word: &str) -> Vec<&str> {
        let pairs = self.0.windows(2).filter(|pair| pair[1] == word);
        pairs.map(|pair| pair[0].as_str()).collect()
    }

    /// The word after a run of words.
    pub(super) fn after(&self, words: &[&str]) -> Option<Ident> {
        let at = self.find(words)? + words.len();
        self.0.get(at).map(|word| Ident::new(word.as_str()))
    }

    /// Whether the text ends with these words.
    pub(super) fn ends(&self, words: &[&str]) -> bool {
        self.0.len() >= words.len() && self.0[self.0.len() - words.len()..] == *words
    }

    /// The names in the first parentheses.
    pub(super) fn first_list(&self) -> Vec<Ident> {
        let inside = self.0.iter().skip_while(|word| *word != "(").skip(1);
        inside
            .take_while(|word| *word != ")")
            .filter(|word| *word != ",")
            .map(|word| Ident::new(word.as_str()))
            .collect()
    }
}

/// A word as the catalogue would keep it; a string stays as it is.
fn word(token: &str) -> String {
    let string = token.contains('\'') || token.starts_with('$');
    // Names are cut off where they are too long; a body is not a name.
    if string { token.to_owned() } else { fold(token) }
}

/// Goes along the words of a statement.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    words: &'a [String],
}

impl<'a> Walk<'a> {
    /// From the first word on.
    pub(super) fn along(words: &'a Words) -> Self {
        Self { words: &words.0 }
    }

    /// Whether these words come next.
    pub(super) fn sees(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words[..words.len()] == *words
    }

    /// Steps over these words, if they come next.
    pub(super) fn takes(&mut self, words: &[&str]) -> bool {
        let seen = self.sees(words);
        if seen {
            self.words = &self.words[words.len()..];
        }
        seen
    }

    /// Steps over one word.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// Steps over a name with or without a schema.
    pub(super) fn name(&mut self) -> Option<TableName> {
        let mut parts = self.path();
        let name = parts.pop()?;
        Some(TableName { schema: parts.pop(), name })
    }

    /// Steps over a column with its table.
    pub(super) fn column(&mut self) -> Option<ColumnRef> {
        let mut parts = self.path();
        let column = parts.pop()?;
        let name = parts.pop()?;
        Some(ColumnRef::new(&TableName { schema: parts.pop(), name }, &column))
    }

    fn path(&mut self) -> Vec<Ident> {
        let mut parts: Vec<_> = self.next().map(Ident::new).into_iter().collect();
        while self.takes(&["."]) {
            parts.extend(self.next().map(Ident::new));
        }
        parts
    }

    /// Steps over all names of a list; what stands in parentheses after one is left out.
    pub(super) fn names(&mut self) -> Vec<TableName> {
        let mut found = Vec::new();
        loop {
            found.extend(self.name());
            self.parentheses();
            if !self.takes(&[","]) {
                return found;
            }
        }
    }

    /// Steps over what stands in parentheses here, if anything does.
    pub(super) fn parentheses(&mut self) {
        if !self.sees(&["("]) {
            return;
        }
        let mut depth = 0;
        while let Some(word) = self.next() {
            match word {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Steps over what stands in parentheses here, and gives it.
    pub(super) fn inside(&mut self) -> Option<String> {
        let before = self.words;
        self.parentheses();
        let taken = &before[..before.len() - self.words.len()];
        let inside = taken.get(1..taken.len().checked_sub(1)?)?;
        Some(inside.join(" "))
    }

    /// Whether a run of words stands anywhere in the rest.
    pub(super) fn holds(&self, words: &[&str]) -> bool {
        self.words.windows(words.len()).any(|found| found == words)
    }

    /// Goes to where a run of words ends; stays where there is none.
    pub(super) fn past(&mut self, words: &[&str]) -> bool {
        let found = self.words.windows(words.len()).position(|found| found == words);
        if let Some(at) = found {
            self.words = &self.words[at + words.len()..];
        }
        found.is_some()
    }
}
