//! The `local` provider: pictures drawn and looked at here, without a key, a network or a model.

mod camera;
mod cutout;
mod describe;
mod detect;
mod dice;
mod draw;
mod edit;
mod focus;
mod ink;
mod mask;
mod palette;
mod pen;
mod prompt;
mod saliency;
mod style;
mod subjects;
mod surface;
mod thumbnail;
mod tone;

pub use camera::{Camera, ZOOM_MAX};
pub use cutout::cutout;
pub use describe::describe;
pub use detect::{DetectOptions, Detection, detect};
pub use draw::{Drawing, SIDE_MAX, draw, draw_with_subject};
pub use edit::{Edit, edit};
pub use focus::focus;
pub use style::{Style, style};
pub use tone::speak;
