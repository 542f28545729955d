//! The variables `DARKROOM__SECTION__KEY`, and `…_FILE` for secrets that are mounted as files.

use crate::failure::Failure;
use std::collections::HashMap;

/// What the names of all settings begin with.
const PREFIX: &str = "DARKROOM__";

/// What the name of a variable ends in that names a file with the value.
const FILE: &str = "_FILE";

/// The largest file that is read as a secret.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The settings that may be kept in files, as the names of their variables.
const SECRETS: [&str; 4] = ["BROKER__URL", "STORE__URL", "ARTIFACTS__URL", "API__KEY"];

/// The variables of settings by name, those that name files replaced by what is in the files.
pub(crate) fn variables() -> Result<HashMap<String, String>, Failure> {
    let all =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    with_files(all.filter(|(name, _)| name.starts_with(PREFIX)).collect())
}

/// The variable that a key such as `broker.url` is read from, if it is set.
pub(crate) fn variable_of(key: &str) -> Option<String> {
    let name = format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"));
    let file = format!("{name}{FILE}");
    [name, file].into_iter().find(|name| std::env::var_os(name).is_some())
}

fn with_files(all: HashMap<String, String>) -> Result<HashMap<String, String>, Failure> {
    let mut read = HashMap::with_capacity(all.len());
    for (name, value) in &all {
        match name.strip_suffix(FILE).filter(|plain| is_secret(plain)) {
            None => drop(read.insert(name.clone(), value.clone())),
            Some(plain) if all.contains_key(plain) => {
                return Err(Failure::usage(format!("both {plain} and {name} are set")).advice("set only one of them"));
            }
            Some(plain) => drop(read.insert(plain.to_owned(), secret(name, value)?)),
        }
    }
    Ok(read)
}

/// Whether a variable, its prefix included, may be given as a file.
fn is_secret(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    SECRETS.contains(&rest) || (rest.starts_with("PROVIDERS__") && rest.ends_with("__KEYS"))
}

/// What is in the file; editors leave a line end behind it.
fn secret(name: &str, path: &str) -> Result<String, Failure> {
    let failed = |why: String| {
        Failure::usage(format!("{name}: {path} can't be read: {why}")).advice("name a file that holds the value alone")
    };
    let about = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if about.len() > SECRET_BYTES_MAX {
        return Err(failed(format!("it is over {SECRET_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(variables: &[(&str, &str)]) -> HashMap<String, String> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_secret_is_read_from_its_file_without_the_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        std::fs::write(&path, "amqp://u:p@h\n").unwrap();
        let path = path.to_str().unwrap();
        let read = with_files(given(&[("DARKROOM__BROKER__URL_FILE", path), ("DARKROOM__NAMESPACE", "n")])).unwrap();
        assert_eq!(read, given(&[("DARKROOM__BROKER__URL", "amqp://u:p@h"), ("DARKROOM__NAMESPACE", "n")]));
        let keys = with_files(given(&[("DARKROOM__PROVIDERS__FAL__KEYS_FILE", path)])).unwrap();
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["DARKROOM__PROVIDERS__FAL__KEYS"]);
    }

    #[test]
    fn both_a_secret_and_its_file_and_a_file_that_is_not_there_are_refused() {
        let both = [("DARKROOM__STORE__URL_FILE", "/nowhere"), ("DARKROOM__STORE__URL", "redis://h")];
        assert!(with_files(given(&both)).is_err());
        assert!(with_files(given(&both[..1])).is_err());
    }

    #[test]
    fn what_is_no_secret_is_left_to_be_refused_as_unknown() {
        let given = given(&[("DARKROOM__METRICS__LISTEN_FILE", "/nowhere")]);
        assert_eq!(with_files(given.clone()).unwrap(), given);
    }
}
