use std::time::Duration;

/// `1 row`, `2 rows`, `1,000,000 rows`.
pub fn counted(n: u64, thing: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(n))
}

/// `, 3 rows` after something else that is counted; nothing where there are none.
pub fn and_rows(rows: u64) -> String {
    if rows > 0 { format!(", {}", counted(rows, "row")) } else { String::new() }
}

/// `1,000,000`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `0.4 ms`, `12 ms`, `1.5 s`, `2 min 5 s`, `3 h 20 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = time.as_secs();
    if seconds < 0.01 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// `8 kB`, `12 MB`.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_000_000 => format!("{} kB", grouped(n.div_ceil(1_000))),
        1_000_000..1_000_000_000 => format!("{} MB", n / 1_000_000),
        _ => format!("{} GB", n / 1_000_000_000),
    }
}

/// Words on lines of at most `width` letters, the first of which begins with `head` and the others
/// under its end. A word that is longer stays whole, so that it can be copied.
pub(super) fn wrapped(head: &str, words: &str, width: usize) -> String {
    if words.is_empty() {
        return format!("{}\n", head.trim_end());
    }
    let blanks = " ".repeat(head.chars().count());
    let options = textwrap::Options::new(width)
        .initial_indent(head)
        .subsequent_indent(&blanks)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
    let text = textwrap::wrap(words, options);
    let mut out = String::new();
    for line in text {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_read_well() {
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(1_234_567, "row"), "1,234,567 rows");
        for (millis, expected) in [
            (4, "4.0 ms"),
            (40, "40 ms"),
            (1_500, "1.5 s"),
            (125_000, "2 min 5 s"),
            (12_000_000, "3 h 20 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
        assert_eq!(bytes(8_192), "9 kB");
    }

    #[test]
    fn words_are_broken_and_names_are_not() {
        let text = wrapped("  note ", "one two three a_very_long_name_that_does_not_fit", 16);
        assert_eq!(
            text,
            "  note one two\n       three\n       a_very_long_name_that_does_not_fit\n"
        );
        assert_eq!(wrapped("  purge  nothing to do  ", "", 16), "  purge  nothing to do\n");
    }
}
