//! What providers are asked and what they answer.
//!
//! One [`Adapter`] for each provider, a file of its own: the canonical parameters of an op become a request, and what comes
//! back becomes outputs or a classed error. All of it is data and pure functions; whoever has the connection sends the
//! requests, and whoever has the ledger decides when.

mod a1111;
mod adapter;
mod answer;
mod bfl;
pub mod classify;
mod comfyui;
mod elevenlabs;
mod fal;
mod form;
mod google;
mod hook;
mod http;
mod kling;
mod luma;
pub mod mapping;
mod minimax;
mod openai;
mod registry;
mod replicate;
mod runway;
#[cfg(test)]
mod sample;
mod sign;
mod stability;

pub use adapter::{
    Access, Adapter, Ask, Disbelief, Failure, File, Found, Incoming, Made, News, Polled, Product, Source, Submission,
    Submitted, Traits, Uploaded,
};
pub use hook::hook_token;
pub use http::{Body, Method, Part, Request, Response};
pub use registry::{adapters, find};
