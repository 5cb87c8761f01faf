use super::*;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn description(columns: &[(&str, u32, u16)]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for (name, oid, format) in columns {
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0; 7]);
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&format.to_be_bytes());
    }
    message(b'T', &body)
}

fn data(cells: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = (cells.len() as u16).to_be_bytes().to_vec();
    for cell in cells {
        match cell {
            None => body.extend_from_slice(&[0xff; 4]),
            Some(bytes) => {
                body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
                body.extend_from_slice(bytes);
            }
        }
    }
    message(b'D', &body)
}

fn sample() -> Vec<u8> {
    let mut wire = message(b'S', b"client_encoding\0UTF8\0");
    wire.extend(description(&[("id", INT4, 1), ("at", TIMESTAMPTZ, 1), ("name", 25, 0)]));
    wire.extend(data(&[Some(&7_i32.to_be_bytes()), Some(&0_i64.to_be_bytes()), Some(b"ann")]));
    wire.extend(data(&[None, None, Some(b"")]));
    wire.extend(message(b'N', b"SNOTICE\0C00000\0Mhello\0\0"));
    wire.extend(message(b'C', b"SELECT 2\0"));
    wire.extend(message(b'E', b"SERROR\0C42P01\0Mno such table\0\0"));
    wire.extend(message(b'Z', b"I"));
    wire
}

fn answers(wire: &[u8], step: usize) -> Vec<Answer> {
    let mut answers = Answers::new(10);
    wire.chunks(step).for_each(|part| answers.feed(part));
    assert!(!answers.is_lost());
    let mut all = answers.take(2, Some("SELECT 2"), None);
    all.extend(answers.take(0, None, Some("42P01")));
    all
}

#[test]
fn a_split_anywhere_changes_nothing() {
    let wire = sample();
    let whole = answers(&wire, wire.len());
    assert_eq!(whole.len(), 2);
    let first = vec![Some("7".into()), Some("2000-01-01 00:00:00+00".into()), Some("ann".into())];
    assert_eq!(whole[0].rows, [first, vec![None, None, Some(String::new())]]);
    assert_eq!(whole[0].notices, ["hello"]);
    let ended = Ended::Error { code: "42P01".into(), message: "no such table".into() };
    assert_eq!(whole[1].ended, Some(ended));
    for step in 1..wire.len() {
        assert_eq!(answers(&wire, step), whole, "parts of {step}");
    }
}

#[test]
fn binary_cells_of_common_types_become_text() {
    let cases: [(u32, &[u8], &str); 9] = [
        (BOOL, &[1], "t"),
        (INT2, &(-2_i16).to_be_bytes(), "-2"),
        (INT8, &i64::MIN.to_be_bytes(), "-9223372036854775808"),
        (FLOAT8, &1.5_f64.to_be_bytes(), "1.5"),
        (UUID, &[0x11; 16], "11111111-1111-1111-1111-111111111111"),
        (TIMESTAMP, &86_400_000_000_i64.to_be_bytes(), "2000-01-02 00:00:00"),
        (DATE, &366_i32.to_be_bytes(), "2001-01-01"),
        (JSONB, b"\x01{}", "{}"),
        (9999, &[0, 255], "\\x00ff"),
    ];
    for (oid, bytes, text) in cases {
        let column = Column { name: String::new(), oid, format: Format::Binary };
        assert_eq!(cell(bytes, Some(&column)), text, "type {oid}");
        // Said to be text, and is not.
        let column = Column { format: Format::Text, ..column };
        if !bytes.iter().all(u8::is_ascii_graphic) && oid != JSONB && oid != UUID {
            assert_eq!(cell(bytes, Some(&column)), text, "type {oid}");
        }
    }
}

#[test]
fn rows_past_the_limit_and_large_messages_are_counted() {
    let mut answers = Answers::new(1);
    let mut wire = description(&[("a", 25, 0)]);
    for _ in 0..3 {
        wire.extend(data(&[Some(b"x")]));
    }
    wire.extend(data(&[Some(&vec![b'y'; 3 << 20])]));
    wire.extend(message(b'C', b"SELECT 4\0"));
    wire.chunks(16 * 1024).for_each(|part| answers.feed(part));
    let taken = answers.take(4, Some("SELECT 4"), None);
    assert_eq!((taken[0].rows.len(), taken[0].row_count), (1, 4));
    assert!(answers.window.len() < 64);
}

#[test]
fn bytes_that_are_no_messages_end_the_showing() {
    for wire in [&b"T\0\0\0\x01"[..], b"T\xff\xff\xff\xff", b"D\x7f\xff\xff\xff"] {
        let mut answers = Answers::new(1);
        answers.feed(wire);
        assert!(answers.is_lost());
        answers.feed(&sample());
        assert!(answers.take(0, None, None).is_empty());
    }
    // Bodies that lie about what they hold.
    let mut answers = Answers::new(5);
    answers.feed(&message(b'T', b"\xff\xff"));
    answers.feed(&message(b'D', b"\xff\xff\x7f\xff\xff\xff"));
    answers.feed(&message(b'E', b"C"));
    assert_eq!(answers.take(0, None, None).len(), 1);
}
