//! A page of its own: no script, nothing from elsewhere, readable from disk and on paper.

use super::markup::text;

/// The page. `body` is markup already.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        text(title),
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --dim: #595959; --good: #17692c; --bad: #b3261e; --warn: #7a5200 }
@media (prefers-color-scheme: dark) { :root { --dim: #b0b0b0; --good: #6fdc8c; --bad: #ff8a80; --warn: #ffd166 } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 }
main { max-width: 70rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.15rem; margin-top: 2rem } h3 { font-size: 1rem; margin: 0 }
p, li, td, dd { overflow-wrap: anywhere; unicode-bidi: plaintext }
code, pre { font-family: ui-monospace, monospace; font-size: .9rem; overflow-wrap: anywhere; unicode-bidi: plaintext }
pre { white-space: pre-wrap; background: var(--soft); padding: .6rem; margin: .4rem 0; border-radius: .3rem }
ul { padding-left: 1.2rem } li { margin: .6rem 0 }
.dim { color: var(--dim) } .PASS, .good { color: var(--good) } .REFUSE, .bad { color: var(--bad) } .UNKNOWN, .warn { color: var(--warn) }
.wide { overflow-x: auto } table { border-collapse: collapse; min-width: 100% }
.wide table { min-width: max(100%, 50rem) } .wide td { overflow-wrap: break-word } .wide td:first-child { white-space: nowrap }
@media (max-width: 40rem) { .phases li.between { flex-basis: 100% } }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
.phases { display: flex; flex-wrap: wrap; gap: .5rem; list-style: none; padding: 0 }
.phases li { flex: 1 1 10rem; margin: 0; padding: .5rem .7rem; border: 1px solid var(--line); border-radius: .3rem }
.phases li.between { flex: 0 1 7rem; border-style: dashed; color: var(--dim) }
.steps { list-style: none; padding: 0 } .steps > li { border: 1px solid var(--line); border-radius: .3rem; padding: .6rem .8rem; margin: .6rem 0 }
.bar { display: block; height: .5rem; min-width: .3rem; border-radius: .2rem; background: currentColor; opacity: .7 }
.instant { width: .3rem } .chunk { width: 1.5rem } .scan { width: 4rem } .rewrite { width: 7rem }
.sql { white-space: pre-wrap } .approval { border: 2px solid var(--line); border-radius: .3rem; padding: 0 1rem 1rem; margin-top: 2rem; break-inside: avoid }
a { color: inherit }
:focus-visible { outline: 2px solid currentColor; outline-offset: 2px }
summary { cursor: pointer } dl { margin: .4rem 0 } dt { color: var(--dim); float: left; width: 4rem; clear: left } dd { margin: 0 0 .2rem 4.5rem }
@media print { details::details-content { content-visibility: visible } .steps > li { break-inside: avoid } }
";
