//! However the bytes are cut, the same goes out and the same is recorded.

use super::*;

/// A conversation in turns; each turn's bytes may come in any pieces.
fn conversation() -> Vec<(Leg, Vec<u8>)> {
    let refused = [pg::error("42601"), pg::z(b'I')].concat();
    let prepared = [pg::ok("12"), pg::row(), pg::done("SELECT 1"), pg::z(b'I')].concat();
    vec![
        (Leg::Downstream, start_up()),
        (Leg::Downstream, password()),
        (Leg::Upstream, target_login()),
        (Leg::Downstream, [pg::q("SELECT 1"), pg::q("DROP TABLE t"), pg::q("SELECT 2")].concat()),
        (Leg::Upstream, [one_row(), refused, one_row()].concat()),
        (Leg::Downstream, [pg::p("s", "SELECT 3"), pg::b("", "s"), pg::e(""), pg::sync()].concat()),
        (Leg::Upstream, prepared),
        (Leg::Downstream, pg::q("DROP TABLE t")),
        (Leg::Downstream, pg::frame(b'X', b"")),
    ]
}

/// What a visit comes to: bytes to each leg, and the exchanges without their times.
type Summary = (Vec<u8>, Vec<u8>, Vec<String>, CloseReason);

/// The pieces of a turn, by its number and its bytes.
pub(super) type Cut<'c> = &'c dyn Fn(usize, &[u8]) -> Vec<Vec<u8>>;

/// Plays the conversation with every turn's bytes cut by `cut`.
fn play(house: &House, cut: Cut<'_>) -> (SessionId, Summary) {
    let mut visit = house.visit();
    visit.bot(&pg::ssl_request());
    for (turn, (leg, bytes)) in conversation().into_iter().enumerate() {
        for piece in cut(turn, &bytes) {
            visit.receive(leg, &piece);
        }
    }
    let id = visit.session.id();
    let (bot, target) = (visit.seen.to(Leg::Downstream), visit.seen.to(Leg::Upstream));
    (id, (without_id(bot, id), target, Vec::new(), visit.seen.closed.unwrap()))
}

/// A refusal names the session, which is another one each time.
fn without_id(bytes: Vec<u8>, id: SessionId) -> Vec<u8> {
    let id = id.to_string();
    let mut out = Vec::new();
    let mut rest = &bytes[..];
    while let Some(at) = memchr::memmem::find(rest, id.as_bytes()) {
        out.extend(&rest[..at]);
        rest = &rest[at + id.len()..];
    }
    out.extend(rest);
    out
}

#[test]
fn a_cut_anywhere_changes_neither_the_outputs_nor_the_records() {
    let house = House::new();
    let mut visits = vec![("whole".to_owned(), play(&house, &|_, bytes| vec![bytes.to_vec()]))];
    for size in [1, 2, 3, 7] {
        let pieces = |_, bytes: &[u8]| bytes.chunks(size).map(<[u8]>::to_vec).collect();
        visits.push((format!("pieces of {size}"), play(&house, &pieces)));
    }
    for (turn, (_, bytes)) in conversation().into_iter().enumerate() {
        for at in 1..bytes.len() {
            let cut = move |its: usize, bytes: &[u8]| match its == turn {
                true => vec![bytes[..at].to_vec(), bytes[at..].to_vec()],
                false => vec![bytes.to_vec()],
            };
            visits.push((format!("turn {turn} cut at {at}"), play(&house, &cut)));
        }
    }
    let told = house.told();
    let mut summaries = visits.into_iter().map(|(how, (id, mut summary))| {
        let told = &told[&id];
        summary.2 = told
            .exchanges
            .iter()
            .map(|exchange| {
                let Exchange { number, text, verdict, rule, rows, answer_bytes, error, .. } =
                    exchange;
                format!("{number} {text} {verdict} {rule} {rows} {answer_bytes} {error:?}")
            })
            .collect();
        (how, summary)
    });
    let (_, whole) = summaries.next().unwrap();
    assert_eq!(whole.2.len(), 5);
    assert_eq!(whole.3, CloseReason::BotFinished);
    for (how, summary) in summaries {
        assert_eq!(summary, whole, "{how}");
    }
}
