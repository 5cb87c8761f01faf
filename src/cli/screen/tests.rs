use super::*;

#[test]
fn figures_are_short() {
    assert_eq!(
        (bytes(999), bytes(1_536), bytes(5 << 30)),
        ("999B".into(), "1.5K".into(), "5.0G".into())
    );
    assert_eq!(
        (latency(12), latency(1_250), latency(2_500_000)),
        ("12us".into(), "1.2ms".into(), "2.50s".into())
    );
    assert_eq!(time(1_700_000_000_123_000_000), "2023-11-14 22:13:20.123");
    assert_eq!(rfc3339(1_700_000_000_123_000_000), "2023-11-14T22:13:20.123000Z");
}
