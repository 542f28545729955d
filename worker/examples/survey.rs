//! How often the detector finds the cup, over every canvas and cut-out: for judging a change to it.
//!
//! `cargo run --release -p darkroom-worker --example survey` takes some minutes.

#![allow(clippy::unwrap_used, reason = "shared with tests")]

use darkroom_worker::local::{DetectOptions, detect};
use placements::{Canvas, Cut, LEFT, RIGHT, SMALL, TOP, found, placements};
use std::io::Write as _;
use std::process::ExitCode;

#[path = "../tests/local/placements.rs"]
mod placements;

/// Of a hundred placements, so many must be found.
const FOUND_MIN_PERCENT: usize = 97;

const CUTS: [Cut; 7] =
    [Cut::Cup, Cut::Ellipse, Cut::Saucer, Cut::Box, Cut::Margin(18), Cut::Margin(60), Cut::Margin(400)];

fn main() -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let mut total = (0, 0);
    for canvas in canvases() {
        let mut line = Vec::new();
        for cut in CUTS {
            let placements = placements(canvas, cut, 20);
            let best = |picture: &image::RgbImage| Some(detect(picture, DetectOptions::default()).first()?.bounds);
            let count = found(&placements, best);
            // The whole photograph on wood of its own kind has no clear edge: it is shown, but nothing is promised.
            if cut != Cut::Margin(400) {
                total = (total.0 + count, total.1 + placements.len());
            }
            line.push(format!("{cut:?} {count}"));
        }
        writeln!(out, "{canvas:?}: {} of 20 each", line.join(", "))?;
    }
    writeln!(out, "{} of {}", total.0, total.1)?;
    Ok(if total.0 * 100 >= total.1 * FOUND_MIN_PERCENT { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn canvases() -> Vec<Canvas> {
    vec![
        Canvas::Plain([255, 255, 255]),
        Canvas::Plain([240, 235, 225]),
        Canvas::Plain([128, 128, 128]),
        Canvas::Plain([20, 20, 24]),
        Canvas::Plain([60, 110, 170]),
        Canvas::Plain([150, 95, 55]),
        Canvas::Plain([200, 60, 50]),
        Canvas::Gradient([230, 230, 235], [150, 160, 170]),
        Canvas::Gradient([200, 150, 100], [80, 50, 30]),
        Canvas::Tiled(RIGHT, 1.0),
        Canvas::Tiled(LEFT, 1.0),
        Canvas::Tiled(TOP, 1.0),
        Canvas::Tiled(RIGHT, 0.5),
        Canvas::Tiled(RIGHT, 1.35),
        Canvas::Stretched(RIGHT, 1.0),
        Canvas::Stretched(LEFT, 1.0),
        Canvas::Stretched(TOP, 0.7),
        Canvas::Repeated(RIGHT),
        Canvas::Repeated(LEFT),
        Canvas::Repeated(SMALL),
        Canvas::Stretched(SMALL, 1.0),
        Canvas::Room([220, 215, 205], [150, 95, 55]),
        Canvas::Room([90, 100, 110], [200, 195, 190]),
        Canvas::Noisy([200, 190, 180]),
        Canvas::Noisy([120, 70, 40]),
        Canvas::Drawn([150, 95, 55]),
        Canvas::Drawn([205, 165, 115]),
        Canvas::Drawn([80, 50, 32]),
        Canvas::Drawn([225, 205, 175]),
    ]
}
