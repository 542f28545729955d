//! [`Media`]: what jobs give, made when somebody looks.

use crate::asked::{decoded, from_base64};
use axum::body::Bytes;
use darkroom_proto::BoxPx;
use darkroom_worker::local::{DetectOptions, Drawing, detect, draw};
use darkroom_worker::media::{DecodeHint, Encoding, Format, Layout, Limits, Picture, Size, decode, encode, resize_to};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest side of a picture that is made: larger ones are made smaller, for speed.
const SIDE_MAX: u32 = 1_024;

/// Bytes of finished outputs that are kept.
const CACHE_MAX: usize = 128 << 20;

/// Bytes that were sent to us and are kept, for inputs and for what was uploaded.
const BLOBS_MAX: usize = 512 << 20;

const FILM: &[u8] = include_bytes!("../media/film.mp4");
const SPEECH_MP3: &[u8] = include_bytes!("../media/speech.mp3");
const SPEECH_WAV: &[u8] = include_bytes!("../media/speech.wav");

/// How long the spoken sound is, in seconds.
pub(crate) const SPEECH_SECONDS: f64 = 2.0;

/// Bytes that were sent to us, by their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Blob(u64);

/// Where an input picture comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// It was sent to us.
    Sent(Blob),
    /// We made it.
    Made(Arc<Recipe>),
    /// It is somewhere else, where we don't look.
    Elsewhere,
}

/// What is done to an input picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    /// It gets a tint, which the prompt decides, and a border.
    Edit,
    /// It becomes larger, by so many percent.
    Enlarge(u32),
    /// Its background becomes transparent.
    CutOut,
}

/// How something is made. Equal recipes give equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Recipe {
    /// A drawing.
    Drawn { prompt: String, seed: u64, width: u32, height: u32, format: Format },
    /// A picture that was given, changed. One that can't be read is drawn instead.
    Changed { input: Source, prompt: String, seed: u64, change: Change, format: Format },
    /// A black picture: what a filter leaves.
    Black { width: u32, height: u32, format: Format },
    /// A film. Other marks give other bytes. `seconds` is what was asked for: the film is always of the same length.
    Film { mark: u64, seconds: u32 },
    /// Sound, for a text of so many characters.
    Speech { wav: bool, characters: u32 },
    /// The bytes that were sent.
    Sent { blob: Blob, media_type: String },
}

impl Recipe {
    pub(crate) fn drawn(prompt: &str, seed: u64, (width, height): (u32, u32), format: Format) -> Recipe {
        Recipe::Drawn { prompt: prompt.chars().take(2_000).collect(), seed, width, height, format }
    }

    pub(crate) fn changed(input: Source, prompt: &str, seed: u64, change: Change, format: Format) -> Recipe {
        Recipe::Changed { input, prompt: prompt.chars().take(2_000).collect(), seed, change, format }
    }

    pub(crate) fn speech(text: &str, wav: bool) -> Recipe {
        Recipe::Speech { wav, characters: text.chars().count() as u32 }
    }

    pub(crate) fn media_type(&self) -> &str {
        match self {
            Recipe::Drawn { format, .. } | Recipe::Changed { format, .. } | Recipe::Black { format, .. } => {
                format.media_type()
            }
            Recipe::Film { .. } => "video/mp4",
            Recipe::Speech { wav: true, .. } => "audio/wav",
            Recipe::Speech { wav: false, .. } => "audio/mpeg",
            Recipe::Sent { media_type, .. } => media_type,
        }
    }

    pub(crate) fn extension(&self) -> &'static str {
        match self.media_type() {
            "image/png" => "png",
            "image/jpeg" => "jpg",
            "image/webp" => "webp",
            "video/mp4" => "mp4",
            "audio/wav" => "wav",
            "audio/mpeg" => "mp3",
            _ => "bin",
        }
    }

    /// The size that was asked for, where one was.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        match self {
            Recipe::Drawn { width, height, .. } | Recipe::Black { width, height, .. } => Some((*width, *height)),
            _ => None,
        }
    }

    /// How many pixels were asked for; a million where nobody said.
    pub(crate) fn pixels(&self) -> u64 {
        self.size().map_or(1_000_000, |(width, height)| u64::from(width) * u64::from(height))
    }

    /// How many seconds of film were asked for.
    pub(crate) fn seconds(&self) -> f64 {
        match self {
            Recipe::Film { seconds, .. } => f64::from(*seconds),
            _ => 0.0,
        }
    }

    /// How many characters are spoken.
    pub(crate) fn characters(&self) -> u64 {
        match self {
            Recipe::Speech { characters, .. } => u64::from(*characters),
            _ => 0,
        }
    }
}

/// What was made and what was sent, both up to a limit; the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Media {
    made: Mutex<Shelf<Recipe, Bytes>>,
    sent: Mutex<Shelf<Blob, Bytes>>,
}

#[derive(Debug)]
struct Shelf<K, V> {
    items: HashMap<K, V>,
    order: VecDeque<(K, usize)>,
    bytes: usize,
}

impl<K, V> Default for Shelf<K, V> {
    fn default() -> Self {
        Shelf { items: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<K: Clone + Eq + std::hash::Hash, V> Shelf<K, V> {
    fn put(&mut self, key: K, value: V, bytes: usize, max: usize) {
        if self.items.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back((key, bytes));
        self.bytes += bytes;
        while self.bytes > max && self.order.len() > 1 {
            if let Some((oldest, bytes)) = self.order.pop_front() {
                self.items.remove(&oldest);
                self.bytes -= bytes;
            }
        }
    }
}

impl Media {
    /// Keeps bytes that were sent to us.
    pub(crate) fn keep(&self, bytes: impl Into<Bytes>) -> Blob {
        let bytes = bytes.into();
        let blob = Blob(hash(&bytes));
        let length = bytes.len();
        lock(&self.sent).put(blob, bytes, length, BLOBS_MAX);
        blob
    }

    /// Bytes that were sent to us, unless they were too many and had to go.
    pub(crate) fn sent(&self, blob: Blob) -> Option<Bytes> {
        lock(&self.sent).items.get(&blob).cloned()
    }

    /// The picture that a data URI holds.
    pub(crate) fn data_uri(&self, text: &str) -> Option<Source> {
        let (kind, data) = text.strip_prefix("data:")?.split_once(',')?;
        let bytes = match kind.ends_with(";base64") {
            true => from_base64(data)?,
            false => decoded(data).into_bytes(),
        };
        Some(Source::Sent(self.keep(bytes)))
    }

    /// The picture that bare base64 holds.
    pub(crate) fn base64(&self, text: &str) -> Option<Source> {
        from_base64(text).map(|bytes| Source::Sent(self.keep(bytes)))
    }

    /// Makes it, or gives what was made before.
    pub(crate) fn make(&self, recipe: &Recipe) -> Bytes {
        if let Some(made) = lock(&self.made).items.get(recipe) {
            return made.clone();
        }
        let made = match recipe {
            Recipe::Film { mark, .. } => film(*mark),
            Recipe::Speech { wav: true, .. } => Bytes::from_static(SPEECH_WAV),
            Recipe::Speech { wav: false, .. } => Bytes::from_static(SPEECH_MP3),
            Recipe::Sent { blob, .. } => return self.sent(*blob).unwrap_or_default(),
            Recipe::Drawn { format, .. } | Recipe::Changed { format, .. } | Recipe::Black { format, .. } => {
                let picture = self.picture(recipe);
                let encoding = Encoding::usual(*format).unwrap_or(Encoding::Png);
                encode(&picture, encoding).unwrap_or_default().into()
            }
        };
        let length = made.len();
        lock(&self.made).put(recipe.clone(), made.clone(), length, CACHE_MAX);
        made
    }

    /// What stands out in a picture, clearest first, in its pixels, and its size; a box in the middle if it can't be read.
    pub(crate) fn find(&self, source: &Source) -> (Vec<(BoxPx, f32)>, (u32, u32)) {
        let Some(picture) = self.input(source) else {
            return (vec![(BoxPx { x: 256, y: 256, w: 512, h: 512 }, 0.5)], (1_024, 1_024));
        };
        let size = (picture.width(), picture.height());
        let rgb = picture.flattened(darkroom_worker::media::Color::WHITE).to_layout(Layout::Rgb);
        let rgb = image::RgbImage::from_raw(size.0, size.1, rgb.pixels().to_vec());
        let found = rgb.map(|rgb| detect(&rgb, DetectOptions::default())).unwrap_or_default();
        let mut boxes: Vec<(BoxPx, f32)> = found.into_iter().map(|one| (one.bounds, one.score)).collect();
        if boxes.is_empty() {
            let (w, h) = ((size.0 / 2).max(1), (size.1 / 2).max(1));
            boxes.push((BoxPx { x: (size.0 - w) / 2, y: (size.1 - h) / 2, w, h }, 0.5));
        }
        (boxes, size)
    }

    /// An input picture, if it can be read.
    fn input(&self, source: &Source) -> Option<Picture> {
        let bytes = match source {
            Source::Sent(blob) => self.sent(*blob)?,
            Source::Made(recipe) => self.make(recipe),
            Source::Elsewhere => return None,
        };
        decode(&bytes, DecodeHint::FULL, &Limits::default()).ok().map(|decoded| decoded.picture)
    }

    fn picture(&self, recipe: &Recipe) -> Picture {
        match recipe {
            Recipe::Changed { input, prompt, seed, change, .. } => match self.input(input) {
                Some(picture) => changed(&picture, *change, prompt, *seed),
                None => {
                    let drawn = drawing(prompt, *seed, SIDE_MAX, SIDE_MAX);
                    if *change == Change::CutOut { changed(&drawn, *change, prompt, *seed) } else { drawn }
                }
            },
            Recipe::Drawn { prompt, seed, width, height, .. } => {
                let (width, height) = within(*width, *height);
                drawing(prompt, *seed, width, height)
            }
            Recipe::Black { width, height, .. } => {
                let (width, height) = within(*width, *height);
                filled(width, height, 0)
            }
            Recipe::Film { .. } | Recipe::Speech { .. } | Recipe::Sent { .. } => filled(1, 1, 0),
        }
    }
}

/// The film, with a box at its end that players skip.
fn film(mark: u64) -> Bytes {
    let mut bytes = FILM.to_vec();
    bytes.extend([0, 0, 0, 16]);
    bytes.extend(b"free");
    bytes.extend(mark.to_be_bytes());
    bytes.into()
}

fn filled(width: u32, height: u32, level: u8) -> Picture {
    let size = Size { width: width.max(1), height: height.max(1) };
    let pixels = vec![level; size.pixels() as usize * 3];
    picture_of(size, Layout::Rgb, pixels)
}

/// A picture of so many samples; their count is right wherever this is called.
fn picture_of(size: Size, layout: Layout, pixels: Vec<u8>) -> Picture {
    match Picture::new(size, layout, pixels) {
        Ok(picture) => picture,
        Err(error) => unreachable!("{error}"),
    }
}

fn drawing(prompt: &str, seed: u64, width: u32, height: u32) -> Picture {
    let (width, height) = (width.max(1), height.max(1));
    let drawn = draw(&Drawing { prompt, negative: "", seed, width, height, model: "simulator" });
    picture_of(Size { width, height }, Layout::Rgb, drawn.into_raw())
}

/// The same proportions with no side over the limit.
pub(crate) fn within(width: u32, height: u32) -> (u32, u32) {
    let long = width.max(height).max(1);
    if long <= SIDE_MAX {
        return (width.max(1), height.max(1));
    }
    let scaled = |side: u32| (u64::from(side) * u64::from(SIDE_MAX) / u64::from(long)).max(1) as u32;
    (scaled(width), scaled(height))
}

/// A picture changed so that everybody sees it, and always in the same way.
fn changed(picture: &Picture, change: Change, prompt: &str, seed: u64) -> Picture {
    match change {
        Change::Enlarge(percent) => {
            let side = |side: u32| (u64::from(side) * u64::from(percent) / 100).clamp(1, 8_192) as u32;
            let size = Size { width: side(picture.width()), height: side(picture.height()) };
            resize_to(picture, size).unwrap_or_else(|_| picture.clone())
        }
        Change::Edit => {
            let (width, height) = within(picture.width(), picture.height());
            let picture = resize_to(picture, Size { width, height }).unwrap_or_else(|_| picture.clone());
            tinted(&picture, hash(&(prompt, seed)))
        }
        Change::CutOut => cut_out(picture),
    }
}

/// A tint, and a border in the tint's colour.
fn tinted(picture: &Picture, mark: u64) -> Picture {
    let flat = picture.flattened(darkroom_worker::media::Color::WHITE).to_layout(Layout::Rgb);
    let tint = [(mark >> 16) as u8 | 0x40, (mark >> 8) as u8 | 0x40, mark as u8 | 0x40];
    let (width, height) = (flat.width(), flat.height());
    let border = (width.min(height) / 40).max(1);
    let mut pixels = Vec::with_capacity(flat.pixels().len());
    for (at, pixel) in flat.pixels().chunks_exact(3).enumerate() {
        let (x, y) = (at as u32 % width, at as u32 / width);
        let edge = x < border || y < border || x + border >= width || y + border >= height;
        for (sample, tint) in pixel.iter().zip(tint) {
            let mixed = (u16::from(*sample) * 3 + u16::from(tint)) / 4;
            pixels.push(if edge { tint } else { mixed as u8 });
        }
    }
    picture_of(flat.size(), Layout::Rgb, pixels)
}

/// What is far from the middle becomes transparent, with a soft edge: an ellipse is what stays.
fn cut_out(picture: &Picture) -> Picture {
    let flat = picture.to_layout(Layout::Rgba);
    let (width, height) = (flat.width(), flat.height());
    let mut pixels = flat.pixels().to_vec();
    for (at, pixel) in pixels.chunks_exact_mut(4).enumerate() {
        let x = (at as u32 % width) as f32 / width as f32 * 2.0 - 1.0;
        let y = (at as u32 / width) as f32 / height as f32 * 2.0 - 1.0;
        let inside = ((1.0 - (x * x + y * y) / 0.8) * 8.0).clamp(0.0, 1.0);
        pixel[3] = (f32::from(pixel[3]) * inside) as u8;
    }
    picture_of(flat.size(), Layout::Rgba, pixels)
}

/// A number that follows from a value, always the same.
pub(crate) fn hash(value: &impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_worker::media::read_info;

    fn size(bytes: &[u8]) -> (u32, u32) {
        let size = read_info(bytes, &Limits::default()).unwrap().size;
        (size.width, size.height)
    }

    #[test]
    fn a_recipe_gives_the_same_picture_again_in_the_size_that_was_asked_for() {
        let recipe = |seed| Recipe::drawn("a red mug", seed, (320, 200), Format::Jpeg);
        let (once, again) = (Media::default().make(&recipe(1)), Media::default().make(&recipe(1)));
        assert_eq!(once, again);
        assert_ne!(once, Media::default().make(&recipe(2)));
        assert_eq!(size(&once), (320, 200));
        let large = Media::default().make(&Recipe::drawn("a mug", 1, (4_096, 2_048), Format::Png));
        assert_eq!(size(&large), (1_024, 512), "large ones are made smaller");
    }

    #[test]
    fn an_input_is_changed_so_that_it_shows() {
        let media = Media::default();
        let input = media.make(&Recipe::drawn("a mug", 1, (120, 80), Format::Png));
        let source = Source::Sent(media.keep(input.clone()));
        let make = |change| media.make(&Recipe::changed(source.clone(), "at night", 1, change, Format::Png));
        let edited = make(Change::Edit);
        assert_eq!(size(&edited), (120, 80));
        assert_ne!(edited, input);
        assert_eq!(size(&make(Change::Enlarge(200))), (240, 160));
        assert!(read_info(&make(Change::CutOut), &Limits::default()).unwrap().alpha);
        assert!(!media.find(&source).0.is_empty());
    }

    #[test]
    fn an_input_that_is_no_picture_is_drawn_instead() {
        let media = Media::default();
        let source = media.data_uri("data:text/plain,hello").unwrap();
        let made = media.make(&Recipe::changed(source, "a mug", 1, Change::Edit, Format::Png));
        assert_eq!(size(&made), (1_024, 1_024));
    }

    #[test]
    fn films_differ_by_their_mark_alone() {
        let film = |mark| Media::default().make(&Recipe::Film { mark, seconds: 5 });
        assert_eq!(film(1), film(1));
        assert_ne!(film(1), film(2));
        assert_eq!(&film(1)[4..8], b"ftyp");
    }
}
