use super::*;

fn gathering() -> Gathering {
    Gathering { supported: true, at_once: 1, at_once_bytes: 100, a_turn_16: 0 }
}

#[test]
fn one_client_s_small_turns_hope_for_nothing_and_set_no_timer() {
    let mut gathering = gathering();
    for _ in 0..100 {
        gathering.learn(1, 1);
        gathering.learn(1, 0);
        assert_eq!(gathering.hoped_for(None), 1);
    }
    gathering.at_once_bytes = BULK_BYTES;
    assert_eq!(gathering.hoped_for(None), 2, "bulk waits for the next piece");
}

#[test]
fn turns_that_bring_more_hope_for_more_and_those_that_did_not_wait_change_nothing() {
    let mut gathering = gathering();
    for _ in 0..100 {
        gathering.learn(9, 1);
        gathering.learn(1, 1);
    }
    assert!(gathering.hoped_for(None) > 8);
    assert_eq!(gathering.hoped_for(Some(1_000)), 1, "too little time to gather");
    gathering.supported = false;
    assert_eq!(gathering.hoped_for(None), 1);
}
