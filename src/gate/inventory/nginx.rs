//! The servers that a proxy's files name: each is asked itself, because the file only says where new
//! requests go. The colour that gets none may be at work all the same.

use std::path::{Path, PathBuf};

/// The addresses of all servers in `upstream` blocks of the files, of one of that name where one is
/// given, each with `path` behind it.
pub(super) fn addresses(
    files: &[PathBuf],
    upstream: Option<&str>,
    path: &str,
) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("`{}` cannot be read: {error}", file.display()))?;
        let servers = servers(&text, upstream).map_err(|why| shown(file, &why))?;
        if servers.is_empty() {
            return Err(shown(file, "it names no server"));
        }
        found.extend(servers.into_iter().map(|server| format!("http://{server}{path}")));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn shown(file: &Path, why: &str) -> String {
    format!("`{}`: {why}", file.display())
}

/// Cuts a configuration into words; `{`, `}` and `;` are words.
fn words(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote, mut comment) = (Vec::new(), String::new(), None, false);
    for letter in text.chars() {
        match (quote, letter) {
            _ if comment => comment = letter != '\n',
            (Some(end), letter) if letter == end => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '"' | '\'') => quote = Some(letter),
            (None, '#') if word.is_empty() => comment = true,
            (None, '{' | '}' | ';') => {
                all.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                all.push(letter.to_string());
            }
            (None, letter) if letter.is_whitespace() => {
                all.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            (None, letter) => word.push(letter),
        }
    }
    all.extend((!word.is_empty()).then_some(word));
    all
}

fn servers(text: &str, upstream: Option<&str>) -> Result<Vec<String>, String> {
    let words = words(text);
    let mut found = Vec::new();
    // A file that is included into a block holds its directives alone.
    let bare = !words.iter().any(|word| word == "upstream");
    let (mut inside, mut at) = (bare, 0);
    while let Some(end) = words[at..].iter().position(|one| ["{", "}", ";"].contains(&one.as_str()))
    {
        let (directive, ends) = (&words[at..at + end], words[at + end].as_str());
        at += end + 1;
        match (directive.first().map(String::as_str), ends) {
            (Some("upstream"), "{") => {
                let name = directive.get(1).map(String::as_str);
                inside = upstream.is_none() || upstream == name;
            }
            (_, "}") => inside = bare,
            (Some("include"), _) if inside => {
                return Err("it includes another file: name that one in `files`, too".into());
            }
            (Some("server"), ";") if inside => {
                let Some(address) = directive.get(1) else { continue };
                if address.starts_with("unix:") || address.contains('$') {
                    return Err(format!("the server `{address}` cannot be asked"));
                }
                found.push(address.clone());
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_the_proxy_reads_them() {
        let text = "# upstream old { server 1.1.1.1; }\nupstream app {\n  server 127.0.0.1:8081 max_fails=2;\n\
                    server \"green:80\" backup; # server 9.9.9.9;\n keepalive 4; }\nupstream other { server x; }\n\
                    server { listen 80; location / { proxy_pass http://app; } }";
        assert_eq!(
            servers(text, Some("app")).as_deref(),
            Ok(&["127.0.0.1:8081".into(), "green:80".into()][..])
        );
        assert_eq!(servers(text, None).map(|all| all.len()), Ok(3));
        assert_eq!(
            servers("server 127.0.0.1:8081;\n", None).as_deref(),
            Ok(&["127.0.0.1:8081".to_owned()][..])
        );
        assert!(servers("upstream a { include blue.conf; }", None).is_err());
        assert!(servers("upstream a { server unix:/run/a.sock; }", None).is_err());
        assert_eq!(servers("upstream a { }", None).as_deref(), Ok(&[][..]));
    }
}
