//! Tasks, done by workers that are not Darkroom's: in Python, JavaScript and Rust, and by hand.

use darkroom_backend::Queue as _;
use darkroom_proto::{RunStatus, StepPath};
use darkroom_tests::clients::Going;
use darkroom_tests::fleet::role::Role;
use darkroom_tests::fleet::{Fleet, blocking};
use darkroom_tests::poll;
use darkroom_tests::servers::free_port;
use darkroom_tests::servers::rabbit::RabbitServer;
use darkroom_tests::servers::redis::shared_redis;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a run may take.
const RUN_MAX: Duration = Duration::from_secs(60);

/// The examples, each of which serves `count-words`.
const EXAMPLES: [&str; 3] = ["task_worker.py", "task_worker.mjs", "count_words"];

const TEXT: &str = "every journey\nstarts with\na light";

const WORKFLOW: &str = "workflow: words
inputs:
  text: { type: file }
  pause: { type: number, default: 0 }
steps:
  - id: count
    uses: task.count-words
    timeout: TIMEOUT
    retry: { attempts: 3, delay: 100ms }
    with: { text: '${{ inputs.text }}', seconds_per_line: '${{ inputs.pause }}' }
  - id: keep
    uses: save
    with: { file: '${{ steps.count.list }}', path: words.txt }
outputs:
  words: ${{ steps.count.words }}
  longest: ${{ steps.count.longest }}
";

/// A fleet whose coordinator can be asked for files.
struct Place {
    fleet: Fleet,
    _roles: Vec<Role>,
}

impl Place {
    async fn begin(timeout: &str) -> Place {
        Place::begin_on(Fleet::shared(), timeout).await
    }

    async fn begin_on(fleet: Fleet, timeout: &str) -> Place {
        fleet.cli_ok(&["setup", "--task", "count-words"]);
        let listen = format!("127.0.0.1:{}", free_port());
        let roles = vec![
            fleet.start("coordinator", &[], &[("DARKROOM__API__LISTEN", &listen)]),
            fleet.start("worker", &["--slots", "2"], &[]),
        ];
        for role in &roles {
            role.ready().await;
        }
        std::fs::write(fleet.folder().join("words.yaml"), WORKFLOW.replace("TIMEOUT", timeout)).unwrap();
        std::fs::write(fleet.folder().join("text.txt"), TEXT).unwrap();
        Place { fleet, _roles: roles }
    }

    /// Hands a run in that takes so long for each of its three lines.
    fn submit(&self, pause: &str) -> String {
        let pause = format!("pause={pause}");
        let said = self.fleet.cli_ok(&["submit", "words.yaml", "-i", "text=text.txt", "-i", &pause, "-o", "json"]);
        serde_json::from_str::<Value>(&said).unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn show(&self, id: &str) -> Value {
        serde_json::from_str(&self.fleet.cli_ok(&["show", id, "-o", "json"])).unwrap()
    }

    async fn ended(&self, id: &str) -> (RunStatus, Value) {
        let ended = self.fleet.ended(id.parse().unwrap(), RUN_MAX).await;
        (ended.run.head.status, self.show(id))
    }

    async fn counted(&self, id: &str) -> Value {
        let (status, shown) = self.ended(id).await;
        assert_eq!(status, RunStatus::Completed, "{shown:#}");
        assert_eq!(shown["outputs"], json!({"words": 6, "longest": "journey"}));
        let out = self.fleet.folder().join(id);
        self.fleet.cli_ok(&["outputs", id, "--out", out.to_str().unwrap()]);
        assert_eq!(std::fs::read_to_string(out.join("words.txt")).unwrap(), TEXT.replace(' ', "\n"));
        shown
    }

    /// Starts one of the examples.
    fn example(&self, name: &str) -> Going {
        let place = [("AMQP_URL", self.fleet.rabbit.as_str()), ("NAMESPACE", self.fleet.namespace.as_str())];
        match name.contains('.') {
            true => Going::example(name, &place),
            false => {
                let built = std::env::current_exe().unwrap();
                Going::program(&built.parent().unwrap().parent().unwrap().join("examples").join(name), &place)
            }
        }
    }

    /// Waits until the worker of the task has said how far it is.
    async fn is_worked_on(&self, id: &str) {
        let (run, step) = (id.parse().unwrap(), StepPath::top("count"));
        poll::until("the worker says how far it is", async || {
            let stored = self.fleet.load(run).await;
            stored.run.step(&step).and_then(|step| step.pulse.as_ref()).is_some_and(|pulse| !pulse.note.is_empty())
        })
        .await;
    }

    async fn end(self) {
        drop(self._roles);
        self.fleet.remove().await;
    }
}

/// A worker that does what a test says.
struct ByHand {
    channel: Channel,
    consumer: Consumer,
    dead: String,
    _connection: Connection,
}

impl ByHand {
    async fn begin(place: &Place) -> ByHand {
        ByHand::begin_as(&place.fleet.rabbit, place).await
    }

    async fn begin_as(url: &str, place: &Place) -> ByHand {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        channel.basic_qos(1, BasicQosOptions { global: false }).await.unwrap();
        let queue = format!("{}.steps.task.count-words", place.fleet.namespace);
        let consume = BasicConsumeOptions::default();
        let consumer =
            channel.basic_consume(queue.into(), "hand".into(), consume, FieldTable::default()).await.unwrap();
        ByHand { channel, consumer, dead: format!("{}.dead", place.fleet.namespace), _connection: connection }
    }

    async fn take(&mut self) -> (Delivery, Value) {
        let delivery = poll::soon("a task comes", self.consumer.next()).await.unwrap().unwrap();
        let task = serde_json::from_slice(&delivery.data).unwrap();
        (delivery, task)
    }

    async fn say(&self, task: &Value, said: Value) {
        let mut report = json!({"v": 1, "token": task["token"]});
        report.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        self.publish(task, "application/json", report.to_string().as_bytes()).await;
    }

    async fn publish(&self, task: &Value, content_type: &str, body: &[u8]) {
        let to = |name: &str| task["report_to"][name].as_str().unwrap().into();
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = BasicProperties::default().with_content_type(content_type.into());
        let published = self.channel.basic_publish(to("exchange"), to("routing_key"), mandatory, body, properties);
        let confirmed = published.await.unwrap().await.unwrap();
        assert!(confirmed.is_ack() && confirmed.take_message().is_none());
    }

    async fn ack(&self, delivery: Delivery) {
        delivery.acker.ack(BasicAckOptions::default()).await.unwrap();
    }

    /// How many messages come to lie with the dead, of so many that are awaited.
    async fn dead(&self, count: usize) {
        let found = AtomicUsize::new(0);
        poll::until("what can't be read lies with the dead", async || {
            let get = self.channel.basic_get(self.dead.as_str().into(), BasicGetOptions { no_ack: true });
            found.fetch_add(get.await.unwrap().is_some().into(), Ordering::Relaxed);
            found.load(Ordering::Relaxed) == count
        })
        .await;
    }
}

fn succeeded(words: u32, list: &Value) -> Value {
    json!({"outcome": "succeeded", "outputs": {"words": words, "longest": "journey", "list": list}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_in_python_javascript_and_rust_do_a_task_with_files() {
    let place = Place::begin("60s").await;
    for name in EXAMPLES {
        let worker = place.example(name);
        let shown = place.counted(&place.submit("0")).await;
        assert_eq!((&shown["steps"][0]["op"], &shown["steps"][0]["attempts"]), (&json!("task.count-words"), &json!(1)));
        // What they can't do they say, with a class.
        std::fs::write(place.fleet.folder().join("text.txt"), " \n").unwrap();
        let (status, shown) = place.ended(&place.submit("0")).await;
        assert_eq!(status, RunStatus::Failed, "{name}");
        assert_eq!(shown["error"]["code"], "no_words", "{name}: {shown:#}");
        std::fs::write(place.fleet.folder().join("text.txt"), TEXT).unwrap();
        worker.kill();
    }
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_killed_in_the_middle_loses_nothing() {
    let place = Place::begin("60s").await;
    for name in EXAMPLES {
        let victim = place.example(name);
        let id = place.submit("1");
        place.is_worked_on(&id).await;
        victim.kill();
        let _next = place.example(name);
        let shown = place.counted(&id).await;
        // The broker gives the same attempt to somebody else at once: nobody waits for a time-out.
        assert_eq!(shown["steps"][0]["attempts"], 1, "{name}");
    }
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_or_answered_twice_counts_once() {
    let place = Place::begin("60s").await;
    let mut worker = ByHand::begin(&place).await;
    let id = place.submit("0");
    let (first, task) = worker.take().await;
    first.acker.nack(BasicNackOptions { multiple: false, requeue: true }).await.unwrap();
    let (again, same) = worker.take().await;
    assert!(again.redelivered && same == task);
    let given = &task["with"]["text"];
    assert!(given["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(task["step"], "count");
    // The text is handed back as it came: it need not be sent again to be an output.
    worker.say(&task, succeeded(6, given)).await;
    worker.say(&task, succeeded(7, &given["file"])).await;
    worker.say(&task, json!({"outcome": "failed", "error": {"class": "network", "message": "late"}})).await;
    worker.ack(again).await;
    let (status, shown) = place.ended(&id).await;
    assert_eq!((status, &shown["outputs"]["words"]), (RunStatus::Completed, &json!(6)));
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_worker_costs_an_attempt_and_what_it_says_later_is_not_heard() {
    let place = Place::begin("2s").await;
    let mut worker = ByHand::begin(&place).await;
    let id = place.submit("0");
    let (silent, first) = worker.take().await;
    worker.say(&first, json!({"outcome": "working", "progress": 0.5, "note": "line 2"})).await;
    // Its connection stays open and it says nothing: the step is tried again, by whoever takes the message.
    let mut other = ByHand::begin(&place).await;
    let (delivery, second) = other.take().await;
    assert_eq!((&first["attempt"], &second["attempt"]), (&json!(1), &json!(2)));
    assert_eq!(first["idempotency_key"], second["idempotency_key"]);
    worker.say(&first, json!({"outcome": "failed", "error": {"class": "invalid_input", "message": "old"}})).await;
    worker.ack(silent).await;
    other.say(&second, succeeded(6, &second["with"]["text"])).await;
    other.ack(delivery).await;
    let (status, shown) = place.ended(&id).await;
    assert_eq!((status, &shown["outputs"]["words"]), (RunStatus::Completed, &json!(6)));
    assert_eq!(shown["steps"][0]["attempts"], 2);
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_read_or_is_forged_changes_nothing_and_holds_nothing_up() {
    let place = Place::begin("60s").await;
    let mut worker = ByHand::begin(&place).await;
    let id = place.submit("0");
    let (delivery, task) = worker.take().await;
    for body in [&b"{"[..], b"[]", br#"{"v": 1}"#, br#"{"v": 9, "token": "x", "outcome": "working"}"#] {
        worker.publish(&task, "application/json", body).await;
    }
    // What only Darkroom's own may say is not taken from here.
    worker.publish(&task, "application/msgpack", &rmp_serde::to_vec_named(&json!({"start": 1})).unwrap()).await;
    worker.dead(5).await;
    let forged =
        json!({"token": task["token"].as_str().unwrap().replacen("@1.1", "@1.2", 1), "report_to": task["report_to"]});
    worker.say(&forged, json!({"outcome": "failed", "error": {"class": "invalid_input", "message": "forged"}})).await;
    // A class that there is none of is a failure for good, and says so.
    worker.say(&task, json!({"outcome": "failed", "error": {"class": "oops", "message": "no idea"}})).await;
    worker.ack(delivery).await;
    let (status, shown) = place.ended(&id).await;
    assert_eq!(status, RunStatus::Failed);
    assert_eq!((&shown["error"]["message"], &shown["error"]["code"]), (&json!("no idea"), &json!("task")));
    place.end().await;
}

/// The rights that the page gives a worker are enough for it, and for nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_may_read_its_queue_and_write_reports_and_needs_nothing_else() {
    let server = blocking(RabbitServer::start);
    let place = Place::begin_on(Fleet::on(&server.url(), &shared_redis()), "60s").await;
    let namespace = place.fleet.namespace.replace('.', r"\.");
    let (write, read) = (format!(r"^{namespace}\.report$"), format!(r"^{namespace}\.steps\.task\.count-words$"));
    blocking(|| {
        server.ctl(&["add_user", "counter", "secret"]);
        server.ctl(&["set_permissions", "counter", "^$", &write, &read]);
    });
    let url = server.url().replacen("guest:guest", "counter:secret", 1);
    let mut worker = ByHand::begin_as(&url, &place).await;
    let id = place.submit("0");
    let (delivery, task) = worker.take().await;
    worker.say(&task, succeeded(6, &task["with"]["text"])).await;
    worker.ack(delivery).await;
    assert_eq!(place.ended(&id).await.0, RunStatus::Completed);

    let shard = format!("{}.shard", place.fleet.namespace);
    let properties = BasicProperties::default();
    let published = worker.channel.basic_publish(
        shard.as_str().into(),
        "0".into(),
        BasicPublishOptions::default(),
        b"",
        properties,
    );
    let refused = async { published.await?.await }.await;
    assert!(refused.is_err_and(|error| error.to_string().contains("ACCESS_REFUSED")), "shards are not for workers");
    place.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_waits_for_workers_of_a_task_that_nobody_serves_yet() {
    let place = Place::begin("2s").await;
    let fleet = &place.fleet;
    let workflow = "workflow: nobody\nsteps:\n  - { id: a, uses: task.nobody-yet, timeout: 2s }\n";
    std::fs::write(fleet.folder().join("nobody.yaml"), workflow).unwrap();
    let said = fleet.cli_ok(&["submit", "nobody.yaml", "-o", "json"]);
    let id = serde_json::from_str::<Value>(&said).unwrap()["id"].as_str().unwrap().to_owned();
    // Its queue was made for it, and keeps it.
    poll::until("its message is there", async || {
        fleet.queue.depth("task.nobody-yet").await.is_ok_and(|waiting| waiting == 1)
    })
    .await;
    fleet.cli_ok(&["cancel", &id]);
    let (status, _) = place.ended(&id).await;
    assert_eq!(status, RunStatus::Cancelled, "nobody is waited for");
    place.end().await;
}
