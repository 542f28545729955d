//! The providers, one file each.

mod a1111;
mod bfl;
mod comfyui;
mod elevenlabs;
mod fal;
mod google;
mod kling;
mod luma;
mod minimax;
mod openai;
mod replicate;
mod runway;
mod stability;

use crate::provider::Provider;

/// Every provider that is simulated.
pub(crate) fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(fal::Fal),
        Box::new(replicate::Replicate),
        Box::new(openai::OpenAi),
        Box::new(google::Google),
        Box::new(bfl::Bfl),
        Box::new(minimax::MiniMax),
        Box::new(kling::Kling),
        Box::new(runway::Runway),
        Box::new(luma::Luma),
        Box::new(stability::Stability),
        Box::new(elevenlabs::ElevenLabs),
        Box::new(comfyui::ComfyUi),
        Box::new(a1111::A1111),
    ]
}
