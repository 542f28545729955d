//! What a graph asks for.

use super::{IN_NODES, file_id};
use crate::job::{Job, Order};
use crate::media::{Change, Recipe, Source};
use crate::options::Kind;
use crate::provider::Refusal;
use crate::studio::Studio;
use darkroom_worker::media::Format;
use serde_json::{Map, Value, json};

/// The most nodes of a graph.
const NODES_MAX: usize = 2_000;

/// The most outputs of a graph.
const OUTPUTS_MAX: usize = 16;

/// Nodes that end a graph, the list in which they name their files, what they give, and whether they keep it.
const SAVES: &[(&str, &str, Gives, bool)] = &[
    ("SaveImage", "images", Gives::Picture, true),
    ("PreviewImage", "images", Gives::Picture, false),
    ("SaveVideo", "images", Gives::Film, true),
    ("VHS_VideoCombine", "gifs", Gives::Film, true),
    ("SaveAudioMP3", "audio", Gives::Sound, true),
];

/// Inputs of nodes that name a file of a model.
const MODEL_FILES: &[&str] =
    &["ckpt_name", "unet_name", "vae_name", "clip_name", "lora_name", "control_net_name", "model_name"];

/// How files of models end. One with such an ending is there, whatever its name.
const MODEL_ENDINGS: &[&str] = &[".safetensors", ".ckpt", ".pth", ".pt", ".sft", ".gguf"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    Picture,
    Film,
    Sound,
}

/// A file that a graph saves.
pub(super) struct File {
    pub(super) node: String,
    /// The name of the list in the outputs of its node.
    pub(super) list: String,
    /// `output`, or `temp` for what is only shown.
    pub(super) kind: String,
    pub(super) folder: String,
    pub(super) name: String,
}

/// The order that a graph is.
///
/// # Errors
/// As `ComfyUi::refuse` reads them: the type of the error with its message, or with a document of nodes.
pub(super) fn order(graph: &Value, studio: &Studio<'_>) -> Result<Order, Refusal> {
    let nodes = graph.as_object().filter(|nodes| !nodes.is_empty() && nodes.len() <= NODES_MAX);
    let nodes = nodes.ok_or_else(|| Refusal::invalid("no_prompt", "No prompt provided"))?;
    if let Some((id, _)) = nodes.iter().find(|(_, node)| class(node).is_empty()) {
        let told = format!("Cannot execute because node #{id} is missing the class_type property.");
        return Err(Refusal::invalid("invalid_prompt", told));
    }
    let saves: Vec<_> = nodes
        .iter()
        .filter_map(|(id, node)| Some((id, node, SAVES.iter().find(|(name, ..)| *name == class(node))?)))
        .take(OUTPUTS_MAX)
        .collect();
    if saves.is_empty() {
        return Err(Refusal::invalid("prompt_no_outputs", "Prompt has no outputs"));
    }
    let source = checked(nodes, studio)?;
    let kind = match saves.iter().map(|(.., save)| save.2).find(|gives| *gives != Gives::Picture) {
        Some(Gives::Film) => Kind::Video,
        Some(_) => Kind::Audio,
        None => Kind::Image,
    };
    let mut order = Order::new("prompt", kind, Value::Null);
    let (prompt, seed) = (text(nodes), number(nodes, &["seed", "noise_seed"]).unwrap_or(0));
    let mut files = Vec::new();
    for (output, (id, node, (_, list, gives, is_kept))) in saves.iter().enumerate() {
        order.makes.push(match (gives, &source) {
            (Gives::Film, _) => Recipe::Film { mark: seed.wrapping_add(output as u64), seconds: 5 },
            (Gives::Sound, _) => Recipe::speech(&prompt, false),
            (Gives::Picture, Some(source)) => {
                Recipe::changed(source.clone(), &prompt, seed + output as u64, change(nodes), Format::Png)
            }
            (Gives::Picture, None) => Recipe::drawn(&prompt, seed + output as u64, size(nodes), Format::Png),
        });
        let prefix = node["inputs"]["filename_prefix"].as_str().unwrap_or("ComfyUI");
        files.push(json!([id, list, prefix, is_kept]));
    }
    order.memory = files.into();
    Ok(order)
}

/// The files of a job, in the order of what it makes.
pub(super) fn files(job: &Job) -> Vec<File> {
    let saved = job.memory.as_array().into_iter().flatten().enumerate();
    saved
        .map(|(output, file)| {
            let part = |at: usize| file[at].as_str().unwrap_or_default().to_owned();
            let prefix = part(2);
            let (folder, stem) = prefix.rsplit_once('/').unwrap_or(("", &prefix));
            let number = job.number * OUTPUTS_MAX as u64 + output as u64 + 1;
            let ending = job.makes.get(output).map_or("bin", |recipe| recipe.extension());
            File {
                node: part(0),
                list: part(1),
                kind: if file[3] == true { "output" } else { "temp" }.to_owned(),
                folder: folder.to_owned(),
                name: format!("{stem}_{number:05}_.{ending}"),
            }
        })
        .collect()
}

/// What is told about nodes: those of a usual graph, or one of them.
pub(super) fn objects(only: Option<&str>) -> Value {
    let models = json!([["sd_xl_base_1.0.safetensors", "flux1-dev.safetensors"], {}]);
    let all = json!({
        "CheckpointLoaderSimple": node("loaders", json!({"ckpt_name": models}), &["MODEL", "CLIP", "VAE"], false),
        "CLIPTextEncode": node("conditioning", json!({"text": ["STRING", {}], "clip": ["CLIP", {}]}), &["CONDITIONING"], false),
        "EmptyLatentImage": node(
            "latent",
            json!({"width": ["INT", {}], "height": ["INT", {}], "batch_size": ["INT", {}]}),
            &["LATENT"],
            false,
        ),
        "KSampler": node(
            "sampling",
            json!({
                "model": ["MODEL", {}], "seed": ["INT", {}], "steps": ["INT", {}], "cfg": ["FLOAT", {}],
                "sampler_name": [["euler", "dpmpp_2m"], {}], "scheduler": [["normal", "karras", "simple"], {}],
                "positive": ["CONDITIONING", {}], "negative": ["CONDITIONING", {}], "latent_image": ["LATENT", {}],
                "denoise": ["FLOAT", {}],
            }),
            &["LATENT"],
            false,
        ),
        "VAEDecode": node("latent", json!({"samples": ["LATENT", {}], "vae": ["VAE", {}]}), &["IMAGE"], false),
        "LoadImage": node("image", json!({"image": [["example.png"], {"image_upload": true}]}), &["IMAGE", "MASK"], false),
        "SaveImage": node("image", json!({"images": ["IMAGE", {}], "filename_prefix": ["STRING", {}]}), &[], true),
    });
    match only {
        None => all,
        Some(name) if all[name].is_null() => json!({}),
        Some(name) => json!({name: all[name]}),
    }
}

fn node(category: &str, required: Value, output: &[&str], is_output: bool) -> Value {
    json!({"input": {"required": required}, "output": output, "category": category, "output_node": is_output})
}

fn class(node: &Value) -> &str {
    node["class_type"].as_str().unwrap_or_default()
}

/// Looks at links, files of models and pictures to load; gives the first picture.
fn checked(nodes: &Map<String, Value>, studio: &Studio<'_>) -> Result<Option<Source>, Refusal> {
    let mut first = None;
    for (id, node) in nodes {
        let wrong = |input: &str, kind: &str, message: &str, details: String| {
            let error = json!({
                "type": kind, "message": message, "details": details, "extra_info": {"input_name": input},
            });
            let nodes = json!({id: {"errors": [error], "dependent_outputs": [], "class_type": class(node)}});
            Refusal::invalid(IN_NODES, nodes.to_string())
        };
        for (input, value) in node["inputs"].as_object().into_iter().flatten() {
            if let Some(from) = value.as_array().filter(|link| link.len() == 2).and_then(|link| link[0].as_str())
                && !nodes.contains_key(from)
            {
                return Err(wrong(input, "bad_linked_input", "Bad linked input", format!("{input}, {value}")));
            }
            let Some(name) = value.as_str() else { continue };
            if MODEL_FILES.iter().any(|known| input.starts_with(known))
                && !MODEL_ENDINGS.iter().any(|ending| name.ends_with(ending))
            {
                let details = format!("{input}: '{name}' not in ['sd_xl_base_1.0.safetensors']");
                return Err(wrong(input, "value_not_in_list", "Value not in list", details));
            }
        }
        if !["LoadImage", "LoadImageMask"].contains(&class(node)) {
            continue;
        }
        let name = node["inputs"]["image"].as_str().unwrap_or_default();
        let (name, kind) = match name.strip_suffix(']').and_then(|name| name.rsplit_once(" [")) {
            Some(parts) => parts,
            None => (name, "input"),
        };
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        let source = studio.picture(&file_id(kind, folder, file).into());
        if source == Source::Elsewhere && name != "example.png" {
            let details = format!("image - Invalid image file: {name}");
            return Err(wrong("image", "custom_validation_failed", "Custom validation failed for node", details));
        }
        first.get_or_insert(source);
    }
    Ok(first)
}

/// The texts of a graph. Which is the negative one is told by what samples.
fn text(nodes: &Map<String, Value>) -> String {
    let positive = nodes.values().find_map(|node| node["inputs"]["positive"][0].as_str());
    let of = |node: &Value| node["inputs"]["text"].as_str().map(str::to_owned);
    let named = positive.and_then(|id| of(nodes.get(id)?));
    named.or_else(|| nodes.values().find_map(of)).unwrap_or_default()
}

fn number(nodes: &Map<String, Value>, names: &[&str]) -> Option<u64> {
    nodes.values().find_map(|node| names.iter().find_map(|name| node["inputs"][*name].as_u64()))
}

fn size(nodes: &Map<String, Value>) -> (u32, u32) {
    let side = |name| number(nodes, &[name]).map_or(1_024, |side| side.clamp(16, 8_192) as u32);
    (side("width"), side("height"))
}

/// What becomes of a picture that is loaded.
fn change(nodes: &Map<String, Value>) -> Change {
    let has = |word: &str| nodes.values().any(|node| class(node).contains(word));
    match () {
        () if has("UpscaleWithModel") => Change::Enlarge(400),
        () if has("RMBG") || has("RemoveBackground") => Change::CutOut,
        () => Change::Edit,
    }
}
