//! What is read by anybody.

use super::*;

/// Time is given by the store, and never goes back.
pub async fn time_never_goes_back(subject: impl Subject) {
    let store = subject.store();
    let mut last = store.now().await.unwrap();
    for _ in 0..100 {
        let now = store.now().await.unwrap();
        assert!(now >= last);
        last = now;
    }
}

/// A definition is found by its hash, and keeping it again changes nothing.
pub async fn a_definition_is_kept_once(subject: impl Subject) {
    let store = subject.store();
    let hash = Sha256::of(b"text");
    let first = Definition { hash, workflow: "a".into(), file: "a.yaml".into(), source: "text ü".into() };
    assert_eq!(store.definition(hash).await.unwrap(), None);
    store.put_definition(&first).await.unwrap();
    store.put_definition(&Definition { file: "other.yaml".into(), ..first.clone() }).await.unwrap();
    assert_eq!(store.definition(hash).await.unwrap(), Some(first));
}

/// A run that is not there is no error.
pub async fn an_unknown_run_loads_as_none(subject: impl Subject) {
    let store = subject.store();
    let id = run(S0, SHARDS, 1);
    assert_eq!(store.load(id).await.unwrap(), None);
    assert_eq!(store.events(id, 0, 10).await.unwrap(), []);
}

/// Events are numbered from 1 without gaps over all commits, and are read from any position on.
pub async fn events_are_numbered_without_gaps(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let neighbour = run(S0, SHARDS, 2);
    store.create(&[new_run(neighbour, 2)]).await.unwrap();
    for version in 1..=4u64 {
        let mut change = commit(id, 1, version, version + 10);
        change.events = (0..version - 1).map(|at| format!("{version}.{at}").into_bytes()).collect();
        store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    }
    let bodies = ["created", "2.0", "3.0", "3.1", "4.0", "4.1", "4.2"];
    let every: Vec<Event> =
        (1..).zip(bodies).map(|(seq, body)| Event { seq, body: body.as_bytes().to_vec() }).collect();
    for after in 0..=8 {
        let expected = every.get(after..).unwrap_or_default();
        assert_eq!(store.events(id, after as u64, 100).await.unwrap(), expected, "after {after}");
        let limited = store.events(id, after as u64, 2).await.unwrap();
        assert_eq!(limited, expected[..expected.len().min(2)], "2 after {after}");
    }
    assert_eq!(store.events(neighbour, 0, 100).await.unwrap().len(), 1);
}

/// Lists show the newest run first, however their ids sort, as each run stands now.
pub async fn runs_are_listed_newest_first(subject: impl Subject) {
    let store = subject.store();
    assert_eq!(listed(&store, all()).await, []);
    let keyed: Vec<RunId> = (0..6).map(|number| RunId::from_key("tenant", &format!("key {number}"))).collect();
    let new: Vec<_> = keyed.iter().zip(1..).map(|(&id, number)| new_run(id, number)).collect();
    store.create(&new).await.unwrap();
    let newest_first: Vec<RunId> = keyed.iter().rev().copied().collect();
    assert_eq!(listed(&store, all()).await, newest_first);
    assert_eq!(listed(&store, RunFilter { limit: 2, ..all() }).await, newest_first[..2]);
    assert_eq!(listed(&store, RunFilter { limit: 0, ..all() }).await, []);
    for (at, &before) in newest_first.iter().enumerate() {
        assert_eq!(listed(&store, RunFilter { before: Some(before), ..all() }).await, newest_first[at + 1..]);
    }
    let summaries: Vec<_> = store.list(&all()).await.unwrap().into_iter().map(|(_, summary)| summary).collect();
    assert_eq!(summaries[0], summary(6, RunStatus::Pending));
}

fn acme() -> Tenant {
    "acme".parse().unwrap()
}

/// Parts of wide fan-outs are found by their ids, wherever they stand.
pub async fn parts_are_in_no_list(subject: impl Subject) {
    let store = subject.store();
    let epoch = owned(&store, S0).await;
    let (whole, part) = (run(S0, SHARDS, 1), run(S0, SHARDS, 2));
    let mut new = new_run(part, 2);
    new.summary.part = true;
    store.create(&[new_run(whole, 1), new]).await.unwrap();
    assert_eq!(listed(&store, all()).await, [whole]);
    for (version, status) in [(1, RunStatus::Running), (2, RunStatus::Completed)] {
        let mut change = commit(part, 2, version, version);
        change.summary = darkroom_backend::RunSummary { part: true, ..summary(2, status) };
        store.commit(S0, epoch, vec![change], &[]).await.unwrap();
        assert_eq!(listed(&store, all()).await, [whole]);
    }
    assert_eq!(store.load(part).await.unwrap().unwrap().summary.status, RunStatus::Completed);
}

/// Lists filter by tenant, workflow, status and fingerprint, all of them together.
pub async fn lists_are_filtered(subject: impl Subject) {
    let store = subject.store();
    let epoch = owned(&store, S0).await;
    let ids: Vec<RunId> = (1..=4).map(|number| run(S0, SHARDS, number)).collect();
    for (&id, number) in ids.iter().zip(1..) {
        let mut new = new_run(id, number);
        new.summary.workflow = if number % 2 == 0 { "even".into() } else { "odd".into() };
        if number == 4 {
            new.summary.tenant = acme();
        }
        store.create(&[new.clone()]).await.unwrap();
        if number >= 3 {
            let mut change = commit(id, number, 1, 7);
            change.summary = summary(number, RunStatus::Completed);
            change.summary.workflow = new.summary.workflow;
            change.summary.tenant = new.summary.tenant;
            store.commit(S0, epoch, vec![change], &[]).await.unwrap();
        }
    }
    let workflow = |name: &str| Some(name.to_owned());
    let cases = [
        ("workflow", RunFilter { workflow: workflow("even"), ..all() }, vec![ids[3], ids[1]]),
        ("part of a workflow's name", RunFilter { workflow: workflow("eve"), ..all() }, vec![]),
        ("status", RunFilter { statuses: vec![RunStatus::Completed], ..all() }, vec![ids[3], ids[2]]),
        (
            "two statuses",
            RunFilter { statuses: vec![RunStatus::Completed, RunStatus::Pending], ..all() },
            ids.iter().rev().copied().collect(),
        ),
        ("tenant", RunFilter { tenant: Some(acme()), ..all() }, vec![ids[3]]),
        (
            "tenant by default",
            RunFilter { tenant: Some(Tenant::default()), ..all() },
            ids[..3].iter().rev().copied().collect(),
        ),
        ("status nobody has", RunFilter { statuses: vec![RunStatus::Paused], ..all() }, vec![]),
        (
            "fingerprint",
            RunFilter { fingerprint: Some(summary(2, RunStatus::Pending).fingerprint), ..all() },
            vec![ids[1]],
        ),
        (
            "all of them",
            RunFilter {
                tenant: Some(Tenant::default()),
                workflow: workflow("odd"),
                statuses: vec![RunStatus::Pending],
                fingerprint: Some(summary(1, RunStatus::Pending).fingerprint),
                before: Some(ids[1]),
                limit: 1,
            },
            vec![ids[0]],
        ),
    ];
    for (name, filter, expected) in cases {
        assert_eq!(listed(&store, filter).await, expected, "{name}");
    }
}

/// Saved files are found by their scope; one saved again under its key replaces the last.
pub async fn saved_files_are_found_by_scope(subject: impl Subject) {
    let store = subject.store();
    let (epoch, id) = with_run(&store, 1).await;
    let saved = |scope: &str, key: &str, path: &str| SavedRecord {
        scope: Sha256::of(scope.as_bytes()),
        key: Sha256::of(key.as_bytes()),
        path: path.into(),
        artifact: Artifact {
            sha256: Sha256::of(b"bytes"),
            media_type: "image/png".into(),
            bytes: 5,
            width: Some(2),
            height: None,
            duration: Some(0.5),
            name: "ü.png".into(),
        },
        outputs: r#"{"image":1}"#.into(),
    };
    let mut change = commit(id, 1, 1, 7);
    change.saved = vec![saved("s", "a", "a.png"), saved("s", "b", "b.png"), saved("t", "a", "c.png")];
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    let mut change = commit(id, 1, 2, 8);
    change.saved = vec![saved("s", "a", "new.png")];
    store.commit(S0, epoch, vec![change], &[]).await.unwrap();
    let mut found = store.saved(Sha256::of(b"s"), 10).await.unwrap();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert_eq!(found, [saved("s", "b", "b.png"), saved("s", "a", "new.png")]);
    assert_eq!(store.saved(Sha256::of(b"s"), 1).await.unwrap().len(), 1);
    assert_eq!(store.saved(Sha256::of(b"t"), 10).await.unwrap(), [saved("t", "a", "c.png")]);
    assert_eq!(store.saved(Sha256::of(b"u"), 10).await.unwrap(), []);
}
