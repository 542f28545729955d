//! Which steps a worker is at, written where the next process finds it when this one is killed.

use darkroom_proto::{RunId, StepMessage, StepPath};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder with a small file for each step that is being done.
///
/// It only has to survive the end of the process, not that of the machine, so nothing is synced: a mark costs
/// microseconds.
#[derive(Debug)]
pub(crate) struct Begun {
    folder: PathBuf,
    next: AtomicU64,
}

/// The mark of a step that is being done; it goes when the step ends, well or not.
#[derive(Debug)]
pub(crate) struct Mark(PathBuf);

impl Begun {
    /// Marks in a folder, which is made at need.
    pub(crate) fn new(folder: PathBuf) -> Begun {
        Begun { folder, next: AtomicU64::new(0) }
    }

    /// Takes the marks that a process left which was killed.
    pub(crate) fn take(folder: &Path) -> Vec<(RunId, StepPath)> {
        let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
        let mut begun = Vec::new();
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            let mark = fs::read_to_string(&path).unwrap_or_default();
            if let Some((run, step)) = mark.split_once(' ')
                && let (Ok(run), Ok(step)) = (run.parse(), step.parse())
            {
                begun.push((run, step));
            }
            // One that stays counts once more, which only matters after many.
            let _ = fs::remove_file(path);
        }
        begun
    }

    /// Marks a step as begun. Without a mark it is done all the same: it only would not be counted.
    pub(crate) fn mark(&self, message: &StepMessage) -> Mark {
        let path = self.folder.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let text = format!("{} {}", message.run, message.path);
        if fs::write(&path, &text).is_err() && fs::create_dir_all(&self.folder).is_ok() {
            let _ = fs::write(&path, text);
        }
        Mark(path)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::{Duration, Map, Provenance, Sha256, Timestamp};

    #[test]
    fn the_marks_of_a_killed_process_are_found_once_and_those_of_ended_steps_never() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("begun");
        let message = |path: StepPath| StepMessage {
            run: RunId::new(Timestamp(1), [1; 10]),
            path,
            generation: 1,
            attempt: 1,
            op: "image.info".into(),
            params: Map::new(),
            timeout: Duration(1),
            save: None,
            provenance: Provenance { workflow: "w".into(), definition: Sha256::of(b"w") },
            budget: None,
            ticket: None,
            deferred_since: None,
            epoch: None,
            cache: None,
        };
        let begun = Begun::new(folder.clone());
        let (ended, killed) = (message(StepPath::top("a")), message(StepPath::top("b").instance(3)));
        drop(begun.mark(&ended));
        std::mem::forget(begun.mark(&killed));
        assert_eq!(Begun::take(&folder), [(killed.run, killed.path)]);
        assert_eq!(Begun::take(&folder), []);
    }
}
