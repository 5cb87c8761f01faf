use super::*;
use crate::model::session::Totals;

#[test]
fn a_session_is_a_line_and_its_foreign_text_harmless() {
    let line = SessionLine {
        id: "0193a5c2-7a10-7c55-9f43-1c1d0a8e2b11".to_owned(),
        account: "payments-deploy".to_owned(),
        target: "payments-db".to_owned(),
        database: "evil\u{1b}[2J\nname".to_owned(),
        peer: "[2001:db8::1]:51514".parse().unwrap(),
        started_unix_ns: 940 * 1_000_000_000,
        state: "idle".to_owned(),
        worker: 0,
        totals: Totals {
            exchanges: 12_345,
            denied: 2,
            rows: 7,
            downstream_bytes: 2048,
            upstream_bytes: 1,
        },
    };
    let text = table(&[line], 1000, Paint::Plain);
    assert_eq!(text.lines().count(), 2, "{text}");
    let row: Vec<&str> = text.lines().nth(1).unwrap().split("  ").map(str::trim).collect();
    let row: Vec<&str> = row.into_iter().filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        row,
        [
            "0193a5c2-7a10-7c55-9f43-1c1d0a8e2b11",
            "payments-deploy",
            "payments-db",
            "evil\\x1b[2J\\nname",
            "[2001:db8::1]:51514",
            "1m 0s",
            "idle",
            "12,345",
            "2",
            "7",
            "2.0 KiB",
            "1 B",
        ]
    );
}
