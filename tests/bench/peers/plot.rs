//! Distributions of times, drawn.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::{
    ChartBuilder, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor, SVGBackend,
    WHITE,
};
use plotters::style::{BLACK, Color};

const SIZE: (u32, u32) = (900, 420);
/// Told apart by the colour-blind as well.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 86, 86),
];

/// Draws for each name how many percent of its times are at most so many milliseconds.
pub(super) fn distributions(file: &Path, caption: &str, curves: &[(&str, Vec<f64>)]) -> Result<()> {
    let all = || curves.iter().flat_map(|(_, times)| times.iter().copied());
    let least = all().fold(f64::INFINITY, f64::min) * 0.8;
    let most = all().fold(0.0, f64::max) * 1.25;
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(caption, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((least..most).log_scale(), 0.0..100.0)?;
    chart
        .configure_mesh()
        .x_desc("milliseconds")
        .y_desc("percent of all rounds")
        .draw()?;
    for ((name, times), colour) in curves.iter().zip(COLOURS) {
        chart
            .draw_series(LineSeries::new(steps(times, least), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}

/// The corners of the empirical distribution.
fn steps(times: &[f64], least: f64) -> Vec<(f64, f64)> {
    let count = times.iter().map(|_| 1.0).sum::<f64>();
    let mut corners = vec![(least, 0.0)];
    let mut percent = 0.0;
    for time in times {
        corners.push((*time, percent));
        percent += 100.0 / count;
        corners.push((*time, percent));
    }
    corners
}
