//! `image.contact-sheet`.

use super::Job;
use super::job::outputs;
use super::label::{image_of, label, matrix_keys, matrix_places, missing_reason};
use crate::media::{Cell, CellContent, DecodeHint, MediaError, Sheet, contact_sheet, resize_to};
use darkroom_proto::{Artifact, StepError, Succeeded};
use serde_json::Value;

/// What goes into a cell, before anything is decoded.
struct Entry {
    label: String,
    place: Option<(u32, u32)>,
    content: Result<Artifact, String>,
}

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let entries = match (params.list("results"), params.list("images")) {
        (Some(_), Some(_)) => {
            return Err(params.invalid("images", "can't be given with `results`").advice("Give one of the two."));
        }
        (Some(results), None) => from_results(results, params.pixels("columns").is_some()),
        (None, Some(images)) => from_images(images, params.list("labels").unwrap_or_default()),
        (None, None) => return Err(params.missing("results").advice("Give `results` or `images`.")),
    };
    let cell = params.pixels("cell").ok_or_else(|| params.missing("cell"))?;
    let background = params.parsed("background")?;
    let places: Vec<(u32, u32)> = entries.iter().filter_map(|entry| entry.place).collect();
    let sheet = match (places.iter().map(|place| place.0).max(), places.iter().map(|place| place.1).max()) {
        (Some(row), Some(column)) => Sheet::grid(row + 1, column + 1, cell, background)?,
        _ => Sheet::for_count(entries.len(), params.pixels("columns"), cell, background)?,
    };

    let mut cells = Vec::with_capacity(entries.len());
    for entry in entries {
        let content = match entry.content {
            Ok(artifact) => picture(job, &sheet, &artifact)?,
            Err(reason) => CellContent::Missing(reason),
        };
        cells.push(Cell { label: entry.label, content, place: entry.place });
    }
    let drawn = contact_sheet(&sheet.trimmed(&cells), &cells)?;
    drop(cells);
    Ok(outputs([("image", job.hand_on(drawn, None)?.to_value())]))
}

/// Each picture is made small before the next is read: a sheet of a hundred photographs needs the memory of one.
fn picture(job: &Job<'_>, sheet: &Sheet, artifact: &Artifact) -> Result<CellContent, StepError> {
    let decoded = job.picture_for(artifact, |info| Ok(DecodeHint::at_least(sheet.fitted(info.size)?)))?;
    let small = sheet.fitted(decoded.info.size).and_then(|size| resize_to(&decoded.picture, size));
    Ok(CellContent::Picture(small.map_err(|error: MediaError| StepError::from(error))?))
}

fn from_results(results: &[Value], columns_given: bool) -> Vec<Entry> {
    let keys = matrix_keys(results);
    let places = if columns_given { None } else { matrix_places(results, &keys) };
    let entry = |(position, result): (usize, &Value)| Entry {
        label: label(result, &keys, position),
        place: places.as_ref().and_then(|places| places.get(position).copied()),
        content: image_of(result)
            .filter(|_| result.get("ok").and_then(Value::as_bool) != Some(false))
            .ok_or_else(|| missing_reason(result)),
    };
    results.iter().enumerate().map(entry).collect()
}

fn from_images(images: &[Value], labels: &[Value]) -> Vec<Entry> {
    let artifacts = images.iter().filter_map(Artifact::from_value);
    let entry = |(position, artifact): (usize, Artifact)| {
        let given = labels.get(position).and_then(Value::as_str).map(str::to_owned);
        Entry { label: given.unwrap_or_else(|| artifact.stem().to_owned()), place: None, content: Ok(artifact) }
    };
    artifacts.enumerate().map(entry).collect()
}
