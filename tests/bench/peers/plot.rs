//! Distributions of times, drawn.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::{
    ChartBuilder, IntoDrawingArea, IntoLogRange, LineSeries, PathElement, RGBColor, SVGBackend,
    Text, WHITE,
};
use plotters::style::Color;

const SIZE: (u32, u32) = (900, 420);
const LEGEND_WIDTH: u32 = 170;
const LEGEND_LINE: i32 = 24;
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
    // Beside the curves, which may be anywhere.
    let (area, legend) = area.split_horizontally(SIZE.0 - LEGEND_WIDTH);
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
    for (((name, times), colour), line) in curves.iter().zip(COLOURS).zip(1..) {
        chart.draw_series(LineSeries::new(steps(times, least), colour.stroke_width(2)))?;
        let height = line * LEGEND_LINE;
        let dash = [(0, height), (20, height)];
        legend.draw(&PathElement::new(dash, colour.stroke_width(2)))?;
        let place = (28, height - LEGEND_LINE / 3);
        legend.draw(&Text::new(*name, place, ("sans-serif", 15)))?;
    }
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
