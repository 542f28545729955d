//! `kill -9` of a process that commits: what was acknowledged is there, and every commit is there whole or not at all.

use darkroom_backend::{Committed, EmbeddedStore, Shard, Store};
use darkroom_tests::sample::{self, RUNS};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The process that commits.
const CHILD: &str = env!("CARGO_BIN_EXE_commit_until");
const KILLS: u64 = 24;

/// A limit on the size of files stands in for a full disk.
#[tokio::test]
async fn a_full_disk_is_an_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8192; exec \"$0\" \"$@\""])
        .args([CHILD, "refused"])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let acknowledged: u64 =
        said.lines().find_map(|line| line.rsplit_once("acknowledged ")?.1.parse().ok()).expect("it says so");
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let loaded = store.load(sample::run(Shard(0), 1, 0)).await.unwrap().unwrap();
    assert!((acknowledged..=acknowledged + 1).contains(&loaded.version));
    assert_eq!(loaded.fields.len() as u64, loaded.version);
    let epoch = store.acquire(Shard(0), "next", Duration::from_secs(60)).await.unwrap().unwrap();
    let change = sample::commit(sample::run(Shard(0), 1, 0), 0, loaded.version, 1);
    assert_eq!(store.commit(Shard(0), epoch, vec![change], &[]).await.unwrap(), [Committed::Done(loaded.version + 1)]);
}

#[tokio::test]
async fn acknowledged_commits_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 1;
    let mut random = 20_261_121u64;
    for kill in 1..=KILLS {
        let mut child = Command::new(CHILD).arg("killed").arg(dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (enough, pause) = (random >> 59, Duration::from_micros(random >> 40 & 0x7ff));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0;
        for line in lines {
            let Ok(line) = line else { break };
            if let Some(version) = line.rsplit_once("acknowledged ").and_then(|(_, version)| version.parse().ok()) {
                acknowledged = version;
                heard += 1;
            }
            if heard == enough + 1 {
                // The moment inside of a commit is what the test varies, not something that it waits for.
                std::thread::sleep(pause);
                child.kill().unwrap();
            }
        }
        let status = child.wait().unwrap();
        assert!(!status.success() && heard > enough, "kill {kill}: the child ended by itself with {status}");
        check(dir.path(), acknowledged, kill).await;
    }
}

async fn check(dir: &Path, acknowledged: u64, kill: u64) {
    let store = EmbeddedStore::open(dir).unwrap();
    let mut versions = Vec::new();
    for number in 0..RUNS {
        let run = sample::run(Shard(0), 1, number);
        let loaded = store.load(run).await.unwrap().unwrap();
        let version = loaded.version;
        assert!((acknowledged..=acknowledged + 1).contains(&version), "kill {kill}: {version}, not {acknowledged}");
        assert_eq!(loaded.head, format!("head {version}").into_bytes());
        assert_eq!(loaded.fields.len() as u64, version, "inputs, and one field for each commit");
        for (name, value) in &loaded.fields[1..] {
            let of: u64 = name.strip_prefix("step ").unwrap().parse().unwrap();
            assert_eq!(value, &vec![(of - 1) as u8; ((of - 1) * 97 % 3_000) as usize], "{name}");
        }
        let events = store.events(run, 0, usize::MAX).await.unwrap();
        assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
        assert_eq!(events.len() as u64, version);
        versions.push(version);
    }
    versions.dedup();
    assert_eq!(versions.len(), 1, "kill {kill}: a batch is one transaction, but there are versions {versions:?}");
    assert_eq!(store.active(Shard(0)).await.unwrap().len(), RUNS as usize);
    assert_eq!(store.dirty(Shard(0)).await.unwrap().len(), RUNS as usize);
}
