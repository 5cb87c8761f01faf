//! Values that only look alike, of which none may be found, and values of which nearly all must be.

use super::generate::{self, DIGITS, HEX, LOWER, Random, UPPER, WORD};
use super::*;

/// What a million rows of innocent columns are made of. Bare numbers of 13 to 19 digits without a
/// meaning are missing: one in fifty is a card's number in all that can be told from it.
fn innocent(random: &mut Random, kind: usize) -> String {
    match kind {
        0 => generate::uuid(random, HEX),
        1 => generate::uuid(random, DIGITS),
        2 => snowflake(random),
        3 => (1_400_000_000_000 + random.next() % 600_000_000_000).to_string(),
        4 => (1_400_000_000_000_000_000 + random.next() % 600_000_000_000_000_000).to_string(),
        5 => format!("{}-{}-{}", random.text(UPPER, 2), random.digits(4), random.digits(3)),
        6 => format!(
            "{}-{}-{}-{}",
            random.text(UPPER, 3),
            random.digits(3),
            random.digits(2),
            random.digits(4)
        ),
        7 => random.text(HEX, 40),
        8 => {
            let length = random.between(7, 16);
            random.text(HEX, length)
        }
        9 => ean(random),
        10 => isbn(random),
        11 => format!("ORD-{}-{}", random.between(2015, 2030), random.digits(7)),
        12 => format!("{}-{}-{}", random.digits(3), random.digits(7), random.digits(7)),
        13 => {
            let length = random.between(6, 11);
            random.digits(length)
        }
        14 => format!("{}.{}.{}", random.below(40), random.below(200), random.below(9999)),
        15 => format!("{}.{}", random.below(100_000), random.digits(17)),
        16 => format!("-{}.{}e-{}", random.below(10), random.digits(15), random.below(300)),
        17 => format!(
            "20{}-0{}-1{}T0{}:{}:{}.{}+0000",
            random.digits(2),
            random.between(1, 9),
            random.below(10),
            random.below(10),
            random.between(10, 59),
            random.between(10, 59),
            random.digits(6)
        ),
        18 => format!("192.168.{}.{}:{}", random.below(256), random.below(256), random.digits(5)),
        19 => format!("{}-{}-{}", random.digits(3), random.digits(3), random.digits(4)),
        20 => format!("{}{}", random.text(LOWER, 2), random.digits(8)),
        21 => random.text(WORD, 22),
        22 => format!("sha256:{}", random.text(HEX, 64)),
        _ => format!("{}:{}:{}", random.text(HEX, 2), random.text(HEX, 2), random.text(HEX, 2)),
    }
}

const KINDS: usize = 24;

/// Time since 2010 in milliseconds, worker, counter.
fn snowflake(random: &mut Random) -> String {
    let since = (random.between(300, 480) as u64) * 1_000_000_000 + random.next() % 1_000_000_000;
    (since << 22 | random.next() & 0x3f_ffff).to_string()
}

fn ean(random: &mut Random) -> String {
    let first =
        format!("{}{}", random.pick(&["40", "50", "0", "3", "4", "76", "87"]), random.digits(12));
    let digits: Vec<u32> = first.chars().take(12).filter_map(|digit| digit.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(i, digit)| if i % 2 == 0 { *digit } else { 3 * digit })
        .sum();
    format!("{}{}", first.get(..12).unwrap(), (10 - sum % 10) % 10)
}

fn isbn(random: &mut Random) -> String {
    let parts = (random.digits(1), random.digits(4), random.digits(4), random.digits(1));
    format!("978-{}-{}-{}-{}", parts.0, parts.1, parts.2, parts.3)
}

#[test]
fn what_only_looks_alike_is_not_found() {
    const ROWS: usize = 240_000;
    let mut random = Random(11);
    let detector = Detector::new(EntitySet::ALL, &[]);
    let mut hits = Vec::new();
    let mut wrong = Vec::new();
    let mut page = String::new();
    for row in 0..ROWS {
        let value = innocent(&mut random, row % KINDS);
        detector.scan(value.as_bytes(), &mut hits);
        wrong.extend(hits.iter().map(|hit| format!("{}: {value}", hit.entity)));
        page += &value;
        page.push(if row % KINDS == KINDS - 1 { '\n' } else { '\t' });
    }
    assert!(wrong.is_empty(), "{} of {ROWS}: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    // The same as one text.
    detector.scan(page.as_bytes(), &mut hits);
    let wrong: Vec<&str> = hits.iter().filter_map(|hit| page.get(hit.range.clone())).collect();
    assert!(wrong.is_empty(), "{} in a page: {:?}", wrong.len(), &wrong[..wrong.len().min(20)]);
}

/// The share of values that are found, each exactly and as nothing else.
fn recall(seed: u64, value: impl Fn(&mut Random) -> (&'static str, String)) -> f64 {
    const VALUES: u32 = 20_000;
    let mut random = Random(seed);
    let detector = Detector::new(EntitySet::ALL, &[]);
    let mut hits = Vec::new();
    let mut found = 0;
    for _ in 0..VALUES {
        let (name, value) = value(&mut random);
        let (before, after) = *random.pick(&[
            &("", ""),
            &("'", "'"),
            &("contact: ", ", as agreed"),
            &("INSERT INTO t VALUES (17, '", "', now())"),
            &("{\"value\":\"", "\"}"),
            &("field=", "\tnext"),
            &("<td>", "</td>"),
        ]);
        detector.scan(format!("{before}{value}{after}").as_bytes(), &mut hits);
        let whole = before.len()..before.len() + value.len();
        let exact =
            matches!(&*hits, [hit] if hit.entity.name() == Some(name) && hit.range == whole);
        found += u32::from(exact);
    }
    f64::from(found) / f64::from(VALUES)
}

#[test]
fn nearly_all_values_are_found() {
    let shares = [
        ("email", recall(21, |random| ("email", generate::email(random)))),
        ("pan", recall(22, |random| ("pan", generate::pan(random)))),
        ("us_ssn", recall(23, |random| ("us_ssn", generate::ssn(random)))),
        ("iban", recall(24, |random| ("iban", generate::iban(random)))),
        ("jwt", recall(25, |random| ("jwt", generate::jwt(random)))),
        ("phone", recall(26, |random| ("phone", generate::phone(random)))),
        ("keys", recall(27, generate::key)),
    ];
    for (name, share) in shares {
        println!("{name}: {share}");
        assert!(share >= 0.99, "{name}: {share}");
    }
}
