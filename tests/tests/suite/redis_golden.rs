//! Values as release after release must read them: what version 1 stored is in `tests/golden/store`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p darkroom-tests redis_golden` writes them anew; that breaks what is stored, unless the
//! layout has a new number.

use crate::redis::store_at;
use darkroom_backend::{Call, Definition, Fact, Intended, Intent, Ledger, SavedRecord, Shard, Sighting, Store, Token};
use darkroom_proto::{Artifact, CallId, ErrorClass, Money, RunId, Sha256, StepError, StepPath, Timestamp};
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

fn step() -> StepPath {
    StepPath::top("branded").instance(3).child("resize")
}

/// A call to which everything has happened that can be stored of it.
async fn call(store: &impl Ledger, run: RunId, token: Token) -> Call {
    let intent = Intent {
        run,
        step: step(),
        generation: 2,
        attempt: 4,
        token,
        model: "flux-pro".into(),
        provider: "fal".into(),
        endpoint: "fal-ai/flux-pro".into(),
        key: "ab12cd34".into(),
        worker: "w".into(),
        price: Money(40_000),
        send_within: darkroom_proto::Duration::from_secs(30),
        budget: None,
    };
    let Intended::Granted(call) = store.intent(&intent).await.unwrap() else { panic!("nobody else calls") };
    let submitted = |handle| Fact::Submitted { handle, next_at: Timestamp(7) };
    store.note(run, &call.id, &submitted(serde_json::json!({"id": "ü", "urls": [1, 2.5, null]}))).await.unwrap();
    store.note(run, &call.id, &submitted("other".into())).await.unwrap();
    store.turn(run, &call.id, 3, Timestamp(8)).await.unwrap();
    let error = StepError::new(ErrorClass::Timeout, "too slow").advice("wait");
    store.note(run, &call.id, &Fact::Failed { error, cost: Money(39_000) }).await.unwrap().unwrap().call
}

fn commit(run: RunId) -> darkroom_backend::Commit {
    let mut change = sample::commit(run, 1, 1, 7);
    change.summary.error = Some(StepError::new(ErrorClass::Timeout, "too slow").advice("wait"));
    change.summary.finished_at = Some(Timestamp(1_795_000_000_500));
    change.events = vec![b"one".to_vec(), vec![], vec![0xff; 3]];
    change.saved = vec![saved()];
    change
}

/// The values by name, as they are in Redis: under which key, in which field, behind how many parts that are no value.
fn places(namespace: &str, run: RunId) -> [(&'static str, String, Vec<u8>, usize); 8] {
    let shard = format!("{namespace}:{{0}}");
    let call_id = CallId::new(run, &step(), 2, 1);
    let run = format!("{shard}:run:{}", run.to_string().split_off(4));
    [
        ("summary", run.clone(), b"summary".to_vec(), 0),
        ("events", format!("{run}:events"), Vec::new(), 0),
        ("claim", format!("{run}:claims"), b"branded[3]/resize@2".to_vec(), 1),
        ("command", format!("{shard}:inbox"), b"k".to_vec(), 1),
        ("saved", format!("{namespace}:saved:{}", saved().scope), saved().key.as_bytes().to_vec(), 0),
        ("call", format!("{run}:calls"), call_id.as_str().as_bytes().to_vec(), 5),
        ("condition", format!("{namespace}:{{provider}}:conditions:fal"), b"route/flux".to_vec(), 3),
        ("definition", format!("{namespace}:definition:{}", definition().hash), Vec::new(), 0),
    ]
}

#[tokio::test]
async fn values_of_version_1_are_written_and_read() {
    let namespace = namespace();
    let store = store_at(&shared_redis(), &namespace, 1);
    let mut client = redis::Client::open(shared_redis()).unwrap().get_connection().unwrap();
    let run = sample::run(SHARD, 1, 1);
    let step = step();
    let epoch = store.acquire(SHARD, "a", Duration::from_secs(60)).await.unwrap().unwrap();
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    store.commit(SHARD, epoch, vec![commit(run)], &[]).await.unwrap();
    store.put_definition(&definition()).await.unwrap();
    store.post(&sample::command(run, "k")).await.unwrap();
    let token = store.claim(run, &step, 2, 4, "worker-1").await.unwrap();
    let call = call(&store, run, token).await;
    let condition = store.saw("fal", "route/flux", &Sighting::Failure).await.unwrap();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/store");
    for (name, key, field, parts) in places(&namespace, run) {
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
        let mut ends = written.iter().enumerate().filter(|(_, byte)| **byte == b'|').map(|(at, _)| at + 1);
        let start = if parts > 0 { ends.nth(parts - 1).unwrap() } else { 0 };
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
    assert_eq!(store.calls(run).await.unwrap(), [call]);
    assert_eq!(store.conditions("fal").await.unwrap(), [condition]);
}
