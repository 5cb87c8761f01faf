//! A split anywhere changes nothing: every transcript is played whole, cut in two at each place,
//! and byte by byte.

use super::showing::{FREE, d, dp, t};
use super::*;
use crate::wire::CopyForm;

fn transcripts() -> Vec<(&'static str, Vec<Event>)> {
    let begin = || [Bot(q("BEGIN")), Target(join(&[done("BEGIN"), z(b'T')]))];
    let copy_in = || frame(b'G', &[0, 0, 0]);
    let line = || frame(b'd', b"1\tone\n");
    let end = || frame(b'c', b"");
    vec![
        (
            "simple queries",
            vec![
                Bot(join(&[q("SELECT 1"), q("SELECT 2"), q("")])),
                Target(join(&[columns(), row(), row(), done("SELECT 2"), z(b'I')])),
                Target(join(&[error("22012"), z(b'I'), ok("I"), z(b'I')])),
                Bot(frame(b'X', b"")),
            ],
        ),
        (
            "refusals among simple queries",
            vec![
                Bot(join(&[q("DROP a"), q("SELECT 1"), q("DROP b"), frame(b'F', b"12345678")])),
                Target(join(&[done("SELECT 1"), z(b'I'), error("42601"), z(b'I')])),
                Target(join(&[error("42601"), z(b'I')])),
            ],
        ),
        (
            "a refusal in a transaction",
            [&begin()[..], &[Bot(q("DROP a")), Target(join(&[error("42601"), z(b'E')]))]].concat(),
        ),
        (
            "a pipeline with a refusal in its middle",
            vec![
                Bot(join(&[pbe("SELECT 1"), p("x", "DROP a"), b("", "x"), e(""), flush(), sync()])),
                Bot(join(&[pbe("SELECT 2"), sync()])),
                Target(join(&[ok("12"), row(), done("SELECT 1"), error("42601"), z(b'I')])),
                Target(join(&[ok("12"), row(), done("SELECT 1"), z(b'I')])),
            ],
        ),
        (
            "an error of the server, and what it skips",
            vec![
                Bot(join(&[pbe("SELECT 1/0"), pbe("SELECT 1"), pbe("DROP a"), sync()])),
                Target(join(&[ok("12"), error("22012"), z(b'I')])),
                Bot(join(&[q("SELECT 3")])),
                Target(join(&[done("SELECT 0"), z(b'I')])),
            ],
        ),
        (
            "names, cursors and portals in parts",
            [
                &begin()[..],
                &[
                    Bot(join(&[p("s", "SELECT 1"), frame(b'D', b"Ss\0"), b("c", "s")])),
                    Bot(join(&[
                        frame(b'D', b"Pc\0"),
                        e("c"),
                        e("c"),
                        frame(b'C', b"Pc\0"),
                        sync(),
                    ])),
                    Target(join(&[ok("1"), frame(b't', &[0, 0]), columns(), ok("2"), ok("n")])),
                    Target(join(&[row(), ok("s"), done("SELECT 0"), ok("3"), z(b'T')])),
                    Bot(q("DECLARE d CURSOR FOR SELECT 1")),
                    Target(join(&[done("DECLARE CURSOR"), z(b'T')])),
                    Bot(join(&[e("d"), sync()])),
                    Target(join(&[row(), ok("s"), z(b'T')])),
                ],
            ]
            .concat(),
        ),
        (
            "copies",
            vec![
                Bot(join(&[pbe("COPY a FROM STDIN"), sync()])),
                Target(join(&[ok("12"), copy_in()])),
                Bot(join(&[line(), line(), end(), sync()])),
                Target(join(&[done("COPY 2"), z(b'I')])),
                Bot(q("COPY a TO STDOUT; COPY b FROM STDIN")),
                Target(join(&[frame(b'H', &[0, 0, 0]), line(), end(), done("COPY 1"), copy_in()])),
                Bot(join(&[line(), frame(b'f', b"no\0")])),
                Target(join(&[error("57014"), z(b'I')])),
            ],
        ),
        (
            "what comes unasked",
            vec![
                Target(frame(b'A', b"\0\0\0\x01c\0p\0")),
                Bot(q("SELECT 1")),
                Target(join(&[frame(b'N', b"SNOTICE\0\0"), columns(), row(), done("SELECT 1")])),
                Target(join(&[frame(b'S', b"client_encoding\0SJIS\0"), z(b'I')])),
                Bot(join(&[q("SELECT 2"), q("SELECT 3")])),
                Target(join(&[done("SELECT 0"), z(b'I')])),
                Target(join(&[done("SELECT 0"), z(b'I')])),
                Target(severe("57P01", "FATAL")),
            ],
        ),
        ("a lie of the bot", vec![Bot(join(&[q("SELECT 1"), frame(b'?', b"x")]))]),
        (
            "a lie of the target",
            vec![Bot(q("SELECT 1")), Target(join(&[columns(), row(), frame(b'?', b"x")]))],
        ),
    ]
}

/// Conversations whose answers are shown.
fn shown_transcripts() -> Vec<(&'static str, CopyForm, Vec<Event>)> {
    let form = CopyForm::Text { delimiter: b'\t' };
    let csv = CopyForm::Csv { delimiter: b',', quote: b'"', escape: b'"' };
    let line = |text: &[u8]| frame(b'd', text);
    let end = || join(&[frame(b'c', b""), done("COPY 2"), z(b'I')]);
    let copy = |binary: u8| frame(b'H', &[binary, 0, 1, 0, binary]);
    let signature = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x06secret";
    let words = b"SERROR\0C23505\0Msecret\0Dsecret-null\0tsecret-empty\0\0";
    let again = join(&[t(&[5]), d(&["secret"]), ok("s"), t(&[6]), d(&["b"]), ok("s"), z(b'I')]);
    vec![
        (
            "rows, words and asides",
            form,
            vec![
                Bot(q("SELECT 1; SELECT 2")),
                Target(join(&[t(&[5, 5]), d(&["secret", "a"]), d(&["secret-null", "secret"])])),
                Target(join(&[frame(b'N', words), d(&["a", "b"]), done("SELECT 3"), t(&[FREE])])),
                Target(join(&[frame(b'S', b"a\0secret\0"), d(&["a"]), frame(b'E', words)])),
                Target(join(&[z(b'I'), frame(b'A', b"\0\0\0\x01c\0secret\0")])),
            ],
        ),
        (
            "portals that nobody described",
            form,
            vec![
                Bot(join(&[pbe("SELECT 1"), b("c", ""), dp("c"), e("c"), flush()])),
                Target(join(&[ok("12"), t(&[5]), d(&["secret"]), done("SELECT 1"), ok("2")])),
                Target(join(&[t(&[6]), d(&["secret-short"]), ok("s")])),
                Bot(join(&[e("c"), e("c"), sync()])),
                Target(again),
                Bot(join(&[e("never"), sync(), pbe("SET a"), sync()])),
                Target(join(&[error("34000"), z(b'I'), ok("12n"), done("SET"), z(b'I')])),
            ],
        ),
        (
            "a copy in text",
            form,
            vec![
                Bot(q("COPY a TO STDOUT")),
                Target(join(&[copy(0), line(b"secret\n"), line(b"a\\tb\n"), line(b"\\N\n")])),
                Target(join(&[frame(b'N', words), line(b"secret-quoted\n"), end()])),
            ],
        ),
        (
            "a copy in CSV",
            csv,
            vec![
                Bot(join(&[pbe("COPY a TO STDOUT"), sync()])),
                Target(join(&[ok("12n"), copy(0), line(b"\"secret\"\n"), line(b"\"a\nb\"\n")])),
                Target(join(&[line(b"secret-quoted\n"), end()])),
            ],
        ),
        (
            "a copy in binary",
            CopyForm::Binary,
            vec![
                Bot(q("COPY a TO STDOUT")),
                Target(join(&[copy(1), line(signature), line(b"\0\x01\xff\xff\xff\xff")])),
                Target(join(&[line(b"\xff\xff"), end()])),
            ],
        ),
        (
            "a lie",
            form,
            vec![Bot(q("SELECT 1")), Target(join(&[t(&[5]), d(&["secret"]), d(&["a", "b"])]))],
        ),
    ]
}

/// Where a result that is shown is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    Rows,
    Bytes,
    Masked,
}

fn play_shown(
    form: CopyForm,
    limit: Limit,
    events: impl IntoIterator<Item = Event>,
) -> (Seen, Vec<(usize, Vec<u8>)>) {
    let mut drive = Drive::copying(form, b"\\N", false);
    match limit {
        Limit::None => {}
        Limit::Rows => drive.limit_rows(1),
        Limit::Bytes => drive.limit_bytes(60),
        Limit::Masked => drive.limit_masked(1),
    }
    for event in events {
        drive.play(&[event]);
    }
    let cells = std::mem::take(&mut drive.editing().cells);
    (drive.seen, cells)
}

/// Nor do the values change that an editor is asked about.
#[test]
fn a_split_anywhere_changes_nothing_of_what_is_shown() {
    let limits = [Limit::None, Limit::Rows, Limit::Bytes, Limit::Masked];
    let all = shown_transcripts().into_iter();
    for ((name, form, events), limit) in all.flat_map(|it| limits.map(|limit| (it.clone(), limit)))
    {
        let whole = play_shown(form, limit, events.clone());
        let is_lie = name == "a lie" && !matches!(limit, Limit::Rows | Limit::Bytes);
        assert_eq!(whole.0.fault.is_some(), is_lie, "{name}: {:?}", whole.0.fault);
        let bytewise = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect();
        let pieces = events.iter().flat_map(|event| in_pieces(event, &bytewise));
        let pieces = play_shown(form, limit, pieces);
        if is_lie {
            let bot = &pieces.0.to_bot;
            assert!(bot.starts_with(&whole.0.to_bot), "{name}, byte by byte");
            continue;
        }
        assert_eq!(pieces, whole, "{name}, byte by byte, limit {limit:?}");
        for (at, event) in events.iter().enumerate() {
            let (Bot(bytes) | Target(bytes)) = event;
            for cut in 1..bytes.len() {
                let halves = |bytes: &[u8]| vec![bytes[..cut].to_vec(), bytes[cut..].to_vec()];
                let mut cut_events = events.clone();
                cut_events.splice(at..=at, in_pieces(event, &halves));
                let seen = play_shown(form, limit, cut_events);
                assert_eq!(seen, whole, "{name}, event {at} cut at {cut}, limit {limit:?}");
            }
        }
    }
}

fn play(events: impl IntoIterator<Item = Event>) -> Seen {
    play_limited(None, events)
}

/// With results cut off after so many rows.
fn play_limited(rows: Option<u64>, events: impl IntoIterator<Item = Event>) -> Seen {
    let mut drive = Drive::relaying();
    if let Some(rows) = rows {
        drive.limit_rows(rows);
    }
    for event in events {
        drive.play(&[event]);
    }
    drive.seen
}

/// The same bytes in pieces that `cut` makes of each.
fn in_pieces(event: &Event, cut: &impl Fn(&[u8]) -> Vec<Vec<u8>>) -> Vec<Event> {
    match event {
        Bot(bytes) => cut(bytes).into_iter().map(Bot).collect(),
        Target(bytes) => cut(bytes).into_iter().map(Target).collect(),
    }
}

#[test]
fn a_split_anywhere_changes_nothing() {
    let both = transcripts()
        .into_iter()
        .flat_map(|transcript| [(None, transcript.clone()), (Some(1), transcript)]);
    for (limit, (name, events)) in both {
        let play = |events: Vec<Event>| play_limited(limit, events);
        let whole = play(events.clone());
        assert!(whole.to_bot.len() + whole.to_target.len() > 0, "{name}");
        let bytewise = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect();
        let pieces = events.iter().flat_map(|event| in_pieces(event, &bytewise));
        assert_eq!(play(pieces.collect()), whole, "{name}, byte by byte, limit {limit:?}");
        for (at, event) in events.iter().enumerate() {
            let (Bot(bytes) | Target(bytes)) = event;
            for cut in 1..bytes.len() {
                let halves = |bytes: &[u8]| vec![bytes[..cut].to_vec(), bytes[cut..].to_vec()];
                let mut cut_events = events.clone();
                cut_events.splice(at..=at, in_pieces(event, &halves));
                let seen = play(cut_events);
                assert_eq!(seen, whole, "{name}, event {at} cut at {cut}, limit {limit:?}");
            }
        }
    }
}

#[test]
fn transcripts_end_as_they_should() {
    for (name, events) in transcripts() {
        let seen = play(events);
        assert_eq!(seen.fault.is_some(), name.starts_with("a lie"), "{name}: {:?}", seen.fault);
    }
}

#[test]
fn an_opening_byte_by_byte_is_the_same_opening() {
    let open = |piece: usize| {
        let mut drive = Drive::new();
        for part in ssl_request().chunks(piece) {
            drive.bot(part);
        }
        drive.tls(Leg::Downstream, TlsFacts::default());
        let pairs = [("user", "ci"), ("_pq_.x", "1"), ("TimeZone", "UTC")];
        let hello = join(&[startup(0x0003_0002, &pairs), frame(b'p', b"token\0")]);
        for part in hello.chunks(piece) {
            drive.bot(part);
        }
        drive.begin_upstream(plain_login());
        let answer = join(&[
            frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]),
            frame(b'N', b"SNOTICE\0\0"),
            frame(b'R', &[0, 0, 0, 0]),
            settings(),
            frame(b'K', &[0, 0, 0, 42, 1, 2, 3, 4]),
            z(b'I'),
        ]);
        for part in answer.chunks(piece) {
            drive.target(part);
        }
        assert!(drive.opened && drive.machine.idle());
        (drive.seen, drive.logins)
    };
    let whole = open(usize::MAX);
    for piece in 1..20 {
        assert_eq!(open(piece), whole, "pieces of {piece}");
    }
}

/// A small generator of repeatable noise.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

/// Events with some bytes flipped, cut out, doubled, or moved to the other leg.
fn damaged(events: &[Event], noise: &mut Noise) -> Vec<Event> {
    let mut events = events.to_vec();
    for _ in 0..=noise.next(3) {
        let at = noise.next(events.len());
        let (Bot(bytes) | Target(bytes)) = &mut events[at];
        let place = noise.next(bytes.len());
        match noise.next(5) {
            0 if !bytes.is_empty() => bytes[place] ^= 1 << noise.next(8),
            1 if !bytes.is_empty() => bytes[place] = noise.next(256) as u8,
            2 => bytes.truncate(place),
            3 => bytes.extend_from_within(place..),
            _ => {
                let other = noise.next(events.len());
                events.swap(at, other);
            }
        }
    }
    events
}

#[test]
fn noise_ends_in_a_fault_or_in_waiting_and_splits_do_not_matter() {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let transcripts = transcripts();
    for round in 0..4000 {
        let (name, events) = &transcripts[round % transcripts.len()];
        let events = damaged(events, &mut noise);
        let limit = [None, Some(1)][noise.next(2)];
        let play = |events: Vec<Event>| play_limited(limit, events);
        let whole = play(events.clone());
        let sevens = |bytes: &[u8]| bytes.chunks(7).map(<[u8]>::to_vec).collect();
        let pieces = play(events.iter().flat_map(|event| in_pieces(event, &sevens)).collect());
        if whole.fault.is_none() {
            assert_eq!(pieces, whole, "{name}, round {round}");
        }
        for (number, _) in &whole.ended {
            let times = whole.ended.iter().filter(|(other, _)| other == number).count();
            assert_eq!(times, 1, "{name}, round {round}: exchange {number} ended {times} times");
        }
    }
}

#[test]
fn nothing_refused_ever_reaches_the_target_whatever_the_pipeline() {
    let mut noise = Noise(42);
    let commands = [
        pbe("DROP x"),
        pbe("SELECT 1"),
        q("DROP x"),
        q("SELECT 2"),
        sync(),
        flush(),
        p("s", "SELECT 3"),
        p("s", "DROP x"),
        join(&[b("c", "s"), e("c")]),
        frame(b'C', b"Ss\0"),
        frame(b'D', b"Ss\0"),
        frame(b'd', b"DROP x"),
        frame(b'c', b""),
        frame(b'F', b"DROP x"),
    ];
    for round in 0..2000 {
        let mut drive = Drive::relaying();
        for _ in 0..12 {
            drive.bot(&commands[noise.next(commands.len())]);
        }
        assert_eq!(drive.seen.fault, None, "round {round}");
        let mut rest = drive.seen.to_target.as_slice();
        while let Some((&[tag, a, b, c, d], _)) = rest.split_first_chunk::<5>() {
            let total = u32::from_be_bytes([a, b, c, d]) as usize + 1;
            let is_refused = rest[..total].windows(4).any(|word| word == b"DROP");
            assert!(tag == b'd' || !is_refused, "round {round}");
            rest = &rest[total..];
        }
    }
}
