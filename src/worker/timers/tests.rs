use super::*;

fn at(slot: u32) -> Address {
    Address { worker: 0, slot, generation: 0 }
}

#[test]
fn what_is_due_first_comes_first_however_it_was_set() {
    let mut timers = Timers::default();
    for (due, slot) in [(30, 3), (10, 1), (20, 2)] {
        timers.set(due, at(slot));
    }
    assert_eq!(timers.next_ns(), Some(10));
    assert_eq!(timers.pop_due(9), None);
    assert_eq!(timers.pop_due(20), Some(at(1)));
    assert_eq!(timers.pop_due(20), Some(at(2)));
    assert_eq!(timers.pop_due(20), None);
    assert_eq!(timers.next_ns(), Some(30));
}
