//! The servers that a proxy's files name: each is asked itself, because the file only says where new
//! requests go. The colour that gets none may be at work all the same.

use std::net::{SocketAddr, ToSocketAddrs};
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
        for server in &servers {
            let addresses = resolved(server).map_err(|why| shown(file, &why))?;
            found.extend(addresses.into_iter().map(|address| format!("http://{address}{path}")));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn shown(file: &Path, why: &str) -> String {
    format!("`{}`: {why}", file.display())
}

/// Every address that a server's name stands for: the proxy sends requests to all of them.
fn resolved(server: &str) -> Result<Vec<SocketAddr>, String> {
    let port = server.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let named = if port { server.to_owned() } else { format!("{server}:80") };
    let addresses = named.to_socket_addrs();
    Ok(addresses.map_err(|error| format!("`{server}` is not known: {error}"))?.collect())
}

/// Cuts a configuration into words; `{`, `}` and `;` are words.
pub(crate) fn words(text: &str) -> Vec<String> {
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
    let (mut inside, mut depth, mut at) = (bare, 0_u32, 0);
    while let Some(end) = words[at..].iter().position(|one| ["{", "}", ";"].contains(&one.as_str()))
    {
        let (directive, ends) = (&words[at..at + end], words[at + end].as_str());
        at += end + 1;
        match (directive.first().map(String::as_str), ends) {
            (Some("upstream"), "{") => {
                let name = directive.get(1).map(String::as_str);
                inside = upstream.is_none() || upstream == name;
                depth = 0;
            }
            (_, "{") => depth += 1,
            (_, "}") if depth > 0 => depth -= 1,
            (_, "}") => inside = bare,
            (Some("include"), _) if !harmless(directive.get(1)) => {
                return Err(
                    "it includes other files: name those with its servers in `files`".into()
                );
            }
            (Some("server"), ";") if inside => {
                let Some(address) = directive.get(1) else { continue };
                let service = directive.iter().any(|word| word.starts_with("service="));
                if service || address.starts_with("unix:") || address.contains('$') {
                    return Err(format!("the server `{address}` cannot be asked"));
                }
                found.push(address.clone());
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Files that hold no servers, by their usual names.
fn harmless(file: Option<&String>) -> bool {
    file.is_some_and(|file| {
        ["mime.types", "_params", "modules-enabled/*.conf"].iter().any(|end| file.ends_with(end))
    })
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
        assert!(servers("http { include conf.d/*.conf; }", None).is_err());
        assert!(servers("upstream a { server a service=http resolve; }", None).is_err());
        let nested =
            "upstream a { balancer_by_lua_block { x } server b:1; } upstream c { server d; }";
        assert_eq!(servers(nested, Some("a")).as_deref(), Ok(&["b:1".to_owned()][..]));
        let whole = "http { include mime.types; server { listen 80; } upstream a { server b:1; } }";
        assert_eq!(servers(whole, None).as_deref(), Ok(&["b:1".to_owned()][..]));
        assert_eq!(resolved("127.0.0.1").map(|all| all.len()), Ok(1));
        assert!(servers("upstream a { server unix:/run/a.sock; }", None).is_err());
        assert_eq!(servers("upstream a { }", None).as_deref(), Ok(&[][..]));
    }
}
