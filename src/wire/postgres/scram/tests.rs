//! SCRAM against the vectors of RFC 7677 §3, and against targets that lie.

use super::*;

const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const RESPONSE: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SIGNATURE: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn started() -> AwaitChallenge {
    begin(Binding::Unsupported, "user", NONCE.to_owned()).0
}

#[test]
fn the_exchange_of_the_standard_comes_out_to_the_letter() {
    let (state, first) = begin(Binding::Unsupported, "user", NONCE.to_owned());
    assert_eq!(first, format!("n,,n=user,r={NONCE}").into_bytes());
    let (state, response) = state.answer(CHALLENGE.as_bytes(), b"pencil").unwrap();
    assert_eq!(String::from_utf8(response).unwrap(), RESPONSE);
    assert_eq!(state.verify(SIGNATURE.as_bytes()), Ok(()));
}

#[test]
fn a_target_that_does_not_know_the_password_is_found_out() {
    let wrong = format!("v={}", STANDARD.encode([0; 32]));
    let cases = [
        (wrong.as_str(), ScramError::Signature),
        ("v=", ScramError::Signature),
        ("v=!", ScramError::Malformed),
        ("", ScramError::Malformed),
        ("e=invalid-proof", ScramError::Refused),
    ];
    for (last, error) in cases {
        let (state, _) = started().answer(CHALLENGE.as_bytes(), b"pencil").unwrap();
        assert_eq!(state.verify(last.as_bytes()), Err(error), "{last}");
    }
}

#[test]
fn challenges_that_no_honest_target_sends_are_refused() {
    let long = format!("r={NONCE}{},s=AAAA,i=1", "x".repeat(2000));
    let cases = [
        ("r=other,s=AAAA,i=4096".to_owned(), ScramError::Nonce),
        (format!("r={NONCE},s=AAAA,i=4096"), ScramError::Nonce),
        (format!("r={NONCE}x,s=AAAA,i=0"), ScramError::Rounds),
        (format!("r={NONCE}x,s=AAAA,i=100001"), ScramError::Rounds),
        (format!("r={NONCE}x,s=AAAA,i=99999999999"), ScramError::Rounds),
        (format!("r={NONCE}x,s=AAAA,i=-1"), ScramError::Rounds),
        (format!("r={NONCE}x,s=,i=1"), ScramError::Malformed),
        (format!("r={NONCE}x,s=*,i=1"), ScramError::Malformed),
        (format!("r={NONCE}x,i=1,s=AAAA"), ScramError::Malformed),
        (format!("r={NONCE}x,s=AAAA"), ScramError::Malformed),
        (format!("m=1,r={NONCE}x,s=AAAA,i=1"), ScramError::Extension),
        (format!("r={NONCE}x,s=AAAA,i=1,x=1"), ScramError::Extension),
        (long, ScramError::Malformed),
        (String::new(), ScramError::Malformed),
    ];
    for (challenge, error) in cases {
        let answer = started().answer(challenge.as_bytes(), b"pencil");
        assert_eq!(answer.err(), Some(error), "{challenge}");
    }
}

#[test]
fn the_binding_is_part_of_what_is_proved() {
    let answers: Vec<Vec<u8>> =
        [Binding::Unsupported, Binding::NotOffered, Binding::EndPoint(vec![1; 32])]
            .into_iter()
            .map(|binding| {
                let (state, _) = begin(binding, "user", NONCE.to_owned());
                state.answer(CHALLENGE.as_bytes(), b"pencil").unwrap().1
            })
            .collect();
    assert!(answers[0].starts_with(b"c=biws,"));
    assert!(answers[1].starts_with(b"c=eSws,"));
    let mut bound = b"p=tls-server-end-point,,".to_vec();
    bound.extend([1; 32]);
    assert!(answers[2].starts_with(format!("c={},", STANDARD.encode(bound)).as_bytes()));
}

#[test]
fn passwords_are_prepared_as_the_server_prepares_them() {
    // RFC 4013 §3: a soft hyphen maps to nothing, a Roman numeral to its letters.
    assert_eq!(prepare("I\u{ad}X".as_bytes()), b"IX");
    assert_eq!(prepare("\u{2168}".as_bytes()), b"IX");
    assert_eq!(prepare(b"\x07"), b"\x07");
    assert_eq!(prepare(b"\xff\xfe"), b"\xff\xfe");
}
