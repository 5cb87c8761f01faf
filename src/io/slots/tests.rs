use super::*;

#[test]
fn a_key_of_a_removed_entry_finds_nothing_after_its_place_is_refilled() {
    let mut slots = Slots::new(4);
    let first = slots.insert("first").unwrap();
    assert_eq!(slots.remove(first), Some("first"));
    let second = slots.insert("second").unwrap();
    assert_eq!(slots.at(first), None);
    assert_eq!(slots.remove(first), None);
    assert_eq!(slots.at(second), Some(&"second"));
    assert_eq!(slots.len(), 1);
}

#[test]
fn a_full_table_takes_no_more() {
    let mut slots = Slots::new(2);
    let first = slots.insert(1).unwrap();
    slots.insert(2).unwrap();
    assert_eq!(slots.insert(3), None);
    slots.remove(first);
    assert!(slots.insert(3).is_some());
}

#[test]
fn packing_keeps_tag_index_and_generation_apart() {
    for index in [0, 1, (1 << 24) - 1] {
        for generation in [0, 1, u32::MAX] {
            let key = Key { index, generation };
            assert_eq!(Key::unpack(key.pack(0xa5)), (0xa5, key));
        }
    }
}
