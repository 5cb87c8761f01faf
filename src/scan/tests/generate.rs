//! Values from a seed: such as must be found, and such as only look alike. Written from the formats'
//! descriptions and without the validators, so that the two can disagree.

/// SplitMix64: the same values on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.below(last - first + 1)
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    pub(crate) fn text(&mut self, alphabet: &str, count: usize) -> String {
        let alphabet = alphabet.as_bytes();
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        self.text(DIGITS, count)
    }
}

pub(crate) const DIGITS: &str = "0123456789";
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
pub(crate) const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const WORD: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const URL_SAFE: &str =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
pub(crate) const WORDS: &[&str] = &[
    "alpha", "order", "river", "table", "green", "north", "quiet", "paper", "stone", "market",
    "seven", "cloud", "maria", "jonas", "petra", "garden",
];

/// The digit that makes `digits` valid by ISO/IEC 7812-1.
pub(crate) fn luhn(digits: &str) -> char {
    let mut sum = 0;
    for (place, digit) in digits.bytes().rev().map(|byte| byte - b'0').enumerate() {
        sum += match (place % 2, digit) {
            (0, digit @ 5..) => digit * 2 - 9,
            (0, digit) => digit * 2,
            (_, digit) => digit,
        } as usize;
    }
    char::from(b'0' + ((10 - sum % 10) % 10) as u8)
}

/// A card's number, contiguous or as printed.
pub(crate) fn pan(random: &mut Random) -> String {
    const BRANDS: &[(&str, usize)] = &[
        ("4", 16),
        ("4", 16),
        ("4", 19),
        ("51", 16),
        ("55", 16),
        ("2221", 16),
        ("2720", 16),
        ("34", 15),
        ("37", 15),
        ("6011", 16),
        ("65", 16),
        ("36", 14),
        ("305", 14),
        ("38", 14),
        ("3528", 16),
        ("1800", 15),
        ("2131", 15),
        ("62", 16),
        ("62", 19),
        ("2200", 16),
    ];
    let (prefix, length) = BRANDS[random.below(BRANDS.len())];
    let mut number = prefix.to_owned();
    number += &random.digits(length - 1 - prefix.len());
    number.push(luhn(&number));
    let groups: &[usize] = match length {
        14 => &[4, 6, 4],
        15 => &[4, 6, 5],
        16 => &[4, 4, 4, 4],
        _ => &[4, 4, 4, 4, 3],
    };
    match random.below(3) {
        0 => number,
        how => grouped(&number, groups, if how == 1 { " " } else { "-" }),
    }
}

fn grouped(number: &str, groups: &[usize], separator: &str) -> String {
    let mut parts = Vec::new();
    let mut rest = number;
    for size in groups {
        let (part, after) = rest.split_at(*size);
        parts.push(part);
        rest = after;
    }
    parts.join(separator)
}

pub(crate) fn ssn(random: &mut Random) -> String {
    let area = loop {
        let area = random.between(1, 899);
        if area != 666 {
            break area;
        }
    };
    format!("{area:03}-{:02}-{:04}", random.between(1, 99), random.between(1, 9999))
}

pub(crate) fn email(random: &mut Random) -> String {
    let name = match random.below(4) {
        0 => random.pick(WORDS).to_owned(),
        1 => format!("{}.{}", random.pick(WORDS), random.pick(WORDS)),
        2 => format!("{}+{}", random.pick(WORDS), random.below(100)),
        _ => format!("{}_{}", random.text(LOWER, 3), random.digits(3)),
    };
    let host = format!("{}{}", random.pick(WORDS), random.below(1000));
    let top = random.pick(&["com", "org", "de", "co.uk", "xn--p1ai", "museum", "io"]);
    format!("{name}@{host}.{top}")
}

pub(crate) fn phone(random: &mut Random) -> String {
    match random.below(3) {
        0 => format!("+49151{}", random.digits(8)),
        1 => format!("+44 20 {} {}", random.digits(4), random.digits(4)),
        _ => format!("+1 (415) 5{}-{}", random.digits(2), random.digits(4)),
    }
}

pub(crate) fn iban(random: &mut Random) -> String {
    let account = match random.below(6) {
        0 => ("DE", random.digits(18)),
        1 => ("GB", format!("{}{}", random.text(UPPER, 4), random.digits(14))),
        2 => ("FR", format!("{}{}{}", random.digits(10), random.text(UPPER, 11), random.digits(2))),
        3 => ("NL", format!("{}{}", random.text(UPPER, 4), random.digits(10))),
        4 => ("NO", random.digits(11)),
        _ => ("MT", format!("{}{}{}", random.text(UPPER, 4), random.digits(5), random.digits(18))),
    };
    let number = with_check_digits(account.0, &account.1);
    match random.below(3) {
        0 => number,
        1 => number.to_ascii_lowercase(),
        _ => {
            let characters: Vec<char> = number.chars().collect();
            let groups: Vec<String> =
                characters.chunks(4).map(|four| four.iter().collect()).collect();
            groups.join(" ")
        }
    }
}

/// ISO 7064, on a number written out in decimals.
fn with_check_digits(country: &str, account: &str) -> String {
    let mut decimals = String::new();
    for character in format!("{account}{country}00").chars() {
        decimals += &character.to_digit(36).unwrap_or(0).to_string();
    }
    let mut remainder = 0;
    for digit in decimals.bytes() {
        remainder = (remainder * 10 + u32::from(digit - b'0')) % 97;
    }
    format!("{country}{:02}{account}", 98 - remainder)
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = bits << 8 | u32::from(three.get(place).copied().unwrap_or(0));
        }
        for place in 0..=three.len() {
            let value = bits >> (18 - 6 * place) & 0x3f;
            text.push(char::from(URL_SAFE.as_bytes()[value as usize]));
        }
    }
    text
}

pub(crate) fn jwt(random: &mut Random) -> String {
    let header = match random.below(3) {
        0 => r#"{"alg":"RS256","typ":"JWT"}"#.to_owned(),
        1 => format!(r#"{{"typ":"JWT","kid":"{}","alg":"ES256"}}"#, random.text(WORD, 12)),
        _ => r#"{"alg":"HS256"}"#.to_owned(),
    };
    let claims = format!(r#"{{"sub":"{}","exp":{}}}"#, random.text(WORD, 10), random.next() >> 34);
    let signature = random.text(URL_SAFE, 43);
    format!("{}.{}.{signature}", base64url(header.as_bytes()), base64url(claims.as_bytes()))
}

/// A token or key with its issuer's prefix, by the name of its entity.
pub(crate) fn key(random: &mut Random) -> (&'static str, String) {
    match random.below(18) {
        0 => {
            let prefix = random.pick(&["AKIA", "ASIA", "ABIA", "ACCA"]);
            ("aws_key", format!("{prefix}{}", random.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)))
        }
        1 => ("github_token", github(random)),
        2 => {
            let parts = (random.text(WORD, 22), random.text(WORD, 59));
            ("github_token", format!("github_pat_{}_{}", parts.0, parts.1))
        }
        3 => ("gitlab_token", format!("glpat-{}", random.text(URL_SAFE, 20))),
        4 => {
            let parts = (random.digits(12), random.digits(12), random.text(WORD, 24));
            ("slack_token", format!("xoxb-{}-{}-{}", parts.0, parts.1, parts.2))
        }
        5 => {
            let prefix = random.pick(&["sk_live_", "sk_test_", "rk_live_"]);
            ("stripe_key", format!("{prefix}{}", random.text(WORD, 24)))
        }
        6 => ("google_key", format!("AIza{}", random.text(URL_SAFE, 35))),
        7 => ("google_key", format!("ya29.{}", random.text(URL_SAFE, 120))),
        8 => ("npm_token", format!("npm_{}", random.text(WORD, 36))),
        9 => ("pypi_token", format!("pypi-AgEIcHlwaS5vcmc{}", random.text(URL_SAFE, 150))),
        10 => {
            let parts = (random.text(WORD, 22), random.text(WORD, 43));
            ("sendgrid_key", format!("SG.{}.{}", parts.0, parts.1))
        }
        11 => ("hf_token", format!("hf_{}", random.text(WORD, 34))),
        12 => ("digitalocean_token", format!("dop_v1_{}", random.text(HEX, 64))),
        13 => ("shopify_token", format!("shpat_{}", random.text(HEX, 32))),
        14 => ("vault_token", format!("hvs.{}", random.text(URL_SAFE, 90))),
        15 => ("openai_key", format!("sk-proj-{}", random.text(URL_SAFE, 74))),
        16 => ("anthropic_key", format!("sk-ant-api03-{}AA", random.text(URL_SAFE, 91))),
        _ => ("private_key", private_key(random)),
    }
}

fn github(random: &mut Random) -> String {
    let prefix = random.pick(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]);
    let body = random.text(WORD, 30);
    let mut sum = u32::MAX;
    for byte in body.bytes() {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
        }
    }
    let mut rest = !sum as usize;
    let mut checksum = Vec::new();
    for _ in 0..6 {
        checksum.insert(0, WORD.as_bytes()[rest % 62]);
        rest /= 62;
    }
    format!("{prefix}{body}{}", String::from_utf8_lossy(&checksum))
}

pub(crate) fn private_key(random: &mut Random) -> String {
    let label = random.pick(&["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"]);
    let lines: Vec<String> = (0..random.between(2, 20)).map(|_| random.text(WORD, 64)).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----", lines.join("\n"))
}

pub(crate) fn uuid(random: &mut Random, alphabet: &str) -> String {
    let parts: Vec<String> = [8, 4, 4, 4, 12].map(|count| random.text(alphabet, count)).into();
    parts.join("-")
}
