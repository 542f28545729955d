//! Values as release after release must read them: what version 1 stored is in `tests/golden/store`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p darkroom-tests redis_golden` writes them anew; that breaks what is stored, unless the
//! layout has a new number.

use crate::redis::store_at;
use darkroom_backend::{Definition, SavedRecord, Shard, Store};
use darkroom_proto::{Artifact, ErrorClass, RunId, Sha256, StepError, StepPath, Timestamp};
use darkroom_tests::sample;
use darkroom_tests::servers::redis::{namespace, shared_redis};
use std::path::Path;
use std::time::Duration;

const SHARD: Shard = Shard(0);

fn definition() -> Definition {
    let source = "name: ü\n".to_owned();
    Definition { hash: Sha256::of(b"text"), workflow: "shots".into(), file: "shots.yaml".into(), source }
}

fn saved() -> SavedRecord {
    SavedRecord {
        scope: Sha256::of(b"scope"),
        key: Sha256::of(b"key"),
        path: "a.png".into(),
        artifact: Artifact {
            sha256: Sha256::of(b"bytes"),
            media_type: "image/png".into(),
            bytes: 5,
            width: Some(2),
            height: Some(3),
            duration: None,
            name: "a.png".into(),
        },
        outputs: r#"{"image":1}"#.into(),
    }
}

fn commit(run: RunId) -> darkroom_backend::Commit {
    let mut change = sample::commit(run, 1, 1, 7);
    change.summary.error = Some(StepError::new(ErrorClass::Timeout, "too slow").advice("wait"));
    change.summary.finished_at = Some(Timestamp(1_795_000_000_500));
    change.events = vec![b"one".to_vec(), vec![], vec![0xff; 3]];
    change.saved = vec![saved()];
    change
}

/// The values by name, as they are in Redis: under which key, in which field, behind how much that is no value.
fn places(namespace: &str, run: RunId) -> [(&'static str, String, Vec<u8>, bool); 6] {
    let shard = format!("{namespace}:{{0}}");
    let run = format!("{shard}:run:{}", run.to_string().split_off(4));
    [
        ("summary", run.clone(), b"summary".to_vec(), false),
        ("events", format!("{run}:events"), Vec::new(), false),
        ("claim", format!("{run}:claims"), b"branded[3]/resize@2".to_vec(), true),
        ("command", format!("{shard}:inbox"), b"k".to_vec(), true),
        ("saved", format!("{namespace}:saved:{}", saved().scope), saved().key.as_bytes().to_vec(), false),
        ("definition", format!("{namespace}:definition:{}", definition().hash), Vec::new(), false),
    ]
}

#[tokio::test]
async fn values_of_version_1_are_written_and_read() {
    let namespace = namespace();
    let store = store_at(&shared_redis(), &namespace, 1);
    let mut client = redis::Client::open(shared_redis()).unwrap().get_connection().unwrap();
    let run = sample::run(SHARD, 1, 1);
    let step = StepPath::top("branded").instance(3).child("resize");
    let epoch = store.acquire(SHARD, "a", Duration::from_secs(60)).await.unwrap().unwrap();
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    store.commit(SHARD, epoch, vec![commit(run)], &[]).await.unwrap();
    store.put_definition(&definition()).await.unwrap();
    store.post(&sample::command(run, "k")).await.unwrap();
    store.claim(run, &step, 2, 4, "worker-1").await.unwrap();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/store");
    for (name, key, field, has_prefix) in places(&namespace, run) {
        let mut get = match name {
            "events" => redis::cmd("XRANGE"),
            "definition" => redis::cmd("GET"),
            _ => redis::cmd("HGET"),
        };
        let written: Vec<u8> = match name {
            "events" => {
                let found: redis::streams::StreamRangeReply =
                    get.arg(&key).arg("4-0").arg("+").query(&mut client).unwrap();
                let [entry] = found.ids.as_slice() else { panic!("one entry for the commit") };
                assert_eq!(entry.id, "4-0");
                entry.get("e").unwrap()
            }
            "definition" => get.arg(&key).query(&mut client).unwrap(),
            _ => get.arg(&key).arg(&field).query(&mut client).unwrap(),
        };
        let start = if has_prefix { written.iter().position(|&byte| byte == b'|').unwrap() + 1 } else { 0 };
        let file = folder.join(format!("{name}.v1.msgpack"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &written[start..]).unwrap();
        }
        let golden = std::fs::read(&file).unwrap();
        assert_eq!(&written[start..], golden, "{name}: what this release writes");
        // What version 1 wrote takes the place of what this release wrote, and is read below.
        let stored = [&written[..start], &golden].concat();
        match name {
            "events" => {
                let _: () = redis::pipe()
                    .cmd("DEL")
                    .arg(&key)
                    .cmd("XADD")
                    .arg(&key)
                    .arg("4-0")
                    .arg("e")
                    .arg(stored)
                    .query(&mut client)
                    .unwrap();
            }
            "definition" => {
                let _: () = redis::cmd("SET").arg(&key).arg(stored).query(&mut client).unwrap();
            }
            _ => {
                let _: () = redis::cmd("HSET").arg(&key).arg(&field).arg(stored).query(&mut client).unwrap();
            }
        }
    }

    assert_eq!(store.load(run).await.unwrap().unwrap().summary, commit(run).summary);
    let events: Vec<Vec<u8>> = store.events(run, 1, 10).await.unwrap().into_iter().map(|event| event.body).collect();
    assert_eq!(events, commit(run).events);
    assert_eq!(store.definition(definition().hash).await.unwrap(), Some(definition()));
    assert_eq!(store.saved(saved().scope, 10).await.unwrap(), [saved()]);
    assert_eq!(store.inbox(SHARD).await.unwrap(), [sample::command(run, "k")]);
    let claims = store.claims(run).await.unwrap();
    assert_eq!((&claims[0].step, claims[0].generation, claims[0].attempt), (&step, 2, 4));
    assert_eq!(claims[0].worker, "worker-1");
}
