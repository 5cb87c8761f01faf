//! Writes a statement with every literal replaced by one of its kind, so that texts of one shape
//! share their facts.
//!
//! A wrong replacement would be a bypass, so the lexer here knows little and gives up on the
//! rest: comments, `E''`, `U&''`, `B''`, `X''`, dollar quotes, strings continued over lines,
//! numbers in any but the plainest spelling. What it does not replace it copies byte by byte,
//! and what it writes is itself a statement of the same shape.

/// Writes the shape of `text` to `shape`; `None` if the text has something the lexer leaves alone.
pub(in crate::judge::classify) fn of(text: &[u8], shape: &mut Vec<u8>) -> Option<()> {
    shape.clear();
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let length = match byte {
            b'\'' => {
                let length = string(rest)?;
                shape.extend_from_slice(b"'?'");
                rest = rest.get(length..)?;
                continue;
            }
            b'0'..=b'9' => {
                let (length, literal) = number(rest)?;
                shape.extend_from_slice(literal);
                rest = rest.get(length..)?;
                continue;
            }
            b'"' => quoted(rest, b'"')?,
            b'$' => parameter(rest)?,
            b'-' if rest.starts_with(b"--") => return None,
            b'/' if rest.starts_with(b"/*") => return None,
            b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) => return None,
            _ if starts_word(byte) => word(rest)?,
            _ => 1,
        };
        let (copied, behind) = rest.split_at_checked(length)?;
        shape.extend_from_slice(copied);
        rest = behind;
    }
    Some(())
}

/// Length of a string literal that stands alone: one that follows would be a part of it.
fn string(text: &[u8]) -> Option<usize> {
    let length = quoted(text, b'\'')?;
    let next = text.get(length..)?.iter().find(|byte| !is_space(**byte));
    if next == Some(&b'\'') { None } else { Some(length) }
}

/// Length of what the quotes enclose, with them; two quotes in a row are one inside.
fn quoted(text: &[u8], quote: u8) -> Option<usize> {
    let mut length = 1;
    loop {
        length += memchr::memchr(quote, text.get(length..)?)? + 1;
        if text.get(length) != Some(&quote) {
            return Some(length);
        }
        length += 1;
    }
}

/// A number's length and its stand-in. The grammar tells integers of 32 bits from other numbers.
fn number(text: &[u8]) -> Option<(usize, &'static [u8])> {
    let whole = digits(text);
    let (length, literal): (usize, &'static [u8]) = if text.get(whole) == Some(&b'.') {
        match digits(text.get(whole + 1..)?) {
            0 => return None,
            fraction => (whole + 1 + fraction, b"0.0"),
        }
    } else {
        let value = std::str::from_utf8(text.get(..whole)?).ok()?.parse::<i32>();
        (whole, if value.is_ok() { b"0" } else { b"0.0" })
    };
    let ends = text.get(length).is_none_or(|next| !continues_word(*next) && *next != b'.');
    ends.then_some((length, literal))
}

fn parameter(text: &[u8]) -> Option<usize> {
    let length = match digits(text.get(1..)?) {
        0 => return None,
        digits => 1 + digits,
    };
    let ends = text.get(length).is_none_or(|next| !continues_word(*next));
    ends.then_some(length)
}

/// A keyword or identifier, unless what follows makes it the prefix of a literal.
fn word(text: &[u8]) -> Option<usize> {
    let length = text.iter().take_while(|byte| continues_word(**byte)).count();
    let (word, behind) = text.split_at_checked(length)?;
    let prefix = behind.starts_with(b"'")
        || (word.eq_ignore_ascii_case(b"u")
            && (behind.starts_with(b"&'") || behind.starts_with(b"&\"")));
    // `float(54)` is the one place where the grammar refuses by a number's value.
    let by_value = word.eq_ignore_ascii_case(b"float");
    (!prefix && !by_value).then_some(length)
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

const fn starts_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

const fn continues_word(byte: u8) -> bool {
    starts_word(byte) || byte.is_ascii_digit() || byte == b'$'
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
