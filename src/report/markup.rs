//! What others wrote, as text in a page or a comment, never as markup of it.

/// Text in HTML.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Text on one line of Markdown.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '@' | '!' => {
                out.push('\\');
                out.push(letter);
            }
            other => out.push(other),
        }
    }
    out
}

/// Code in Markdown, whatever marks are in it.
pub(super) fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    let longest = text.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let gap = if text.contains('`') { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}")
}

/// A block of SQL in Markdown that nothing in it ends.
pub(super) fn fence(sql: &str) -> String {
    let longest = sql.split(|one| one != '`').map(str::len).max().unwrap_or(0);
    let marks = "`".repeat(longest.max(2) + 1);
    format!("{marks}sql\n{sql}\n{marks}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text() {
        let evil = "<script>alert('x')</script> | `a` **b** @team\nc";
        assert_eq!(
            text(evil),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; | `a` **b** @team\nc"
        );
        assert_eq!(
            plain(evil),
            "\\<script\\>alert('x')\\</script\\> \\| \\`a\\` \\*\\*b\\*\\* \\@team c"
        );
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code("users"), "`users`");
    }
}
