use super::*;
use darkroom_proto::{RunId, StepPath};
use std::sync::Mutex;

/// Takes everything down; a post fails as often as it is told to.
#[derive(Debug, Default)]
struct Ledger {
    lines: Mutex<Vec<String>>,
    posts: Mutex<Vec<(Act, String, Value)>>,
    failures: Mutex<u32>,
    passes: bool,
}

impl Outlet for Ledger {
    fn console(&self, line: &str) {
        self.lines.lock().unwrap().push(line.to_owned());
    }

    fn post(&self, to: Act, id: String, body: Value) -> BoxFuture<'static, Result<(), Undelivered>> {
        self.posts.lock().unwrap().push((to, id, body));
        let mut failures = self.failures.lock().unwrap();
        let fails = *failures > 0;
        *failures = failures.saturating_sub(1);
        let passes = self.passes;
        Box::pin(async move { if fails { Err(Undelivered { reason: "down".to_owned(), passes }) } else { Ok(()) } })
    }
}

fn notice(to: Act, run: u8, minute: u64) -> Notice {
    Notice {
        at: Timestamp(minute * 60_000),
        to,
        kind: NoticeKind::RunFailed,
        run: format!("run_{run:032x}").parse::<RunId>().unwrap(),
        workflow: "shots".to_owned(),
        generation: 0,
        step: StepPath::top("hero"),
        class: ErrorClass::InvalidKey,
        code: "invalid_key".to_owned(),
        message: "fal refused\nthe key".to_owned(),
        advice: "Replace the key.".to_owned(),
    }
}

async fn told(ways: Ways, outlet: &Arc<Ledger>, notices: Vec<Notice>) {
    let options = NoticeOptions { user: ways, admin: ways, quiet: Duration::from_secs(600) };
    let (line, mut notifier) = Notices::open(options, outlet.clone());
    notifier.again_after = [std::time::Duration::from_millis(1); 3];
    for notice in notices {
        line.tell(notice);
    }
    drop(line);
    notifier.run().await;
}

#[tokio::test]
async fn an_admin_hears_of_the_same_trouble_of_many_runs_once_in_a_while() {
    let outlet = Arc::new(Ledger::default());
    let ways = Ways { console: true, webhook: true, ..Ways::default() };
    let at = |minute: u64| notice(Act::Admin, minute as u8, minute);
    told(ways, &outlet, vec![at(0), at(1), at(9), at(10), at(11)]).await;
    let lines = outlet.lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    assert!(lines[1].ends_with("(and 2 like it before)"), "{lines:?}");
    assert!(lines[0].contains("fal refused the key. Replace the key."), "one line: {lines:?}");
    let mut kept: Vec<u64> =
        outlet.posts.lock().unwrap().iter().map(|(_, _, body)| body["data"]["kept_back"].as_u64().unwrap()).collect();
    kept.sort_unstable();
    assert_eq!(kept, [0, 2]);
}

#[tokio::test]
async fn a_user_hears_of_every_run_and_one_notice_keeps_its_id() {
    let outlet = Arc::new(Ledger { failures: Mutex::new(1), passes: true, ..Ledger::default() });
    let ways = Ways { webhook: true, ..Ways::default() };
    told(ways, &outlet, vec![notice(Act::User, 1, 0), notice(Act::User, 2, 0)]).await;
    let posts = outlet.posts.lock().unwrap();
    assert_eq!(posts.len(), 3, "the one that failed was posted again");
    let ids: std::collections::BTreeSet<&str> = posts.iter().map(|(_, id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(posts[0].2["type"], "run.failed");
    assert_eq!(posts[0].2["data"]["to"], "user");
}

#[tokio::test]
async fn a_webhook_that_is_down_is_given_up_and_one_that_refuses_is_not_asked_again() {
    for (passes, want) in [(true, 4), (false, 1)] {
        let outlet = Arc::new(Ledger { failures: Mutex::new(99), passes, ..Ledger::default() });
        told(Ways { webhook: true, ..Ways::default() }, &outlet, vec![notice(Act::User, 1, 0)]).await;
        assert_eq!(outlet.posts.lock().unwrap().len(), want);
    }
}

#[test]
fn leaving_a_notice_never_waits() {
    let options = NoticeOptions { user: Ways::default(), admin: Ways::default(), quiet: Duration::from_secs(600) };
    let (line, _notifier) = Notices::open(options, Arc::new(Ledger::default()));
    for run in 0..2_000_u32 {
        line.tell(notice(Act::User, run as u8, 0));
    }
}
