//! A private RabbitMQ.

use super::free_port;
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Who runs the server, where it was installed as a package.
const USER: &str = "rabbitmq";
/// How long a start may take: 6 seconds on a quiet machine with two cores.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// How long a killed server may take to be gone.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client says first; a broker that is up answers it with more than this.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Waits until its input ends, which it does when this process ends in whatever way, or until the process `$2` is gone
/// if there is one; then kills everything that has the node's name in its environment and removes its folder `$3` and the
/// file `$4`, if there is one.
const GUARD: &str = r#"
if [ -n "$2" ]; then while kill -0 "$2" 2>/dev/null; do sleep 0.5; done; else cat >/dev/null; fi
for entry in /proc/[0-9]*; do
    if tr '\0' '\n' < "$entry/environ" 2>/dev/null | grep -qx "RABBITMQ_NODENAME=$1"; then kill -9 "${entry#/proc/}"; fi
done
sleep 0.2
rm -rf "$3"
[ -z "$4" ] || rm -f "$4"
"#;

/// Read by the server's start script: more open files, where they are allowed. RabbitMQ reckons with two for each quorum
/// queue, and takes no connections any more once it has none left; with the usual 1024 that is so at some 460 queues, or
/// ten fleets. It is done here because the script becomes another user first, who begins with the usual limit.
const START_SETTINGS: &str = r#"
files=$(ulimit -Hn)
[ "$files" -le 65536 ] 2>/dev/null || files=65536
ulimit -n "$files"
"#;

/// A RabbitMQ of its own: its own node, ports, files and user database. It ends with this process at the latest, even
/// if that is killed.
#[derive(Debug)]
pub struct RabbitServer {
    node: String,
    port: u16,
    dist_port: u16,
    epmd_port: u16,
    folder: PathBuf,
    guard: Child,
}

impl RabbitServer {
    /// Starts one and waits until it answers.
    pub fn start() -> RabbitServer {
        RabbitServer::start_guarded(None, Path::new(""))
    }

    /// With `runner` it goes on after this process, and ends with that one; then the file `left` goes away as well.
    fn start_guarded(runner: Option<u32>, left: &Path) -> RabbitServer {
        install();
        let port = free_port();
        let node = format!("darkroom-test-{}-{port}@localhost", std::process::id());
        let folder = std::env::temp_dir().join(node.trim_end_matches("@localhost"));
        std::fs::create_dir_all(folder.join("home")).unwrap();
        let settings = format!(
            "listeners.tcp.1 = 127.0.0.1:{port}\n\
             vm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n\
             log.file.level = warning\n"
        );
        std::fs::write(folder.join("rabbit.conf"), settings).unwrap();
        std::fs::write(folder.join("start"), START_SETTINGS).unwrap();
        // No plugin: that for management alone costs a third of the rate.
        std::fs::write(folder.join("plugins"), "[].\n").unwrap();
        own(&folder);
        let guard = guard(&node, &folder, runner, left);
        let (dist_port, epmd_port) = (free_port(), free_port());
        let server = RabbitServer { node, port, dist_port, epmd_port, folder, guard };
        server.launch();
        server
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.port)
    }

    /// Kills it like a power cut, and waits until it is gone.
    pub fn kill(&self) {
        let deadline = Instant::now() + STOP_TIMEOUT;
        loop {
            let processes = processes_of(&self.node);
            if processes.is_empty() {
                return;
            }
            for process in processes {
                signal(process, "-9");
            }
            assert!(Instant::now() < deadline, "{} did not end", self.node);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again, on the same port and with what it had on its disk.
    pub fn restart(&self) {
        self.kill();
        self.launch();
    }

    /// Runs `rabbitmqctl` on it.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let output = self.command("rabbitmqctl").args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {said}");
        said
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = &self.folder;
        command
            .current_dir(folder)
            .env("HOME", folder.join("home"))
            .env("RABBITMQ_NODENAME", &self.node)
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbit"))
            .env("RABBITMQ_CONF_ENV_FILE", folder.join("start"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            // Schedulers that do not spin: the machine has few cores, and tests need them.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none");
        command
    }

    fn launch(&self) {
        let out = std::fs::File::create(self.folder.join("out")).unwrap();
        let mut started = self
            .command("rabbitmq-server")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + START_TIMEOUT;
        while !answers(self.port) {
            let ended = started.try_wait().unwrap();
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(self.folder.join("out")).unwrap_or_default();
                panic!("RabbitMQ did not start ({ended:?}):\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // It ends when the server does; waiting for it is for the thread that has nothing else to do.
        std::thread::spawn(move || started.wait());
    }
}

impl Drop for RabbitServer {
    fn drop(&mut self) {
        self.kill();
        // Its input ends, and with it the guard.
        drop(self.guard.stdin.take());
        let _ended = self.guard.wait();
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// A RabbitMQ for all tests that do not stop it: the one at `DARKROOM_TEST_RABBIT`, or else a private one. Every test
/// uses a namespace of its own there.
///
/// cargo-nextest runs each test in a process of its own: they share one server, which ends with the run.
pub fn shared_rabbit() -> String {
    static URL: OnceLock<String> = OnceLock::new();
    let url = URL.get_or_init(|| match std::env::var("DARKROOM_TEST_RABBIT") {
        Ok(url) if !url.is_empty() => url,
        _ => match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => shared_by_run(&run),
            Err(_) => {
                let server = RabbitServer::start();
                let url = server.url();
                // Its guard ends it with this process.
                std::mem::forget(server);
                url
            }
        },
    });
    url.clone()
}

/// The server of a run of cargo-nextest: the first process that needs it starts it.
fn shared_by_run(run: &str) -> String {
    let path = std::env::temp_dir().join(format!("darkroom-rabbit-{run}"));
    let lock = std::fs::File::options().create(true).truncate(false).read(true).write(true).open(&path).unwrap();
    lock.lock().unwrap();
    let mut url = String::new();
    (&lock).read_to_string(&mut url).unwrap();
    if url.is_empty() {
        let server = RabbitServer::start_guarded(Some(parent_id()), &path);
        url = server.url();
        (&lock).write_all(url.as_bytes()).unwrap();
        std::mem::forget(server);
    }
    url
}

fn guard(node: &str, folder: &Path, runner: Option<u32>, left: &Path) -> Child {
    let runner = runner.map(|runner| runner.to_string()).unwrap_or_default();
    Command::new("sh")
        .args(["-c", GUARD, "guard", node, &runner])
        .args([folder, left])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A Ctrl-C on the terminal ends the tests, not the one who cleans up after them.
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The processes that were started for a node. They run as another user and in sessions of their own.
fn processes_of(node: &str) -> Vec<u32> {
    let wanted = format!("RABBITMQ_NODENAME={node}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse() else { continue };
        // It may be gone, or nobody's business.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes()) {
            found.push(process);
        }
    }
    found
}

fn signal(process: u32, signal: &str) {
    // It may be gone already.
    let _status = Command::new("kill").args([signal, &process.to_string()]).stderr(Stdio::null()).status();
}

/// Whether a broker answers at this port.
fn answers(port: u16) -> bool {
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = [0u8; 1];
    stream.set_read_timeout(Some(Duration::from_secs(2))).is_ok()
        && stream.write_all(PROTOCOL_HEADER).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        // A method frame: `connection.start`. A broker that is not ready closes, or offers its version.
        && answer[0] == 1
}

/// The server drops to its own user, who must be able to write there.
fn own(folder: &Path) {
    if is_root() {
        let owner = format!("{USER}:{USER}");
        assert!(Command::new("chown").args(["-R", &owner]).arg(folder).status().unwrap().success());
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Installs it from Debian's packages where that is possible, and says what to do where it is not.
fn install() {
    let is_there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    if is_there("rabbitmq-server") {
        return;
    }
    let is_debian = Path::new("/etc/debian_version").exists();
    assert!(
        is_debian && is_root(),
        "these tests need RabbitMQ 3.10 or newer: install `rabbitmq-server` so that it is found on the PATH, or set \
         DARKROOM_TEST_RABBIT to the URL of one that tests may use"
    );
    // Packages start their service unless this file says not to; it is left as it was.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let is_ours = !policy.exists();
    if is_ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n").unwrap();
        assert!(Command::new("chmod").arg("755").arg(policy).status().unwrap().success());
    }
    let apt = |arguments: &[&str]| {
        let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status();
        status.is_ok_and(|status| status.success())
    };
    let installed = apt(&["update"]) && apt(&["install", "-y", "--no-install-recommends", "rabbitmq-server"]);
    if is_ours {
        std::fs::remove_file(policy).unwrap();
    }
    assert!(installed, "apt-get could not install rabbitmq-server");
}
