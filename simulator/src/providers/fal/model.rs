//! What fal's models take and give.

use crate::job::{Job, Order, Verdict};
use crate::media::{Change, Recipe, within};
use crate::options::Kind;
use crate::provider::Refusal;
use crate::studio::{Studio, aspect, seconds, seed};
use darkroom_worker::media::Format;
use serde_json::{Value, json};

/// What a model gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Images,
    Image,
    Video,
    Audio,
    Boxes,
    Objects,
}

fn shape(endpoint: &str) -> Shape {
    let has = |words: &[&str]| words.iter().any(|word| endpoint.contains(word));
    match () {
        () if has(&["tts", "speech"]) => Shape::Audio,
        () if has(&["video"]) => Shape::Video,
        () if has(&["moondream"]) => Shape::Objects,
        () if has(&["detection", "grounding"]) => Shape::Boxes,
        () if has(&["birefnet", "background/remove", "rembg", "upscale", "illusion"]) => Shape::Image,
        () => Shape::Images,
    }
}

/// Whether what is rejected becomes a black picture instead of an error.
pub(super) fn is_flux(endpoint: &str) -> bool {
    endpoint.contains("flux")
}

/// Whether the outputs are wanted as data URIs.
pub(super) fn is_inline(job: &Job) -> bool {
    job.input["sync_mode"] == true
}

pub(super) fn order(endpoint: &str, input: Value, studio: &Studio<'_>) -> Result<Order, Refusal> {
    if !input.is_object() {
        return Err(Refusal::invalid("", "Input should be a valid dictionary"));
    }
    let text = |name: &str| input[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing(name));
    let given = match &input["image_urls"] {
        Value::Array(urls) => urls.first(),
        _ => Some(&input["image_url"]).filter(|url| url.is_string()),
    };
    let picture = || given.map(|url| studio.picture(url)).ok_or_else(|| Refusal::missing("image_url"));
    let (seed, shape) = (seed(&input), shape(endpoint));
    let kind = match shape {
        Shape::Video => Kind::Video,
        Shape::Audio => Kind::Audio,
        _ => Kind::Image,
    };
    let mut order = Order::new(endpoint, kind, Value::Null);
    order.memory = seed.into();
    match shape {
        Shape::Audio => order.makes.push(Recipe::speech(text("text")?, false)),
        Shape::Video => {
            if endpoint.contains("upscale") {
                text("video_url")?;
            } else {
                text("prompt")?;
            }
            if endpoint.contains("image-to-video") {
                picture()?;
            }
            order.makes.push(Recipe::Film { mark: seed, seconds: seconds(&input["duration"], 5) });
        }
        Shape::Boxes | Shape::Objects => {
            let (boxes, size) = studio.find(&picture()?);
            let label = ["text_input", "prompt", "object"].iter().find_map(|name| input[*name].as_str());
            order.memory = match shape {
                Shape::Boxes => boxes
                    .iter()
                    .map(|(found, _)| {
                        json!({"x": found.x, "y": found.y, "w": found.w, "h": found.h, "label": label.unwrap_or("object")})
                    })
                    .collect(),
                _ => boxes
                    .iter()
                    .map(|(found, _)| {
                        let across = |x: u32| f64::from(x) / f64::from(size.0);
                        let down = |y: u32| f64::from(y) / f64::from(size.1);
                        json!({
                            "x_min": across(found.x), "y_min": down(found.y),
                            "x_max": across(found.x + found.w), "y_max": down(found.y + found.h),
                        })
                    })
                    .collect(),
            };
        }
        Shape::Image => {
            let prompt = input["prompt"].as_str().unwrap_or_default();
            let (change, format) = match () {
                () if endpoint.contains("upscale") => {
                    let factor = input["upscale_factor"].as_f64().unwrap_or(2.0).clamp(1.0, 8.0);
                    (Change::Enlarge((factor * 100.0) as u32), format(&input, Format::Jpeg))
                }
                () if endpoint.contains("illusion") => (Change::Edit, Format::Png),
                () => (Change::CutOut, format(&input, Format::Png)),
            };
            order.makes.push(Recipe::changed(picture()?, prompt, seed, change, format));
        }
        Shape::Images => {
            let prompt = text("prompt")?;
            let needs_picture =
                endpoint.ends_with("/edit") || (endpoint.contains("kontext") && !endpoint.ends_with("text-to-image"));
            let edited = if needs_picture { Some(picture()?) } else { None };
            let format = format(&input, if is_flux(endpoint) { Format::Jpeg } else { Format::Png });
            for number in 0..input["num_images"].as_u64().unwrap_or(1).clamp(1, 10) {
                order.makes.push(match &edited {
                    Some(source) => Recipe::changed(source.clone(), prompt, seed + number, Change::Edit, format),
                    None => Recipe::drawn(prompt, seed + number, size(&input), format),
                });
            }
        }
    }
    order.input = input;
    Ok(order)
}

/// The output of a job, whose files are where `link` says.
pub(super) fn output(job: &Job, link: &mut dyn FnMut(usize) -> String) -> Value {
    let mut file = |output: usize| {
        let Some(recipe) = job.makes.get(output) else { return Value::Null };
        let mut file = json!({
            "url": link(output), "content_type": recipe.media_type(),
            "file_name": format!("{output}.{}", recipe.extension()), "file_size": null,
        });
        if let Some((width, height)) = recipe.size() {
            let (width, height) = within(width, height);
            (file["width"], file["height"]) = (width.into(), height.into());
        }
        file
    };
    match shape(&job.endpoint) {
        Shape::Video => json!({"video": file(0)}),
        Shape::Audio => json!({"audio": file(0)}),
        Shape::Image => json!({"image": file(0), "seed": job.memory}),
        Shape::Boxes => json!({"results": {"bboxes": job.memory}}),
        Shape::Objects => json!({"objects": job.memory, "finish_reason": "stop"}),
        Shape::Images => {
            let images: Vec<Value> = (0..job.makes.len()).map(file).collect();
            if !is_flux(&job.endpoint) {
                return json!({"images": images, "description": ""});
            }
            let nsfw = vec![job.verdict == Verdict::Rejected; job.makes.len()];
            json!({
                "images": images, "timings": {"inference": job.takes_s()}, "seed": job.memory,
                "has_nsfw_concepts": nsfw, "prompt": job.input["prompt"],
            })
        }
    }
}

fn format(input: &Value, otherwise: Format) -> Format {
    input["output_format"].as_str().and_then(Format::of_extension).unwrap_or(otherwise)
}

fn size(input: &Value) -> (u32, u32) {
    let side = |name: &str| input["image_size"][name].as_u64().map(|side| side.clamp(1, 14_142) as u32);
    if let (Some(width), Some(height)) = (side("width"), side("height")) {
        return (width, height);
    }
    match input["image_size"].as_str() {
        Some("square_hd") => (1_024, 1_024),
        Some("square") => (512, 512),
        Some("portrait_4_3") => (768, 1_024),
        Some("portrait_16_9") => (576, 1_024),
        Some("landscape_16_9") => (1_024, 576),
        Some(_) => (1_024, 768),
        None => input["aspect_ratio"].as_str().and_then(aspect).unwrap_or((1_024, 768)),
    }
}
