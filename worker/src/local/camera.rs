//! A camera that moves over a picture.

use super::dice::Dice;
use super::prompt::{has, wanted};

/// The most that a camera enlarges.
pub const ZOOM_MAX: f64 = 1.6;

/// How a camera moves, from the words of a prompt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Camera {
    from: View,
    to: View,
}

/// What a camera sees.
#[derive(Debug, Clone, Copy, PartialEq)]
struct View {
    /// How much it enlarges; 1 sees everything.
    zoom: f64,
    /// Where it looks; 0.5, 0.5 is the middle of where it can. Nothing: the subject.
    place: Option<(f64, f64)>,
}

impl Camera {
    /// The move that a prompt asks for; where it asks for none, a slow one that the seed decides.
    pub fn of(prompt: &str, negative: &str, seed: u64, model: &str) -> Camera {
        let text = wanted(prompt, negative);
        let mut dice = Dice::of(&["camera 1", prompt, negative, &seed.to_string(), model]);
        let speed: f64 = if has(&text, &["slow", "slowly", "gentle", "gently", "subtle", "smooth"]) {
            0.75
        } else if has(&text, &["fast", "quick", "quickly", "rapid", "dramatic"]) {
            1.5
        } else {
            1.0
        };
        let zoom = (1.0 + 0.32 * speed).min(ZOOM_MAX);
        let away = has(&text, &["out", "back", "away", "reveal", "pull", "pulls"]);
        let moves = has(&text, &["zoom", "zooms", "zooming", "dolly", "push", "pushes", "pull", "pulls", "closer"]);
        let subject = |zoom: f64| View { zoom, place: None };
        // What the camera does, not what happens in front of it.
        let aside = |from: (f64, f64), to: (f64, f64)| {
            let zoom = (1.0 + 0.3 * speed).min(ZOOM_MAX);
            Camera { from: View { zoom, place: Some(from) }, to: View { zoom, place: Some(to) } }
        };
        if has(&text, &["static", "still", "locked", "fixed", "motionless"]) {
            return Camera { from: subject(1.0), to: subject(1.0) };
        }
        for (names, from, to) in [
            (["left", "leftward", "leftwards"], (1.0, 0.5), (0.0, 0.5)),
            (["right", "rightward", "rightwards"], (0.0, 0.5), (1.0, 0.5)),
            (["up", "upward", "upwards"], (0.5, 1.0), (0.5, 0.0)),
            (["down", "downward", "downwards"], (0.5, 0.0), (0.5, 1.0)),
        ] {
            if has(&text, &names) {
                return aside(from, to);
            }
        }
        if has(&text, &["pan", "pans", "panning", "sweep", "slide", "track", "tracking"]) {
            return if dice.coin() { aside((1.0, 0.5), (0.0, 0.5)) } else { aside((0.0, 0.5), (1.0, 0.5)) };
        }
        if has(&text, &["tilt", "tilts", "crane", "rise", "rises", "rising"]) {
            return aside((0.5, 1.0), (0.5, 0.0));
        }
        if moves {
            let (near, far) = (subject(zoom), subject(1.0));
            return if away { Camera { from: near, to: far } } else { Camera { from: far, to: near } };
        }
        let drift = f64::from(dice.between(0.25, 0.75));
        match dice.below(3) {
            0 => Camera { from: subject(1.0), to: subject(1.18) },
            1 => Camera { from: subject(1.18), to: subject(1.0) },
            _ => Camera {
                from: View { zoom: 1.12, place: Some((0.15, drift)) },
                to: View { zoom: 1.2, place: Some((0.85, 1.0 - drift)) },
            },
        }
    }

    /// What it sees at a time, from 0 to 1, of a picture whose subject is at `focus`: left, top, width and height, each as a
    /// share of the picture's side. It starts and stops gently.
    pub fn part(&self, time: f64, focus: (f64, f64)) -> (f64, f64, f64, f64) {
        let time = time.clamp(0.0, 1.0);
        let way = time * time * (3.0 - 2.0 * time);
        let between = |from: f64, to: f64| from + (to - from) * way;
        // Even to the eye is a zoom that multiplies.
        let zoom = self.from.zoom * (self.to.zoom / self.from.zoom).powf(way);
        let side = 1.0 / zoom;
        let room = 1.0 - side;
        let place = |view: View| match view.place {
            Some((x, y)) => (x * room, y * room),
            None => {
                let start = |focus: f64| (focus - side / 2.0).clamp(0.0, room);
                (start(focus.0), start(focus.1))
            }
        };
        let (from, to) = (place(self.from), place(self.to));
        (between(from.0, to.0), between(from.1, to.1), side, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Part = (f64, f64, f64, f64);
    type Holds = fn(Part, Part) -> bool;

    #[test]
    fn the_words_of_a_prompt_decide_where_the_camera_goes() {
        let at = |prompt: &str, time: f64| Camera::of(prompt, "", 0, "local").part(time, (0.7, 0.4));
        let cases: [(&str, Holds); 8] = [
            ("cinematic zoom in, smooth camera movement", |from, to| from.2 == 1.0 && to.2 < 0.9),
            ("zoom out to reveal the room", |from, to| from.2 < 0.9 && to.2 == 1.0),
            ("slow pan to the left", |from, to| from.0 > to.0 + 0.1 && from.1 == to.1 && from.2 == to.2),
            ("pan right", |from, to| to.0 > from.0 + 0.1),
            ("tilt up", |from, to| from.1 > to.1 + 0.1 && from.0 == to.0),
            ("the camera sinks downwards", |from, to| to.1 > from.1 + 0.1),
            ("static shot", |from, to| from == to && from.2 == 1.0),
            ("a cat looks around", |from, to| from != to),
        ];
        for (prompt, holds) in cases {
            let (from, to) = (at(prompt, 0.0), at(prompt, 1.0));
            assert!(holds(from, to), "{prompt}: {from:?} to {to:?}");
        }
        assert_eq!(at("zoom in", 0.3), at("zoom in", 0.3));
    }

    #[test]
    fn it_never_sees_more_than_the_picture() {
        for seed in 0..200 {
            let camera = Camera::of("waves roll in the evening", "", seed, "local");
            for step in 0..=20 {
                let (left, top, width, height) = camera.part(f64::from(step) / 20.0, (1.0, 0.0));
                assert!(
                    left >= 0.0 && top >= 0.0 && left + width <= 1.0 + 1e-9 && top + height <= 1.0 + 1e-9,
                    "{seed}"
                );
                assert!(width >= 1.0 / ZOOM_MAX, "{seed}");
            }
        }
    }
}
