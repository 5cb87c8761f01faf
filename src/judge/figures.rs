//! Prints what judging costs. Run optimised:
//! `cargo rustc --lib --profile test -- -C opt-level=3`, then the binary with
//! `--ignored --nocapture figures`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use crate::judge::Classifier;
use crate::judge::policy::{Circumstances, Library, PolicyDocument};
use crate::model::command::{Language, Lexing};
use crate::model::identity::Principal;
use crate::model::target::Labels;

/// Nanoseconds a round, the least of nine runs.
fn least_ns(rounds: u32, mut round: impl FnMut(u32)) -> u128 {
    let runs = (0..9).map(|_| {
        let started = Instant::now();
        for number in 0..rounds {
            round(number);
        }
        started.elapsed().as_nanos() / u128::from(rounds)
    });
    runs.min().unwrap()
}

const TEXTS: &[&str] = &[
    "SELECT id, name FROM customers WHERE id = $1 AND region = $2",
    "UPDATE pgbench_accounts SET abalance = abalance + -4317 WHERE aid = 93310",
    "INSERT INTO orders (id, customer, total, note, created_at) VALUES ($1, $2, $3, $4, now()) RETURNING id",
];

#[test]
#[ignore = "prints figures, for an optimised build"]
fn figures_of_classifying() {
    for text in TEXTS {
        let mut classifier = Classifier::new();
        let mut ask = |text: &str| {
            classifier.facts(Language::PostgresSql, Lexing::default(), text.as_bytes())
        };
        ask(text);
        let exact = least_ns(100_000, |_| {
            black_box(ask(black_box(text)));
        });
        println!("{:4} bytes, exact: {exact} ns", text.len());
        let mut written = String::new();
        let shape = least_ns(20_000, |number| {
            written.clear();
            let _ = write!(written, "SELECT * FROM customers WHERE id = {number} AND a = 'x'");
            black_box(ask(black_box(&written)));
        });
        println!("             shape: {shape} ns, of which writing the text is a part");
        let fresh = least_ns(500, |number| {
            written.clear();
            let _ = write!(written, "{text} -- {number}");
            black_box(Classifier::new().facts(
                Language::PostgresSql,
                Lexing::default(),
                black_box(written.as_bytes()),
            ));
        });
        println!("             uncached: {fresh} ns");
    }
}

#[test]
#[ignore = "prints figures, for an optimised build"]
fn figures_of_the_grammar() {
    let parse = least_ns(500, |_| {
        let _ = black_box(pg_query::parse(black_box(TEXTS[0]), 0));
    });
    let scan = least_ns(500, |_| {
        let _ = black_box(pg_query::scan(black_box("SELECT 1")));
    });
    let tiny = least_ns(500, |_| {
        let _ = black_box(pg_query::parse(black_box("SELECT 1"), 0));
    });
    let pipes = least_ns(500, |_| {
        let _ = black_box(std::io::pipe().map(|(reader, _writer)| reader.try_clone()));
    });
    println!(
        "parse: {parse} ns, of one column: {tiny} ns, scan: {scan} ns, descriptors: {pipes} ns"
    );
}

#[test]
#[ignore = "prints figures, for an optimised build"]
fn figures_of_deciding() {
    let mut toml = String::from("default = \"deny\"\n");
    for number in 0..49 {
        let _ = write!(
            toml,
            "[[rule]]\nid = \"r{number}\"\naction = \"deny\"\n\
             when = {{ effects.any = [\"program_exec\", \"kill\"], flags.any = [\"no_where\"] }}\n"
        );
    }
    toml.push_str(
        "[[rule]]\nid = \"ok\"\naction = \"allow\"\nwhen = { effects.only = [\"read\"] }\n",
    );
    let document: PolicyDocument = toml::from_str(&toml).unwrap();
    let library = Library::new("v".into(), BTreeMap::from([("p".into(), document)])).unwrap();
    let principal = Principal {
        account: "a".into(),
        issuer: "i".into(),
        subject: "s".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::default(),
    };
    let labels = Labels::new();
    let circumstances =
        Circumstances { principal: &principal, labels: &labels, target: "t", database: "d" };
    let session = library.bind(&["p".into()], &circumstances).unwrap();
    let text = TEXTS[0].as_bytes();
    let facts = Classifier::new().facts(Language::PostgresSql, Lexing::default(), text);
    let decided = least_ns(100_000, |_| {
        black_box(session.decide(black_box(&facts), black_box(text)));
    });
    println!("50 rules: {decided} ns");
}
