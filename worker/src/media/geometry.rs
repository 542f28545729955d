//! Sizes, areas and where things go. Nothing here touches pixels.

use super::{MediaError, limits::PIXELS_MAX};

/// Width and height in pixels. Prints as `800x600`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Size {
    /// How many pixels that is.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Whether a picture of this size can be made, asked before memory is taken for it.
    pub(super) fn check_output(self) -> Result<(), MediaError> {
        if self.pixels() > PIXELS_MAX {
            return Err(MediaError::TooManyPixels { size: self, pixels_max: PIXELS_MAX });
        }
        Ok(())
    }

    fn scaled(self, factor: f64) -> Size {
        let side = |side: u32| (f64::from(side) * factor).round().clamp(1.0, f64::from(u32::MAX)) as u32;
        Size { width: side(self.width), height: side(self.height) }
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A part of a picture, in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// The box `x, y, width, height` with `padding` around it, as far as the picture goes.
///
/// # Errors
/// When box and picture have no pixel in common. The padding does not count: a box outside was found in another picture.
pub fn padded_area(picture: Size, x: i64, y: i64, width: i64, height: i64, padding: i64) -> Result<Area, MediaError> {
    let (right, bottom) = (i64::from(picture.width), i64::from(picture.height));
    let (x_end, y_end) = (x.saturating_add(width), y.saturating_add(height));
    if width <= 0 || height <= 0 || x >= right || y >= bottom || x_end <= 0 || y_end <= 0 {
        return Err(MediaError::BoxOutside { x, y, width, height, picture });
    }
    let span = |start: i64, end: i64, limit: i64| {
        let start = start.saturating_sub(padding).clamp(0, limit);
        (start as u32, (end.saturating_add(padding).clamp(0, limit) - start) as u32)
    };
    let ((x, width), (y, height)) = (span(x, x_end, right), span(y, y_end, bottom));
    Ok(Area { x, y, width, height })
}

/// A proportion of width to height. Reads `16:9`, `16/9`, `16x9` and `1.91`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aspect(f64);

impl Aspect {
    /// How many times as wide as high.
    pub fn ratio(self) -> f64 {
        self.0
    }
}

impl std::str::FromStr for Aspect {
    type Err = MediaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n > 0.0);
        let ratio = match text.split_once([':', '/', 'x']) {
            Some((width, height)) => number(width).zip(number(height)).map(|(width, height)| width / height),
            None => number(text),
        };
        // Beyond 1:1000 nothing but a line is left of a picture: a slip of the finger.
        ratio
            .filter(|ratio| (0.001..=1_000.0).contains(ratio))
            .map(Aspect)
            .ok_or_else(|| MediaError::Aspect { text: text.chars().take(40).collect() })
    }
}

/// The largest area of a proportion, as near to `focus` (from 0,0 at the top left to 1,1) as it can lie.
pub fn aspect_area(picture: Size, aspect: Aspect, focus: (f32, f32)) -> Area {
    let (full_width, full_height) = (f64::from(picture.width), f64::from(picture.height));
    let fitting = |side: f64, limit: u32| side.round().clamp(1.0, f64::from(limit)) as u32;
    let (width, height) = if full_width / full_height > aspect.0 {
        (fitting(full_height * aspect.0, picture.width), picture.height)
    } else {
        (picture.width, fitting(full_width / aspect.0, picture.height))
    };
    let start = |full: u32, part: u32, focus: f32| {
        window_start(f64::from(full), f64::from(part), focus).round().clamp(0.0, f64::from(full - part)) as u32
    };
    Area { x: start(picture.width, width, focus.0), y: start(picture.height, height, focus.1), width, height }
}

/// Where a window of `part` pixels starts so that its middle is as near to `focus` as it can be.
pub(super) fn window_start(full: f64, part: f64, focus: f32) -> f64 {
    (full * f64::from(focus) - part / 2.0).clamp(0.0, (full - part).max(0.0))
}

/// What `image.resize` does when both sides are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Fill them and cut what sticks out.
    Cover,
    /// Fit into them.
    Inside,
    /// Distort.
    Exact,
    /// Fit into them and fill up.
    Pad,
}

/// How a picture is brought to a size, decided before it is decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resizing {
    /// What the whole picture is scaled to.
    pub scaled: Size,
    /// What comes out: smaller than `scaled` when something is cut off, larger when it is filled up.
    pub output: Size,
}

impl Resizing {
    /// Plans a resize. With one side the other follows; with none nothing changes.
    ///
    /// Without `enlarge` nothing grows: `cover` then cuts the largest part of the asked proportion, `pad` fills up more.
    ///
    /// # Errors
    /// When the result has too many pixels.
    pub fn plan(
        picture: Size,
        width: Option<u32>,
        height: Option<u32>,
        fit: Fit,
        enlarge: bool,
    ) -> Result<Resizing, MediaError> {
        let (full_width, full_height) = (f64::from(picture.width), f64::from(picture.height));
        let capped = |factor: f64| if enlarge { factor } else { factor.min(1.0) };
        let plan = match (width, height) {
            (None, None) => Resizing { scaled: picture, output: picture },
            (Some(width), None) => {
                let factor = capped(f64::from(width) / full_width);
                let scaled =
                    Size { width: if factor == 1.0 { picture.width } else { width }, ..picture.scaled(factor) };
                Resizing { scaled, output: scaled }
            }
            (None, Some(height)) => {
                let factor = capped(f64::from(height) / full_height);
                let scaled =
                    Size { height: if factor == 1.0 { picture.height } else { height }, ..picture.scaled(factor) };
                Resizing { scaled, output: scaled }
            }
            (Some(width), Some(height)) => {
                let asked = Size { width, height };
                let (across, down) = (f64::from(width) / full_width, f64::from(height) / full_height);
                let (least, most) = (capped(across.min(down)), across.max(down));
                match fit {
                    Fit::Exact => {
                        let cap = |side: u32, full: u32| if enlarge { side } else { side.min(full) };
                        let scaled = Size { width: cap(width, picture.width), height: cap(height, picture.height) };
                        Resizing { scaled, output: scaled }
                    }
                    Fit::Inside => {
                        let scaled = picture.scaled(least).within(asked, enlarge, picture);
                        Resizing { scaled, output: scaled }
                    }
                    Fit::Pad => {
                        Resizing { scaled: picture.scaled(least).within(asked, enlarge, picture), output: asked }
                    }
                    Fit::Cover if !enlarge && most > 1.0 => {
                        let part = aspect_area(picture, Aspect(f64::from(width) / f64::from(height)), (0.5, 0.5));
                        Resizing { scaled: picture, output: Size { width: part.width, height: part.height } }
                    }
                    Fit::Cover => {
                        let scaled = picture.scaled(most);
                        let scaled = Size { width: scaled.width.max(width), height: scaled.height.max(height) };
                        Resizing { scaled, output: asked }
                    }
                }
            }
        };
        // What is cut away is never made, so only the output counts.
        plan.output.check_output()?;
        Ok(plan)
    }
}

impl Size {
    /// Undoes a pixel of rounding that would stick out of the box, or grow past the picture.
    fn within(self, limit: Size, enlarge: bool, picture: Size) -> Size {
        let (mut width, mut height) = (self.width.min(limit.width), self.height.min(limit.height));
        if !enlarge {
            (width, height) = (width.min(picture.width), height.min(picture.height));
        }
        Size { width, height }
    }
}

/// One of nine places that a picture leans towards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gravity {
    /// -1 left, 0 middle, 1 right.
    across: i8,
    /// -1 top, 0 middle, 1 bottom.
    down: i8,
}

impl Gravity {
    /// The place of this name, one of the op table's.
    pub fn from_name(name: &str) -> Option<Gravity> {
        let (across, down) = match name {
            "center" => (0, 0),
            "north" => (0, -1),
            "north-east" => (1, -1),
            "east" => (1, 0),
            "south-east" => (1, 1),
            "south" => (0, 1),
            "south-west" => (-1, 1),
            "west" => (-1, 0),
            "north-west" => (-1, -1),
            _ => return None,
        };
        Some(Gravity { across, down })
    }

    /// The top left corner of something of size `part`, `margin` away from the edges that it leans to.
    pub fn corner(self, picture: Size, part: Size, margin: i64) -> (i64, i64) {
        let along = |full: u32, part: u32, lean: i8| {
            let room = i64::from(full) - i64::from(part);
            match lean {
                -1 => margin,
                0 => room.div_euclid(2),
                _ => room - margin,
            }
        };
        (along(picture.width, part.width, self.across), along(picture.height, part.height, self.down))
    }

    /// The same place as a point from 0,0 at the top left to 1,1.
    pub fn point(self) -> (f32, f32) {
        (f32::from(self.across + 1) / 2.0, f32::from(self.down + 1) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn each_fit_does_what_its_name_says() {
        let photo = size(4000, 2667);
        let small = size(300, 200);
        let cases = [
            ("one side: the other follows", photo, Some(800), None, Fit::Cover, true, (800, 533), (800, 533)),
            ("the other side", photo, None, Some(800), Fit::Cover, true, (1200, 800), (1200, 800)),
            ("cover fills and cuts", photo, Some(800), Some(800), Fit::Cover, true, (1200, 800), (800, 800)),
            ("inside fits", photo, Some(800), Some(800), Fit::Inside, true, (800, 533), (800, 533)),
            ("exact distorts", photo, Some(800), Some(800), Fit::Exact, true, (800, 800), (800, 800)),
            ("pad fills up", photo, Some(800), Some(800), Fit::Pad, true, (800, 533), (800, 800)),
            ("a small picture grows", small, Some(600), None, Fit::Cover, true, (600, 400), (600, 400)),
            ("or does not", small, Some(600), None, Fit::Cover, false, (300, 200), (300, 200)),
            ("inside does not grow", small, Some(600), Some(600), Fit::Inside, false, (300, 200), (300, 200)),
            ("exact does not grow", small, Some(600), Some(100), Fit::Exact, false, (300, 100), (300, 100)),
            ("pad still fills up", small, Some(600), Some(600), Fit::Pad, false, (300, 200), (600, 600)),
            ("cover keeps the proportion", small, Some(600), Some(600), Fit::Cover, false, (300, 200), (200, 200)),
        ];
        for (name, picture, width, height, fit, enlarge, scaled, output) in cases {
            let plan = Resizing::plan(picture, width, height, fit, enlarge).unwrap();
            let want = Resizing { scaled: size(scaled.0, scaled.1), output: size(output.0, output.1) };
            assert_eq!(plan, want, "{name}");
        }
    }

    #[test]
    fn a_result_over_the_limit_is_refused_before_it_is_made() {
        let error = Resizing::plan(size(100, 100), Some(16_384), Some(16_384), Fit::Exact, true).unwrap_err();
        assert!(matches!(error, MediaError::TooManyPixels { .. }));
    }

    #[test]
    fn a_box_is_cut_at_the_edge_and_refused_outside() {
        let picture = size(100, 50);
        let area = |x, y, width, height| Area { x, y, width, height };
        assert_eq!(padded_area(picture, 10, 10, 20, 20, 0), Ok(area(10, 10, 20, 20)));
        assert_eq!(padded_area(picture, 10, 10, 20, 20, 5), Ok(area(5, 5, 30, 30)));
        assert_eq!(padded_area(picture, 10, 10, 20, 20, 1_000), Ok(area(0, 0, 100, 50)));
        assert_eq!(padded_area(picture, 90, 40, 20, 20, 0), Ok(area(90, 40, 10, 10)));
        assert_eq!(padded_area(picture, -5, -5, 20, 20, 0), Ok(area(0, 0, 15, 15)));
        for (x, y, w, h) in [(100, 0, 5, 5), (0, 50, 5, 5), (-5, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5, -1)] {
            let error = padded_area(picture, x, y, w, h, 50).unwrap_err();
            assert!(matches!(error, MediaError::BoxOutside { .. }), "{x},{y} {w}x{h}");
        }
    }

    #[test]
    fn proportions_read_as_people_write_them() {
        for text in ["16:9", "16/9", "16x9", "1.7777777777777777", " 16 : 9 "] {
            assert_eq!(aspect_area(size(1600, 1600), text.parse().unwrap(), (0.5, 0.5)).height, 900, "{text}");
        }
        for text in ["", "16:", ":9", "0:9", "16:0", "-1", "wide", "inf", "1:5000"] {
            assert!(text.parse::<Aspect>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_focus_moves_the_area_as_far_as_the_picture_goes() {
        let square: Aspect = "1:1".parse().unwrap();
        let x = |focus| aspect_area(size(300, 100), square, (focus, 0.5)).x;
        assert_eq!([x(0.0), x(0.5), x(0.6), x(1.0)], [0, 100, 130, 200]);
    }

    #[test]
    fn gravity_leans_and_keeps_its_margin() {
        let corner = |name| Gravity::from_name(name).unwrap().corner(size(100, 50), size(20, 10), 5);
        assert_eq!(corner("north-west"), (5, 5));
        assert_eq!(corner("south-east"), (75, 35));
        assert_eq!(corner("center"), (40, 20));
        for name in darkroom_proto::op::GRAVITY {
            assert!(Gravity::from_name(name).is_some(), "{name}");
        }
    }

    proptest! {
        /// Whatever is asked for, the part that is cut out lies inside the picture and is not empty.
        #[test]
        fn areas_lie_inside_the_picture(
            w in 1u32..5_000, h in 1u32..5_000, ratio in 0.01f64..100.0, fx in 0f32..=1.0, fy in 0f32..=1.0,
        ) {
            let area = aspect_area(size(w, h), Aspect(ratio), (fx, fy));
            prop_assert!(area.width >= 1 && area.height >= 1);
            prop_assert!(area.x + area.width <= w && area.y + area.height <= h);
        }

        /// The exact size that was asked for comes out of `cover`, `exact` and `pad`; `inside` never sticks out; without
        /// `enlarge` nothing is scaled up.
        #[test]
        fn resizing_keeps_its_promises(
            w in 1u32..5_000, h in 1u32..5_000, to_w in 1u32..3_000, to_h in 1u32..3_000, enlarge: bool,
        ) {
            for fit in [Fit::Cover, Fit::Inside, Fit::Exact, Fit::Pad] {
                let plan = Resizing::plan(size(w, h), Some(to_w), Some(to_h), fit, enlarge).unwrap();
                prop_assert!(plan.output.width >= 1 && plan.output.height >= 1);
                prop_assert!(plan.output.width <= to_w && plan.output.height <= to_h);
                if enlarge && fit != Fit::Inside {
                    prop_assert_eq!(plan.output, size(to_w, to_h));
                }
                if !enlarge {
                    prop_assert!(plan.scaled.width <= w && plan.scaled.height <= h);
                }
                if fit == Fit::Cover {
                    prop_assert!(plan.scaled.width >= plan.output.width && plan.scaled.height >= plan.output.height);
                }
            }
        }
    }
}
