//! Paths to save to: relative, with `/` between their parts, and never out of the output folder.

use darkroom_proto::{ErrorClass, StepError};
use std::path::{Path, PathBuf};

/// A path that names a file inside an output folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavePath {
    parts: Vec<String>,
}

impl SavePath {
    /// Reads a path. One that ends in `/` gets `name` (of which only the last part counts).
    pub(super) fn new(path: &str, name: &str) -> Result<SavePath, StepError> {
        let refuse = |reason: &str| {
            Err(StepError::new(ErrorClass::InvalidInput, format!("can't save to `{path}`: {reason}"))
                .code("invalid_path")
                .advice("Give a path inside the output folder, such as `./output/final.png`."))
        };
        if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
            return refuse("it is absolute");
        }
        if path.contains(['\\', '\0']) {
            return refuse("it has a backslash or a zero in it");
        }
        let mut parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
        if path.is_empty() || path.ends_with('/') || path.ends_with("/.") || path == "." {
            parts.push(last_part(name));
        }
        if parts.iter().any(|part| part == "..") {
            return refuse("it leaves the output folder");
        }
        if parts.last().is_none_or(String::is_empty) {
            return refuse("it names no file");
        }
        Ok(SavePath { parts })
    }

    /// The file's extension in lower case, or nothing.
    pub(super) fn extension(&self) -> String {
        let extension = self.file_name().rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
        extension.map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
    }

    /// The file's name.
    pub(super) fn file_name(&self) -> &str {
        self.parts.last().map(String::as_str).unwrap_or_default()
    }

    /// Where the file goes under `out`, its folders made. No symbolic link on the way may lead out of `out`.
    pub(super) fn prepare(&self, out: &Path) -> Result<PathBuf, StepError> {
        let failed = |at: &Path, error: std::io::Error| self.failed(at, &error);
        std::fs::create_dir_all(out).map_err(|error| failed(out, error))?;
        let root = out.canonicalize().map_err(|error| failed(out, error))?;
        let mut here = root.clone();
        for part in &self.parts[..self.parts.len() - 1] {
            here.push(part);
            match std::fs::create_dir(&here) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(failed(&here, error)),
                _ => {}
            }
            here = here.canonicalize().map_err(|error| failed(&here, error))?;
            if !here.starts_with(&root) {
                return Err(self.leaves(part));
            }
            if !here.is_dir() {
                return Err(self.failed(&here, &"it is a file, not a folder"));
            }
        }
        here.push(self.file_name());
        // A link in the file's own place is replaced, not followed; a folder stays.
        if std::fs::symlink_metadata(&here).is_ok_and(|found| found.is_dir()) {
            return Err(self.failed(&here, &"there is a folder of this name"));
        }
        Ok(here)
    }

    fn leaves(&self, part: &str) -> StepError {
        let message = format!("can't save to `{self}`: `{part}` is a link that leads out of the output folder");
        StepError::new(ErrorClass::InvalidInput, message)
            .code("invalid_path")
            .advice("Remove the link, or give another path or `--out`.")
    }

    pub(super) fn failed(&self, at: &Path, reason: &dyn std::fmt::Display) -> StepError {
        StepError::new(ErrorClass::InvalidInput, format!("can't save to `{self}`: {}: {reason}", at.display()))
            .code("save_failed")
            .advice("Check that the output folder can be written to and has room.")
    }
}

impl std::fmt::Display for SavePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("/"))
    }
}

fn last_part(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_and_a_slash_at_the_end_keeps_the_name() {
        let cases = [
            ("./output/final.png", "output/final.png"),
            ("final.png", "final.png"),
            ("a//b/./c.png", "a/b/c.png"),
            ("output/", "output/mug.png"),
            ("./", "mug.png"),
            ("..png", "..png"),
        ];
        for (path, want) in cases {
            assert_eq!(SavePath::new(path, "mug.png").unwrap().to_string(), want, "{path}");
        }
        assert_eq!(SavePath::new("out/", "../../etc/passwd").unwrap().to_string(), "out/passwd");
    }

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for path in ["/etc/passwd", "../x.png", "a/../../x.png", "a/..", "C:/x.png", "a\\..\\x.png", "x\0.png"] {
            assert_eq!(SavePath::new(path, "mug.png").unwrap_err().code, "invalid_path", "{path}");
        }
        for (path, name) in [("", ""), ("a/", ""), ("a/", "..")] {
            assert_eq!(SavePath::new(path, name).unwrap_err().code, "invalid_path", "{path} {name}");
        }
    }
}
