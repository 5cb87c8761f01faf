//! Values that look like others at a glance: none of them may be taken for one.

use super::*;
use crate::postgres::exact::rows;
use crate::support::raw::{copy_data, copy_done};

#[test]
fn harmless_values_are_not_taken_for_others() {
    let stage = Stage::set(Version::V15);
    let values = harmless();
    assert!(values.len() >= 2000, "{}", values.len());
    let lines =
        values.iter().enumerate().map(|(n, (kind, value))| format!("{n}\t{kind}\t{value}\n"));
    let data = [copy_data(&lines.collect::<String>()), copy_done()].concat();
    let filled = Step::CopyIn("COPY harmless FROM STDIN".to_owned(), data);
    filled.answers(&mut Raw::login(&stage.directly()), Way::Simple);
    let mut found = Vec::new();
    let mut bot = Raw::login(&stage.through(&stage.masked));
    let mut server = Raw::login(&stage.directly());
    for shape in [
        "value",
        "value::varchar(300)",
        "to_json(value)",
        "jsonb_build_array(value)",
        "ARRAY[value]",
    ] {
        for format in [Format::Text, Format::Binary] {
            let sql = format!("SELECT kind, {shape} FROM harmless ORDER BY n");
            let [got, given] =
                [&mut bot, &mut server].map(|raw| rows(raw, &sql, &[], format, format));
            assert_eq!((got.len(), given.len()), (values.len(), values.len()));
            let changed = given.iter().zip(&got).filter(|(given, got)| given != got);
            found.extend(changed.map(|(given, _)| {
                let shown = given
                    .iter()
                    .map(|cell| String::from_utf8_lossy(cell.as_deref().unwrap_or_default()));
                format!("{shape} {format:?} {}", shown.collect::<Vec<_>>().join(" "))
            }));
        }
    }
    assert!(found.is_empty(), "{} false positives:\n{}", found.len(), found.join("\n"));
}

/// Values that look like something and are nobody's, the same in each run.
fn harmless() -> Vec<(&'static str, String)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut values = Vec::new();
    for n in 0..150_u64 {
        let (a, b, c) = (draw(), draw(), draw());
        let mut add = |kind, value: String| values.push((kind, value));
        let (year, month, day) = (1970 + a % 80, 1 + a % 12, 1 + b % 28);
        add(
            "uuid",
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                a >> 32,
                a & 0xffff,
                b & 0xfff,
                b >> 52,
                c >> 16
            ),
        );
        add("snowflake", (0x0fff_ffff_ffff_ffff & (a | 1 << 59)).to_string());
        add("epoch", (1_500_000_000 + a % 300_000_000).to_string());
        add("epoch in ms", (1_500_000_000_000 + a % 300_000_000_000).to_string());
        add(
            "sku",
            format!(
                "{}{}-{:05}-{}",
                char::from(b'A' + (a % 26) as u8),
                char::from(b'A' + (b % 26) as u8),
                c % 100_000,
                n
            ),
        );
        add("git hash", format!("{a:016x}{b:016x}{:08x}", c >> 32));
        add("sha256", format!("{a:016x}{b:016x}{c:016x}{:016x}", a ^ b));
        add("ean", checked(&format!("{:012}", 100_000_000_000 + a % 200_000_000_000)));
        add("isbn", checked(&format!("978{:09}", a % 1_000_000_000)));
        add(
            "version",
            format!("{}.{}.{}-rc.{}+{:07x}", a % 20, b % 40, c % 99, n, a & 0x0fff_ffff),
        );
        add(
            "date",
            format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", a % 24, b % 60, c % 60),
        );
        add("date of others", format!("{day:02}.{month:02}.{year:04}"));
        add("decimal", format!("{}.{:06}", a % 1_000_000_000, b % 1_000_000));
        add("address", format!("{}.{}.{}.{}", a % 256, b % 256, c % 256, n));
        add("address 6", format!("2001:db8:{:x}:{:x}::{:x}", a & 0xffff, b & 0xffff, c & 0xffff));
        add(
            "path",
            format!("/srv/data/{:x}/part-{:05}.snappy.parquet", a & 0xff_ffff, b % 100_000),
        );
        add("base64", base64(&[a, b, c]));
        add("price", format!("{}.{:02} EUR", a % 100_000, b % 100));
        add(
            "log line",
            format!("[{n}] GET /items/{}?page={} 200 {}ms", a % 1_000_000, b % 90, c % 4000),
        );
    }
    values
}

/// With the check digit of an EAN-13 behind it.
fn checked(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 0 { 1 } else { 3 })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn base64(words: &[u64]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    let letters = bytes.chunks(3).flat_map(|three| {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    });
    letters.collect()
}
