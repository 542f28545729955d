//! What tests install for themselves, once, beside what cargo builds.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of what cargo builds, or of the temporary one, with what `install` puts there. Tests are processes of their own:
/// one installs, the others wait. What is there is whole.
pub(crate) fn once(name: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let ours = std::env::current_exe().unwrap();
    let target = ours.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).map(Path::to_path_buf);
    let folder = target.unwrap_or_else(std::env::temp_dir).join("test-servers").join(name);
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let done = folder.join("done");
    if !done.exists() {
        install(&folder);
        fs::write(done, "").unwrap();
    }
    folder
}

/// Makes a Python environment of its own in `venv`; its pip is there.
pub(crate) fn venv(venv: &Path) -> Result<(), String> {
    let made = |venv: &Path| {
        let _ = fs::remove_dir_all(venv);
        run(Command::new("python3").args(["-m", "venv"]).arg(venv))
    };
    let mut tried = made(venv);
    if tried.is_err() && Path::new("/usr/bin/apt-get").exists() {
        // Only root may; for others the error says what to do.
        let _ = run(Command::new("apt-get").args(["install", "-y", "python3-venv", "python3-pip"]));
        tried = made(venv);
    }
    tried
}

/// Runs a program to its end; an error is what it said.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().display().to_string();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{shown}: {error}"))?;
    let mut said = String::new();
    let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{shown}: {status}: {said}")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}
