use std::sync::mpsc::{Receiver, channel};

use super::*;

fn watch(shared: &Shared) -> Receiver<What> {
    let (tell, told) = channel();
    shared.watch(Box::new(move |what| tell.send(what).unwrap()));
    told
}

fn told(changes: &Receiver<What>) -> Vec<String> {
    let word = |what| {
        if let What::RecordingFailed { reason } = what {
            return reason;
        }
        assert!(matches!(what, What::RecordingRestored), "{what:?}");
        "restored".to_owned()
    };
    changes.try_iter().map(word).collect()
}

#[test]
fn each_change_of_state_is_told_once() {
    let shared = Shared::new(Durability::Group, OnFailure::Close);
    let changes = watch(&shared);
    shared.restore();
    assert!(told(&changes).is_empty());
    shared.fail("full".to_owned());
    shared.fail("still full".to_owned());
    assert_eq!(told(&changes), ["full"]);
    shared.restore();
    shared.restore();
    shared.fail("full again".to_owned());
    assert_eq!(told(&changes), ["restored", "full again"]);
    assert_eq!(shared.stats().failures, 3);
}

#[test]
fn who_begins_to_watch_hears_of_the_failure_that_stands() {
    let shared = Shared::new(Durability::Group, OnFailure::Close);
    shared.fail("full".to_owned());
    let changes = watch(&shared);
    shared.restore();
    assert_eq!(told(&changes), ["full", "restored"]);
    assert!(told(&watch(&shared)).is_empty());
}
