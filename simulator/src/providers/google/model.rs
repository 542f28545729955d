//! What Gemini and Veo take and give.

use crate::asked::to_base64;
use crate::job::{Job, Order, Verdict};
use crate::media::{Change, Recipe, Source};
use crate::options::Kind;
use crate::provider::Refusal;
use crate::studio::{Studio, aspect, seconds, seed};
use darkroom_worker::media::Format;
use serde_json::{Value, json};

/// The models that the list names; any other is taken as well.
pub(super) const MODELS: [&str; 4] =
    ["gemini-3-pro-image", "gemini-2.5-flash-image", "gemini-2.5-flash", "veo-3.1-generate-preview"];

pub(super) fn document(name: &str) -> Value {
    let method = if name.starts_with("veo") { "predictLongRunning" } else { "generateContent" };
    json!({
        "name": format!("models/{name}"), "version": "001", "displayName": name, "inputTokenLimit": 32_768,
        "outputTokenLimit": 32_768, "supportedGenerationMethods": [method],
    })
}

/// Reads `generateContent`: a picture where one is wanted, otherwise text.
pub(super) fn content(model: &str, input: Value, studio: &Studio<'_>) -> Result<Order, Refusal> {
    let contents = input["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| Refusal::invalid("contents", "contents is not specified"))?;
    let parts: Vec<&Value> = contents.iter().filter_map(|content| content["parts"].as_array()).flatten().collect();
    let prompt: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    let prompt = prompt.join("\n");
    let picture = parts.iter().find_map(|part| {
        let inline = field(part, "inlineData", "inline_data");
        if let Some(data) = inline["data"].as_str() {
            return Some(studio.media().base64(data).unwrap_or(Source::Elsewhere));
        }
        let file = field(part, "fileData", "file_data");
        Some(field(file, "fileUri", "file_uri")).filter(|uri| uri.is_string()).map(|uri| studio.picture(uri))
    });
    if prompt.is_empty() && picture.is_none() {
        return Err(Refusal::invalid("contents", "contents.parts must not be empty"));
    }
    let config = field(&input, "generationConfig", "generation_config").clone();
    let wants_picture = match &config["responseModalities"] {
        Value::Array(kinds) => {
            kinds.iter().any(|kind| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("image")))
        }
        _ => model.contains("image") || model.contains("banana"),
    };
    let seed = seed(&json!({"seed": config["seed"], "prompt": prompt}));
    let mut order = Order::new(model, Kind::Image, Value::Null);
    if !wants_picture {
        order.memory = described(&prompt, picture.as_ref(), studio).into();
    } else if let Some(source) = picture {
        order.makes.push(Recipe::changed(source, &prompt, seed, Change::Edit, Format::Png));
    } else {
        let size = config["imageConfig"]["aspectRatio"].as_str().and_then(aspect).unwrap_or((1_024, 1_024));
        order.makes.push(Recipe::drawn(&prompt, seed, size, Format::Png));
    }
    order.input = input;
    Ok(order)
}

/// Reads `predictLongRunning`.
pub(super) fn film(model: &str, input: Value) -> Result<Order, Refusal> {
    let instance = &input["instances"][0];
    let prompt = instance["prompt"].as_str().filter(|prompt| !prompt.is_empty());
    prompt.ok_or_else(|| Refusal::invalid("instances", "prompt is missing"))?;
    let parameters = &input["parameters"];
    let count = parameters["sampleCount"].as_u64().unwrap_or(1).clamp(1, 4);
    let (seed, seconds) = (seed(&input), seconds(&parameters["durationSeconds"], 8));
    let mut order = Order::new(model, Kind::Video, Value::Null);
    order.makes = (0..count).map(|number| Recipe::Film { mark: seed + number, seconds }).collect();
    order.id = Some(crate::world::new_id());
    order.input = input;
    Ok(order)
}

/// The answer to `generateContent`.
pub(super) fn answer(job: &Job, studio: &Studio<'_>) -> Value {
    let parts: Vec<Value> = match job.memory.as_str() {
        Some(text) => vec![json!({"text": text})],
        None => job
            .makes
            .iter()
            .map(|recipe| {
                let data = to_base64(&studio.make(recipe));
                json!({"inlineData": {"mimeType": recipe.media_type(), "data": data}})
            })
            .collect(),
    };
    let candidate = match (job.verdict, job.makes.is_empty()) {
        (Verdict::Rejected, true) => json!({"finishReason": "SAFETY", "index": 0}),
        (Verdict::Rejected, false) => json!({
            "content": {"role": "model"}, "finishReason": "IMAGE_SAFETY", "index": 0,
            "finishMessage": "Unable to show the generated image.",
        }),
        _ => json!({"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}),
    };
    let made = 1_290 * job.makes.len() as u64;
    json!({
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": made, "totalTokenCount": made + 10},
        "modelVersion": job.endpoint, "responseId": job.id,
    })
}

/// What a model says that gives no pictures: boxes where the prompt asks for them, otherwise a sentence.
fn described(prompt: &str, picture: Option<&Source>, studio: &Studio<'_>) -> String {
    let Some(source) = picture else {
        return format!("The simulator has read {} characters.", prompt.chars().count());
    };
    let (boxes, (width, height)) = studio.find(source);
    if !prompt.contains("box") {
        return format!("A picture of {width} by {height} pixels in which {} thing(s) stand out.", boxes.len());
    }
    let part = |at: u32, of: u32| u64::from(at) * 1_000 / u64::from(of.max(1));
    let boxes: Vec<Value> = boxes
        .iter()
        .map(|(found, _)| {
            let corners = [
                part(found.y, height),
                part(found.x, width),
                part(found.y + found.h, height),
                part(found.x + found.w, width),
            ];
            json!({"box_2d": corners, "label": "object"})
        })
        .collect();
    Value::from(boxes).to_string()
}

/// A field in either spelling.
fn field<'a>(value: &'a Value, camel: &str, snake: &str) -> &'a Value {
    match &value[camel] {
        Value::Null => &value[snake],
        known => known,
    }
}
