//! What `check` found, in the forms that other programs read.

mod annotations;
mod code_quality;
mod junit;
mod markdown;
mod sarif;

use serde::Serialize;

use crate::plan::{Fingerprint, Severity};

pub use annotations::render_annotations;
pub use code_quality::render_code_quality;
pub use junit::render_junit;
pub use markdown::render_findings;
pub use sarif::render_sarif;

/// What was found in every file.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    /// The version of this format.
    pub zdmig_check: u32,
    /// The files, in order.
    pub files: Vec<FileLine>,
}

/// What was found in one file.
#[derive(Debug, Serialize)]
pub struct FileLine {
    /// The file.
    pub path: String,
    /// How many statements it has.
    pub statements: usize,
    /// What was found.
    pub findings: Vec<FindingLine>,
}

/// One finding.
#[derive(Debug, Serialize)]
pub struct FindingLine {
    /// The rule's code.
    pub code: String,
    /// Whether it stops a plan.
    pub severity: Severity,
    /// Where it begins, from 1.
    pub line: usize,
    /// Where it begins, in characters, from 1.
    pub column: usize,
    /// Where it ends, from 1.
    pub end_line: usize,
    /// One past its last character, from 1.
    pub end_column: usize,
    /// What it means here.
    pub message: String,
    /// What to do about it here.
    pub next: String,
    /// The same as long as the rule, the file and the statement are, wherever that has moved to.
    pub fingerprint: String,
    /// The place in the author's own file, with the message.
    #[serde(skip)]
    pub shown: String,
}

impl FileLine {
    /// A name for a finding that outlives lines above it: of the rule, the file, the statement's text
    /// without its blanks, and how many of the kind came before.
    pub fn fingerprint(&self, code: &str, statement: &str) -> String {
        let words = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let of = |before: usize| {
            Fingerprint::of(&(code, &self.path, &words, before)).as_str()[..32].to_owned()
        };
        let mut before = 0;
        while self.findings.iter().any(|one| one.fingerprint == of(before)) {
            before += 1;
        }
        of(before)
    }
}

impl CheckReport {
    /// Every finding of a severity, with its file.
    pub fn of(&self, severity: Severity) -> impl Iterator<Item = (&FileLine, &FindingLine)> {
        let all =
            self.files.iter().flat_map(|file| file.findings.iter().map(move |one| (file, one)));
        all.filter(move |(_, one)| one.severity == severity)
    }

    /// Every finding, those that stop a plan first.
    fn all(&self) -> impl Iterator<Item = (&FileLine, &FindingLine)> {
        [Severity::Deny, Severity::Warn, Severity::Hint].into_iter().flat_map(|one| self.of(one))
    }
}

/// The message and the remedy, on a line each.
fn whole(finding: &FindingLine) -> String {
    match finding.next.as_str() {
        "" => finding.message.clone(),
        next => format!("{}\n→ {next}", finding.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> CheckReport {
        let mut file =
            FileLine { path: "migrations/1_a,b.sql".into(), statements: 2, findings: Vec::new() };
        for (line, message) in [(1, "it <breaks> \"all\" & 100 %"), (7, "a\nb")] {
            let fingerprint = file.fingerprint("table-rewrite", "ALTER  TABLE a SET LOGGED");
            file.findings.push(FindingLine {
                code: "table-rewrite".into(),
                severity: Severity::Deny,
                line,
                column: 1,
                end_line: line,
                end_column: 9,
                message: message.into(),
                next: "do something else".into(),
                fingerprint,
                shown: String::new(),
            });
        }
        CheckReport { zdmig_check: 1, files: vec![file] }
    }

    #[test]
    fn a_fingerprint_survives_what_moves_and_tells_the_same_apart() {
        let report = report();
        let [one, two] = report.files[0].findings.as_slice() else { panic!() };
        assert_ne!(one.fingerprint, two.fingerprint);
        let empty =
            FileLine { path: report.files[0].path.clone(), statements: 0, findings: vec![] };
        assert_eq!(
            empty.fingerprint("table-rewrite", "ALTER TABLE a\nSET LOGGED"),
            one.fingerprint
        );
    }

    #[test]
    fn every_form_has_every_finding_and_no_markup_of_others() {
        let report = report();
        let sarif: serde_json::Value = serde_json::from_str(&render_sarif(&report)).expect("JSON");
        let run = &sarif["runs"][0];
        assert_eq!(run["results"].as_array().map(Vec::len), Some(2));
        assert_eq!(run["results"][1]["locations"][0]["physicalLocation"]["region"]["startLine"], 7);
        assert_eq!(run["results"][0]["level"], "error");
        let rule = run["results"][0]["ruleIndex"].as_u64().expect("an index");
        let rule = usize::try_from(rule).expect("small");
        assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], "table-rewrite");
        let quality: serde_json::Value =
            serde_json::from_str(&render_code_quality(&report)).expect("JSON");
        assert_eq!(quality[1]["location"]["lines"]["begin"], 7);
        assert_eq!(
            render_annotations(&report).lines().next(),
            Some(
                "::error file=migrations/1_a%2Cb.sql,line=1,endLine=1,col=1,endColumn=9,title=table-rewrite::it \
                 <breaks> \"all\" & 100 %25%0A→ do something else"
            )
        );
        let junit = render_junit(&report);
        assert!(junit.contains("it &lt;breaks&gt; &quot;all&quot; &amp; 100 %"), "{junit}");
        assert!(junit.contains("failures=\"2\""), "{junit}");
        let markdown = render_findings(&report);
        assert!(markdown.starts_with("<!-- zdmig:check -->\n"), "{markdown}");
        assert!(markdown.contains("\\<breaks\\>"), "{markdown}");
        let none = CheckReport { zdmig_check: 1, files: Vec::new() };
        assert!(render_findings(&none).contains("nothing to complain about"));
        assert_eq!(render_code_quality(&none), "[]\n");
    }
}
