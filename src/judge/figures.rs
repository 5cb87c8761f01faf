//! Prints what judging costs, in processor time. Run optimised:
//! `cargo rustc --lib --profile test -- -C opt-level=3 -C debug-assertions`, then the binary with
//! `--ignored --nocapture --test-threads 1 figures`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use crate::judge::Classifier;
use crate::judge::policy::{Circumstances, Library, PolicyDocument};
use crate::model::command::{Language, Lexing};
use crate::model::identity::{ClaimValue, Principal};
use crate::model::target::Labels;

/// What the thread has spent: other processes do not count, however busy the machine is.
fn thread_ns() -> u128 {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let (seconds, ns) = (u128::try_from(spent.tv_sec), u128::try_from(spent.tv_nsec));
    seconds.unwrap() * 1_000_000_000 + ns.unwrap()
}

/// Nanoseconds of processor time a round, the least of nine runs.
fn least_ns(rounds: u32, mut round: impl FnMut(u32)) -> u128 {
    let runs = (0..9).map(|_| {
        let started = thread_ns();
        for number in 0..rounds {
            round(number);
        }
        (thread_ns() - started) / u128::from(rounds)
    });
    runs.min().unwrap()
}

const TEXTS: &[&str] = &["SELECT id, name FROM customers WHERE id = $1 AND region = $2"];

/// Statements as applications send them: a name, and the text with the number `n` in it.
fn statements(n: u32) -> Vec<(&'static str, String)> {
    let rows: Vec<String> = (0..1_000).map(|row| format!("({row}, 'name {n}', {row}.5)")).collect();
    vec![
        ("select by key", format!("SELECT id, name FROM customers WHERE id = {n}")),
        (
            "insert of an ORM",
            format!(
                "INSERT INTO \"orders\" (\"customer_id\", \"total\", \"note\", \"created_at\") \
                 VALUES ({n}, 12.5, 'x', now()) RETURNING \"id\""
            ),
        ),
        (
            "update of pgbench",
            format!("UPDATE pgbench_accounts SET abalance = abalance + -4317 WHERE aid = {n}"),
        ),
        (
            "report",
            format!(
                "WITH recent AS (SELECT o.id, o.customer_id, o.total FROM orders o \
                 WHERE o.created_at > now() - interval '30 days' AND o.state IN ('paid', 'sent')) \
                 SELECT c.region, count(*) AS orders, sum(r.total) AS total, avg(r.total) AS mean \
                 FROM recent r JOIN customers c ON c.id = r.customer_id \
                 LEFT JOIN order_lines l ON l.order_id = r.id AND l.quantity > {n} \
                 WHERE c.region <> 'none' AND NOT c.closed GROUP BY c.region \
                 HAVING sum(r.total) > 1000 ORDER BY total DESC NULLS LAST LIMIT 20 OFFSET 0"
            ),
        ),
        (
            "insert of 1,000 rows",
            format!("INSERT INTO items (id, name, price) VALUES {}", rows.join(", ")),
        ),
    ]
}

#[test]
#[ignore = "prints figures, for an optimised build"]
fn figures_of_classifying() {
    let numbered: Vec<_> = (0..500).map(statements).collect();
    for (kind, (name, text)) in statements(0).iter().enumerate() {
        let texts: Vec<&[u8]> = numbered.iter().map(|all| all[kind].1.as_bytes()).collect();
        let text_of = |round: u32| texts[round as usize % texts.len()];
        let ask = |classifier: &mut Classifier, text: &[u8]| {
            black_box(classifier.facts(Language::PostgresSql, Lexing::default(), black_box(text)));
        };
        let mut classifier = Classifier::new();
        ask(&mut classifier, text.as_bytes());
        let rounds = if text.len() > 10_000 { 500 } else { 20_000 };
        let shape = least_ns(rounds, |round| ask(&mut classifier, text_of(round + 1)));
        let mut classifier = Classifier::new();
        // The text that brought the shape is kept as it is, too.
        ask(&mut classifier, text.as_bytes());
        let exact = least_ns(rounds, |_| ask(&mut classifier, text.as_bytes()));
        let nothing = least_ns(100, |_| drop(black_box(Classifier::new())));
        let fresh = least_ns(100, |round| ask(&mut Classifier::new(), text_of(round)));
        println!(
            "{name}, {} bytes: exact {exact} ns, shape {shape} ns, uncached {} ns",
            text.len(),
            fresh.saturating_sub(nothing)
        );
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

/// What a session under the policy `toml` spends on a verdict on `text`.
fn decided_ns(toml: &str, text: &str) -> u128 {
    let document: PolicyDocument = toml::from_str(toml).unwrap();
    let library = Library::new("v".into(), BTreeMap::from([("p".into(), document)])).unwrap();
    let groups = ClaimValue::List(vec!["dev".to_owned(), "oncall".to_owned()]);
    let principal = Principal {
        account: "a".into(),
        issuer: "i".into(),
        subject: "s".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::new(BTreeMap::from([("groups".to_owned(), groups)])),
    };
    let labels = Labels::new();
    let circumstances =
        Circumstances { principal: &principal, labels: &labels, target: "t", database: "d" };
    let session = library.bind(&["p".into()], &circumstances).unwrap();
    let facts = Classifier::new().facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
    least_ns(20_000, |_| {
        black_box(session.decide(black_box(&facts), black_box(text.as_bytes())));
    })
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
    println!("50 rules: {} ns", decided_ns(&toml, TEXTS[0]));
}

#[test]
#[ignore = "prints figures, for an optimised build"]
fn figures_of_expressions() {
    let allow = "[[rule]]\nid = \"ok\"\naction = \"allow\"\nwhen = { effects.only = [\"read\"] }\n";
    let wide: Vec<String> = (0..256).map(|number| format!("s.t{number}")).collect();
    let wide = format!("SELECT 1 FROM {}", wide.join(", "));
    println!("no expression: {} ns", decided_ns(allow, TEXTS[0]));
    for (cel, text) in [
        ("!('oncall' in claims.groups)", TEXTS[0]),
        ("size(objects) > 3", TEXTS[0]),
        ("'no_where' in flags && !('oncall' in claims.groups)", TEXTS[0]),
        ("objects.exists(o, o.name == 'x' && o.schema == 'crm')", TEXTS[0]),
        ("objects.exists(o, o.name == 'x' && o.schema == 'crm')", &wide),
        ("text.contains('secret')", TEXTS[0]),
    ] {
        let rule = format!("[[rule]]\nid = \"r\"\naction = \"deny\"\ncel = \"{cel}\"\n");
        let ns = decided_ns(&format!("{rule}{allow}"), text);
        println!("{cel} on {:.20}…: {ns} ns", text);
    }
}
