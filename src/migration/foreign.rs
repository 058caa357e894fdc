//! Files that were written for another runner: what belongs to the way back is left out.

/// Comment lines that begin the way forward and the way back.
const SECTIONS: [(&str, &str); 2] =
    [("-- migrate:up", "-- migrate:down"), ("-- +goose up", "-- +goose down")];

/// The text with everything but the way forward blanked out, byte for byte as long, so that
/// places in it are places in the file.
pub(super) fn forward(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A file without such lines is all forward.
    let mut kept = !starts(text, |(up, _)| up);
    for line in text.split_inclusive('\n') {
        if is(line, |(up, _)| up) {
            kept = true;
        } else if is(line, |(_, down)| down) {
            kept = false;
        }
        if kept {
            out.push_str(line);
        } else {
            let end = line.trim_end_matches(['\r', '\n']).len();
            out.extend(std::iter::repeat_n(' ', end));
            out.push_str(&line[end..]);
        }
    }
    out
}

fn is(line: &str, which: impl Fn((&'static str, &'static str)) -> &'static str) -> bool {
    let line = line.trim().to_ascii_lowercase();
    SECTIONS.iter().any(|section| {
        let word = which(*section);
        line.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

fn starts(text: &str, which: impl Fn((&'static str, &'static str)) -> &'static str) -> bool {
    text.lines().any(|line| is(line, &which))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_forward_is_left() {
        for (text, kept) in [
            ("SELECT 1;\n", "SELECT 1;"),
            ("-- migrate:up transaction:false\nA;\n\n-- migrate:down\nB ä;\n", "A;"),
            (
                "-- note\n-- +goose Up\n-- +goose StatementBegin\nA;\n-- +goose StatementEnd\n-- +goose Down\nB;",
                "A;",
            ),
        ] {
            let found = forward(text);
            assert_eq!(found.len(), forward(text).len());
            assert_eq!(found.lines().count(), text.lines().count());
            let code: String =
                found.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            assert_eq!(code.trim(), kept, "{text}");
        }
    }

    #[test]
    fn places_stay_where_they_are() {
        let text = "-- migrate:up\nA;\n-- migrate:down\nDROP TABLE ö;\n";
        let found = forward(text);
        assert_eq!(found.len(), text.len());
        assert_eq!(found.find("A;"), text.find("A;"));
        assert!(!found.contains("DROP"));
    }
}
