//! [`Files`]: links to outputs and to what was uploaded, which expire.

use crate::media::Recipe;
use darkroom_proto::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The most links that are remembered.
const LINKS_MAX: usize = 400_000;

/// What a link leads to.
#[derive(Debug, Clone)]
pub(crate) struct Linked {
    pub(crate) provider: &'static str,
    pub(crate) recipe: Arc<Recipe>,
    /// Of an upload: its name.
    pub(crate) name: String,
    pub(crate) expires: Timestamp,
    /// The status once it has expired.
    pub(crate) gone: u16,
}

/// Links under `/_files/<id>/<name>`, and what was uploaded.
#[derive(Debug, Default)]
pub(crate) struct Files {
    links: HashMap<String, Linked>,
    order: VecDeque<String>,
    /// The link that was last given for each output of a job.
    outputs: HashMap<(u64, usize), String>,
}

impl Files {
    /// Remembers a link.
    pub(crate) fn put(&mut self, id: String, linked: Linked) {
        if self.links.insert(id.clone(), linked).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > LINKS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.links.remove(&oldest);
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Linked> {
        self.links.get(id)
    }

    /// Lets a link that was given lead to something else: to what is uploaded there.
    pub(crate) fn replace(&mut self, id: &str, recipe: Recipe) -> bool {
        let Some(linked) = self.links.get_mut(id) else { return false };
        linked.recipe = Arc::new(recipe);
        true
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        self.links.remove(id).is_some()
    }

    /// The link that was last given for an output of a job.
    pub(crate) fn of_output(&self, job: u64, output: usize) -> Option<(&str, &Linked)> {
        let id = self.outputs.get(&(job, output))?;
        Some((id, self.links.get(id)?))
    }

    pub(crate) fn put_output(&mut self, job: u64, output: usize, id: String, linked: Linked) {
        self.outputs.insert((job, output), id.clone());
        self.put(id, linked);
    }

    /// Forgets which links were given for the outputs of a job; the links stay.
    pub(crate) fn forget(&mut self, job: u64, outputs: usize) {
        for output in 0..outputs {
            self.outputs.remove(&(job, output));
        }
    }

    /// The ids of what was uploaded to a provider, newest first.
    pub(crate) fn uploaded(&self, provider: &str) -> Vec<String> {
        let of_provider = |id: &&String| {
            self.links
                .get(*id)
                .is_some_and(|linked| linked.provider == provider && matches!(*linked.recipe, Recipe::Sent { .. }))
        };
        self.order.iter().rev().filter(of_provider).cloned().collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Files::default();
    }
}
