//! What models on Replicate take and give.

use crate::asked::Asked;
use crate::job::{Job, Order};
use crate::media::{Change, Recipe};
use crate::options::Kind;
use crate::provider::Refusal;
use crate::sign;
use crate::studio::{Studio, aspect, seconds, seed};
use darkroom_worker::media::Format;
use serde_json::{Value, json};

/// What a prediction fails with whose content is against the rules.
pub(super) const NSFW: &str = "NSFW content detected. Try running it again, or try a different prompt.";

/// Versions that are known by their id alone.
const VERSIONS: [&str; 3] = [
    "adirik/grounding-dino:efd10a8ddc57ea28773327e881ce95e20cc1d734c589f7dd01d2036921ed78aa",
    "lucataco/remove-bg:95fcc2a26d3899cd6c2691c900465aaeff466285a65c14638cc5f36f34befaf1",
    "cjwbw/rembg:fb8af171cfa1616ddcf1242c093f9c46bcada5ad4cf6f2fbe8b81b330ec5c003",
];

/// Inputs that are pictures, by the names that models use.
const PICTURES: [&str; 8] = [
    "image",
    "input_image",
    "image_input",
    "image_prompt",
    "first_frame_image",
    "start_image",
    "subject_reference",
    "control_image",
];

pub(super) fn order(endpoint: &str, input: &Value, studio: &Studio<'_>) -> Result<Order, Refusal> {
    if !input.is_object() {
        return Err(Refusal::invalid("input", "is required"));
    }
    let text = |name: &str| input[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing(name));
    let given = PICTURES.iter().find_map(|name| match &input[*name] {
        Value::Array(urls) => urls.first(),
        url => Some(url).filter(|url| url.is_string()),
    });
    let picture = || given.map(|url| studio.picture(url)).ok_or_else(|| Refusal::missing("image"));
    let has = |words: &[&str]| words.iter().any(|word| endpoint.contains(word));
    let (seed, document) = (seed(input), json!({"input": input}));
    let video = has(&["video", "kling", "veo", "wan-"]);
    let kind = if video { Kind::Video } else { Kind::Image };
    let mut order = Order::new(endpoint, kind, document);
    if has(&["tts", "speech", "bark", "kokoro"]) {
        order.kind = Kind::Audio;
        let spoken = text("text").or_else(|_| text("prompt"))?;
        return Ok(order.makes(Recipe::speech(spoken, true)));
    }
    if video {
        text("prompt")?;
        if endpoint.ends_with("kling-v1.6-pro") {
            picture()?;
        }
        return Ok(order.makes(Recipe::Film { mark: seed, seconds: seconds(&input["duration"], 5) }));
    }
    if has(&["grounding-dino", "detect"]) {
        let label = text("query").or_else(|_| text("prompt"))?;
        let label = label.split(',').next().unwrap_or_default().trim();
        let source = picture()?;
        let (boxes, _) = studio.find(&source);
        let detections: Vec<Value> = boxes
            .iter()
            .map(|(found, score)| {
                let corners = [found.x, found.y, found.x + found.w, found.y + found.h];
                json!({"bbox": corners, "label": label, "confidence": score})
            })
            .collect();
        order.memory = detections.into();
        return Ok(order.makes(Recipe::changed(source, label, seed, Change::Edit, Format::Png)));
    }
    if has(&["remove-bg", "rembg", "background"]) {
        return Ok(order.makes(Recipe::changed(picture()?, "", seed, Change::CutOut, Format::Png)));
    }
    if has(&["upscale", "esrgan"]) {
        let factor = input["upscale_factor"].as_str().and_then(|text| text.trim_end_matches('x').parse().ok());
        let factor: f64 = factor.or(input["scale"].as_f64()).unwrap_or(2.0);
        let change = Change::Enlarge((factor.clamp(1.0, 8.0) * 100.0) as u32);
        return Ok(order.makes(Recipe::changed(picture()?, "", seed, change, format(input))));
    }
    // What a version takes that nobody knows is not known either.
    let prompt = if endpoint.contains('/') { text("prompt")? } else { text("prompt").unwrap_or_default() };
    let count = input["num_outputs"].as_u64().unwrap_or(1).clamp(1, 4);
    for number in 0..count {
        order.makes.push(match given {
            Some(url) => Recipe::changed(studio.picture(url), prompt, seed + number, Change::Edit, format(input)),
            None => Recipe::drawn(prompt, seed + number, size(input), format(input)),
        });
    }
    Ok(order)
}

/// One URL, a list of them, or an object, as the model has it.
pub(super) fn output(job: &Job, link: &mut dyn FnMut(usize) -> String) -> Value {
    if job.memory.is_array() {
        return json!({"detections": job.memory, "result_image": link(0)});
    }
    let lists = ["flux-dev", "flux-schnell", "sdxl", "stable-diffusion", "illusion"];
    if lists.iter().any(|name| job.endpoint.contains(name)) {
        return (0..job.makes.len()).map(link).collect();
    }
    link(0).into()
}

/// The model and version that an id means, where it is known; otherwise what was given.
pub(super) fn endpoint(given: &str) -> &str {
    let known = VERSIONS.iter().find(|known| known.split_once(':').is_some_and(|(_, version)| version == given));
    known.copied().unwrap_or(given)
}

/// The name of the model and of its version.
pub(super) fn names(endpoint: &str) -> (String, String) {
    match endpoint.split_once(':') {
        Some((model, version)) => (model.to_owned(), version.to_owned()),
        None if endpoint.contains('/') => (endpoint.to_owned(), "hidden".to_owned()),
        None => ("simulator/model".to_owned(), endpoint.to_owned()),
    }
}

/// A model as a document.
pub(super) fn document(asked: &Asked) -> Value {
    let path = asked.path.strip_prefix("v1/").unwrap_or(&asked.path);
    let mut parts = path.split('/').skip(1);
    let (owner, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    json!({
        "url": format!("https://replicate.com/{owner}/{name}"), "owner": owner, "name": name,
        "description": "A model of the simulator", "visibility": "public", "github_url": null, "paper_url": null,
        "license_url": null, "run_count": 1, "cover_image_url": null, "default_example": null,
        "latest_version": version(asked),
    })
}

/// The one version of a model; its id follows from the name.
pub(super) fn version(asked: &Asked) -> Value {
    let properties = json!({
        "prompt": {"type": "string", "title": "Prompt", "x-order": 0},
        "seed": {"type": "integer", "title": "Seed", "x-order": 1},
    });
    let given = asked.path.split_once("/versions/").map(|(_, id)| id.to_owned());
    json!({
        "id": given.unwrap_or_else(|| sign::sha256(asked.path.as_bytes())),
        "created_at": "2026-01-01T00:00:00.000Z", "cog_version": "0.14.0",
        "openapi_schema": {
            "openapi": "3.0.2", "info": {"title": "Cog", "version": "0.1.0"}, "paths": {},
            "components": {"schemas": {
                "Input": {"type": "object", "title": "Input", "properties": properties},
                "Output": {"type": "string", "format": "uri", "title": "Output"},
            }},
        },
    })
}

fn format(input: &Value) -> Format {
    input["output_format"].as_str().and_then(Format::of_extension).unwrap_or(Format::WebP)
}

fn size(input: &Value) -> (u32, u32) {
    let side = |name: &str| input[name].as_u64().map(|side| side.clamp(1, 4_096) as u32);
    match (input["aspect_ratio"].as_str(), side("width"), side("height")) {
        (Some("custom") | None, Some(width), Some(height)) => (width, height),
        (given, _, _) => given.and_then(aspect).unwrap_or((1_024, 1_024)),
    }
}
