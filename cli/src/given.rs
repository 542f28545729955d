//! Inputs from the command line: `-i name=value`, with files read and taken in.

use crate::failure::Failure;
use crate::links::Links;
use darkroom_backend::{ArtifactError, Artifacts, Details};
use darkroom_engine::input::{self, Given, InputError};
use darkroom_engine::plan::{Input, InputType, Plan};
use darkroom_proto::{Artifact, Map, Sha256};
use darkroom_worker::media::{Format, Limits, read_info};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One `-i name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    name: String,
    value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Assignment { name: name.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME=VALUE".to_owned()),
        }
    }
}

/// The most files of one list.
const FILES_MAX: usize = 100_000;

/// The largest text file that is read as a value.
const TEXT_BYTES_MAX: u64 = 64 << 20;

/// Refuses names that the workflow does not have.
pub(crate) fn check_names(plan: &Plan, given: &[Assignment]) -> Result<(), Failure> {
    for assignment in given {
        if !plan.inputs.iter().any(|input| input.name == assignment.name) {
            let known = plan.inputs.iter().map(|input| input.name.clone()).collect();
            return Err(refused(&InputError::Unknown { name: assignment.name.clone(), known }));
        }
    }
    Ok(())
}

/// The inputs of a run, defaults included, their files in the artifact store. Default paths are relative to the
/// workflow's folder, given ones to the current one.
pub(crate) async fn take_in(
    plan: &Plan,
    given: &[Assignment],
    folder: &Path,
    store: &Artifacts,
    links: &Links,
) -> Result<Map, Failure> {
    read_all(plan, given, &Map::new(), folder, &Taker { store: Some(store), links }).await
}

/// As `take_in`, with other defaults for some inputs, such as those of a schedule.
pub(crate) async fn take_in_with(
    plan: &Plan,
    given: &[Assignment],
    defaults: &Map,
    folder: &Path,
    store: &Artifacts,
    links: &Links,
) -> Result<Map, Failure> {
    read_all(plan, given, defaults, folder, &Taker { store: Some(store), links }).await
}

/// Those inputs alone that are given, their files in the artifact store.
pub(crate) async fn take_in_given(
    plan: &Plan,
    given: &[Assignment],
    store: &Artifacts,
    links: &Links,
) -> Result<Map, Failure> {
    check_names(plan, given)?;
    let named = |input: &&Input| given.iter().any(|given| given.name == input.name);
    let inputs: Vec<Input> = plan.inputs.iter().filter(named).cloned().collect();
    read_inputs(&inputs, given, &Map::new(), Path::new(""), &Taker { store: Some(store), links }).await
}

/// As `take_in`, but nothing is kept: enough to see what would run.
pub(crate) async fn looked_at(plan: &Plan, given: &[Assignment], folder: &Path, links: &Links) -> Result<Map, Failure> {
    read_all(plan, given, &Map::new(), folder, &Taker { store: None, links }).await
}

/// Takes files in: keeps them, if there is a store, and fetches those that are links.
struct Taker<'a> {
    store: Option<&'a Artifacts>,
    links: &'a Links,
}

impl Taker<'_> {
    fn file(&self, path: &Path, details: &Details) -> Result<Artifact, ArtifactError> {
        if let Some(store) = self.store {
            return store.put_file(path, details);
        }
        let bytes = std::fs::read(path)
            .map_err(|source| ArtifactError::Unavailable { place: path.display().to_string(), source })?;
        Ok(described(&bytes, details))
    }

    fn bytes(&self, bytes: &[u8], details: &Details) -> Result<Artifact, ArtifactError> {
        self.store.map_or_else(|| Ok(described(bytes, details)), |store| store.put(bytes, details))
    }
}

fn described(bytes: &[u8], details: &Details) -> Artifact {
    Artifact {
        sha256: Sha256::of(bytes),
        media_type: details.media_type.clone(),
        bytes: bytes.len() as u64,
        width: details.width,
        height: details.height,
        duration: details.duration,
        name: details.name.clone(),
    }
}

async fn read_all(
    plan: &Plan,
    given: &[Assignment],
    defaults: &Map,
    folder: &Path,
    taker: &Taker<'_>,
) -> Result<Map, Failure> {
    check_names(plan, given)?;
    read_inputs(&plan.inputs, given, defaults, folder, taker).await
}

async fn read_inputs(
    wanted: &[Input],
    given: &[Assignment],
    defaults: &Map,
    folder: &Path,
    taker: &Taker<'_>,
) -> Result<Map, Failure> {
    let mut inputs = Map::new();
    for input in wanted {
        let values: Vec<&str> =
            given.iter().filter(|given| given.name == input.name).map(|given| given.value.as_str()).collect();
        let value = if values.is_empty() {
            match defaults.get(&input.name).or(input.default.as_ref()) {
                Some(default) => with_files(input, default, folder, taker).await?,
                None if input.required => {
                    return Err(refused(&InputError::Missing {
                        name: input.name.clone(),
                        wanted: input::describe(&input.ty).to_owned(),
                    }));
                }
                None => continue,
            }
        } else {
            from_texts(input, &values, taker).await?
        };
        input::check(input, &value).map_err(|error| refused(&error))?;
        inputs.insert(input.name.clone(), value);
    }
    Ok(inputs)
}

async fn from_texts(input: &Input, values: &[&str], taker: &Taker<'_>) -> Result<Value, Failure> {
    let single = || match values {
        [value] => Ok(*value),
        _ => Err(Failure::usage(format!("the input `{}` is given {} times", input.name, values.len()))
            .advice("only lists may be given several times")),
    };
    let here = Path::new("");
    match &input.ty {
        InputType::Images | InputType::Files => {
            let mut files = Vec::new();
            for value in values {
                let link = value.strip_prefix('@').unwrap_or(value);
                if is_link(link) {
                    files.push(linked(input, link, taker).await?.to_value());
                } else {
                    for path in expanded(input, value)? {
                        files.push(file(input, &path, taker)?.to_value());
                    }
                }
                if files.len() > FILES_MAX {
                    return Err(Failure::usage(format!("the input `{}` has more than {FILES_MAX} files", input.name)));
                }
            }
            Ok(Value::Array(files))
        }
        InputType::Image | InputType::Video | InputType::Audio | InputType::File => {
            let value = single()?;
            one_file(input, value.strip_prefix('@').unwrap_or(value), here, taker).await
        }
        InputType::Json | InputType::Csv | InputType::JsonLines | InputType::Scenes => {
            let value = single()?;
            let is_path = !matches!(input.ty, InputType::Json);
            let text = match value.strip_prefix('@') {
                Some(path) => read_text(input, Path::new(path))?,
                None if is_path => read_text(input, Path::new(value))?,
                None => value.to_owned(),
            };
            input::coerce(input, Given::Text(&text)).map_err(|error| refused(&error))
        }
        InputType::String | InputType::Integer | InputType::Number | InputType::Boolean | InputType::Enum(_) => {
            input::coerce(input, Given::Text(single()?)).map_err(|error| refused(&error))
        }
    }
}

/// A default, with the files that it names taken in.
/// Takes in the files that inputs have as defaults, as far as they are there.
pub(crate) async fn take_in_defaults(plan: &Plan, folder: &Path, store: &Artifacts, links: &Links) -> Map {
    let taker = Taker { store: Some(store), links };
    let mut files = Map::new();
    for input in plan.inputs.iter().filter(|input| input.takes_files()) {
        let Some(default) = &input.default else { continue };
        if let Ok(value) = with_files(input, default, folder, &taker).await {
            files.insert(input.name.clone(), value);
        }
    }
    files
}

async fn with_files(input: &Input, default: &Value, folder: &Path, taker: &Taker<'_>) -> Result<Value, Failure> {
    match (&input.ty, default) {
        (InputType::Image | InputType::Video | InputType::Audio | InputType::File, Value::String(path)) => {
            one_file(input, path, folder, taker).await
        }
        (InputType::Images | InputType::Files, Value::Array(paths)) => {
            let mut files = Vec::new();
            for path in paths.iter().filter_map(Value::as_str).filter(|path| !path.starts_with('@')) {
                files.push(one_file(input, path, folder, taker).await?);
            }
            for path in of_patterns(input, paths, folder)? {
                files.push(file(input, &path, taker)?.to_value());
            }
            Ok(Value::Array(files))
        }
        (InputType::Csv | InputType::JsonLines | InputType::Scenes, Value::String(path)) => {
            let text = read_text(input, &folder.join(path.strip_prefix('@').unwrap_or(path)))?;
            input::coerce(input, Given::Text(&text)).map_err(|error| refused(&error))
        }
        _ => Ok(default.clone()),
    }
}

async fn one_file(input: &Input, path: &str, folder: &Path, taker: &Taker<'_>) -> Result<Value, Failure> {
    let taken = match is_link(path) {
        true => linked(input, path, taker).await,
        false => file(input, &folder.join(path), taker),
    };
    Ok(taken?.to_value())
}

fn is_link(text: &str) -> bool {
    text.contains("://")
}

/// Takes in what a link leads to, which must be of the kind that the input is for: a link that has expired often leads to
/// a page that says so.
async fn linked(input: &Input, link: &str, taker: &Taker<'_>) -> Result<Artifact, Failure> {
    let limits = Limits::default();
    let wants = match input.ty {
        InputType::Image | InputType::Images => Some(("image/", "picture")),
        InputType::Video => Some(("video/", "film")),
        InputType::Audio => Some(("audio/", "sound")),
        _ => None,
    };
    let of_kind = wants.filter(|(family, _)| *family == "image/").map(|_| limits.bytes_max);
    let bytes_max = input.bytes_max.or(of_kind).unwrap_or(Links::BYTES_MAX).min(Links::BYTES_MAX);
    let of_input = |failure: Failure| {
        let message = format!("the input `{}`: {}", input.name, failure.message());
        failure.saying(message)
    };
    let found = taker.links.fetch(link, bytes_max).await.map_err(of_input)?;
    if let Some((family, what)) = wants
        && !found.media_type.starts_with(family)
    {
        let said = format!("{} is no {what} but {}", found.place, found.media_type);
        return Err(
            of_input(Failure::usage(said)).advice("open the link in a browser: it may ask to log in, or have expired")
        );
    }
    let mut details = Details { media_type: found.media_type, name: found.name, ..Details::default() };
    if let Ok(info) = read_info(&found.bytes, &limits) {
        (details.width, details.height) = (Some(info.size.width), Some(info.size.height));
    }
    taker.bytes(&found.bytes, &details).map_err(Failure::from)
}

/// Takes a file in, after a look at what it is.
fn file(input: &Input, path: &Path, taker: &Taker<'_>) -> Result<Artifact, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("the input `{}`: there is no file {shown}", input.name))
            .advice(format!("give another one: -i {}=PATH", input.name)),
        _ => Failure::usage(format!("the input `{}`: {shown} can't be read: {error}", input.name)),
    };
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(Failure::usage(format!("the input `{}`: {shown} is no file", input.name))
            .advice(format!("for the files of a folder: -i '{}=@{shown}/*'", input.name)));
    }
    if let Some(max) = input.bytes_max
        && about.len() > max
    {
        return Err(Failure::usage(format!(
            "the input `{}`: {shown} has {} bytes, over its limit of {max}",
            input.name,
            about.len()
        )));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut details = Details { media_type: "application/octet-stream".into(), name, ..Details::default() };
    let wants_picture = matches!(input.ty, InputType::Image | InputType::Images);
    match picture(path, about.len()) {
        Ok(Some(info)) => details = Details { name: details.name, ..info },
        // What its name calls a picture is taken for one, and told by the step that opens it: others of a list go on.
        Ok(None) | Err(_) if wants_picture => {
            let named = path.extension().and_then(|extension| extension.to_str());
            let format = named.and_then(|extension| Format::of_extension(&extension.to_ascii_lowercase()));
            details.media_type = format.map_or(details.media_type, |format| format.media_type().to_owned());
        }
        Ok(None) | Err(_) => {}
    }
    taker.file(path, &details).map_err(Failure::from)
}

/// What kind of picture a file is, told from its beginning; `None` when it is too long to be one that is read.
fn picture(path: &Path, bytes: u64) -> Result<Option<Details>, darkroom_worker::media::MediaError> {
    let limits = Limits::default();
    limits.check_bytes(bytes)?;
    let Ok(content) = std::fs::read(path) else { return Ok(None) };
    let info = read_info(&content, &limits)?;
    Ok(Some(Details {
        media_type: info.format.media_type().to_owned(),
        width: Some(info.size.width),
        height: Some(info.size.height),
        ..Details::default()
    }))
}

/// The files that `@pattern` means, in the order in which people count; or the one path.
fn expanded(input: &Input, value: &str) -> Result<Vec<PathBuf>, Failure> {
    let Some(pattern) = value.strip_prefix('@') else {
        return Ok(vec![PathBuf::from(value)]);
    };
    let found = glob::glob(pattern)
        .map_err(|error| Failure::usage(format!("the input `{}`: `{pattern}` is no pattern: {error}", input.name)))?;
    let mut paths: Vec<PathBuf> = found.filter_map(Result::ok).filter(|path| path.is_file()).collect();
    if paths.is_empty() {
        return Err(Failure::usage(format!("the input `{}`: no file matches {pattern}", input.name))
            .advice("check the folder, and put the pattern in quotes so that the shell leaves it alone"));
    }
    paths.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(paths)
}

/// The files that the patterns `@…` of a default mean together, in the order in which people count. Endings count in upper and
/// lower case alike.
fn of_patterns(input: &Input, default: &[Value], folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let patterns: Vec<&str> = default.iter().filter_map(|value| value.as_str()?.strip_prefix('@')).collect();
    let options = glob::MatchOptions { case_sensitive: false, ..glob::MatchOptions::new() };
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in &patterns {
        // The folder is a name, not a pattern.
        let whole = Path::new(&glob::Pattern::escape(&folder.display().to_string())).join(pattern);
        let found = glob::glob_with(&whole.display().to_string(), options).map_err(|error| {
            Failure::usage(format!("the input `{}`: `{pattern}` is no pattern: {error}", input.name))
        })?;
        paths.extend(found.filter_map(Result::ok).filter(|path| path.is_file()));
        if paths.len() > FILES_MAX {
            return Err(Failure::usage(format!("the input `{}` has more than {FILES_MAX} files", input.name)));
        }
    }
    if paths.is_empty() && !patterns.is_empty() {
        return Err(Failure::usage(format!("the input `{}`: no file matches {}", input.name, patterns.join(", ")))
            .advice(format!("put files there, or give others: -i '{}=@FOLDER/*'", input.name)));
    }
    paths.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    paths.dedup();
    Ok(paths)
}

fn read_text(input: &Input, path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("the input `{}`: {} can't be read: {error}", input.name, path.display()))
    };
    if std::fs::metadata(path).map_err(failed)?.len() > TEXT_BYTES_MAX {
        return Err(Failure::usage(format!(
            "the input `{}`: {} is over {TEXT_BYTES_MAX} bytes",
            input.name,
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(failed)
}

fn refused(error: &InputError) -> Failure {
    Failure::usage(error.to_string()).advice(error.advice())
}
