//! The latency of a load over time, as a picture in a page: no script, no file beside it.

use std::fmt::Write;

use super::super::markup::text;
use crate::rehearsal::Rehearsal;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 260.0;
/// Room for the numbers at the left, for the names above.
const LEFT: f64 = 60.0;
const TOP: f64 = 150.0;

/// p50 and p99 of each second on a scale of powers of ten, a line where each phase begins, a mark where
/// requests failed.
#[expect(clippy::cast_precision_loss, reason = "places in a picture")]
pub(super) fn latency(found: &Rehearsal) -> String {
    let all = &found.seconds;
    let largest = all.iter().map(|one| one.p99_us).max().unwrap_or(1).max(1);
    let smallest = all.iter().map(|one| one.p50_us).filter(|us| *us > 0).min().unwrap_or(1);
    let (low, high) = ((smallest as f64).log10().floor(), (largest as f64).log10().ceil());
    let x = |second: f64| LEFT + (WIDTH - LEFT) * second / (all.len() as f64).max(1.0);
    let y = |us: u64| {
        let share = ((us.max(1) as f64).log10() - low) / (high - low).max(1.0);
        TOP + HEIGHT * (1.0 - share.clamp(0.0, 1.0))
    };
    let mut out = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"latency\"><svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"latency over time\" \
         font-size=\"12\" fill=\"currentColor\" width=\"100%\">\n",
        TOP + HEIGHT + 30.0
    );
    let mut power = low;
    while power <= high {
        let us = 10_f64.powf(power);
        let at = TOP + HEIGHT * (1.0 - (power - low) / (high - low).max(1.0));
        let words = if us >= 1e3 { format!("{:.0} ms", us / 1e3) } else { format!("{us:.0} µs") };
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"currentColor\" opacity=\".2\"/>\
             <text x=\"0\" y=\"{:.1}\">{words}</text>",
            at + 4.0
        );
        power += 1.0;
    }
    for phase in &found.phases {
        let at = x(phase.begun_ms as f64 / 1e3);
        let _ = writeln!(
            out,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\" stroke=\"currentColor\" stroke-dasharray=\"3 3\" opacity=\".5\"/>\
             <text transform=\"translate({:.1} {:.1}) rotate(-35)\">{}</text>",
            TOP + HEIGHT,
            at + 2.0,
            TOP - 6.0,
            text(&phase.name)
        );
    }
    for (name, of, dash) in [
        ("p99", all.iter().map(|one| one.p99_us).collect::<Vec<_>>(), ""),
        ("p50", all.iter().map(|one| one.p50_us).collect(), " stroke-dasharray=\"6 3\""),
    ] {
        let points = of.iter().enumerate().filter(|(_, us)| **us > 0);
        let points: Vec<_> =
            points.map(|(at, us)| format!("{:.1},{:.1}", x(at as f64 + 0.5), y(*us))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.5\"{dash}><title>{name}</title></polyline>",
            points.join(" ")
        );
    }
    for (at, one) in all.iter().enumerate().filter(|(_, one)| one.errors > 0) {
        let _ = writeln!(
            out,
            "<text class=\"bad\" x=\"{:.1}\" y=\"{:.1}\" fill=\"currentColor\">✗<title>{} failed</title></text>",
            x(at as f64),
            TOP + 12.0,
            one.errors
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{:.1}\">0 s</text><text x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">{} s</text>\n</svg></div>\n\
         <p class=\"dim\">Each second: p99 as a line, p50 dashed, on a scale of powers of ten. ✗ marks seconds in which requests failed.</p>",
        TOP + HEIGHT + 20.0,
        TOP + HEIGHT + 20.0,
        all.len()
    );
    out
}
