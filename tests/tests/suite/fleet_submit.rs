//! Runs that other services publish to the broker.

use darkroom_proto::RunStatus;
use darkroom_tests::clients::{example_in_node, example_in_python};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::role::Role;
use darkroom_tests::poll;
use darkroom_tests::servers::free_port;
use darkroom_tests::servers::rabbit::shared_rabbit;
use darkroom_tests::servers::redis::RedisServer;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use std::time::Duration;

/// A workflow of one no-op.
const NAP: &str = "workflow: nap\ninputs:\n  text: { type: string, max: 20 }\nsteps:\n  - id: rest\n    uses: noop\n    with: { data: \"${{ inputs.text }}\" }\noutputs:\n  said: ${{ steps.rest.data }}\n";

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

const JSON: &str = "application/json";
const MSGPACK: &str = "application/msgpack";

/// A fleet with the workflow `nap`, and a service that hands runs in.
struct Sender {
    fleet: Fleet,
    coordinators: Vec<Role>,
    channel: Channel,
    _connection: Connection,
    answers: Consumer,
    reply_to: ShortString,
    _worker: Role,
}

impl Sender {
    async fn begin(coordinators: usize) -> Sender {
        Sender::begin_on(Fleet::shared(), coordinators).await
    }

    async fn begin_on(fleet: Fleet, coordinators: usize) -> Sender {
        let listen = || format!("127.0.0.1:{}", free_port());
        let start = || fleet.start("coordinator", &[], &[("DARKROOM__API__LISTEN", listen().as_str())]);
        let coordinators: Vec<Role> = (0..coordinators).map(|_| start()).collect();
        let worker = fleet.start("worker", &["--slots", "2"], &[]);
        for role in coordinators.iter().chain([&worker]) {
            role.ready().await;
        }
        std::fs::write(fleet.folder().join("nap.yaml"), NAP).unwrap();
        fleet.cli_ok(&["workflows", "push", "nap.yaml"]);
        let connection = Connection::connect(&fleet.rabbit, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await.unwrap();
        let reply_to = queue.name().clone();
        let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consume = channel.basic_consume(reply_to.clone(), "".into(), no_ack, FieldTable::default());
        let answers = consume.await.unwrap();
        Sender { fleet, coordinators, channel, _connection: connection, answers, reply_to, _worker: worker }
    }

    /// Properties of a message whose answer is awaited under its id.
    fn properties(&self, content_type: &str, id: &str) -> BasicProperties {
        BasicProperties::default()
            .with_content_type(content_type.into())
            .with_message_id(id.into())
            .with_correlation_id(format!("about {id}").as_str().into())
            .with_reply_to(self.reply_to.clone())
            .with_delivery_mode(2)
    }

    async fn publish(&self, key: &str, properties: BasicProperties, body: &[u8]) {
        let exchange = format!("{}.submit", self.fleet.namespace);
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let published = self.channel.basic_publish(exchange.as_str().into(), key.into(), mandatory, body, properties);
        let confirmed = published.await.unwrap().await.unwrap();
        assert!(confirmed.is_ack() && confirmed.take_message().is_none());
    }

    /// The next answer, and what it is.
    async fn answer(&mut self) -> (BasicProperties, Value) {
        let answer = tokio::time::timeout(ANSWER_MAX, self.answers.next()).await;
        let Delivery { properties, data, .. } = answer.expect("an answer in time").unwrap().unwrap();
        let read = match properties.content_type().as_ref().map(ShortString::as_str) {
            Some(MSGPACK) => rmp_serde::from_slice(&data).unwrap(),
            _ => serde_json::from_slice(&data).unwrap(),
        };
        (properties, read)
    }

    /// Waits for the one that is with the dead.
    async fn dead(&self) -> Delivery {
        let name = format!("{}.dead", self.fleet.namespace);
        let give_up = tokio::time::Instant::now() + ANSWER_MAX;
        while tokio::time::Instant::now() < give_up {
            let get = self.channel.basic_get(name.as_str().into(), BasicGetOptions { no_ack: true });
            if let Some(got) = get.await.unwrap() {
                return got.delivery;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing is with the dead");
    }

    /// How many runs there are.
    fn runs(&self) -> usize {
        let listed = self.fleet.cli_ok(&["list", "--limit", "1000", "-o", "json"]);
        serde_json::from_str::<Value>(&listed).unwrap()["data"].as_array().unwrap().len()
    }

    async fn completed(&self, id: &str) -> Value {
        let ended = self.fleet.ended(id.parse().unwrap(), ANSWER_MAX).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed);
        serde_json::from_str(&self.fleet.cli_ok(&["show", id, "-o", "json"])).unwrap()
    }

    /// What the examples are told.
    fn place(&self) -> [(&'static str, &str); 2] {
        [("AMQP_URL", self.fleet.rabbit.as_str()), ("NAMESPACE", self.fleet.namespace.as_str())]
    }

    async fn end(self) {
        drop((self.coordinators, self._worker));
        self.fleet.remove().await;
    }
}

fn header(delivery: &Delivery, name: &str) -> String {
    match delivery.properties.headers().as_ref().and_then(|headers| headers.inner().get(name)) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name} is {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_run_is_stored_answered_and_done_in_json_and_messagepack() {
    let mut sender = Sender::begin(1).await;
    let body = |text: &str| json!({ "workflow": "nap", "inputs": { "text": text } });
    let (plain, packed) = (body("plain").to_string(), rmp_serde::to_vec_named(&body("packed")).unwrap());
    for (text, content_type, bytes) in [("plain", JSON, plain.as_bytes()), ("packed", MSGPACK, packed.as_slice())] {
        sender.publish("", sender.properties(content_type, text), bytes).await;
        let (properties, answer) = sender.answer().await;
        let correlation = format!("about {text}");
        assert_eq!(properties.correlation_id().as_ref().unwrap().as_str(), correlation);
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "run");
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), content_type);
        let id = answer["id"].as_str().unwrap();
        assert_eq!((&answer["status"], &answer["urls"]["self"]), (&json!("pending"), &json!(format!("/v1/runs/{id}"))));
        assert_eq!(sender.completed(id).await["outputs"]["said"], text);
    }

    // The key names the workflow where the body does not, the tenant is in a header, and nobody has to want an answer.
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), AMQPValue::LongString("acme".into()));
    let properties = sender.properties(JSON, "keyed").with_headers(headers);
    sender.publish("nap@1", properties, br#"{"inputs": {"text": "keyed"}}"#).await;
    let (_, answer) = sender.answer().await;
    let run = sender.fleet.ended(answer["id"].as_str().unwrap().parse().unwrap(), ANSWER_MAX).await.run;
    assert_eq!((run.spec.tenant.as_str(), run.head.status), ("acme", RunStatus::Completed));
    let before = sender.runs();
    sender.publish("nap", BasicProperties::default(), br#"{"inputs": {"text": "silent"}}"#).await;
    poll::until("a run without an answer is there", async || sender.runs() == before + 1).await;
    sender.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_id_is_one_run_whoever_takes_it() {
    let mut sender = Sender::begin(2).await;
    let mut ids = std::collections::BTreeSet::new();
    let body = br#"{"inputs": {"text": "once"}}"#;
    for _ in 0..20 {
        sender.publish("nap", sender.properties(JSON, "order-7"), body).await;
    }
    for _ in 0..20 {
        let (_, answer) = sender.answer().await;
        ids.insert(answer["id"].as_str().unwrap().to_owned());
    }
    assert_eq!((ids.len(), sender.runs()), (1, 1));

    // Under the same id something else is a mistake, which is told and changes nothing.
    sender.publish("nap", sender.properties(JSON, "order-7"), br#"{"inputs": {"text": "other"}}"#).await;
    let (properties, answer) = sender.answer().await;
    assert_eq!(properties.kind().as_ref().unwrap().as_str(), "problem");
    assert_eq!((&answer["status"], &answer["code"]), (&json!(422), &json!("idempotency_key_reused")));
    assert_eq!(header(&sender.dead().await, "dr-code"), "idempotency_key_reused");
    assert_eq!(sender.runs(), 1);
    sender.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_is_answered_and_lies_with_the_dead_with_its_problem() {
    let mut sender = Sender::begin(1).await;
    for (id, key, content_type, body, code) in [
        ("cut", "nap", JSON, &b"{\"inputs\": "[..], "bad_request"),
        ("torn", "nap", MSGPACK, b"\x82\xa6inputs", "bad_request"),
        ("xml", "nap", "text/xml", b"<run/>", "unsupported_media_type"),
        ("input", "nap", JSON, br#"{"inputs": {"text": 7}}"#, "invalid_input"),
        ("nobody", "nop", JSON, b"{}", "not_found"),
    ] {
        // What would vanish with the message were it kept.
        let properties = sender.properties(content_type, id).with_expiration("60000".into());
        sender.publish(key, properties, body).await;
        let (properties, answer) = sender.answer().await;
        assert_eq!(properties.correlation_id().as_ref().unwrap().as_str(), format!("about {id}"));
        assert_eq!(answer["code"], code, "{answer}");

        let dead = sender.dead().await;
        assert_eq!(dead.data, body);
        let problem: Value = serde_json::from_str(&header(&dead, "dr-problem")).unwrap();
        assert_eq!(problem, answer);
        assert_eq!((header(&dead, "dr-code"), header(&dead, "dr-message-id")), (code.to_owned(), id.to_owned()));
        assert_eq!(header(&dead, "dr-routing-key"), key);
        assert_eq!(header(&dead, "dr-queue"), format!("{}.submit", sender.fleet.namespace));
        assert!(header(&dead, "dr-cause").starts_with(code));
        assert_eq!(dead.properties.expiration(), &None);
    }
    assert_eq!(sender.runs(), 0);

    // Answers that nobody can have hold nothing up, and none is put among the fleet's own messages.
    let own = format!("{}.shard.3", sender.fleet.namespace);
    for reply_to in ["nobody-home", own.as_str(), ""] {
        let properties = sender.properties(JSON, &format!("to {reply_to}")).with_reply_to(reply_to.into());
        sender.publish("nap", properties, br#"{"inputs": {"text": "unheard"}}"#).await;
    }
    poll::until("they are all taken", async || sender.runs() == 3).await;
    sender.publish("nap", sender.properties(JSON, "last"), br#"{"inputs": {"text": "heard"}}"#).await;
    let (_, answer) = sender.answer().await;
    sender.completed(answer["id"].as_str().unwrap()).await;
    sender.end().await;
}

/// Only what is stored is acked: a coordinator that is killed leaves what it had to the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_coordinator_had_not_stored_is_taken_by_the_next_one() {
    let mut sender = Sender::begin(2).await;
    let count = 60;
    for number in 0..count {
        let body = format!(r#"{{"inputs": {{"text": "{number}"}}}}"#);
        sender.publish("nap", sender.properties(JSON, &format!("n-{number}")), body.as_bytes()).await;
        if number == count / 2 {
            sender.coordinators.remove(0).kill();
        }
    }
    poll::until("all of them are there", async || sender.runs() == count).await;
    for _ in 0..count {
        let (properties, _) = sender.answer().await;
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "run");
    }
    sender.end().await;
}

/// What can't be stored now is neither acked nor refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_the_store_is_away_is_stored_when_it_is_back() {
    let mut redis = RedisServer::start();
    let mut sender = Sender::begin_on(Fleet::on(&shared_rabbit(), &redis.url()), 1).await;
    redis.kill();
    for number in 0..5 {
        let body = format!(r#"{{"inputs": {{"text": "{number}"}}}}"#);
        sender.publish("nap", sender.properties(JSON, &format!("n-{number}")), body.as_bytes()).await;
    }
    sender.coordinators[0].says("can't be stored yet").await;
    redis.restart();
    for _ in 0..5 {
        let (properties, answer) = sender.answer().await;
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), "run", "{answer}");
    }
    assert_eq!(sender.runs(), 5);
    sender.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_python_hands_a_run_in() {
    let sender = Sender::begin(1).await;
    let said = example_in_python("enqueue.py", &sender.place());
    sender.completed(said.trim()).await;
    sender.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_in_javascript_hands_a_run_in() {
    let sender = Sender::begin(1).await;
    let said = example_in_node("enqueue.mjs", &sender.place());
    sender.completed(said.trim()).await;
    sender.end().await;
}
