use std::collections::BTreeSet;

use crate::sql::Ident;

/// The words of a statement, in lower case: what it could name, and somewhat more. It is
/// never less, so that a statement that rests on another is always seen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::planner) struct Words(BTreeSet<String>);

impl Words {
    /// Of a text.
    pub(in crate::planner) fn of(text: &str) -> Self {
        Self(split(text).collect())
    }

    /// Adds the words of another text.
    pub(in crate::planner) fn add(&mut self, text: &str) {
        self.0.extend(split(text));
    }

    /// Adds the sign for all columns.
    pub(in crate::planner) fn add_star(&mut self) {
        self.0.insert("*".to_owned());
    }

    /// Whether all words of a name are there.
    pub(in crate::planner) fn hold(&self, name: &Self) -> bool {
        !name.0.is_empty() && name.0.is_subset(&self.0)
    }

    /// The words of a name of several parts.
    pub(in crate::planner) fn name(parts: &[&Ident]) -> Self {
        let mut words = Self::default();
        for part in parts {
            match part.as_str() {
                "*" => words.add_star(),
                name => words.add(name),
            }
        }
        words
    }

    /// For a person.
    pub(in crate::planner) fn shown(&self) -> String {
        self.0.iter().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

fn split(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_words_of_a_name_must_be_there() {
        let statement = Words::of("CREATE INDEX i ON public.\"User Things\" (a_b)");
        let held = |parts: &[&str]| {
            let parts: Vec<_> = parts.iter().map(|part| Ident::new(*part)).collect();
            statement.hold(&Words::name(&parts.iter().collect::<Vec<_>>()))
        };
        assert!(held(&["User Things", "a_b"]) && held(&["i"]));
        assert!(!held(&["User Things", "b"]) && !held(&[]));
    }
}
