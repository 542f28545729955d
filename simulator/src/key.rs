//! Keys, and what is wrong with them.

use serde::Deserialize;
use std::collections::HashMap;

/// What a provider says about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    /// It is good.
    Ok,
    /// There is no such key.
    Invalid,
    /// Its money is used up: nothing new is taken, what is under way goes on.
    Exhausted,
    /// It asks too often: nothing new is taken.
    RateLimited,
    /// It may not use this.
    Disabled,
}

/// What was set about keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// By provider and key; the key `*` is every one that has no entry of its own.
    states: HashMap<(String, String), KeyState>,
}

impl Keys {
    /// Sets the state of a key. Of `*`: of all keys, also those that had a state of their own.
    pub(crate) fn set(&mut self, provider: &str, key: &str, state: KeyState) {
        if key == "*" {
            self.states.retain(|(known, _), _| known != provider);
        }
        self.states.insert((provider.to_owned(), key.to_owned()), state);
    }

    pub(crate) fn state(&self, provider: &str, key: &str) -> KeyState {
        let of = |key: &str| self.states.get(&(provider.to_owned(), key.to_owned())).copied();
        of(key).or_else(|| of("*")).unwrap_or(KeyState::Ok)
    }

    /// The keys of a provider for which a state was set, whichever.
    pub(crate) fn named<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a str> {
        self.states.keys().filter(move |(known, _)| known == provider).map(|(_, key)| key.as_str())
    }

    pub(crate) fn clear(&mut self) {
        self.states.clear();
    }
}
