//! A temporary folder, and the real `darkroom` run in it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long any command may take; far more than any does.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often something that can't be awaited is looked at.
const POLL: Duration = Duration::from_millis(2);

/// A file of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().expect("the repository has it")
}

/// The path of a workflow that ships.
pub(crate) fn workflow(name: &str) -> String {
    repository(&format!("workflows/{name}.yaml")).display().to_string()
}

/// The path of a photo that ships.
pub(crate) fn photo(name: &str) -> String {
    repository(&format!("photos/{name}")).display().to_string()
}

/// Looks until `found` gives something.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// A folder in which commands are run.
pub(crate) struct Folder {
    root: TempDir,
    inner: PathBuf,
}

impl Folder {
    /// An empty one.
    pub(crate) fn new() -> Folder {
        Folder::named("")
    }

    /// An empty one of this name.
    pub(crate) fn named(name: &str) -> Folder {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&inner).unwrap();
        Folder { root, inner }
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        assert!(self.root.path().exists());
        self.inner.join(name)
    }

    /// Writes a file; folders are made.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Copies a photo that ships into it.
    pub(crate) fn copy_photo(&self, photo_name: &str, name: &str) {
        self.write(name, fs::read(photo(photo_name)).unwrap());
    }

    /// The files under `name`, by their path in it.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let root = self.path(name);
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.is_file() {
                    // A socket, which a process that was killed leaves behind, can't be read.
                    let shown = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                    found.insert(shown, fs::read(&path).unwrap());
                }
            }
        }
        found
    }

    /// The names of the files under `name`.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        self.files(name).into_keys().collect()
    }

    /// The command, to be run here, with nothing of this process' environment: no HOME, no PATH.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darkroom"));
        command.args(args).current_dir(&self.inner).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs the command until it ends.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.start(args).end()
    }

    /// Runs the command with these variables in its environment.
    pub(crate) fn run_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Ended {
        self.start_with(variables, args).end()
    }

    /// Starts the command with these variables in its environment.
    pub(crate) fn start_with(&self, variables: &[(&str, &str)], args: &[&str]) -> Live {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        Live::of(command, args)
    }

    /// Starts the command.
    pub(crate) fn start(&self, args: &[&str]) -> Live {
        Live::of(self.command(args), args)
    }
}

/// A command that is under way.
pub(crate) struct Live {
    what: String,
    child: Child,
    out: Option<JoinHandle<String>>,
    lines: Receiver<String>,
    err: String,
}

impl Live {
    fn of(mut command: Command, args: &[&str]) -> Live {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("darkroom starts");
        let mut stdout = child.stdout.take().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let out = std::thread::spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                // The test may have gone.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Live { what: format!("darkroom {}", args.join(" ")), child, out: Some(out), lines, err: String::new() }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stderr that has `part` in it. `None`: the command ended without.
    pub(crate) fn line_with(&mut self, part: &str) -> Option<String> {
        self.line_where(|line| line.contains(part))
    }

    /// Waits for a line on stderr. `None`: the command ended without.
    pub(crate) fn line_where(&mut self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(timeout) => panic!("{}: no such line: {timeout}\n{}", self.what, self.err),
            };
            self.err.push_str(&line);
            self.err.push('\n');
            if wanted(&line) {
                return Some(line);
            }
        }
    }

    /// Whether it runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Kills it (SIGKILL) and waits until it is gone. False: it had ended by itself.
    pub(crate) fn kill(mut self) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        self.child.kill().unwrap();
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    /// Asks it to end, as orchestrators do.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ends.
    pub(crate) fn end(mut self) -> Ended {
        let child = &mut self.child;
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > give_up {
                child.kill().unwrap();
                panic!("{} does not end\n{}", self.what, self.err);
            }
            std::thread::sleep(POLL);
        };
        self.err.extend(self.lines.iter().map(|line| line + "\n"));
        let out = self.out.take().unwrap().join().unwrap();
        Ended { what: self.what.clone(), code: status.code().unwrap_or(-1), out, err: std::mem::take(&mut self.err) }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    what: String,
    /// Its exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// What it said on stdout.
    pub(crate) out: String,
    /// What it said on stderr.
    pub(crate) err: String,
}

impl Ended {
    /// Requires an exit code.
    pub(crate) fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Requires all of these on stderr.
    pub(crate) fn says(self, parts: &[&str]) -> Ended {
        for part in parts {
            assert!(self.err.contains(part), "stderr lacks {part:?}\n{self}");
        }
        self
    }

    /// Requires that none of these is said anywhere.
    pub(crate) fn never_says(self, parts: &[&str]) -> Ended {
        for part in parts {
            assert!(!self.err.contains(part) && !self.out.contains(part), "{part:?} is said\n{self}");
        }
        self
    }

    /// Requires all of these on stdout.
    pub(crate) fn prints(self, parts: &[&str]) -> Ended {
        for part in parts {
            assert!(self.out.contains(part), "stdout lacks {part:?}\n{self}");
        }
        self
    }

    /// Stdout as the one JSON document that it has to be.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{self}"))
    }

    /// The command after `resume: ` or the like on stderr, without `darkroom`.
    pub(crate) fn resume_command(&self) -> Vec<String> {
        let line = self.err.lines().find_map(|line| line.split_once("darkroom resume "));
        let (_, rest) = line.unwrap_or_else(|| panic!("no resume command\n{self}"));
        std::iter::once("resume").chain(rest.split_whitespace()).map(str::to_owned).collect()
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "$ {}\nexit {}\n--- stdout\n{}\n--- stderr\n{}", self.what, self.code, self.out, self.err)
    }
}
