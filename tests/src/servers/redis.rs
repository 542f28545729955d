//! A private Redis.

use super::free_port;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Starts a server, says its pid, and kills it as soon as nobody holds the other end of the pipe any more: when this
/// process stops it, and when this process ends in any other way, `kill -9` included. Then its folder goes too, unless it
/// was told to keep it.
const GUARD: &str = r#"
trap '' HUP INT TERM
redis-server "$@" </dev/null >"$log" 2>&1 &
pid=$!
echo "$pid"
while read -r word; do [ "$word" != keep ] || remove=; done
kill -9 "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
[ -z "$remove" ] || rm -rf "$remove"
"#;

/// How long a server may take to answer.
const START_MAX: Duration = Duration::from_secs(20);

/// A Redis that only this process knows of, durable as `deploy/` ships it: an append-only file that is synced before
/// each reply. It is gone when this is dropped, or when the process ends.
#[derive(Debug)]
pub struct RedisServer {
    dir: PathBuf,
    port: u16,
    settings: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    guard: Child,
    pid: u32,
}

impl RedisServer {
    /// Starts one on a free port, in a folder of its own.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments for `redis-server`.
    pub fn start_with(settings: &[&str]) -> Self {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        INSTALLED.get_or_init(install);
        let dir = tempfile::Builder::new().prefix("darkroom-redis-").tempdir().unwrap().keep();
        let settings = settings.iter().map(|setting| setting.to_string()).collect();
        let mut server = Self { dir, port: 0, settings, running: None };
        // Somebody else may take a port that was free a moment ago.
        for _ in 0..5 {
            server.port = free_port();
            if server.run() {
                return server;
            }
            server.kill();
        }
        panic!("redis-server does not start:\n{}", server.log());
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// Ends it as a power cut does, as far as a process can tell.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            signal("-KILL", running.pid);
            if let Some(mut pipe) = running.guard.stdin.take() {
                pipe.write_all(b"keep\n").unwrap();
            }
            running.guard.wait().unwrap();
        }
    }

    /// Starts it again on the same port and with what it had written, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis-server does not start again:\n{}", self.log());
    }

    /// Stops it from doing anything, without ending it.
    pub fn pause(&self) {
        self.pid().into_iter().for_each(|pid| signal("-STOP", pid));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.pid().into_iter().for_each(|pid| signal("-CONT", pid));
    }

    /// Whether it answers in the end.
    fn run(&mut self) -> bool {
        let port = self.port.to_string();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "redis-guard"])
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
            .args(["--appendfsync", "always", "--dir"])
            .arg(&self.dir)
            .args(&self.settings)
            .env("log", self.dir.join("redis.log"))
            .env("remove", &self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        self.running = Some(Running { guard, pid });
        let give_up = Instant::now() + START_MAX;
        while Instant::now() < give_up {
            match answering_pid(self.port) {
                Some(answering) if answering == pid => return true,
                Some(_) => return false,
                None if !is_alive(pid) => return false,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        false
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("redis.log")).unwrap_or_default()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
        // Best effort: what is left is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The address of a Redis for tests that need none of their own: that in `DARKROOM_TEST_REDIS`, or one that runs as long
/// as this process. Each test uses a [`namespace`] of its own there.
pub fn shared_redis() -> String {
    static SHARED: OnceLock<String> = OnceLock::new();
    SHARED
        .get_or_init(|| match std::env::var("DARKROOM_TEST_REDIS") {
            Ok(url) if !url.is_empty() => url,
            _ => {
                let server = RedisServer::start();
                let url = server.url();
                // Statics are never dropped: the guard stops it and removes its folder when the process ends.
                std::mem::forget(server);
                url
            }
        })
        .clone()
}

/// A namespace that no other test has, in this run or another.
pub fn namespace() -> String {
    use std::hash::{BuildHasher as _, Hasher as _};
    format!("test-{:016x}", std::hash::RandomState::new().build_hasher().finish())
}

/// The process that answers on this port.
fn answering_pid(port: u16) -> Option<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    // While it reads what it had written, it answers otherwise.
    if !said.starts_with("+PONG") {
        return None;
    }
    said.lines().find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok())
}

fn is_alive(pid: u32) -> bool {
    kill("-0", pid).success()
}

fn signal(signal: &str, pid: u32) {
    // It may have ended by itself.
    kill(signal, pid);
}

fn kill(signal: &str, pid: u32) -> ExitStatus {
    let quiet = || Stdio::null();
    Command::new("kill").arg(signal).arg(pid.to_string()).stdout(quiet()).stderr(quiet()).status().unwrap()
}

fn is_installed() -> bool {
    Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Makes sure that there is a `redis-server`. On Debian, root gets it from there; anybody else is told.
fn install() {
    if is_installed() {
        return;
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    assert!(
        Path::new("/etc/debian_version").exists() && is_root,
        "redis-server 7.0 or later is needed for the tests: install it (Debian: `apt-get install redis-server`; macOS: \
         `brew install redis`), or set DARKROOM_TEST_REDIS to the URL of one that may be written to"
    );
    // The package would start a server of its own, which nobody asked for; 101 forbids it.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = !policy.exists();
    if is_ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n").unwrap();
        Command::new("chmod").arg("755").arg(policy).status().unwrap();
    }
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(["-o", "DPkg::Lock::Timeout=300"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt.status().unwrap().success()
    };
    let is_done = apt(&["update", "--quiet"]) && apt(&["install", "--yes", "--quiet", "redis-server"]);
    if is_ours {
        let _ = std::fs::remove_file(policy);
    }
    assert!(is_done && is_installed(), "apt-get could not install redis-server");
}
