//! Every adapter, by its name.

use crate::a1111::A1111;
use crate::adapter::Adapter;
use crate::bfl::Bfl;
use crate::comfyui::ComfyUi;
use crate::elevenlabs::ElevenLabs;
use crate::fal::Fal;
use crate::kling::Kling;
use crate::luma::Luma;
use crate::minimax::MiniMax;
use crate::runway::Runway;
use crate::stability::Stability;

/// Every adapter of this release.
pub fn adapters() -> &'static [&'static dyn Adapter] {
    &[&Fal, &Bfl, &MiniMax, &Kling, &Runway, &Luma, &Stability, &ElevenLabs, &A1111, &ComfyUi]
}

/// The adapter of this name.
pub fn find(name: &str) -> Option<&'static dyn Adapter> {
    adapters().iter().copied().find(|adapter| adapter.name() == name)
}
