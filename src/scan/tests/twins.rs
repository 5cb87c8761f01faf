//! The passes with vectors of both widths and without find the same, wherever blocks part a value.

use super::generate::{self, DIGITS, Random, WORD};
use super::*;

/// What is built in, and patterns of an operator.
fn detectors() -> Vec<Detector> {
    let sources = [r"CUST-\d{4,9}", r"(?i)\bemp\d{2,5}\b", r"[a-z]{0,9}::K[A-Z]{2}", r"\d{5}X"];
    let own: Vec<_> =
        sources.iter().map(|source| Arc::new(Pattern::new("own", source).unwrap())).collect();
    let wanted = (0..4).map(Entity::Own).fold(EntitySet::ALL, EntitySet::with);
    Engine::all().map(|engine| Detector::with(engine, wanted, &own)).collect()
}

#[track_caller]
fn same(detectors: &[Detector], cell: &[u8]) {
    let (reference, others) = detectors.split_last().unwrap();
    let (mut by_vectors, mut by_bytes) = (Vec::new(), Vec::new());
    reference.scan(cell, &mut by_bytes);
    for other in others {
        other.scan(cell, &mut by_vectors);
        assert_eq!(by_vectors, by_bytes, "{}: {:?}", other.engine.name(), text(cell));
        assert_eq!(other.entities(cell), reference.entities(cell), "{}", other.engine.name());
    }
}

fn text(cell: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(cell)
}

#[test]
fn all_ways_that_this_machine_has_are_compared() {
    let names: Vec<&str> = Engine::all().map(Engine::name).collect();
    assert_eq!(names.last(), Some(&"scalar"));
    #[cfg(target_arch = "x86_64")]
    assert!(names.contains(&"ssse3"), "{names:?}: every machine that runs tests has it");
}

fn value(random: &mut Random) -> String {
    match random.below(12) {
        0 => generate::email(random),
        1 => generate::pan(random),
        2 => generate::ssn(random),
        3 => generate::phone(random),
        4 => generate::iban(random),
        5 => generate::jwt(random),
        6 => format!("db://u:{}@h", random.text(WORD, 8)),
        7 => format!("CUST-{}", random.digits(7)),
        8 => format!("{}{}", random.pick(&["emp", "EMP", "eMp"]), random.digits(4)),
        9 => format!("{}::K{}", random.text("abcd", 5), random.text("XYZ", 2)),
        _ => generate::key(random).1,
    }
}

#[test]
fn a_value_is_found_at_every_place_of_a_block() {
    let detectors = detectors();
    let mut random = Random(31);
    // The shortest number: its place is told by its last byte alone.
    let shortest = std::iter::once("501812345715".to_owned());
    for value in (0..32).map(|_| value(&mut random)).chain(shortest) {
        for before in 0..130 {
            for filler in [" ", ".", "é", "\0"] {
                let cell = format!("{}'{value}'{filler}", filler.repeat(before));
                let mut hits = Vec::new();
                detectors[0].scan(cell.as_bytes(), &mut hits);
                assert_eq!(hits.len(), 1, "{cell:?}");
                same(&detectors, cell.as_bytes());
                let cut = cell.get(..cell.len() - filler.len() - 1).unwrap();
                same(&detectors, cut.as_bytes());
            }
        }
    }
}

#[test]
fn any_mixture_gives_the_same_in_all() {
    let detectors = detectors();
    let mut random = Random(32);
    for _ in 0..4_000 {
        let mut cell = Vec::new();
        let pieces = random.between(1, 20);
        for _ in 0..pieces {
            match random.below(6) {
                0 => cell.extend(value(&mut random).bytes()),
                1 => cell.extend(random.text("0123456789 -", 40).bytes()),
                2 => cell.extend(random.text("DE0123456789", 9).bytes()),
                3 => cell.extend(random.text(" .@+-:/\n", 2).bytes()),
                4 => cell.extend(random.digits(4).bytes()),
                _ => cell.extend((0..30).map(|_| random.next() as u8)),
            }
        }
        // Damage, so that most values are nearly right.
        for _ in 0..random.below(4) {
            let at = random.below(cell.len());
            cell[at] = *random.pick(&[&b'-', &b'0', &b' ', &b'A', &0]);
        }
        same(&detectors, &cell);
    }
}

#[test]
fn every_cut_gives_the_same_in_all() {
    let detectors = detectors();
    let mut random = Random(33);
    let text: Vec<String> = (0..12).map(|_| value(&mut random)).collect();
    let text = text.join(" ");
    for start in 0..text.len() {
        same(&detectors, text.get(start..).unwrap().as_bytes());
        same(&detectors, text.get(..start).unwrap().as_bytes());
    }
}

#[test]
fn an_adversary_cannot_make_a_scan_take_long() {
    let detector = Detector::new(EntitySet::ALL, &[]);
    let header = generate::base64url(br#"{"alg":"none"}"#);
    let mut hits = Vec::new();
    for piece in [
        "@",
        "a@",
        "://a:",
        "+1",
        "1",
        "1-",
        "1111 ",
        "1111-",
        "DE89",
        "DE89 ",
        "eyJ",
        "eyJ.",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nAAAAAAAAAAAAAAAAAAAAAAAA",
        "sk-ant-",
        "sk-",
        "sk-proj-a ",
        "ghp_",
        "xoxb-1",
        "SG.",
        "x://u:p@@",
        &format!("{header}."),
        DIGITS,
    ] {
        let text = piece.repeat(256 * 1024 / piece.len());
        let begin = std::time::Instant::now();
        detector.scan(text.as_bytes(), &mut hits);
        // Unoptimised, on a busy machine; what grows with the square takes hours.
        assert!(begin.elapsed().as_secs() < 20, "{piece:?} took {:?}", begin.elapsed());
    }
}
