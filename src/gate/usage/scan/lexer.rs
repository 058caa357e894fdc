//! Strings of source code, and no more of it than it takes to find them.

use super::language::Language;

/// A string, or several that are put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Literal {
    pub(super) line: usize,
    /// What it says; `{}` where something is filled in.
    pub(super) text: String,
    pub(super) filled: bool,
}

/// Every string of a file.
pub(super) fn literals(text: &str, language: Language) -> Vec<Literal> {
    let mut lexer = Lexer { text, at: 0, language };
    let mut found: Vec<Literal> = Vec::new();
    // Whether what comes next is put behind the last string, and whether what stood before it was.
    let (mut joins, mut after) = (false, false);
    while let Some(next) = lexer.next() {
        match next {
            Next::String(one) => {
                match found.last_mut() {
                    Some(last) if joins || after && language.adjacent() => {
                        last.text.push_str(&one.text);
                        last.filled |= one.filled;
                    }
                    _ => found.push(one),
                }
                (joins, after) = (false, true);
            }
            Next::Plus if after => (joins, after) = (true, false),
            // `"a" + b`, and what is put behind that.
            Next::Other if joins => {
                if let Some(last) = found.last_mut() {
                    last.text.push_str("{}");
                    last.filled = true;
                }
                (joins, after) = (false, true);
                lexer.skip_value();
            }
            Next::Plus | Next::Other => (joins, after) = (false, false),
        }
    }
    found
}

enum Next {
    String(Literal),
    Plus,
    Other,
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    language: Language,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// The next thing that is neither blank nor comment.
    fn next(&mut self) -> Option<Next> {
        loop {
            let rest = self.rest();
            let c = rest.chars().next()?;
            let line_comment = self.language.hash_comments() && c == '#'
                || self.language.slash_comments() && rest.starts_with("//");
            if c.is_whitespace() {
                self.at += c.len_utf8();
            } else if line_comment && !(self.language == Language::Php && rest.starts_with("#[")) {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if self.language.slash_comments() && rest.starts_with("/*") {
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                break;
            }
        }
        if let Some(string) = self.string() {
            return Some(Next::String(string));
        }
        let rest = self.rest();
        let c = rest.chars().next()?;
        // A word whole, so that its end does not look like the beginning of something.
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        self.at += if word > 0 { word } else { c.len_utf8() };
        Some(if c == self.language.plus() { Next::Plus } else { Next::Other })
    }

    /// What is left of a value whose first word was read: its fields, its calls.
    fn skip_value(&mut self) {
        let mut depth = 0_u32;
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return };
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' if depth > 0 => depth -= 1,
                _ if depth > 0 => {
                    if self.string().is_some() {
                        continue;
                    }
                }
                '.' | '?' | '!' if self.language.plus() != c => {}
                _ if c.is_alphanumeric() || c == '_' => {}
                '-' if rest.starts_with("->") => self.at += 1,
                _ => return,
            }
            self.at += c.len_utf8();
        }
    }

    fn string(&mut self) -> Option<Literal> {
        let begin = self.at;
        let (open, close) = self.quotes()?;
        let start = begin + open.len;
        let inner = &self.text[start..];
        let (length, end) = close.find(inner);
        self.at = start + end;
        let (text, filled) = fill(&inner[..length], &open, self.language);
        Some(Literal { line: self.line(begin), text, filled })
    }

    /// How the string that begins here begins and ends.
    fn quotes(&self) -> Option<(Open, Close)> {
        let rest = self.rest();
        let plain = |len, quote: &str| (Open { len, ..Open::default() }, Close::escaped(quote));
        match self.language {
            Language::Rust => rust(rest),
            Language::Python => python(rest),
            Language::Ruby => ruby(rest),
            Language::Go if rest.starts_with('`') => Some((Open::raw(1), Close::raw("`"))),
            Language::Php if rest.starts_with("<<<") => heredoc(rest, 3, "{$"),
            Language::CSharp => csharp(rest),
            Language::JavaScript if rest.starts_with('`') => {
                Some((Open { len: 1, fills: "${", raw: false }, Close::escaped("`")))
            }
            Language::Java | Language::Kotlin if rest.starts_with("\"\"\"") => {
                let fills = if self.language == Language::Kotlin { "$" } else { "" };
                Some((Open { len: 3, fills, raw: true }, Close::raw("\"\"\"")))
            }
            Language::Kotlin if rest.starts_with('"') => {
                Some((Open { len: 1, fills: "$", raw: false }, Close::escaped("\"")))
            }
            Language::Php if rest.starts_with('"') => {
                Some((Open { len: 1, fills: "$", raw: false }, Close::escaped("\"")))
            }
            _ if rest.starts_with('"') => Some(plain(1, "\"")),
            _ if rest.starts_with('\'') && self.language.single_quotes() => Some(plain(1, "'")),
            // One character: a quote in it opens nothing.
            _ if rest.starts_with('\'') => Some(plain(1, "'")).filter(|_| {
                let inner = &rest[1..];
                let long = if inner.starts_with('\\') { 2 } else { 1 };
                inner.char_indices().nth(long).is_some_and(|(at, _)| inner[at..].starts_with('\''))
            }),
            _ => None,
        }
    }
}

/// How a string begins.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    /// Bytes.
    len: usize,
    /// What begins something that is filled in; nothing where nothing is.
    fills: &'static str,
    /// Whether a backslash is one.
    raw: bool,
}

impl Open {
    fn raw(len: usize) -> Self {
        Self { len, raw: true, ..Self::default() }
    }
}

/// How a string ends.
struct Close {
    by: String,
    escapes: bool,
    /// Whether the end stands on a line of its own.
    line: bool,
}

impl Close {
    fn raw(by: &str) -> Self {
        Self { by: by.to_owned(), escapes: false, line: false }
    }

    fn escaped(by: &str) -> Self {
        Self { escapes: true, ..Self::raw(by) }
    }

    /// The length of what it closes, and where what follows begins.
    fn find(&self, text: &str) -> (usize, usize) {
        if self.line {
            let mut at = 0;
            for line in text.split_inclusive('\n') {
                let word = line.trim().trim_end_matches([';', ',', ')']);
                if word == self.by {
                    let blanks = line.len() - line.trim_start().len();
                    return (at, at + blanks + self.by.len());
                }
                at += line.len();
            }
            return (text.len(), text.len());
        }
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            if self.escapes && c == '\\' {
                at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8);
            } else if text[at..].starts_with(&self.by) {
                return (at, at + self.by.len());
            } else {
                at += c.len_utf8();
            }
        }
        (text.len(), text.len())
    }
}

fn rust(rest: &str) -> Option<(Open, Close)> {
    let body = rest.strip_prefix('b').unwrap_or(rest);
    let before = rest.len() - body.len();
    if let Some(raw) = body.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = Open { len: before + hashes + 2, fills: "{", raw: true };
            return Some((open, Close::raw(&close)));
        }
    }
    if body.starts_with('"') {
        return Some((Open { len: before + 1, fills: "{", raw: false }, Close::escaped("\"")));
    }
    // A character, or a lifetime.
    let inner = rest.strip_prefix('\'')?;
    let long = if inner.starts_with('\\') { 2 } else { 1 };
    let closed =
        inner.char_indices().nth(long).is_some_and(|(at, _)| inner[at..].starts_with('\''));
    closed.then(|| (Open { len: 1, ..Open::default() }, Close::escaped("'")))
}

fn python(rest: &str) -> Option<(Open, Close)> {
    let letters: String = rest
        .chars()
        .take_while(|c| "rRbBfFuU".contains(*c))
        .take(2)
        .collect::<String>()
        .to_lowercase();
    let body = &rest[letters.len()..];
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))?;
    let fills = if letters.contains('f') { "{" } else { "" };
    let raw = letters.contains('r');
    Some((Open { len: letters.len() + quote.len(), fills, raw }, Close::escaped(quote)))
}

fn ruby(rest: &str) -> Option<(Open, Close)> {
    if rest.starts_with("<<") {
        let found = heredoc(rest, 2, "#{");
        if found.is_some() {
            return found;
        }
    }
    if rest.starts_with('"') {
        return Some((Open { len: 1, fills: "#{", raw: false }, Close::escaped("\"")));
    }
    if rest.starts_with('\'') {
        return Some((Open { len: 1, ..Open::default() }, Close::escaped("'")));
    }
    let percent = rest.strip_prefix('%')?;
    let fills = if percent.starts_with('q') { "" } else { "#{" };
    let after = percent.strip_prefix(['q', 'Q']).unwrap_or(percent);
    let close = match after.chars().next()? {
        '(' => ")",
        '[' => "]",
        '{' => "}",
        '|' => "|",
        _ => return None,
    };
    Some((Open { len: rest.len() - after.len() + 1, fills, raw: false }, Close::escaped(close)))
}

/// `<<~SQL`, `<<<SQL`: from the next line to the one that says the word again.
fn heredoc(rest: &str, arrows: usize, fills: &'static str) -> Option<(Open, Close)> {
    let name = rest[arrows..].trim_start_matches(['~', '-', ' ']);
    let quoted = name.starts_with('\'');
    let name = name.trim_start_matches(['\'', '"']);
    let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    let word = &name[..length];
    if !word.chars().next()?.is_ascii_uppercase() {
        return None;
    }
    let len = rest.find('\n')? + 1;
    let fills = match fills {
        _ if quoted => "",
        "{$" => "$",
        fills => fills,
    };
    Some((
        Open { len, fills, raw: false },
        Close { by: word.to_owned(), escapes: false, line: true },
    ))
}

fn csharp(rest: &str) -> Option<(Open, Close)> {
    let signs = rest.len() - rest.trim_start_matches(['$', '@']).len();
    let (signs, body) = rest.split_at(signs);
    let fills = if signs.contains('$') { "{" } else { "" };
    if body.starts_with("\"\"\"") {
        return Some((Open { len: signs.len() + 3, fills, raw: true }, Close::raw("\"\"\"")));
    }
    if body.starts_with('"') {
        let raw = signs.contains('@');
        let close = if raw { Close::raw("\"") } else { Close::escaped("\"") };
        return Some((Open { len: signs.len() + 1, fills, raw }, close));
    }
    let inner = body.strip_prefix('\'').filter(|_| signs.is_empty())?;
    let long = if inner.starts_with('\\') { 2 } else { 1 };
    let closed =
        inner.char_indices().nth(long).is_some_and(|(at, _)| inner[at..].starts_with('\''));
    closed.then(|| (Open { len: 1, ..Open::default() }, Close::escaped("'")))
}

/// What a string says: escapes are undone, what is filled in becomes `{}`, and what a driver calls
/// a parameter becomes one of the server's.
fn fill(text: &str, open: &Open, language: Language) -> (String, bool) {
    let (mut out, mut filled, mut at) = (String::new(), false, 0);
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        if c == '\\' && !open.raw {
            let next = rest[1..].chars().next();
            at += 1 + next.map_or(0, char::len_utf8);
            match next {
                Some('n' | 'r' | 't') => out.push(' '),
                // The line goes on; in some languages behind the blanks that follow.
                Some('\n') => {
                    let blanks = text[at..].len() - text[at..].trim_start().len();
                    at += blanks;
                }
                Some(other) => out.push(other),
                None => {}
            }
            continue;
        }
        if let Some(length) = gap(rest, open, language) {
            out.push_str("{}");
            filled = true;
            at += length;
            continue;
        }
        if let Some(length) = parameter(rest, &text[..at], language) {
            out.push_str("$1");
            at += length;
            continue;
        }
        out.push(c);
        at += c.len_utf8();
    }
    (out, filled)
}

/// How long it is what is filled in here, if anything is.
fn gap(rest: &str, open: &Open, language: Language) -> Option<usize> {
    let braces = |begin: usize| {
        let mut depth = 0_u32;
        for (at, c) in rest[begin..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth <= 1 => return Some(begin + at + 1),
                '}' => depth -= 1,
                _ => {}
            }
        }
        None
    };
    let named = |begin: usize| {
        let name = &rest[begin..];
        let length = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        let first = name.chars().next()?;
        (first.is_alphabetic() || first == '_').then_some(begin + length)
    };
    match open.fills {
        "" => {}
        "{" if rest.starts_with("{{") => return None,
        "$" if rest.starts_with("${") || rest.starts_with("{$") => {
            return braces(rest.find('{').unwrap_or_default());
        }
        "$" if rest.starts_with('$') => return named(1),
        fills if rest.starts_with(fills) => return braces(fills.len() - 1),
        _ => {}
    }
    let formats = ["%s", "%v", "%d", "%q"];
    let by_format = matches!(language, Language::Go | Language::Java | Language::Php);
    (by_format && formats.iter().any(|one| rest.starts_with(one))).then_some(2)
}

/// How long a driver's own parameter is that stands here: `?`, `:name`, `@name`, `%s`, `%(name)s`.
fn parameter(rest: &str, before: &str, language: Language) -> Option<usize> {
    let last = before.chars().next_back();
    let length = |begin: usize| {
        let name = &rest[begin..];
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
        let first = name.chars().next()?;
        (first.is_alphabetic() || first == '_').then_some(begin + end)
    };
    let apart = last.is_none_or(|c| c.is_whitespace() || "=(,<>+-*/".contains(c));
    match rest.chars().next()? {
        '%' if language == Language::Python => {
            if rest.starts_with("%(") {
                return rest.find(")s").map(|end| end + 2);
            }
            rest.starts_with("%s").then_some(2)
        }
        '?' if apart && !rest.starts_with("?|") && !rest.starts_with("?&") => Some(1),
        ':' if apart && !rest.starts_with("::") => length(1),
        '@' if apart && language == Language::CSharp => length(1),
        _ => None,
    }
}
