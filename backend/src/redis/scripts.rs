//! The scripts that write: each is one atomic change.
//!
//! They are called by their digest. Every new connection loads them, because a restart of Redis forgets them; when one is
//! missing nevertheless, the pipeline that it was called in is sent again after loading.

use ::redis::{Cmd, Pipeline, Script};
use std::sync::LazyLock;

/// A script and its digest.
pub(super) struct Source {
    text: &'static str,
    digest: String,
}

/// Declares the scripts, so that none can be forgotten when they are loaded.
macro_rules! scripts {
    ($($name:ident = $file:literal,)*) => {
        $(pub(super) static $name: LazyLock<Source> =
            LazyLock::new(|| Source::new(include_str!(concat!("scripts/", $file, ".lua"))));)*

        fn all() -> Vec<&'static Source> {
            vec![$(LazyLock::force(&$name)),*]
        }
    };
}

scripts! {
    CREATE = "01_create",
    COMMIT = "02_commit",
    PERFORMED = "03_performed",
    ACQUIRE = "04_acquire",
    RENEW = "05_renew",
    DUE = "06_due",
    POST = "07_post",
    CLAIM = "08_claim",
    ANNOUNCE = "09_announce",
    MEMBERS = "10_members",
    INTENT = "11_intent",
    CALL = "12_call",
    RESTORE = "13_restore",
    CANCEL = "14_cancel",
    ADMIT = "15_admit",
    LEAVE = "16_leave",
    RESERVE = "17_reserve",
    BOOK = "18_book",
    SEE = "19_see",
    FORGET = "20_forget",
    PROBE = "21_probe",
    KEYS = "22_keys",
    SCHEDULE = "23_schedule",
    RECORD = "24_record",
}

impl Source {
    fn new(text: &'static str) -> Self {
        Self { text, digest: Script::new(text).get_hash().to_owned() }
    }

    /// A call of it, to which the arguments are added.
    ///
    /// Not by `redis::Script`, which allocates each argument.
    pub(super) fn call<K: AsRef<str>>(&self, keys: &[K], argument_bytes: usize) -> Cmd {
        let key_bytes: usize = keys.iter().map(|key| key.as_ref().len()).sum();
        let mut call = Cmd::with_capacity(16 + keys.len() * 16, 64 + key_bytes + argument_bytes);
        call.arg("EVALSHA").arg(&self.digest).arg(keys.len());
        for key in keys {
            call.arg(key.as_ref());
        }
        call
    }
}

/// What makes all of them known to a server.
pub(super) fn load_all() -> Pipeline {
    let mut load = Pipeline::new();
    for script in all() {
        load.cmd("SCRIPT").arg("LOAD").arg(script.text);
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_of_the_folder_is_declared_and_says_what_it_is() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/redis/scripts");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), all().len());
        for script in all() {
            assert!(script.text.starts_with("-- ") && script.text.contains("KEYS: "), "{}", script.text);
            assert_eq!(script.digest.len(), 40);
        }
    }
}
