//! The `local` provider: pictures drawn and looked at here, without a key, a network or a model.

mod detect;
mod dice;
mod draw;
mod focus;
mod ink;
mod palette;
mod pen;
mod prompt;
mod saliency;
mod subjects;
mod surface;
mod thumbnail;

pub use detect::{DetectOptions, Detection, detect};
pub use draw::{Drawing, SIDE_MAX, draw, draw_with_subject};
pub use focus::focus;
