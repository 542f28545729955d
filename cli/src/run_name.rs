//! How people name a run: its id, a part of it, its workflow, or `@latest`.

use crate::door::Records;
use crate::failure::Failure;
use darkroom_backend::{RunFilter, RunSummary};
use darkroom_proto::RunId;

/// The shortest part of an id that names a run.
const PART_MIN: usize = 4;

/// How many runs are searched for a part of an id.
const SEARCHED_MAX: usize = 100_000;

/// The run that a name means.
pub(crate) async fn find(records: &Records, name: &str) -> Result<(RunId, RunSummary), Failure> {
    let newest =
        |workflow: Option<&str>| RunFilter { workflow: workflow.map(str::to_owned), limit: 1, ..RunFilter::default() };
    if name == "@latest" {
        let run = records.list(&newest(None)).await?.into_iter().next();
        return run.ok_or_else(|| Failure::not_found(format!("there are no runs {} yet", records.place())));
    }
    // Also what is in no list.
    if let Ok(id) = name.parse::<RunId>()
        && let Some(stored) = records.load(id).await?
    {
        return Ok((id, stored.summary));
    }
    if let Some(run) = records.list(&newest(Some(name))).await?.into_iter().next() {
        return Ok(run);
    }
    let part = name.strip_prefix("run_").unwrap_or(name).to_ascii_lowercase();
    let is_part = part.len() >= PART_MIN && part.chars().all(|c| c.is_ascii_hexdigit());
    let no_such = || {
        Failure::not_found(format!("there is no run `{name}` {}", records.place())).advice(
            "`darkroom list` shows the runs; name one by its id, 4 or more characters of it, its workflow, or @latest",
        )
    };
    if !is_part {
        return Err(no_such());
    }
    let all = records.list(&RunFilter { limit: SEARCHED_MAX, ..RunFilter::default() }).await?;
    let mut matching = all.into_iter().filter(|(run, _)| run.to_string()["run_".len()..].contains(&part));
    match (matching.next(), matching.count()) {
        (Some(run), 0) => Ok(run),
        (Some(_), others) => {
            Err(Failure::usage(format!("`{name}` is part of the ids of {} runs", others + 1))
                .advice("give more of the id"))
        }
        (None, _) => Err(no_such()),
    }
}
