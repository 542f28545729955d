//! Drawing on a pixmap: shapes given in a subject's own coordinates, with light from the left.

use super::ink::Ink;
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Path, PathBuilder, Pixmap, Point,
    RadialGradient, Rect, Shader, SpreadMode, Stroke, Transform,
};

/// A pixmap and where on it the coordinates of what is drawn lie.
pub(super) struct Pen<'a> {
    pixmap: &'a mut Pixmap,
    transform: Transform,
    /// Whether to draw the finer things.
    pub(super) detail: bool,
    /// The pixels that solid shapes cover, as left, top, right, bottom.
    drawn: Option<[f32; 4]>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(pixmap: &'a mut Pixmap, transform: Transform, detail: bool) -> Self {
        Self { pixmap, transform, detail, drawn: None }
    }

    /// The box of everything solid that was drawn, in pixels.
    pub(super) fn drawn(&self) -> Option<[f32; 4]> {
        self.drawn
    }

    /// One colour.
    pub(super) fn flat(&mut self, path: &Option<Path>, ink: Ink) {
        self.paint(path, Shader::SolidColor(ink.alpha(1.0)), true);
    }

    /// One colour, partly transparent. Does not count as part of the subject.
    pub(super) fn veil(&mut self, path: &Option<Path>, ink: Ink, alpha: f32) {
        self.paint(path, Shader::SolidColor(ink.alpha(alpha)), false);
    }

    /// As if the shape were turned on a lathe: light on the left, dark on the right.
    pub(super) fn round(&mut self, path: &Option<Path>, ink: Ink) {
        let Some(bounds) = path.as_ref().map(Path::bounds) else { return };
        let stops = [
            (0.0, ink.darker(0.12)),
            (0.22, ink.lighter(0.22)),
            (0.45, ink),
            (0.8, ink.darker(0.3)),
            (1.0, ink.darker(0.42)),
        ];
        self.shade(path, (bounds.left(), bounds.top()), (bounds.right(), bounds.top()), &stops);
    }

    /// From light at the top to dark at the bottom.
    pub(super) fn tall(&mut self, path: &Option<Path>, ink: Ink) {
        let Some(bounds) = path.as_ref().map(Path::bounds) else { return };
        let stops = [(0.0, ink.lighter(0.16)), (0.5, ink), (1.0, ink.darker(0.26))];
        self.shade(path, (bounds.left(), bounds.top()), (bounds.left(), bounds.bottom()), &stops);
    }

    /// A ball: a highlight at the upper left.
    pub(super) fn ball(&mut self, path: &Option<Path>, ink: Ink) {
        let Some(bounds) = path.as_ref().map(Path::bounds) else { return };
        let (w, h) = (bounds.width(), bounds.height());
        let centre = Point::from_xy(bounds.left() + w * 0.36, bounds.top() + h * 0.3);
        let stops = stops(&[
            (0.0, ink.lighter(0.4)),
            (0.35, ink.lighter(0.06)),
            (0.75, ink.darker(0.22)),
            (1.0, ink.darker(0.4)),
        ]);
        if let Some(shader) =
            RadialGradient::new(centre, 0.0, centre, w.max(h) * 0.85, stops, SpreadMode::Pad, Transform::identity())
        {
            self.paint(path, shader, true);
        }
    }

    /// Any gradient along a line.
    pub(super) fn shade(&mut self, path: &Option<Path>, from: (f32, f32), to: (f32, f32), colours: &[(f32, Ink)]) {
        let shader = LinearGradient::new(
            Point::from_xy(from.0, from.1),
            Point::from_xy(to.0, to.1),
            stops(colours),
            SpreadMode::Pad,
            Transform::identity(),
        );
        if let Some(shader) = shader {
            self.paint(path, shader, true);
        }
    }

    /// A line with round ends.
    pub(super) fn line(&mut self, path: &Option<Path>, ink: Ink, width: f32) {
        self.stroke(path, ink.alpha(1.0), width, true);
    }

    /// A partly transparent line, which does not count as part of the subject.
    pub(super) fn trace(&mut self, path: &Option<Path>, ink: Ink, alpha: f32, width: f32) {
        self.stroke(path, ink.alpha(alpha), width, false);
    }

    /// A soft ellipse that fades outwards.
    pub(super) fn glow(&mut self, centre: (f32, f32), radius: (f32, f32), ink: Ink, alpha: f32) {
        let squash =
            Transform::from_row(1.0, 0.0, 0.0, radius.1 / radius.0, 0.0, centre.1 * (1.0 - radius.1 / radius.0));
        let point = Point::from_xy(centre.0, centre.1);
        let stops = vec![
            GradientStop::new(0.0, ink.alpha(alpha)),
            GradientStop::new(0.35, ink.alpha(alpha * 0.72)),
            GradientStop::new(0.7, ink.alpha(alpha * 0.22)),
            GradientStop::new(1.0, ink.alpha(0.0)),
        ];
        if let Some(shader) = RadialGradient::new(point, 0.0, point, radius.0, stops, SpreadMode::Pad, squash) {
            self.paint(&ellipse(centre.0, centre.1, radius.0, radius.1), shader, false);
        }
    }

    fn paint(&mut self, path: &Option<Path>, shader: Shader<'_>, solid: bool) {
        let Some(path) = path else { return };
        let paint = Paint { shader, anti_alias: true, ..Paint::default() };
        self.pixmap.fill_path(path, &paint, FillRule::Winding, self.transform, None);
        if solid {
            self.count(path.bounds());
        }
    }

    fn stroke(&mut self, path: &Option<Path>, colour: Color, width: f32, solid: bool) {
        let Some(path) = path else { return };
        let paint = Paint { shader: Shader::SolidColor(colour), anti_alias: true, ..Paint::default() };
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint, &stroke, self.transform, None);
        if let (true, Some(bounds)) = (solid, path.bounds().outset(width / 2.0, width / 2.0)) {
            self.count(bounds);
        }
    }

    fn count(&mut self, bounds: Rect) {
        let mut corners =
            [Point::from_xy(bounds.left(), bounds.top()), Point::from_xy(bounds.right(), bounds.bottom())];
        self.transform.map_points(&mut corners);
        let [a, b] = corners;
        let new = [a.x.min(b.x), a.y.min(b.y), a.x.max(b.x), a.y.max(b.y)];
        self.drawn = Some(match self.drawn {
            Some(old) => [old[0].min(new[0]), old[1].min(new[1]), old[2].max(new[2]), old[3].max(new[3])],
            None => new,
        });
    }
}

fn stops(colours: &[(f32, Ink)]) -> Vec<GradientStop> {
    colours.iter().map(|(at, ink)| GradientStop::new(*at, ink.alpha(1.0))).collect()
}

/// The path of `M x y`, `L x y`, `Q x y x y`, `C x y x y x y` and `Z`, as in SVG. None if it is malformed.
pub(super) fn path(text: &str) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let mut words = text.split_whitespace();
    while let Some(command) = words.next() {
        let mut number = || words.next().and_then(|word| word.parse::<f32>().ok());
        match command {
            "M" => builder.move_to(number()?, number()?),
            "L" => builder.line_to(number()?, number()?),
            "Q" => builder.quad_to(number()?, number()?, number()?, number()?),
            "C" => builder.cubic_to(number()?, number()?, number()?, number()?, number()?, number()?),
            "Z" => builder.close(),
            _ => return None,
        }
    }
    builder.finish()
}

pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry)?)
}

pub(super) fn rect(x: f32, y: f32, w: f32, h: f32) -> Option<Path> {
    Some(PathBuilder::from_rect(Rect::from_xywh(x, y, w, h)?))
}

/// A rectangle with round corners.
pub(super) fn rounded(x: f32, y: f32, w: f32, h: f32, r: f32) -> Option<Path> {
    let r = r.min(w / 2.0).min(h / 2.0);
    let k = r * 0.4477;
    let (right, bottom) = (x + w, y + h);
    let mut b = PathBuilder::new();
    b.move_to(x + r, y);
    b.line_to(right - r, y);
    b.cubic_to(right - k, y, right, y + k, right, y + r);
    b.line_to(right, bottom - r);
    b.cubic_to(right, bottom - k, right - k, bottom, right - r, bottom);
    b.line_to(x + r, bottom);
    b.cubic_to(x + k, bottom, x, bottom - k, x, bottom - r);
    b.line_to(x, y + r);
    b.cubic_to(x, y + k, x + k, y, x + r, y);
    b.close();
    b.finish()
}

/// What a lathe makes of a profile of `(radius, y)` points, smoothed: symmetric, closed.
pub(super) fn lathe(profile: &[(f32, f32)]) -> Option<Path> {
    let mut b = PathBuilder::new();
    let (first, last) = (profile.first()?, profile.last()?);
    b.move_to(first.0, first.1);
    smooth(&mut b, profile.iter().copied());
    b.line_to(-last.0, last.1);
    smooth(&mut b, profile.iter().rev().map(|(r, y)| (-r, *y)));
    b.close();
    b.finish()
}

/// A smooth open line through points.
pub(super) fn curve(points: &[(f32, f32)]) -> Option<Path> {
    let first = points.first()?;
    let mut b = PathBuilder::new();
    b.move_to(first.0, first.1);
    smooth(&mut b, points.iter().copied());
    b.finish()
}

/// Catmull-Rom through the points, of which the first is where the builder already is.
fn smooth(b: &mut PathBuilder, points: impl Iterator<Item = (f32, f32)>) {
    let points: Vec<(f32, f32)> = points.collect();
    for at in 1..points.len() {
        let (from, to) = (points[at - 1], points[at]);
        let before = if at > 1 { points[at - 2] } else { from };
        let after = points.get(at + 1).copied().unwrap_or(to);
        b.cubic_to(
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_path_is_none() {
        for text in ["", "M 0", "M 0 0 X 1 1", "L 1 a"] {
            assert!(path(text).is_none(), "{text:?}");
        }
        assert!(path("M 0 0 L 1 1 Q 0 1 0 0 C 0 0 1 0 1 1 Z").is_some());
    }
}
