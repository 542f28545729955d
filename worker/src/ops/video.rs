//! `video.generate`, by the local provider: a camera that moves over a picture.

use super::edit::seed;
use super::job::outputs;
use super::local::{opaque, require};
use super::place::Staged;
use super::{Job, NewFile};
use crate::local::{Camera, Drawing, ZOOM_MAX, draw};
use crate::media::{Aspect, Color, Fit, Layout, Picture, Resizing, Size, aspect_area, resize, resize_to, window};
use crate::program::{Call, Program};
use darkroom_proto::{ErrorClass, StepError, Succeeded};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Pictures of a second.
const RATE: u32 = 24;

/// The longer side of a film.
const SIDE_MAX: u32 = 1_280;

/// The shorter side has at least so many pixels, which every player can show.
const SIDE_MIN: u32 = 64;

/// The longest film that is made here, in seconds: a preview of a clip, not a cinema.
const SECONDS_MAX: f64 = 60.0;

/// The largest film that is taken over.
const BYTES_MAX: u64 = 256 << 20;

/// From this part of the film on, the last picture comes in.
const LAST_FROM: f64 = 0.55;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let model = require(job)?;
    let prompt = params.text("prompt")?;
    let negative = params.text("negative-prompt").unwrap_or_default();
    let seconds = params.duration("duration")?.to_std().as_secs_f64();
    if !(1.0 / f64::from(RATE)..=SECONDS_MAX).contains(&seconds) {
        return Err(params
            .invalid("duration", format_args!("is {seconds} s, and the local preview makes up to {SECONDS_MAX} s"))
            .advice("Give a shorter `duration`, such as `5s`."));
    }
    let source = params.artifact("image").ok();
    let aspect = if params.given("aspect").is_some() { Some(params.parsed::<Aspect>("aspect")?) } else { None };
    let picture = match &source {
        Some(artifact) => flat(&job.picture(artifact)?.picture),
        None => {
            let size = Size { width: SIDE_MAX, height: SIDE_MAX * 9 / 16 };
            let size = aspect.map_or(size, |aspect| {
                let square = Size { width: SIDE_MAX, height: SIDE_MAX };
                let area = aspect_area(square, aspect, (0.5, 0.5));
                Size { width: area.width.max(SIDE_MIN), height: area.height.max(SIDE_MIN) }
            });
            let drawing = Drawing {
                prompt: &prompt,
                negative: &negative,
                seed: seed(job),
                width: size.width,
                height: size.height,
                model: &model,
            };
            opaque(draw(&drawing))?
        }
    };
    let film = Film::of(job, &picture, aspect)?;
    let last = match params.artifact("last-frame") {
        Ok(artifact) => Some(filling(&flat(&job.picture(&artifact)?.picture), film.size, (0.5, 0.5))?),
        Err(_) => None,
    };
    let camera = Camera::of(&prompt, &negative, seed(job), &model);
    let frames = (seconds * f64::from(RATE)).round().max(1.0) as u32;
    let staged = Staged::empty(job.context().staging).map_err(|error| {
        StepError::new(ErrorClass::WorkflowError, format!("can't write the film: {error}"))
            .code("staging")
            .advice("check that the worker's folder can be written and has room")
    })?;
    let call = Call {
        program: Program::Ffmpeg,
        arguments: arguments(film.size, staged.path()),
        time_max: job.time_left(),
        output_bytes_max: 0,
    };
    job.context().programs.call(&call, |to| {
        for number in 0..frames {
            let time = if frames > 1 { f64::from(number) / f64::from(frames - 1) } else { 0.0 };
            let frame = film.frame(&camera, time, last.as_ref()).map_err(io::Error::other)?;
            to.write_all(frame.pixels())?;
        }
        Ok(())
    })?;
    let video = job.context().files.store(NewFile {
        bytes: staged.read(BYTES_MAX)?,
        media_type: "video/mp4",
        name: format!("{}.mp4", job.stem(source.as_ref())),
        width: Some(film.size.width),
        height: Some(film.size.height),
        duration: Some(f64::from(frames) / f64::from(RATE)),
    })?;
    Ok(outputs([("video", video.to_value())]))
}

/// A picture, ready to be filmed.
struct Film {
    /// The size of the film.
    size: Size,
    /// The picture in the film's proportion, as large as the nearest shot needs it.
    picture: Picture,
    /// Where its subject is.
    focus: (f64, f64),
}

impl Film {
    fn of(job: &Job<'_>, picture: &Picture, aspect: Option<Aspect>) -> Result<Film, StepError> {
        let at = (job.context().focus)(picture);
        let shown = match aspect {
            Some(aspect) => picture.cropped(aspect_area(picture.size(), aspect, at))?,
            None => picture.clone(),
        };
        let size = film_size(shown.size());
        let near = |side: u32| (f64::from(side) * ZOOM_MAX).round() as u32;
        let large = Size { width: near(size.width), height: near(size.height) };
        let focus = (job.context().focus)(&shown);
        Ok(Film { size, picture: filling(&shown, large, focus)?, focus: (f64::from(focus.0), f64::from(focus.1)) })
    }

    /// What is seen at a time, from 0 to 1.
    fn frame(&self, camera: &Camera, time: f64, last: Option<&Picture>) -> Result<Picture, crate::media::MediaError> {
        let (width, height) = (f64::from(self.picture.width()), f64::from(self.picture.height()));
        let (left, top, across, down) = camera.part(time, self.focus);
        let part = (left * width, top * height, across * width, down * height);
        let frame = window(&self.picture, part, self.size)?;
        let Some(last) = last.filter(|_| time > LAST_FROM) else { return Ok(frame) };
        let share = (256.0 * (time - LAST_FROM) / (1.0 - LAST_FROM)).round() as u32;
        let mixed = frame.pixels().iter().zip(last.pixels());
        let pixels =
            mixed.map(|(now, then)| ((u32::from(*now) * (256 - share) + u32::from(*then) * share) / 256) as u8);
        Picture::new(self.size, Layout::Rgb, pixels.collect())
    }
}

/// Within the limits, with even sides, as the colours of H.264 need.
fn film_size(picture: Size) -> Size {
    let longer = picture.width.max(picture.height).max(1);
    let scale = f64::from(longer.clamp(SIDE_MIN * 4, SIDE_MAX)) / f64::from(longer);
    let side = |side: u32| ((f64::from(side) * scale / 2.0 + 1e-6).floor() as u32 * 2).clamp(SIDE_MIN, SIDE_MAX);
    Size { width: side(picture.width), height: side(picture.height) }
}

fn flat(picture: &Picture) -> Picture {
    picture.flattened(Color::WHITE).to_layout(Layout::Rgb)
}

/// The picture, cut and scaled to fill a size.
fn filling(picture: &Picture, size: Size, focus: (f32, f32)) -> Result<Picture, StepError> {
    if picture.width().abs_diff(size.width) + picture.height().abs_diff(size.height) == 0 {
        return Ok(picture.clone());
    }
    let plan = Resizing::plan(picture.size(), Some(size.width), Some(size.height), Fit::Cover, true)?;
    let filled = resize(picture, plan, focus, Color::WHITE)?;
    Ok(resize_to(&filled, size)?)
}

/// Plain frames in; a film that every browser plays, and plays before it is loaded, out. One thread and no date, so that
/// the same frames give the same bytes.
fn arguments(size: Size, to: &Path) -> Vec<OsString> {
    let frame = format!("{}x{}", size.width, size.height);
    let rate = RATE.to_string();
    let mut arguments: Vec<OsString> = [
        ["-hide_banner", "-nostats"].as_slice(),
        &["-loglevel", "error", "-y"],
        &["-filter_threads", "1"],
        &["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &frame, "-r", &rate, "-i", "pipe:0"],
        &["-an", "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+bitexact"],
        &["-c:v", "libx264", "-preset", "veryfast", "-crf", "21", "-pix_fmt", "yuv420p", "-threads", "1"],
        &["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"],
        &["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"],
        &["-movflags", "+faststart", "-f", "mp4"],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect();
    // Without the prefix, what stands before a colon in a folder's name would be taken for a protocol.
    let mut file = OsString::from("file:");
    file.push(to);
    arguments.push(file);
    arguments
}

impl Staged {
    /// What a program wrote there.
    fn read(&self, bytes_max: u64) -> Result<Vec<u8>, StepError> {
        let failed = |error: io::Error| {
            StepError::new(ErrorClass::WorkflowError, format!("can't read the film: {error}")).code("staging")
        };
        let length = std::fs::metadata(self.path()).map_err(failed)?.len();
        if length > bytes_max {
            let message = format!("the film has {length} bytes, over the limit of {bytes_max}");
            return Err(StepError::new(ErrorClass::TooLarge, message).code("too_many_bytes"));
        }
        let bytes = std::fs::read(self.path()).map_err(failed)?;
        if bytes.get(4..8) != Some(b"ftyp".as_slice()) {
            return Err(StepError::new(ErrorClass::WorkflowError, "ffmpeg ended well and made no film")
                .code("ffmpeg_failed")
                .advice("check that the worker has a complete build of ffmpeg, with H.264"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_film_is_even_and_within_its_limits() {
        let cases = [
            ((4_000, 3_000), (1_280, 960)),
            ((1_000, 4_000), (320, 1_280)),
            ((601, 401), (600, 400)),
            ((10, 10), (256, 256)),
            ((8_000, 10), (1_280, 64)),
        ];
        for ((width, height), want) in cases {
            let size = film_size(Size { width, height });
            assert_eq!((size.width, size.height), want, "{width}x{height}");
        }
    }
}
