//! A process of a fleet.

use super::blocking;
use crate::poll;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a role may take to be ready. It declares some fifty queues when it is the first.
const READY_MAX: Duration = Duration::from_secs(60);

/// How much of a log is shown when a test fails.
const TAIL_LINES: usize = 40;

/// Kills the role when the tests end in whatever way: then its input, a pipe, is at its end.
const GUARD: &str = r#"cat >/dev/null; kill -9 "$1" 2>/dev/null"#;

/// A process of a fleet; killed when it is dropped.
#[derive(Debug)]
pub struct Role {
    /// What the tests call it.
    pub name: String,
    child: Child,
    guard: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Role {
    pub(super) fn spawn(name: String, mut command: Command, log: PathBuf) -> Role {
        let file = File::create(&log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "role-guard", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Role { name, child, guard, log, ended: None }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        let ready = async {
            while !matches!(self.page("/readyz"), Some((200, _))) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(READY_MAX, ready).await;
        assert!(in_time.is_ok(), "{} is not ready within {READY_MAX:?}:\n{}", self.name, self.log());
    }

    /// Waits until its log has these words.
    pub async fn says(&self, words: &str) {
        let what = format!("{} says `{words}`", self.name);
        poll::until(&what, async || self.log().contains(words)).await;
    }

    /// One of its pages: the status and the text. `None`: it does not answer yet.
    pub fn page(&self, path: &str) -> Option<(u16, String)> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("serving /metrics"))?;
        let address: SocketAddr = line.rsplit("address=").next()?.trim().parse().ok()?;
        blocking(|| {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            let status = answer.split(' ').nth(1)?.parse().ok()?;
            Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
        })
    }

    /// The sum of a metric over its labels; 0 while it does not have it.
    pub fn metric(&self, name: &str) -> f64 {
        let Some((200, page)) = self.page("/metrics") else { return 0.0 };
        let of_it = page
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
        of_it.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Ends it as a crash does, and says whether it was still there.
    pub fn kill(&mut self) -> bool {
        if self.has_ended() {
            return false;
        }
        self.child.kill().unwrap();
        self.reap();
        true
    }

    /// Stops it from doing anything, without ending it.
    pub fn pause(&self) {
        signal("-STOP", self.pid());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        signal("-CONT", self.pid());
    }

    /// Asks it to drain.
    pub fn terminate(&self) {
        signal("-TERM", self.pid());
    }

    /// Waits until it has ended by itself, and says how and after how long.
    pub async fn end(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let since = Instant::now();
        while !self.has_ended() {
            assert!(since.elapsed() < within, "{} did not end within {within:?}:\n{}", self.name, self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (self.ended.unwrap(), since.elapsed())
    }

    fn has_ended(&mut self) -> bool {
        if self.ended.is_none() && self.child.try_wait().unwrap().is_some() {
            self.reap();
        }
        self.ended.is_some()
    }

    fn reap(&mut self) {
        if self.ended.is_none() {
            // First the guard: the id may be another's once its process is waited for.
            let _gone = self.guard.kill();
            let _gone = self.guard.wait();
            self.ended = self.child.wait().ok();
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        self.reap();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
            #[allow(clippy::print_stderr, reason = "the test failed, and its reader wants to know why")]
            {
                eprintln!("--- {} ({:?}), its last lines:\n{tail}", self.name, self.ended);
            }
        }
    }
}

fn signal(signal: &str, pid: u32) {
    // It may have ended by itself.
    let _status = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}
