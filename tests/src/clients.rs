//! The official clients of providers and of RabbitMQ: installed as they are published, run against the simulator or a fleet.

use crate::installed;
use darkroom_proto::Sha256;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// Where the examples of the documentation are.
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples");

/// Runs a script of `clients/python/` against a simulator; panics with what it said if it does not end well.
pub fn python(script: &str, simulator: &str) {
    let script = Path::new(SCRIPTS).join("python").join(script);
    run(&mut in_python(&script), &script, &[("SIMULATOR", simulator)]);
}

/// Runs an example of the documentation in Python, with these variables, and gives what it printed.
pub fn example_in_python(script: &str, variables: &[(&str, &str)]) -> String {
    let script = Path::new(EXAMPLES).join(script);
    run(&mut in_python(&script), &script, variables)
}

/// A process that goes on by itself; killed, as by `kill -9`, when it is dropped.
#[derive(Debug)]
pub struct Going {
    child: Child,
    // Modules are looked for beside the script, so it stays while the process does.
    _beside: Option<tempfile::TempDir>,
}

impl Going {
    /// Begins an example of the documentation, in Python or JavaScript by its name, and waits until it prints `ready`.
    pub fn example(script: &str, set: &[(&str, &str)]) -> Going {
        let path = Path::new(EXAMPLES).join(script);
        match path.extension().is_some_and(|extension| extension == "mjs") {
            true => {
                let (command, beside) = node_beside(&path);
                Going::begin(command, script, set, Some(beside))
            }
            false => Going::begin(in_python(&path), script, set, None),
        }
    }

    /// Begins a program, and waits until it prints `ready`.
    pub fn program(program: &Path, set: &[(&str, &str)]) -> Going {
        Going::begin(Command::new(program), &program.display().to_string(), set, None)
    }

    fn begin(mut command: Command, name: &str, set: &[(&str, &str)], beside: Option<tempfile::TempDir>) -> Going {
        without_own_settings(&mut command);
        command.envs(set.iter().copied()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said.trim(), "ready", "{name}");
        Going { child, _beside: beside }
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a script of `clients/js/` against a simulator; panics with what it said if it does not end well.
pub fn node(script: &str, simulator: &str) {
    let script = Path::new(SCRIPTS).join("js").join(script);
    in_node(&script, &[("SIMULATOR", simulator)]);
}

/// Runs an example of the documentation in JavaScript, with these variables, and gives what it printed.
pub fn example_in_node(script: &str, variables: &[(&str, &str)]) -> String {
    in_node(&Path::new(EXAMPLES).join(script), variables)
}

/// Has schemathesis ask the server of an OpenAPI document whatever a client with this key could ask; panics with what it found.
pub fn schemathesis(document: &str, key: &str) {
    let folder = Path::new(SCRIPTS).join("schemathesis");
    let venv = python_with("schemathesis", &folder.join("requirements.txt"));
    let (config, header) = (folder.join("schemathesis.toml"), format!("Authorization: Bearer {key}"));
    // It leaves notes where it runs.
    let notes = tempfile::tempdir().unwrap();
    let mut command = Command::new(venv.join("bin/st"));
    command.current_dir(notes.path()).arg("--config-file").arg(&config);
    command.args(["run", "--no-color", "--header", &header, document]);
    run(&mut command, &config, &[]);
}

fn in_python(script: &Path) -> Command {
    let venv = python_with("python-clients", &Path::new(SCRIPTS).join("python").join("requirements.txt"));
    let mut command = Command::new(venv.join("bin/python3"));
    command.arg("-B").arg(script);
    command
}

/// A Python with the packages of a list, which is whole: nothing else is installed.
fn python_with(name: &str, requirements: &PathBuf) -> PathBuf {
    let installed = installed::once(&named(name, &[requirements]), |folder| {
        let venv = folder.join("venv");
        let pip =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
        let tried = installed::venv(&venv).and_then(|()| {
            installed::run(Command::new(venv.join("bin/python3")).args(pip).arg("-r").arg(requirements))
        });
        if let Err(why) = tried {
            panic!(
                "the Python packages of {} can't be installed: {why}\ninstall python3 with venv and pip (Debian: apt-get \
                 install python3-venv python3-pip); packages come from the index that pip is set to",
                requirements.display()
            );
        }
    });
    installed.join("venv")
}

fn in_node(script: &Path, variables: &[(&str, &str)]) -> String {
    let (mut command, _beside) = node_beside(script);
    run(&mut command, script, variables)
}

/// Node with a script, and the folder that this lies in beside the modules.
fn node_beside(script: &Path) -> (Command, tempfile::TempDir) {
    let scripts = Path::new(SCRIPTS).join("js");
    let lists = ["package.json", "package-lock.json"].map(|name| scripts.join(name));
    let installed = installed::once(&named("js-clients", &[&lists[0], &lists[1]]), |folder| {
        for list in &lists {
            fs::copy(list, folder.join(list.file_name().unwrap())).unwrap();
        }
        // Nothing that a package brings is run while it is installed.
        let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        if let Err(why) = installed::run(Command::new("npm").args(arguments).current_dir(folder)) {
            panic!(
                "the official JavaScript clients can't be installed: {why}\ninstall node, 18 or later, and npm (Debian: \
                 apt-get install nodejs npm); packages come from the registry that npm is set to"
            );
        }
    });
    // Modules are looked for beside and above a script.
    let beside = tempfile::tempdir_in(&installed).unwrap();
    for entry in fs::read_dir(script.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&path, beside.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let copy = beside.path().join(script.file_name().unwrap());
    let mut command = Command::new("node");
    command.arg("--no-warnings").arg(copy);
    (command, beside)
}

/// A name that other lists do not have.
fn named(what: &str, lists: &[&PathBuf]) -> String {
    let lists: Vec<u8> = lists.iter().flat_map(|list| fs::read(list).unwrap()).collect();
    format!("{what}-{}", Sha256::of(&lists).short(16))
}

/// Of what is set here, nothing may send a client anywhere else.
fn without_own_settings(command: &mut Command) {
    let variables = ["FAL_", "REPLICATE_", "OPENAI_", "GOOGLE_", "GEMINI_"];
    for (name, _) in std::env::vars() {
        if variables.iter().any(|prefix| name.starts_with(prefix)) || name.to_ascii_lowercase().ends_with("_proxy") {
            command.env_remove(name);
        }
    }
}

fn run(command: &mut Command, script: &Path, set: &[(&str, &str)]) -> String {
    without_own_settings(command);
    let output = command.envs(set.iter().copied()).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
    assert!(
        output.status.success(),
        "{}: {}\n{}{}",
        script.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
