//! Half of what was refused, stored all the same.

use crate::support::raw::{
    copy_data, copy_done, execute, extended, flush, parse, query, sync, transcript,
};
use crate::world::{Account, Room};

const INSERT: &str = "INSERT INTO customers (id, name, email, ssn) \
                      VALUES (900, 'N. N.', 'n@example.org', '000-00-0000')";
const REFUSED: &str = "DELETE FROM orders";
const COPY: &str = "COPY customers (id, name, email, ssn) FROM STDIN";

#[test]
fn no_order_of_messages_stores_half_of_what_was_refused() {
    let room = Room::open("halves");
    let insert = || extended(INSERT);
    let row = || copy_data("901\tN. N.\tm@example.org\t000-00-0000\n");
    let cases: [(&str, Vec<Vec<u8>>, usize); 13] = [
        (
            "a commit behind the refusal",
            vec![query("BEGIN"), query(INSERT), query(REFUSED), query("COMMIT")],
            4,
        ),
        (
            "a chained commit",
            vec![
                query("BEGIN"),
                query(INSERT),
                query(REFUSED),
                query("COMMIT AND CHAIN"),
                query("COMMIT"),
            ],
            5,
        ),
        (
            "prepared for a second phase",
            vec![query("BEGIN"), query(INSERT), query(REFUSED), query("PREPARE TRANSACTION 'x'")],
            4,
        ),
        ("one string", vec![query(&format!("{INSERT}; {REFUSED}"))], 1),
        ("one string with its commit", vec![query(&format!("{INSERT}; COMMIT; {REFUSED}"))], 1),
        ("one batch", vec![insert(), extended(REFUSED), sync()], 1),
        ("one batch, flushed", vec![insert(), flush(), extended(REFUSED), flush(), sync()], 1),
        ("refused first", vec![extended(REFUSED), insert(), sync()], 1),
        (
            "an open batch, then a simple query that is refused",
            vec![insert(), query(REFUSED), sync()],
            2,
        ),
        (
            "a transaction of the batch's own",
            vec![
                extended("BEGIN"),
                insert(),
                parse("", REFUSED),
                extended("COMMIT"),
                sync(),
                extended("COMMIT"),
                sync(),
            ],
            2,
        ),
        (
            "in a failed transaction",
            vec![
                query("BEGIN"),
                query(INSERT),
                query("SELECT 1/0"),
                query(&format!("ROLLBACK; {INSERT}; {REFUSED}")),
                query("COMMIT"),
            ],
            5,
        ),
        (
            "a savepoint given back",
            vec![
                query("BEGIN"),
                query("SAVEPOINT s"),
                query(INSERT),
                query(REFUSED),
                query("RELEASE s"),
                query("COMMIT"),
            ],
            6,
        ),
        (
            "a copy in the same transaction",
            vec![query("BEGIN"), query(COPY), row(), copy_done(), query(REFUSED), query("COMMIT")],
            4,
        ),
    ];
    for (name, parts, times) in cases {
        let mut raw = room.login(Account::Writer);
        raw.send(&parts.concat());
        let words: Vec<_> = (0..times).map(|_| transcript(&raw.until_ready())).collect();
        assert!(words.iter().any(|word| word.contains("E(42501)") || word.contains("E(25P02)")));
        assert!(words.last().unwrap().ends_with("Z(I)"), "{name}: {words:?}");
        // In step still, and outside of any transaction.
        assert_eq!(raw.query("SELECT 42"), "T D C(SELECT 1) Z(I)", "{name}: {words:?}");
        room.assert_unchanged(&format!("{name}: {words:?}"));
    }
}

#[test]
fn leaving_in_the_middle_stores_nothing() {
    let room = Room::open("leaving");
    for parts in [
        vec![query("BEGIN"), query(INSERT), query(REFUSED)],
        vec![extended(INSERT), extended(REFUSED)],
        vec![extended(INSERT), flush(), extended(REFUSED), vec![b'X', 0, 0, 0, 4]],
        vec![extended(INSERT), extended(REFUSED), vec![b'S', 0, 0, 0, 9]],
        vec![query("BEGIN"), query(INSERT), query(REFUSED), vec![b'Q', 0, 0]],
    ] {
        let mut raw = room.login(Account::Writer);
        raw.send(&parts.concat());
        drop(raw);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    room.assert_unchanged("bots that left");
}

/// A portal that stops half-way is not judged anew, and stops with its transaction.
#[test]
fn a_suspended_portal_does_not_outlive_a_refusal() {
    let room = Room::open("suspended");
    let mut raw = room.login(Account::Reader);
    raw.send(
        &[
            query("BEGIN"),
            parse("", "SELECT * FROM generate_series(1, 9)"),
            crate::support::raw::bind("p", "", &[]),
            execute("p", 2),
            sync(),
            query(REFUSED),
            execute("p", 2),
            sync(),
            query("ROLLBACK"),
        ]
        .concat(),
    );
    let words: Vec<_> = (0..5).map(|_| transcript(&raw.until_ready())).collect();
    assert_eq!(words[1], "1 2 D D s Z(T)");
    assert_eq!(words[2], "E(42501) Z(E)");
    assert!(words[3].starts_with("E("), "{words:?}");
    assert_eq!(words[4], "C(ROLLBACK) Z(I)");
}
