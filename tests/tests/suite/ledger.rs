//! The rules of the ledger over every backend, and what only one of them has.

use crate::redis::store_at;
use darkroom_backend::{
    Call, Clock, EmbeddedStore, Fact, Intended, Intent, Ledger, Purse, RedisStore, Shard, Store, Token, Turn,
};
use darkroom_proto::{CallId, Duration, Money, RunId, StepPath, Timestamp};
use darkroom_tests::conformance::ledger::Subject;
use darkroom_tests::conformance::store::SHARDS;
use darkroom_tests::servers::redis::{RedisServer, namespace, shared_redis};
use darkroom_tests::{ledger_conformance, poll, sample};
use serde_json::json;

const SHARD: Shard = Shard(0);

struct Embedded {
    store: EmbeddedStore,
    clock: Clock,
    _dir: tempfile::TempDir,
}

fn on_disk() -> Embedded {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp(1_795_000_000_000));
    let store = EmbeddedStore::open_with(dir.path(), SHARDS, clock.clone()).unwrap();
    Embedded { store, clock, _dir: dir }
}

impl Subject for Embedded {
    type Store = EmbeddedStore;

    fn store(&self) -> EmbeddedStore {
        self.store.clone()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time.to_std());
    }
}

ledger_conformance!(embedded, on_disk());

/// A store of its own on the shared server.
struct Redis {
    store: RedisStore,
    namespace: String,
    client: redis::Client,
}

async fn on_redis() -> Redis {
    let (url, namespace) = (shared_redis(), namespace());
    let store = store_at(&url, &namespace, SHARDS);
    store.prepare().await.unwrap();
    Redis { store, namespace, client: redis::Client::open(url).unwrap() }
}

/// Everything that is to be at some time is so much earlier, rather than the test waiting for it.
const EARLIER: &str = r#"
local namespace, ms = ARGV[1], tonumber(ARGV[2])
local function keys(family) return redis.call('KEYS', namespace .. ':{' .. family .. '}:*') end
local function earlier(time) return string.format('%.3f', math.max(0, tonumber(time) - ms)) end
local function all_earlier(set)
  local members = redis.call('ZRANGE', set, 0, -1, 'WITHSCORES')
  for n = 1, #members, 2 do redis.call('ZADD', set, earlier(members[n + 1]), members[n]) end
end
for _, key in ipairs(keys('limit')) do
  local kind = string.match(key, '{limit}:(%a+):')
  if kind == 'held' or kind == 'lapse' or kind == 'turns' then all_earlier(key) end
  if kind == 'rate' then
    for _, field in ipairs({'given', 'used'}) do
      redis.call('HSET', key, field, earlier(redis.call('HGET', key, field)))
    end
  end
end
local days = {}
for _, key in ipairs(keys('spend')) do
  if string.match(key, ':reservations$') then all_earlier(key) end
  local day = string.match(key, ':day:(%d+)$')
  if day then days[#days + 1] = tonumber(day) end
end
table.sort(days)
for _, day in ipairs(days) do
  local start = namespace .. ':{spend}:day:'
  local before = string.format('%d', day - math.floor(ms / 86400000))
  if tonumber(before) < day then redis.call('RENAME', start .. string.format('%d', day), start .. before) end
end
for _, key in ipairs(keys('provider')) do
  if string.match(key, '{provider}:conditions:') then
    local all = redis.call('HGETALL', key)
    for n = 1, #all, 2 do
      local fitness, till, rest = string.match(all[n + 1], '^(%a)|(%d+)|(.*)$')
      till = string.format('%.0f', math.max(0, tonumber(till) - ms))
      redis.call('HSET', key, all[n], fitness .. '|' .. till .. '|' .. rest)
    end
  end
  if string.match(key, '{provider}:probe:') then
    local left = redis.call('PTTL', key) - ms
    if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
  end
end
return 1
"#;

impl Subject for Redis {
    type Store = RedisStore;

    fn store(&self) -> RedisStore {
        self.store.clone()
    }

    fn pass(&self, time: Duration) {
        let mut connection = self.client.get_connection().unwrap();
        let mut earlier = redis::cmd("EVAL");
        earlier.arg(EARLIER).arg(0).arg(&self.namespace).arg(time.0);
        let _: () = earlier.query(&mut connection).unwrap();
    }
}

ledger_conformance!(redis_server, on_redis().await);

async fn intent(store: &impl Store, run: RunId) -> Intent {
    let step = StepPath::top("edit");
    let token = store.claim(run, &step, 1, 1, "w").await.unwrap();
    Intent {
        run,
        step,
        generation: 1,
        attempt: 1,
        token,
        model: "flux-pro".into(),
        provider: "fal".into(),
        endpoint: "fal-ai/flux-pro".into(),
        key: "ab12cd34".into(),
        worker: "w".into(),
        price: Money(40),
        send_within: Duration::from_secs(30),
        budget: Some(Money(100)),
    }
}

async fn granted(store: &impl Ledger, intent: &Intent) -> Call {
    match store.intent(intent).await.unwrap() {
        Intended::Granted(call) => call,
        other => panic!("not granted: {other:?}"),
    }
}

#[tokio::test]
async fn calls_and_what_was_spent_are_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let run = sample::run(SHARD, 1, 1);
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    let wanted = intent(&store, run).await;
    let call = granted(&store, &wanted).await;
    let noted =
        store.note(run, &call.id, &Fact::Submitted { handle: json!("a"), next_at: Timestamp(7) }).await.unwrap();
    let purses = [Purse { name: "total".into(), daily: None }];
    store.book(&call.id, Money(40), &purses).await.unwrap();
    let spent = store.spent(1).await.unwrap();
    assert_eq!(spent.len(), 1);
    drop(store);

    let store = EmbeddedStore::open(dir.path()).unwrap();
    let call = noted.unwrap().call;
    assert_eq!(store.calls(run).await.unwrap(), std::slice::from_ref(&call));
    assert_eq!(store.intent(&intent(&store, run).await).await.unwrap(), Intended::Open(call.clone()));
    store.book(&call.id, Money(40), &purses).await.unwrap();
    assert_eq!(store.spent(1).await.unwrap(), spent);
    // A token from before is of no use, and nothing is forgotten of what the run has cost.
    let old = Intent { token: wanted.token, ..intent(&store, run).await };
    assert!(matches!(store.intent(&old).await.unwrap(), Intended::Refused(_)));
}

/// A process that wrote a call last changes it without reading it first; what others wrote since counts all the same.
#[tokio::test]
async fn what_another_process_wrote_of_a_call_since_is_neither_lost_nor_overlooked() {
    let (url, namespace) = (shared_redis(), namespace());
    let (ours, theirs) = (store_at(&url, &namespace, SHARDS), store_at(&url, &namespace, SHARDS));
    ours.prepare().await.unwrap();
    let run = sample::run(SHARD, SHARDS, 1);
    ours.create(&[sample::new_run(run, 1)]).await.unwrap();
    let call = granted(&ours, &intent(&ours, run).await).await.id;
    let submitted = |job: &str| Fact::Submitted { handle: json!(job), next_at: Timestamp(7) };
    let noted = async |store: &RedisStore, fact: Fact| store.note(run, &call, &fact).await.unwrap().unwrap();
    let turn = async |store: &RedisStore, turn| store.turn(run, &call, turn, Timestamp(9)).await.unwrap();
    // A job that they heard of is not replaced by the one that we hear of later: it is a second one.
    noted(&theirs, submitted("first")).await;
    let second = noted(&ours, submitted("second")).await.call;
    assert_eq!((second.handle, second.second_handle), (Some(json!("first")), Some(json!("second"))));
    // A turn that they took is not ours, whether we would write or not.
    assert!(matches!(turn(&theirs, 1).await, Turn::Taken(_)));
    assert_eq!(turn(&ours, 1).await, Turn::Passed);
    assert!(matches!(turn(&ours, 2).await, Turn::Taken(_)));
    assert!(matches!(turn(&theirs, 3).await, Turn::Taken(_)));
    assert_eq!(turn(&ours, 2).await, Turn::Passed);
    // A cancellation that somebody else has flagged is told with the next write.
    assert!(matches!(turn(&ours, 4).await, Turn::Taken(noted) if !noted.cancelled));
    theirs.flag_cancelled(run).await.unwrap();
    assert!(matches!(turn(&ours, 5).await, Turn::Taken(noted) if noted.cancelled));
    // What they settled stays settled.
    noted(&theirs, Fact::Settled { cost: Money(40) }).await;
    assert_eq!(turn(&ours, 6).await, Turn::Passed);
    let settled = theirs.calls(run).await.unwrap();
    assert_eq!((settled.len(), settled[0].turn, settled[0].cost), (1, 5, Money(40)));
}

#[tokio::test]
async fn a_restart_of_the_server_is_another_epoch() {
    let mut server = RedisServer::start();
    let store = store_at(&server.url(), &namespace(), SHARDS);
    store.prepare().await.unwrap();
    let run = sample::run(SHARD, SHARDS, 1);
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    let first = store.epoch().await.unwrap();
    assert!(first.ends_with("/master"), "{first}");
    server.kill();
    server.restart();
    // Whoever reads anything of the new life is told of it.
    poll::until("the server answers", async || store.load(run).await.is_ok()).await;
    let second = store.epoch().await.unwrap();
    assert_ne!(second, first);
    assert_eq!(store.epoch().await.unwrap(), second);
}

#[tokio::test]
async fn calls_survive_a_kill_of_the_server_and_stay_fenced() {
    let mut server = RedisServer::start();
    let store = store_at(&server.url(), &namespace(), SHARDS);
    store.prepare().await.unwrap();
    let run = sample::run(SHARD, SHARDS, 1);
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    let wanted = intent(&store, run).await;
    let call = granted(&store, &wanted).await;
    server.kill();
    server.restart();
    // The scripts are gone with the process and are loaded again.
    poll::until("the server answers", async || store.load(run).await.is_ok()).await;
    assert_eq!(granted(&store, &wanted).await, call);
    let stale = Intent { token: Token(wanted.token.0 + 1), ..wanted };
    assert!(matches!(store.intent(&stale).await.unwrap(), Intended::Refused(_)));
    assert_eq!(store.calls(run).await.unwrap(), [call]);
}

#[tokio::test]
async fn what_limits_calls_ends_by_itself_in_redis() {
    let subject = on_redis().await;
    let call = CallId::new(sample::run(SHARD, SHARDS, 1), &StepPath::top("edit"), 1, 1);
    let other = CallId::new(sample::run(SHARD, SHARDS, 1), &StepPath::top("edit"), 1, 2);
    let limit =
        darkroom_backend::Limit { name: "fal/ab".into(), at_once: Some(1), rate: Some((1, Duration::from_secs(60))) };
    for call in [&call, &other] {
        subject.store.admit(call, std::slice::from_ref(&limit), Duration::from_secs(60)).await.unwrap();
    }
    let purses = [Purse { name: "total".into(), daily: None }];
    subject.store.book(&call, Money(40), &purses).await.unwrap();
    let mut connection = subject.client.get_connection().unwrap();
    let pattern = |family: &str| format!("{}:{{{family}}}:*", subject.namespace);
    let mut keys: Vec<String> = redis::cmd("KEYS").arg(pattern("limit")).query(&mut connection).unwrap();
    assert!(keys.len() >= 4, "{keys:?}");
    keys.extend(redis::cmd("KEYS").arg(pattern("spend")).query::<Vec<String>>(&mut connection).unwrap());
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
        assert!(left > 0, "{key}: {left}");
    }
}
