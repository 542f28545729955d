//! Records by name: written by whoever has read the last version.

use super::{Committed, Store, Subject};
use darkroom_backend::{RecordKind, StoredRecord};

fn record(kind: RecordKind, name: &str, version: u64, body: &str) -> StoredRecord {
    StoredRecord { kind, name: name.to_owned(), version, body: body.as_bytes().to_vec() }
}

/// A record is read as it was written, and only who has read it last writes it.
pub async fn a_record_is_written_only_by_who_has_read_its_last_version<T: Subject>(subject: T) {
    let store = subject.store();
    for &kind in RecordKind::ALL {
        let shop = |version, body| record(kind, "shop", version, body);
        assert_eq!(store.record(kind, "shop").await.unwrap(), None);
        assert_eq!(store.put_record(&shop(7, "x")).await.unwrap(), Committed::Conflict { current: 0 });
        assert_eq!(store.put_record(&shop(0, "a|b")).await.unwrap(), Committed::Done(1));
        assert_eq!(store.record(kind, "shop").await.unwrap(), Some(shop(1, "a|b")));
        assert_eq!(store.put_record(&shop(0, "other")).await.unwrap(), Committed::Conflict { current: 1 });
        assert_eq!(store.put_record(&shop(1, "c")).await.unwrap(), Committed::Done(2));
        assert_eq!(store.put_record(&shop(1, "d")).await.unwrap(), Committed::Conflict { current: 2 });
        assert_eq!(store.record(kind, "shop").await.unwrap(), Some(shop(2, "c")));
    }
}

/// All of a kind are found, by name, and none of another kind.
pub async fn records_are_listed_by_name_and_removed_alone<T: Subject>(subject: T) {
    let store = subject.store();
    for &kind in RecordKind::ALL {
        assert_eq!(store.records(kind).await.unwrap(), []);
        for name in ["web", "logo", "shop"] {
            store.put_record(&record(kind, name, 0, name)).await.unwrap();
        }
        let expected = ["logo", "shop", "web"].map(|name| record(kind, name, 1, name));
        assert_eq!(store.records(kind).await.unwrap(), expected);
        assert!(store.remove_record(kind, "logo").await.unwrap());
        assert!(!store.remove_record(kind, "logo").await.unwrap());
        assert_eq!(store.records(kind).await.unwrap(), expected[1..]);
    }
}
