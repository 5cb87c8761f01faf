//! What is found, what is not, and that both passes agree.

mod corpora;
mod generate;
mod patterns;
mod twins;

use super::*;

/// What `scan` finds in `text`, as `entity:value`.
fn found(text: &str) -> Vec<String> {
    let mut hits = Vec::new();
    Detector::new(EntitySet::ALL, &[]).scan(text.as_bytes(), &mut hits);
    hits.iter().map(|hit| format!("{}:{}", hit.entity, &text[hit.range.clone()])).collect()
}

#[track_caller]
fn check(table: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (text, expected) in table {
        let found = found(text);
        if found != *expected {
            wrong.push(format!("{text:?}: {found:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn addresses_are_found_without_what_is_around_them() {
    check(&[
        ("bob@example.com", &["email:bob@example.com"]),
        (
            "<bob@example.com>, 'eve+x@a-b.co.uk'.",
            &["email:bob@example.com", "email:eve+x@a-b.co.uk"],
        ),
        ("write to bob@example.com. Or not", &["email:bob@example.com"]),
        ("..bob@example.com-", &["email:bob@example.com"]),
        ("a@b.xn--p1ai", &["email:a@b.xn--p1ai"]),
        (r#"{"m":"x\nbob@example.com"}"#, &["email:bob@example.com"]),
        ("bob@example.com.5", &["email:bob@example.com"]),
        ("bob@localhost", &[]),
        ("logo@2x.png", &[]),
        ("react@18.2.0", &[]),
        ("@decorator.name", &[]),
        ("bob.@example.com", &[]),
        ("bob@-example.com", &[]),
        ("bob@example..com", &[]),
        ("ssh://git@example.com/x", &[]),
    ]);
    let local = "a".repeat(64);
    assert_eq!(found(&format!("{local}@example.com")).len(), 1);
    assert_eq!(found(&format!("{local}a@example.com")).len(), 0);
    assert_eq!(found(&format!("a@{}.com", "b".repeat(63))).len(), 1);
    assert_eq!(found(&format!("a@{}.com", "b".repeat(64))).len(), 0);
}

#[test]
fn of_a_url_the_password_alone_is_found() {
    check(&[
        ("postgres://app:s3cret@db.example.com:5432/shop", &["url_credentials:s3cret"]),
        ("redis://:s3cret@cache", &["url_credentials:s3cret"]),
        ("https://u:p@ss@word@host/x?y=a@b", &["url_credentials:p@ss@word"]),
        ("https://u:p:q@[::1]/", &["url_credentials:p:q"]),
        ("https://u:***@host/", &[]),
        ("https://user@host.example/", &[]),
        ("https://host:80/@x", &[]),
        ("'://u:p@h'", &[]),
    ]);
}

#[test]
fn cards_are_found_in_the_shapes_that_are_printed() {
    check(&[
        ("4111111111111111", &["pan:4111111111111111"]),
        ("4111 1111 1111 1111", &["pan:4111 1111 1111 1111"]),
        ("4111-1111-1111-1111,", &["pan:4111-1111-1111-1111"]),
        (
            "card 378282246310005 3782 822463 10005",
            &["pan:378282246310005", "pan:3782 822463 10005"],
        ),
        ("3056 930902 5904", &["pan:3056 930902 5904"]),
        ("4111 1111 1111 1111 123", &["pan:4111 1111 1111 1111"]),
        ("2223003122003222", &["pan:2223003122003222"]),
        ("card-4111111111111111.", &["pan:4111111111111111"]),
        ("4111111111111112", &[]),
        ("4111 1111-1111 1111", &[]),
        ("4111 11111111 1111", &[]),
        ("0000000000000000", &[]),
        ("7111111111111116", &[]),
        ("x4111111111111111", &[]),
        ("4111111111111111x", &[]),
        ("0.4111111111111111", &[]),
        ("2024-4111111111111111", &[]),
        ("1234 4111 1111 1111 1111", &[]),
        ("41111111111111110000000", &[]),
        // A valid EAN-13, whose digits are also a card's.
        ("4006381333931", &[]),
    ]);
}

#[test]
fn social_security_numbers_need_their_dashes_and_their_ranges() {
    check(&[
        ("123-45-6789", &["us_ssn:123-45-6789"]),
        ("'899-01-0001'", &["us_ssn:899-01-0001"]),
        ("ssn 123-45-6789.", &["us_ssn:123-45-6789"]),
        ("000-45-6789 666-45-6789 900-45-6789", &[]),
        ("123-00-6789 123-45-0000", &[]),
        ("078-05-1120 219-09-9999", &[]),
        ("123456789 123 45 6789", &[]),
        ("1123-45-6789 123-45-67890", &[]),
        ("AB-123-45-6789 123-45-6789-X", &[]),
    ]);
}

#[test]
fn numbers_of_telephones_begin_with_a_plus() {
    check(&[
        ("+14155550132", &["phone:+14155550132"]),
        ("+1 (415) 555-0132", &["phone:+1 (415) 555-0132"]),
        ("tel:+49 30 123456, ", &["phone:+49 30 123456"]),
        ("+44.20.7946.0958", &["phone:+44.20.7946.0958"]),
        ("415-555-0132", &[]),
        ("+1234567", &[]),
        ("+11234567890", &[]),
        ("+23456789.25", &[]),
        ("1+23456789", &[]),
        ("+1234567890123456", &[]),
        ("+0123456789", &[]),
    ]);
}

#[test]
fn bank_accounts_are_of_a_countrys_length_and_add_up() {
    check(&[
        ("DE89370400440532013000", &["iban:DE89370400440532013000"]),
        ("de89370400440532013000", &["iban:de89370400440532013000"]),
        ("DE89 3704 0044 0532 0130 00 is", &["iban:DE89 3704 0044 0532 0130 00"]),
        ("GB82WEST12345698765432", &["iban:GB82WEST12345698765432"]),
        ("MT84MALT011000012345MTLCAST001S", &["iban:MT84MALT011000012345MTLCAST001S"]),
        ("DE88370400440532013000", &[]),
        ("DE8937040044053201300", &[]),
        ("DE893704004405320130001", &[]),
        ("XX89370400440532013000", &[]),
        ("xDE89370400440532013000", &[]),
        ("GB82123412345698765432", &[]),
    ]);
}

#[test]
fn tokens_of_three_parts_must_name_an_algorithm() {
    let header = generate::base64url(br#"{"alg":"none"}"#);
    let other = generate::base64url(br#"{"kid":"none"}"#);
    let sealed = generate::base64url(br#"{"enc":"A256GCM"}"#);
    for (text, length) in [
        (format!("Bearer {header}.e30.c2ln;"), header.len() + 9),
        (format!("{header}.e30."), header.len() + 5),
        (format!("{sealed}..aaa.bbb.ccc"), sealed.len() + 13),
        (format!("{other}.e30.c2ln"), 0),
        (format!("{header}.e30"), 0),
        (format!("x{header}.e30.c2ln"), 0),
        ("eyJ.eyJ.eyJ".to_owned(), 0),
    ] {
        let mut hits = Vec::new();
        Detector::new(EntitySet::ALL, &[]).scan(text.as_bytes(), &mut hits);
        let found: usize = hits.iter().map(|hit| hit.range.len()).sum();
        assert_eq!(found, length, "{text}");
        assert!(hits.iter().all(|hit| hit.entity == Entity::Jwt), "{text}");
    }
}

#[test]
fn a_key_reaches_to_its_end_or_as_far_as_it_looks_like_one() {
    let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
    let whole = format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----");
    let cut = format!("-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\n{line}\n");
    let json = whole.replace('\n', "\\n");
    for text in [&whole, &cut, &json] {
        assert_eq!(found(&format!("'{text}'")), [format!("private_key:{text}")]);
    }
    assert_eq!(found(&format!("{whole}\n{whole}")).len(), 2);
    assert_eq!(found(&format!("{cut}{whole}")).len(), 2);
    check(&[
        ("-----BEGIN PRIVATE KEY----- begins a key, and base64 follows.", &[]),
        ("-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n", &[]),
    ]);
}

#[test]
fn keys_are_told_by_prefix_alphabet_and_length() {
    check(&[
        ("AKIAIOSFODNN7EXAMPLE", &["aws_key:AKIAIOSFODNN7EXAMPLE"]),
        ("key_AKIAIOSFODNN7EXAMPLE", &["aws_key:AKIAIOSFODNN7EXAMPLE"]),
        ("AKIAIOSFODNN7EXAMPLEX", &[]),
        ("AKIAiosfodnn7example", &[]),
        // The checksum is right in the first only.
        (
            "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",
            &["github_token: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"],
        ),
        ("ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18", &[]),
        ("xoxb-not-a-token-at-all", &[]),
        ("task-proj-".repeat(9).as_str(), &[]),
    ]);
}

#[test]
fn of_values_that_overlap_the_first_and_longest_is_kept() {
    let text = "https://u:AKIAIOSFODNN7EXAMPLE@host.example";
    assert_eq!(found(text), ["url_credentials:AKIAIOSFODNN7EXAMPLE"]);
    let entities = Detector::new(EntitySet::ALL, &[]).entities(text.as_bytes());
    let expected = [Entity::UrlCredentials, Entity::AwsKey].into_iter().collect();
    assert_eq!(entities, expected);
}

#[test]
fn only_what_is_wanted_is_found() {
    let mut random = generate::Random(5);
    let text = [
        generate::email(&mut random),
        generate::pan(&mut random),
        generate::ssn(&mut random),
        generate::phone(&mut random),
        generate::iban(&mut random),
        generate::jwt(&mut random),
        "AKIAIOSFODNN7EXAMPLE postgres://u:p@h".to_owned(),
    ]
    .join("; ");
    let mut hits = Vec::new();
    let mut seen = EntitySet::NONE;
    for entity in Entity::ALL {
        let wanted = EntitySet::NONE.with(*entity);
        Detector::new(wanted, &[]).scan(text.as_bytes(), &mut hits);
        assert!(hits.iter().all(|hit| hit.entity == *entity), "{entity}: {hits:?}");
        seen = hits.iter().fold(seen, |seen, hit| seen.with(hit.entity));
    }
    assert_eq!(seen.iter().count(), 8);
    assert_eq!(Detector::new(EntitySet::NONE, &[]).entities(text.as_bytes()), EntitySet::NONE);
}

#[test]
fn a_prefix_is_found_by_its_mark() {
    for literal in LITERALS {
        assert_eq!(literal.text.get(literal.mark..literal.mark + 3), Some(&literal.mark()[..]));
        // Signs are told from marks by their first byte.
        assert!(!matches!(literal.mark()[0], b'@' | b'+' | 0));
    }
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(token::crc32(b"123456789"), 0xCBF4_3926);
}
