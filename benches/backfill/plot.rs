//! The plots of the page.

use std::path::Path;

use plotters::prelude::*;

const COLORS: [RGBColor; 4] = [
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0x94, 0x67, 0xbd),
];

/// Groups of four bars, the first of which is 1 in each.
pub(crate) fn bars(path: &Path, title: &str, groups: &[(String, [f64; 4])]) {
    grouped(path, title, ["time", "CPU", "log", "growth"], groups);
}

/// Groups of four percentiles.
pub(crate) fn latency(path: &Path, title: &str, groups: &[(String, [f64; 4])]) {
    grouped(path, title, ["p50", "p95", "p99", "p99.9"], groups);
}

fn grouped(path: &Path, title: &str, kinds: [&str; 4], groups: &[(String, [f64; 4])]) {
    let most = groups.iter().flat_map(|(_, values)| values).fold(1.0, |a: f64, b| a.max(*b));
    let root = SVGBackend::new(path, (760, 320)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d(0.0..groups.len() as f64, 0.0..most * 1.15)
        .unwrap();
    let name = |at: &f64| {
        let group = groups.iter().enumerate().find(|(n, _)| (*n as f64 + 0.5 - at).abs() < 0.01);
        group.map(|(_, (name, _))| name.replace('`', "")).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(groups.len() * 2 + 1)
        .x_label_formatter(&name)
        .y_label_formatter(&|value| format!("{value:.1}"))
        .light_line_style(TRANSPARENT)
        .draw()
        .unwrap();
    for (kind, (label, color)) in kinds.into_iter().zip(COLORS).enumerate() {
        let bar = |(group, (_, values)): (usize, &(String, [f64; 4]))| {
            let from = group as f64 + 0.14 + 0.18 * kind as f64;
            Rectangle::new([(from, 0.0), (from + 0.16, values[kind])], color.filled())
        };
        chart
            .draw_series(groups.iter().enumerate().map(bar))
            .unwrap()
            .label(label)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
        let number = |(group, (_, values)): (usize, &(String, [f64; 4]))| {
            let at = (group as f64 + 0.14 + 0.18 * kind as f64, values[kind] + most * 0.05);
            Text::new(format!("{:.2}", values[kind]), at, ("sans-serif", 11))
        };
        chart.draw_series(groups.iter().enumerate().map(number)).unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .draw()
        .unwrap();
    root.present().unwrap();
}

/// A line over a size in powers of ten.
pub(crate) fn line(path: &Path, title: &str, points: &[(f64, f64)]) {
    let most = points.iter().fold(0.0, |most: f64, (_, y)| most.max(*y));
    let root = SVGBackend::new(path, (760, 260)).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(44)
        .build_cartesian_2d((5e4..2e7).log_scale(), 0.0..most * 1.3)
        .unwrap();
    chart
        .configure_mesh()
        .x_label_formatter(&|value| format!("{value:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()
        .unwrap();
    chart.draw_series(LineSeries::new(points.iter().copied(), COLORS[0].stroke_width(2))).unwrap();
    chart
        .draw_series(points.iter().map(|point| Circle::new(*point, 4, COLORS[0].filled())))
        .unwrap();
    root.present().unwrap();
}
