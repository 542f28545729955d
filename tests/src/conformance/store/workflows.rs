//! Workflows by name: written by whoever has read the last version.

use super::{Committed, Store, Subject};
use darkroom_backend::StoredWorkflow;

fn workflow(name: &str, version: u64, body: &str) -> StoredWorkflow {
    StoredWorkflow { name: name.to_owned(), version, body: body.as_bytes().to_vec() }
}

/// A workflow is read as it was written, and only who has read it last writes it.
pub async fn a_workflow_is_written_only_by_who_has_read_its_last_version<T: Subject>(subject: T) {
    let store = subject.store();
    assert_eq!(store.workflow("shop").await.unwrap(), None);
    let absent = store.put_workflow(&workflow("shop", 7, "x")).await.unwrap();
    assert_eq!(absent, Committed::Conflict { current: 0 });
    assert_eq!(store.put_workflow(&workflow("shop", 0, "a|b")).await.unwrap(), Committed::Done(1));
    assert_eq!(store.workflow("shop").await.unwrap(), Some(workflow("shop", 1, "a|b")));
    let other = store.put_workflow(&workflow("shop", 0, "other")).await.unwrap();
    assert_eq!(other, Committed::Conflict { current: 1 });
    assert_eq!(store.put_workflow(&workflow("shop", 1, "c")).await.unwrap(), Committed::Done(2));
    let late = store.put_workflow(&workflow("shop", 1, "d")).await.unwrap();
    assert_eq!(late, Committed::Conflict { current: 2 });
    assert_eq!(store.workflow("shop").await.unwrap(), Some(workflow("shop", 2, "c")));
}

/// All of them are found, by name.
pub async fn workflows_are_listed_by_name<T: Subject>(subject: T) {
    let store = subject.store();
    assert_eq!(store.workflows().await.unwrap(), []);
    for name in ["web", "logo", "shop"] {
        store.put_workflow(&workflow(name, 0, name)).await.unwrap();
    }
    let expected = ["logo", "shop", "web"].map(|name| workflow(name, 1, name));
    assert_eq!(store.workflows().await.unwrap(), expected);
}
