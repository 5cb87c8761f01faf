//! Data sets as they cross a gateway: rows of three kinds of tables, a cluster's objects, logs, a table
//! in which every row holds four values to find, and one with values of an operator's own in one row of
//! eight.

use std::fmt::Write;

use crate::generate::{self, HEX, Random, WORDS};

pub const NAMES: [&str; 7] =
    ["pg text", "pg orders", "pg numeric", "k8s json", "logs", "customers", "tickets"];

pub fn set(index: usize, bytes: usize) -> Vec<u8> {
    let mut random = Random(index as u64 + 1);
    let mut out = Vec::with_capacity(bytes + 4096);
    while out.len() < bytes {
        match index {
            0 => row(&mut out, &[prose(&mut random, 60), prose(&mut random, 9)]),
            1 => order(&mut out, &mut random),
            2 => numeric(&mut out, &mut random),
            3 => out.extend(pod(&mut random).bytes()),
            4 => out.extend(log_line(&mut random).bytes()),
            5 => customer(&mut out, &mut random),
            _ => ticket(&mut out, &mut random),
        }
    }
    out.truncate(bytes);
    out
}

/// A DataRow message of PostgreSQL.
fn row(out: &mut Vec<u8>, cells: &[String]) {
    let body: usize = cells.iter().map(|cell| cell.len() + 4).sum();
    out.push(b'D');
    out.extend((body as u32 + 6).to_be_bytes());
    out.extend((cells.len() as u16).to_be_bytes());
    for cell in cells {
        out.extend((cell.len() as u32).to_be_bytes());
        out.extend(cell.bytes());
    }
}

fn order(out: &mut Vec<u8>, random: &mut Random) {
    let number = random.next() >> 38;
    row(
        out,
        &[
            number.to_string(),
            generate::uuid(random, HEX),
            moment(random),
            random.pick(&["paid", "shipped", "cancelled", "open"]).to_owned(),
            format!("{}.{:02}", random.below(900), random.below(100)),
            format!("SKU-{}-{}", random.digits(4), random.digits(3)),
            prose(random, 6),
        ],
    );
}

fn numeric(out: &mut Vec<u8>, random: &mut Random) {
    let cells: Vec<String> = (0..8)
        .map(|column| match column % 4 {
            0 => random.below(100_000).to_string(),
            1 => format!("{}.{:04}", random.below(10_000), random.below(10_000)),
            2 => random.digits(9),
            _ => format!("-{}", random.below(1000)),
        })
        .collect();
    row(out, &cells);
}

fn pod(random: &mut Random) -> String {
    let mut text = String::from(r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":""#);
    let name = format!("{}-{}", prose(random, 1), random.text(HEX, 9));
    let _ = write!(
        text,
        r#"{name}","namespace":"shop","uid":"{}","resourceVersion":"{}","creationTimestamp":"{}","#,
        generate::uuid(random, HEX),
        random.digits(8),
        moment(random),
    );
    let _ = write!(
        text,
        r#""labels":{{"app":"{}","pod-template-hash":"{}"}}}},"spec":{{"containers":[{{"image":"registry.local/{}:1.{}.{}","#,
        prose(random, 1),
        random.text(HEX, 10),
        prose(random, 1),
        random.below(30),
        random.below(9),
    );
    let _ = write!(
        text,
        r#""resources":{{"limits":{{"cpu":"{}m","memory":"{}Mi"}}}}}}]}},"status":{{"podIP":"10.{}.{}.{}","phase":"Running"}}}}"#,
        random.below(4000),
        random.below(4096),
        random.below(256),
        random.below(256),
        random.below(256),
    );
    text.push('\n');
    text
}

fn log_line(random: &mut Random) -> String {
    format!(
        "{} INFO request id={} method=GET path=/api/v1/{}/{} status=200 took={}ms from 10.2.{}.{}:{} {}\n",
        moment(random),
        random.text(HEX, 16),
        prose(random, 1),
        random.below(100_000),
        random.below(900),
        random.below(256),
        random.below(256),
        random.between(1024, 65_000),
        prose(random, 5),
    )
}

fn customer(out: &mut Vec<u8>, random: &mut Random) {
    let cells = [
        random.below(1_000_000).to_string(),
        prose(random, 2),
        generate::email(random),
        generate::ssn(random),
        generate::pan(random),
        generate::phone(random),
        prose(random, 4),
        moment(random),
    ];
    row(out, &cells);
}

fn ticket(out: &mut Vec<u8>, random: &mut Random) {
    let subject = match random.below(8) {
        0 => format!("{} CUST-{} by emp-{}", prose(random, 3), random.digits(8), random.digits(5)),
        _ => prose(random, 7),
    };
    row(out, &[random.below(1_000_000).to_string(), moment(random), subject, prose(random, 12)]);
}

fn moment(random: &mut Random) -> String {
    format!(
        "2026-{:02}-{:02} {:02}:{:02}:{:02}.{}+00",
        random.between(1, 12),
        random.between(1, 28),
        random.below(24),
        random.below(60),
        random.below(60),
        random.digits(6),
    )
}

/// A prose of sorts, without digits.
fn prose(random: &mut Random, words: usize) -> String {
    let words: Vec<&str> = (0..words).map(|_| random.pick(WORDS)).collect();
    words.join(" ")
}
