//! What judging costs: facts of statements that are known word by word, known by their shape, and
//! new; and the verdict on them. Beside a new one stands what PostgreSQL's own grammar takes for it.

use std::fmt::Write;
use std::hint::black_box;

use narrows::judge::Classifier;
use narrows::model::command::{Language, Lexing};

use crate::meter::Meter;
use crate::policies::bound;

pub fn print(meter: Meter) {
    classifying(meter);
    deciding(meter);
    expressions(meter);
}

/// Statements as applications send them: a name, and the text with the number `n` in it.
fn statements(n: u32) -> [(&'static str, String); 5] {
    let rows: Vec<String> = (0..1_000).map(|row| format!("({row}, 'name {n}', {row}.5)")).collect();
    [
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

fn classifying(meter: Meter) {
    println!(
        "{:22}{:>8}{:>10}{:>10}{:>10}{:>10}{:>8}",
        "facts, ns", "bytes", "exact", "shape", "new", "grammar", "ratio"
    );
    let numbered: Vec<_> = (0..500).map(statements).collect();
    for (kind, (name, text)) in statements(0).iter().enumerate() {
        let texts: Vec<&str> = numbered.iter().map(|all| all[kind].1.as_str()).collect();
        let text_of = |round: u32| texts[round as usize % texts.len()];
        let ask = |classifier: &mut Classifier, text: &str| {
            let text = black_box(text.as_bytes());
            black_box(classifier.facts(Language::PostgresSql, Lexing::default(), text));
        };
        let rounds = if text.len() > 10_000 { 100 } else { 2_000 };
        let mut classifier = Classifier::new();
        ask(&mut classifier, text);
        let shape = meter.least_ns(rounds, |round| ask(&mut classifier, text_of(round + 1)));
        // The text that brought a shape is kept as it is, too.
        let exact = meter.least_ns(rounds, |_| ask(&mut classifier, text));
        let nothing = meter.least_ns(100, |_| drop(black_box(Classifier::new())));
        let fresh = meter.least_ns(100, |round| ask(&mut Classifier::new(), text_of(round)));
        let new = fresh - nothing;
        let grammar = meter.least_ns(100, |round| {
            let _parsed = black_box(pg_query::parse(black_box(text_of(round)), 0));
        });
        println!(
            "{name:22}{:8}{exact:10.0}{shape:10.0}{new:10.0}{grammar:10.0}{:8.2}",
            text.len(),
            new / grammar
        );
    }
}

const TEXT: &str = "SELECT id, name FROM customers WHERE id = $1 AND region = $2";
const ALLOW: &str =
    "[[rule]]\nid = \"ok\"\naction = \"allow\"\nwhen = { effects.only = [\"read\"] }\n";

/// What a session under the policy `toml` spends on a verdict on `text`.
fn decided_ns(meter: Meter, toml: &str, text: &str) -> f64 {
    let session = bound(toml);
    let facts = Classifier::new().facts(Language::PostgresSql, Lexing::default(), text.as_bytes());
    meter.least_ns(20_000, |_| {
        black_box(session.decide(black_box(&facts), black_box(text.as_bytes()), &[]));
    })
}

fn deciding(meter: Meter) {
    println!("\n{:62}{:>10}", "verdicts, ns", "");
    for rules in [10, 50, 1_000] {
        let mut toml = String::from("default = \"deny\"\n");
        for number in 1..rules {
            let _infallible = write!(
                toml,
                "[[rule]]\nid = \"r{number}\"\naction = \"deny\"\n\
                 when = {{ effects.any = [\"program_exec\", \"kill\"], flags.any = [\"no_where\"] }}\n"
            );
        }
        toml.push_str(ALLOW);
        println!("{:62}{:10.0}", format!("{rules} rules"), decided_ns(meter, &toml, TEXT));
    }
}

fn expressions(meter: Meter) {
    let wide: Vec<String> = (0..256).map(|number| format!("s.t{number}")).collect();
    let wide = format!("SELECT 1 FROM {}", wide.join(", "));
    for (cel, text, objects) in [
        ("!('oncall' in claims.groups)", TEXT, 1),
        ("'no_where' in flags && !('oncall' in claims.groups)", TEXT, 1),
        ("objects.exists(o, o.name == 'x')", TEXT, 1),
        ("objects.exists(o, o.name == 'x')", &wide, 256),
    ] {
        let rule = format!("[[rule]]\nid = \"r\"\naction = \"deny\"\ncel = \"{cel}\"\n");
        let ns = decided_ns(meter, &format!("{rule}{ALLOW}"), text);
        println!("{:62}{ns:10.0}", format!("{cel}, {objects} objects"));
    }
}
