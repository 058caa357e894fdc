use crate::plan::Difference;

/// What a plan does differently from one that was approved, a line each and the statements below.
pub fn render_difference(all: &[Difference]) -> String {
    let mut out = String::new();
    for one in all {
        match one {
            Difference::Added(step) => out.push_str(&format!("  + {step}\n")),
            Difference::Removed(step) => out.push_str(&format!("  - {step}\n")),
            Difference::Reordered(phase) => {
                out.push_str(&format!("  ~ the order of the steps of {phase}\n"));
            }
            Difference::Beside(what) => out.push_str(&format!("  ~ {what}\n")),
            Difference::Changed { step, what, before, after } => {
                out.push_str(&format!("  ~ {step}: {what}\n"));
                for (mark, lines) in [('-', before), ('+', after)] {
                    for text in lines {
                        for line in text.lines() {
                            out.push_str(&format!("      {mark} {line}\n"));
                        }
                    }
                }
            }
        }
    }
    out
}
