//! From the first byte to the first ReadyForQuery.

use super::*;

const V3_0: u32 = 0x0003_0000;
const V3_2: u32 = 0x0003_0002;

fn inside_tls() -> Drive {
    let mut drive = Drive::new();
    drive.bot(&ssl_request());
    drive.tls(Leg::Downstream, TlsFacts::default());
    drive.seen = Seen::default();
    drive
}

#[test]
fn a_login_runs_from_the_first_byte_to_ready() {
    let mut drive = Drive::new();
    drive.bot(&ssl_request());
    assert_eq!(drive.seen.to_bot, b"S");
    assert_eq!(drive.tls, [Leg::Downstream]);
    drive.tls(Leg::Downstream, TlsFacts::default());
    drive.seen.to_bot.clear();
    drive.bot(&startup(V3_0, &[("user", "ci"), ("database", "shop"), ("DateStyle", "ISO")]));
    assert_eq!(drive.seen.to_bot, frame(b'R', &[0, 0, 0, 3]));
    drive.bot(&frame(b'p', b"a.b.c\0"));
    assert_eq!(drive.logins, [("ci".to_owned(), "shop".to_owned(), b"a.b.c".to_vec())]);
    drive.begin_upstream(plain_login());
    let pairs = [("user", "leased"), ("database", "shop"), ("DateStyle", "ISO")];
    assert_eq!(drive.seen.to_target, startup(V3_0, &pairs));
    drive.seen = Seen::default();
    drive.target(&frame(b'R', &[0, 0, 0, 0]));
    assert!(drive.opened);
    drive.target(&join(&[settings(), frame(b'K', &[0, 0, 0, 42, 9, 9, 9, 9]), z(b'I')]));
    assert_eq!(drive.heard(), "R S S S K Z(I)");
    let key = drive.key.clone().unwrap();
    assert_eq!((key.process_id, key.secret.len()), (42, 4));
    assert_ne!(key.secret, [9, 9, 9, 9]);
    assert_eq!(drive.seen.fault, None);
    assert!(drive.machine.idle());
}

fn last_words(drive: &mut Drive) -> String {
    let leg = drive.seen.fault.as_ref().unwrap().leg;
    drive.seen.to_bot.clear();
    drive.farewell(Farewell::ProtocolError(leg));
    drive.heard()
}

#[test]
fn bytes_behind_the_request_for_tls_end_the_connection() {
    let mut drive = Drive::new();
    drive.bot(&join(&[ssl_request(), startup(V3_0, &[("user", "ci")])]));
    assert!(drive.seen.fault.is_some());
    assert_eq!(drive.seen.to_bot, b"");
    assert_eq!(drive.tls, []);
    assert_eq!(last_words(&mut drive), "");
}

#[test]
fn gssapi_is_declined_before_and_after_tls_is_asked_for() {
    let gss = packet(80_877_104, b"");
    let mut drive = Drive::new();
    drive.bot(&gss);
    drive.bot(&ssl_request());
    assert_eq!(drive.seen.to_bot, b"NS");

    let mut drive = Drive::with(Setting { downstream_tls: false, cancel_seed: SEED });
    drive.bot(&ssl_request());
    drive.bot(&gss);
    assert_eq!(drive.seen.to_bot, b"NN");
    drive.bot(&gss);
    assert!(drive.seen.fault.is_some(), "asked twice");
}

#[test]
fn tls_at_once_needs_the_protocol_name() {
    for (alpn, is_taken) in [(Some("postgresql"), true), (Some("h2"), false), (None, false)] {
        let mut drive = Drive::new();
        drive.bot(&[0x16, 3, 1]);
        assert_eq!(drive.tls, [Leg::Downstream]);
        let alpn = alpn.map(|alpn| alpn.as_bytes().to_vec());
        drive.tls(Leg::Downstream, TlsFacts { alpn, ..TlsFacts::default() });
        assert_eq!(drive.seen.fault.is_none(), is_taken);
    }
}

#[test]
fn a_listener_without_tls_takes_no_handshake() {
    let mut drive = Drive::with(Setting { downstream_tls: false, cancel_seed: SEED });
    drive.bot(&[0x16, 3, 1, 0, 5, 0, 0, 0]);
    assert!(drive.seen.fault.is_some());
}

#[test]
fn a_session_without_tls_is_refused_before_any_password_is_asked_for() {
    for downstream_tls in [true, false] {
        let mut drive = Drive::with(Setting { downstream_tls, cancel_seed: SEED });
        drive.bot(&startup(V3_0, &[("user", "ci")]));
        assert!(drive.seen.fault.is_some());
        assert_eq!(drive.seen.to_bot, b"");
        assert_eq!(last_words(&mut drive), "E(28000)");
    }
}

#[test]
fn other_protocols_hear_what_is_spoken_here() {
    let mut drive = Drive::new();
    drive.bot(&packet(0x0002_0000, b"\0"));
    assert_eq!(last_words(&mut drive), "E(0A000)");
    let mut drive = Drive::new();
    drive.bot(b"GET / HTTP/1.1\r\n\r\n");
    assert!(drive.seen.fault.is_some());
    assert_eq!(last_words(&mut drive), "");
}

#[test]
fn lying_lengths_are_refused_at_once() {
    for length in [0_u32, 4, 7, 10_001, 0x7fff_ffff, u32::MAX] {
        let mut drive = Drive::new();
        drive.bot(&[length.to_be_bytes(), V3_0.to_be_bytes()].concat());
        assert!(drive.seen.fault.is_some(), "length {length}");
    }
}

#[test]
fn a_newer_protocol_is_negotiated_down_exactly_once() {
    let pairs = [("user", "ci"), ("_pq_.one", "1"), ("_pq_.test_protocol_negotiation", "")];
    let mut drive = inside_tls();
    drive.bot(&startup(0x0003_270f, &pairs));
    let mut body = V3_2.to_be_bytes().to_vec();
    body.extend([0, 0, 0, 2]);
    body.extend(b"_pq_.one\0_pq_.test_protocol_negotiation\0");
    assert_eq!(drive.seen.to_bot, join(&[frame(b'v', &body), frame(b'R', &[0, 0, 0, 3])]));
    drive.bot(&frame(b'p', b"t\0"));
    drive.begin_upstream(plain_login());
    assert_eq!(drive.seen.to_target, startup(V3_0, &[("user", "leased")]));

    for (asked, answered) in [(0x0003_0001, Some(V3_0)), (V3_0, None), (V3_2, None)] {
        let mut drive = inside_tls();
        drive.bot(&startup(asked, &[("user", "ci")]));
        let negotiated = answered
            .map(|version| frame(b'v', &[version.to_be_bytes(), 0_u32.to_be_bytes()].concat()));
        let request = frame(b'R', &[0, 0, 0, 3]);
        assert_eq!(drive.seen.to_bot, join(&[negotiated.unwrap_or_default(), request]));
    }
}

#[test]
fn each_version_gets_a_cancel_key_of_its_length() {
    for (version, bytes) in [(V3_0, 4), (V3_2, 32)] {
        let mut drive = inside_tls();
        drive.bot(&startup(version, &[("user", "ci")]));
        drive.bot(&frame(b'p', b"t\0"));
        drive.begin_upstream(plain_login());
        drive.target(&frame(b'R', &[0, 0, 0, 0]));
        drive.seen.to_bot.clear();
        drive.target(&frame(b'K', &[&[0, 0, 1, 2][..], &[5; 256]].concat()));
        let key = drive.key.clone().unwrap();
        assert_eq!((key.process_id, key.secret.len()), (258, bytes));
        assert_eq!(drive.seen.to_bot, frame(b'K', &[&[0, 0, 1, 2], &key.secret[..]].concat()));
    }
}

#[test]
fn a_target_without_a_cancel_key_leaves_the_bot_without_one() {
    let mut drive = inside_tls();
    drive.bot(&startup(V3_0, &[("user", "ci")]));
    drive.bot(&frame(b'p', b"t\0"));
    drive.begin_upstream(plain_login());
    drive.target(&frame(b'R', &[0, 0, 0, 0]));
    drive.take();
    drive.target(&join(&[settings(), z(b'I')]));
    assert_eq!(drive.heard(), "S S S Z(I)");
    assert!(drive.key.is_none());
    assert!(drive.machine.cancel().is_none());
}

/// What becomes of a parameter's value: passed on, left out, or refused with a code.
enum Fate {
    Passed(&'static str),
    LeftOut,
    Refused(&'static str),
}

#[test]
fn start_up_parameters_pass_by_a_list() {
    use Fate::{LeftOut, Passed, Refused};
    let cases = [
        ("application_name", "psql\n\u{e9}", Passed("psql??")),
        ("client_encoding", "UTF8", Passed("UTF8")),
        ("client_encoding", "'utf-8'", Passed("'utf-8'")),
        ("client_encoding", "SQL_ASCII", Passed("SQL_ASCII")),
        ("client_encoding", "SJIS", Refused("22023")),
        ("client_encoding", "LATIN1", Refused("22023")),
        ("DateStyle", "ISO, MDY", Passed("ISO, MDY")),
        ("TimeZone", "Europe/Berlin", Passed("Europe/Berlin")),
        ("TimeZone", "a\nb", Refused("22023")),
        ("extra_float_digits", "2", Passed("2")),
        ("IntervalStyle", "iso_8601", Passed("iso_8601")),
        ("options", "", LeftOut),
        ("options", "-c search_path=x", Refused("42704")),
        ("search_path", "public", Refused("42704")),
        ("role", "postgres", Refused("42704")),
        ("session_authorization", "postgres", Refused("42704")),
        ("standard_conforming_strings", "off", Refused("42704")),
        ("replication", "false", LeftOut),
        ("replication", "database", Refused("0A000")),
        ("replication", "1", Refused("0A000")),
        ("user", "again", Refused("08P01")),
        ("USER", "again", Refused("08P01")),
    ];
    for (name, value, fate) in cases {
        let mut drive = inside_tls();
        drive.bot(&startup(V3_0, &[("user", "ci"), (name, value)]));
        let mut passed = vec![("user", "leased")];
        match fate {
            Refused(code) => {
                assert_eq!(last_words(&mut drive), format!("E({code})"), "{name}={value}");
                continue;
            }
            LeftOut => {}
            Passed(value) => passed.push((name, value)),
        }
        drive.bot(&frame(b'p', b"t\0"));
        drive.begin_upstream(plain_login());
        assert_eq!(drive.seen.to_target, startup(V3_0, &passed), "{name}={value}");
    }
}

#[test]
fn parameters_reach_the_target_in_its_own_spelling() {
    let mut drive = inside_tls();
    drive.bot(&startup(V3_0, &[("user", "ci"), ("datestyle", "ISO"), ("timezone", "UTC")]));
    drive.bot(&frame(b'p', b"t\0"));
    drive.begin_upstream(plain_login());
    let pairs = [("user", "leased"), ("DateStyle", "ISO"), ("TimeZone", "UTC")];
    assert_eq!(drive.seen.to_target, startup(V3_0, &pairs));
}

#[test]
fn malformed_start_up_packets_are_refused() {
    let bodies: &[(&[u8], &str)] = &[
        (b"user\0ci\0", "08P01"),
        (b"user\0ci\0\0\0", "08P01"),
        (b"user\0ci", "08P01"),
        (b"", "08P01"),
        (b"\0", "28000"),
        (b"user\0\0\0", "28000"),
        (b"user\0\xff\0\0", "08P01"),
    ];
    for (body, code) in bodies {
        let mut drive = inside_tls();
        drive.bot(&packet(V3_0, body));
        assert_eq!(last_words(&mut drive), format!("E({code})"), "{body:?}");
    }
}

#[test]
fn a_password_message_is_one_whole_string() {
    let long = frame(b'p', &[vec![b'a'; 65 * 1024], vec![0]].concat());
    let bad = [
        frame(b'p', b"token"),
        frame(b'p', b"to\0ken\0"),
        frame(b'p', b""),
        frame(b'Q', b"SELECT 1\0"),
        long,
    ];
    for message in bad {
        let mut drive = inside_tls();
        drive.bot(&startup(V3_0, &[("user", "ci")]));
        drive.bot(&message);
        assert!(drive.seen.fault.is_some());
        assert!(drive.logins.is_empty());
    }
}

#[test]
fn a_long_token_arrives_whole() {
    let token = vec![b'x'; 16 * 1024];
    let mut drive = inside_tls();
    drive.bot(&startup(V3_0, &[("user", "ci")]));
    drive.bot(&frame(b'p', &[&token[..], b"\0"].concat()));
    assert_eq!(drive.logins, [("ci".to_owned(), String::new(), token)]);
}

#[test]
fn a_refused_login_is_told_once_in_a_fixed_text() {
    let mut drive = inside_tls();
    drive.bot(&startup(V3_0, &[("user", "ci")]));
    drive.bot(&frame(b'p', b"secret-token\0"));
    drive.seen.to_bot.clear();
    drive.farewell(Farewell::LoginRefused);
    drive.farewell(Farewell::Draining);
    assert_eq!(drive.heard(), "E(28P01)");
    let told = String::from_utf8_lossy(&drive.seen.to_bot).into_owned();
    assert!(told.contains("FATAL") && !told.contains("secret-token"));
    assert_eq!(drive.seen.to_target, b"");
}

#[test]
fn cancel_requests_are_read_by_their_length_in_clear_and_in_tls() {
    for secret in [&[1, 2, 3, 4][..], &[9; 32], &[8; 256]] {
        for tls in [false, true] {
            let mut drive = if tls { inside_tls() } else { Drive::new() };
            drive.bot(&packet(80_877_102, &[&[0, 0, 0, 42], secret].concat()));
            let key = drive.cancel.clone().unwrap();
            assert_eq!((key.process_id, key.secret.as_slice()), (42, secret));
            drive.farewell(Farewell::Draining);
            assert_eq!(drive.seen.to_bot, b"");
        }
    }
    for secret_bytes in [0, 257] {
        let mut drive = Drive::new();
        drive.bot(&packet(80_877_102, &vec![0; 4 + secret_bytes]));
        assert!(drive.seen.fault.is_some());
        assert!(drive.cancel.is_none());
    }
}

/// A session whose bot is admitted, before anything went upstream.
fn admitted() -> Drive {
    let mut drive = inside_tls();
    drive.bot(&startup(V3_0, &[("user", "ci"), ("database", "shop")]));
    drive.bot(&frame(b'p', b"t\0"));
    drive.seen = Seen::default();
    drive
}

fn with_tls() -> UpstreamLogin {
    UpstreamLogin { tls: true, ..plain_login() }
}

#[test]
fn the_target_is_asked_for_tls_first() {
    let mut drive = admitted();
    drive.begin_upstream(with_tls());
    assert_eq!(drive.seen.to_target, ssl_request());
    drive.target(b"S");
    assert_eq!(drive.tls, [Leg::Downstream, Leg::Upstream]);
    drive.seen.to_target.clear();
    drive.tls(Leg::Upstream, TlsFacts::default());
    assert_eq!(drive.seen.to_target, startup(V3_0, &[("user", "leased"), ("database", "shop")]));
}

#[test]
fn a_target_without_tls_or_with_bytes_behind_its_consent_is_left() {
    for answer in [&b"N"[..], b"Sx", b"E", b"\0"] {
        let mut drive = admitted();
        drive.begin_upstream(with_tls());
        drive.target(answer);
        assert_eq!(drive.seen.fault.as_ref().map(|f| f.leg), Some(Leg::Upstream), "{answer:?}");
        assert_eq!(drive.seen.to_target, ssl_request());
        assert_eq!(last_words(&mut drive), "E(28000)");
    }
}

#[test]
fn md5_is_answered_as_the_server_computes_it() {
    let mut drive = admitted();
    drive.begin_upstream(plain_login());
    drive.seen.to_target.clear();
    drive.target(&frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]));
    // md5(md5("pencil" "leased") 01020304).
    assert_eq!(drive.seen.to_target, frame(b'p', b"md5c2806e9879877dd6eb3671335eacc842\0"));
    drive.target(&frame(b'R', &[0, 0, 0, 0]));
    assert!(drive.opened);
}

#[test]
fn a_password_goes_out_in_clear_inside_tls_only() {
    let ask = frame(b'R', &[0, 0, 0, 3]);
    let mut drive = admitted();
    drive.begin_upstream(plain_login());
    drive.seen.to_target.clear();
    drive.target(&ask);
    assert!(drive.seen.fault.is_some());
    assert_eq!(drive.seen.to_target, b"");

    let mut drive = admitted();
    drive.begin_upstream(with_tls());
    drive.target(b"S");
    drive.tls(Leg::Upstream, TlsFacts::default());
    drive.seen.to_target.clear();
    drive.target(&ask);
    assert_eq!(drive.seen.to_target, frame(b'p', b"pencil\0"));
}

fn offer(names: &str) -> Vec<u8> {
    frame(b'R', &[&[0, 0, 0, 10], names.replace(' ', "\0").as_bytes(), b"\0\0"].concat())
}

#[test]
fn scram_binds_to_tls_where_both_sides_can() {
    let bound = || TlsFacts { server_end_point: Some(vec![7; 32]), ..TlsFacts::default() };
    let cases = [
        ("SCRAM-SHA-256", None, Some(("SCRAM-SHA-256", "n,,"))),
        ("SCRAM-SHA-256-PLUS SCRAM-SHA-256", None, None),
        (
            "SCRAM-SHA-256-PLUS SCRAM-SHA-256",
            Some(bound()),
            Some(("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,")),
        ),
        ("SCRAM-SHA-256", Some(bound()), Some(("SCRAM-SHA-256", "y,,"))),
        (
            "SCRAM-SHA-256-PLUS SCRAM-SHA-256",
            Some(TlsFacts::default()),
            Some(("SCRAM-SHA-256", "n,,")),
        ),
        ("OAUTHBEARER", None, None),
    ];
    for (offered, tls, expected) in cases {
        let mut drive = admitted();
        match tls {
            None => drive.begin_upstream(plain_login()),
            Some(facts) => {
                drive.begin_upstream(with_tls());
                drive.target(b"S");
                drive.tls(Leg::Upstream, facts);
            }
        }
        drive.seen.to_target.clear();
        drive.target(&offer(offered));
        let sent = String::from_utf8_lossy(&drive.seen.to_target).into_owned();
        match expected {
            None => assert!(drive.seen.fault.is_some() && sent.is_empty(), "{offered}"),
            Some((mechanism, header)) => {
                let response = sent[5..].strip_prefix(&format!("{mechanism}\0")).unwrap();
                assert!(response[4..].starts_with(&format!("{header}n=,r=")), "{response}");
            }
        }
    }
}

#[test]
fn a_target_cannot_skip_its_part_of_scram() {
    for early in [frame(b'R', &[0, 0, 0, 0]), frame(b'R', &[0, 0, 0, 12]), frame(b'Z', b"I")] {
        let mut drive = admitted();
        drive.begin_upstream(plain_login());
        drive.target(&offer("SCRAM-SHA-256"));
        drive.target(&early);
        assert!(drive.seen.fault.is_some());
        assert!(!drive.opened);
    }
}

#[test]
fn a_refusal_by_the_target_is_logged_in_its_words_and_told_in_ours() {
    let mut drive = admitted();
    drive.begin_upstream(plain_login());
    drive.target(&severe("28P01", "FATAL"));
    let expected = ("28P01".to_owned(), "server says".to_owned());
    assert_eq!(drive.seen.login_failed, Some(expected));
    assert_eq!(last_words(&mut drive), "E(28000)");
    assert!(!String::from_utf8_lossy(&drive.seen.to_bot).contains("server says"));
}

#[test]
fn methods_that_are_not_spoken_and_missing_passwords_end_the_login() {
    for kind in [2, 6, 7, 9, 11, 12, 13] {
        let mut drive = admitted();
        drive.begin_upstream(plain_login());
        drive.target(&frame(b'R', &[0, 0, 0, kind]));
        assert!(drive.seen.fault.is_some(), "method {kind}");
    }
    for ask in [frame(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), offer("SCRAM-SHA-256")] {
        let mut drive = admitted();
        drive.begin_upstream(UpstreamLogin { password: None, ..plain_login() });
        drive.target(&ask);
        assert!(drive.seen.fault.is_some());
    }
}

#[test]
fn nothing_of_the_bot_is_read_until_the_target_is_ready() {
    let mut drive = admitted();
    drive.begin_upstream(plain_login());
    drive.bot(&q("SELECT 1"));
    drive.target(&frame(b'R', &[0, 0, 0, 0]));
    assert_eq!(drive.seen.asked, []);
    drive.target(&join(&[settings(), z(b'I')]));
    assert_eq!(drive.seen.asked.len(), 1);
    assert!(drive.seen.asked[0].safe_encoding);
}

#[test]
fn a_target_that_does_not_begin_the_session_is_not_quoted() {
    for (code, told) in [("3D000", "3D000"), ("53300", "53300"), ("42501", "28000")] {
        let mut drive = admitted();
        drive.begin_upstream(plain_login());
        drive.target(&join(&[frame(b'R', &[0, 0, 0, 0]), settings(), severe(code, "FATAL")]));
        assert_eq!(drive.heard(), format!("R S S S E({told})"));
        assert!(!String::from_utf8_lossy(&drive.seen.to_bot).contains("server says"));
        assert_eq!(drive.seen.login_failed, Some((code.into(), "server says".into())));
        drive.farewell(Farewell::TargetUnreachable);
        assert_eq!(drive.heard(), format!("R S S S E({told})"), "one error is enough");
    }
}
