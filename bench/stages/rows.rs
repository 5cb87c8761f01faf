//! What the rows of an answer cost between the target's bytes and the bot's: framed by the machine,
//! gone through as a plan says, and written anew where something was replaced.

use std::hint::black_box;
use std::sync::Arc;

use narrows::judge::Classifier;
use narrows::judge::policy::Masks;
use narrows::limits::CHUNK_BYTES;
use narrows::mask::catalogue::{Attribute, Catalogue, Kind, Raw, Relation, Source};
use narrows::mask::cell::Keys;
use narrows::mask::edit::Edits;
use narrows::mask::plan::Plan;
use narrows::model::command::{Language, Lexing};
use narrows::model::facts::Facts;
use narrows::model::session::Leg;
use narrows::model::target::Protocol;
use narrows::scan::Hit;
use narrows::wire::{Machine, Said, Setting, Shown, Step, TlsFacts, UpstreamLogin};

use crate::meter::Meter;
use crate::policies::bound;

const ANSWER_BYTES: usize = 1024 * 1024;
const DETECT: &str = "[[mask]]\ndetect = [\"pan\", \"iban\", \"email\", \"jwt\", \"private_key\"]\n\
                      as = \"redact\"\n";
const ELSEWHERE: &str = "[[mask]]\ncolumns = [\"payments.card\"]\nas = \"redact\"\n";

pub fn print(meter: Meter) {
    let columns = |strategy: &str| {
        format!(
            "[[mask]]\ncolumns = [\"customers.email\", \"customers.phone\", \"customers.card\"]\n\
             as = {strategy}\n"
        )
    };
    let cases: [(&str, String); 8] = [
        ("no masks", String::new()),
        ("columns of another table", ELSEWHERE.to_owned()),
        ("3 of 10 columns: redact", columns("\"redact\"")),
        ("3 of 10 columns: mask", columns("\"mask\"")),
        ("3 of 10 columns: partial", columns("{ partial = { keep_last = 4 } }")),
        ("3 of 10 columns: pseudonym", columns("\"pseudonym\"")),
        ("detectors", DETECT.to_owned()),
        ("3 of 10 columns: redact, and detectors", columns("\"redact\"") + DETECT),
    ];
    println!("\n{:42}{:>14}{:>14}", "rows framed and masked, GB/s", "customers", "orders");
    for (name, policy) in cases {
        let speeds = [Set::customers(), Set::orders()].map(|set| speed(meter, &set, &policy));
        println!("{name:42}{:14.2}{:14.2}", speeds[0], speeds[1]);
    }
}

/// Gigabytes of rows a second of processor time.
fn speed(meter: Meter, set: &Set, policy: &str) -> f64 {
    let session = bound(&format!(
        "default = \"allow\"\n[[rule]]\nid = \"all\"\naction = \"allow\"\n\
         when = {{ effects.only = [\"read\"] }}\n{policy}"
    ));
    let mut passage = Passage::new(set, session.masks().cloned());
    let ns = meter.least_ns(1, |_| passage.answer(set));
    set.answer.len() as f64 / ns
}

/// A session whose bot asks the same again and again.
struct Passage {
    machine: Machine,
    masks: Option<Arc<Masks>>,
    catalogue: Catalogue,
    facts: Arc<Facts>,
    keys: Keys,
    hits: Vec<Hit>,
    plan: Option<Plan>,
}

impl Passage {
    fn new(set: &Set, masks: Option<Arc<Masks>>) -> Self {
        let setting = Setting { downstream_tls: true, cancel_seed: [7; 32] };
        let mut machine = Machine::new(Protocol::Postgres, setting);
        let mut said = Said::default();
        for (leg, bytes) in LOGIN {
            let mut unread = *bytes;
            while !unread.is_empty() {
                let step = machine.step(*leg, unread, &mut said);
                let step = step.unwrap_or_else(|_| panic!("the login is no protocol"));
                unread = &unread[step.bytes()..];
                match step {
                    Step::StartTls { leg, .. } => {
                        // What was read already is ciphertext.
                        unread = &[];
                        let alpn = Some(b"postgresql".to_vec());
                        let facts = TlsFacts { alpn, ..TlsFacts::default() };
                        assert!(machine.tls_started(leg, &facts, &mut said).is_ok());
                    }
                    Step::Login { .. } => {
                        let username = "app".to_owned();
                        let login = UpstreamLogin { username, password: None, tls: false };
                        machine.begin_upstream(login, &mut said);
                    }
                    _ => {}
                }
            }
        }
        if masks.is_some() {
            machine.show_answers();
        }
        let protect = |schema: &str, table: &str, column: &str| {
            masks.as_ref().and_then(|masks| masks.column(schema, table, column))
        };
        let catalogue = Catalogue::build(&set.raw, &protect);
        let text = format!("SELECT * FROM {}", set.raw.relations[0].name);
        let facts = Classifier::new();
        let facts = { facts }.facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
        let hits = Vec::new();
        Self { machine, masks, catalogue, facts, keys: Keys::new(&[9; 32]), hits, plan: None }
    }

    fn answer(&mut self, set: &Set) {
        let mut said = Said::default();
        let asked = self.machine.step(Leg::Downstream, QUERY, &mut said);
        assert!(matches!(asked, Ok(Step::Judge { .. })));
        self.machine.accept(Arc::clone(&self.facts), 1);
        let (mut at, mut has) = (0, CHUNK_BYTES);
        while at < set.answer.len() {
            // As the path has it: what has come and is not dealt with, a chunk more at a time.
            let window = &set.answer[at..has.min(set.answer.len())];
            let step = self.machine.step(Leg::Upstream, window, &mut said);
            match step.unwrap_or_else(|_| panic!("the answer is no protocol")) {
                Step::Need { .. } => has += CHUNK_BYTES,
                Step::Relay { bytes } | Step::Drop { bytes } => at += bytes,
                Step::Show { bytes, shown } => {
                    self.show(&shown, &window[..bytes]);
                    at += bytes;
                }
                _ => panic!("an answer of rows asks for nothing else"),
            }
            has = has.max(at + 1).next_multiple_of(CHUNK_BYTES);
            while self.machine.report().is_some() {}
        }
    }

    fn show(&mut self, shown: &Shown, bytes: &[u8]) {
        let masks = self.masks.as_ref().expect("only masks have answers shown");
        if let Shown::Rows { columns, .. } = shown {
            let plan = self.plan.get_or_insert_with(|| {
                Plan::of(columns, Some(&self.facts), Some(&self.catalogue), masks)
            });
            if plan.passes_rows() {
                return self.machine.rows_pass();
            }
        }
        let other = Plan::default();
        let plan = match (shown, &self.plan) {
            (Shown::Rows { .. }, Some(plan)) => plan,
            _ => &other,
        };
        let mut edits = Edits { plan, masks, keys: &self.keys, hits: &mut self.hits };
        let mut out = Vec::new();
        let changed = self.machine.rewrite(shown, bytes, &mut edits, &mut out);
        let _changed = black_box(changed.unwrap_or_else(|_| panic!("rows are not rows")));
        black_box(out);
    }
}

/// An answer, and what the catalogue says of its table.
struct Set {
    raw: Raw,
    answer: Vec<u8>,
}

const INT4: u32 = 23;
const TEXT: u32 = 25;
const NUMERIC: u32 = 1700;
const TIMESTAMPTZ: u32 = 1184;
const TABLE: u32 = 20_001;

impl Set {
    /// Mostly text, of which three columns may be protected.
    fn customers() -> Self {
        let columns = [
            ("id", INT4),
            ("name", TEXT),
            ("email", TEXT),
            ("phone", TEXT),
            ("street", TEXT),
            ("city", TEXT),
            ("card", TEXT),
            ("note", TEXT),
            ("created_at", TIMESTAMPTZ),
            ("balance", NUMERIC),
        ];
        Self::new("customers", &columns, |n| {
            [
                format!("{n}"),
                format!("Marta Lind-{n}"),
                format!("marta.lind{n}@example.org"),
                format!("+49 30 90{:06}", n % 1_000_000),
                format!("Gartenstrasse {} b", n % 300),
                "Königsberg".to_owned(),
                "4111 1111 1111 1111".to_owned(),
                format!("called back on the third, wants delivery {n} by the end of the month"),
                "2026-03-01 12:44:05.123456+00".to_owned(),
                format!("{n}.50"),
            ]
        })
    }

    /// Mostly numbers and times; nothing in it is protected.
    fn orders() -> Self {
        let columns = [
            ("id", INT4),
            ("customer_id", INT4),
            ("total", NUMERIC),
            ("tax", NUMERIC),
            ("state", TEXT),
            ("created_at", TIMESTAMPTZ),
            ("paid_at", TIMESTAMPTZ),
            ("sent_at", TIMESTAMPTZ),
            ("lines", INT4),
            ("sku", TEXT),
        ];
        Self::new("orders", &columns, |n| {
            let time = format!("2026-03-{:02} 12:44:05.{:06}+00", n % 28 + 1, n % 1_000_000);
            [
                format!("{n}"),
                format!("{}", n % 5_000),
                format!("{}.95", n % 900),
                format!("{}.19", n % 90),
                "sent".to_owned(),
                time.clone(),
                time.clone(),
                time,
                format!("{}", n % 9),
                format!("SKU-{:08}", n * 7),
            ]
        })
    }

    fn new(name: &str, columns: &[(&str, u32); 10], row: impl Fn(usize) -> [String; 10]) -> Self {
        let numbered = || columns.iter().zip(1_i16..);
        let attributes = numbered().map(|((name, type_oid), number)| Attribute {
            number,
            name: (*name).into(),
            type_oid: *type_oid,
            typmod: -1,
            dropped: false,
            samples: false,
            source: Source::Own,
        });
        let relation = Relation {
            oid: TABLE,
            schema: "public".into(),
            name: name.into(),
            kind: Kind::Table,
            columns: attributes.collect(),
            parents: Vec::new(),
            reads: Vec::new(),
            whole_rows: false,
        };
        let mut description = 10_i16.to_be_bytes().to_vec();
        for ((name, type_oid), number) in numbered() {
            description.extend([name.as_bytes(), b"\0", &TABLE.to_be_bytes()].concat());
            description.extend(number.to_be_bytes());
            description.extend(type_oid.to_be_bytes());
            // Size -1, modifier -1, format 0.
            description.extend([255, 255, 255, 255, 255, 255, 0, 0]);
        }
        let mut answer = message(b'T', &description);
        let mut n = 0;
        while answer.len() < ANSWER_BYTES {
            n += 1;
            let mut body = 10_i16.to_be_bytes().to_vec();
            for value in row(n) {
                body.extend(u32::try_from(value.len()).expect("values are short").to_be_bytes());
                body.extend(value.as_bytes());
            }
            answer.extend(message(b'D', &body));
        }
        answer.extend(message(b'C', format!("SELECT {n}\0").as_bytes()));
        answer.extend(message(b'Z', b"I"));
        Self { raw: Raw { relations: vec![relation], types: Vec::new() }, answer }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("messages are short").to_be_bytes();
    [&[tag][..], &length, body].concat()
}

/// The beginning of TLS, start-up packet and token; then the target accepts and becomes ready.
const LOGIN: &[(Leg, &[u8])] = &[
    (Leg::Downstream, &[0x16]),
    (Leg::Downstream, b"\0\0\0\x20\0\x03\0\0user\0bot\0database\0shop\0\0"),
    (Leg::Downstream, b"p\0\0\0\x0atoken\0"),
    (
        Leg::Upstream,
        b"R\0\0\0\x08\0\0\0\0S\0\0\0\x19client_encoding\0UTF8\0K\0\0\0\x0c\0\0\x04\xd2\x01\x02\x03\x04",
    ),
    (Leg::Upstream, b"Z\0\0\0\x05I"),
];
const QUERY: &[u8] = b"Q\0\0\0\x0dSELECT 2\0";
