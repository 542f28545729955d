//! The `local` provider: what it draws, and what it finds in real photographs.

mod drawings;
mod finding;
mod placements;
