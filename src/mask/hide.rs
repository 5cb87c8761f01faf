//! What a recording keeps of a bot's own words: passwords, keys and what policy searches answers for
//! are written over, byte for byte, so that lengths and places stay true. What is forwarded is not
//! touched.
//!
//! A value that is cut by the end of a piece, as copied data may be, is not found.

use memchr::memmem;

use crate::scan::{Detector, Hit};

/// `bytes` without the values in them; `None` where there are none.
#[must_use]
pub fn hidden(detector: &Detector, hits: &mut Vec<Hit>, bytes: &[u8]) -> Option<Vec<u8>> {
    detector.scan(bytes, hits);
    let mut copy = None;
    for hit in hits.iter() {
        write_over(copy.get_or_insert_with(|| bytes.to_vec()), hit.range.start, hit.range.end);
    }
    for spelling in [&b"PASSWORD"[..], b"password", b"Password"] {
        for at in memmem::find_iter(bytes, spelling) {
            if let Some((start, end)) = literal(bytes, at + spelling.len()) {
                write_over(copy.get_or_insert_with(|| bytes.to_vec()), start, end);
            }
        }
    }
    copy
}

/// The inside of the quoted text that follows the word `PASSWORD`.
fn literal(bytes: &[u8], after: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(after..)?;
    let blanks = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let mut start = after + blanks;
    // E'…' escapes by a backslash as well as by a doubled quote.
    let escapes = matches!(bytes.get(start), Some(b'E' | b'e'));
    start += usize::from(escapes);
    if bytes.get(start) != Some(&b'\'') {
        return None;
    }
    start += 1;
    let mut end = start;
    loop {
        match (bytes.get(end)?, bytes.get(end + 1)) {
            (b'\'', Some(b'\'')) => end += 2,
            (b'\\', Some(_)) if escapes => end += 2,
            (b'\'', _) => return Some((start, end)),
            (_, _) => end += 1,
        }
    }
}

/// A number stays one and a text stays text, so that a statement can still be read.
fn write_over(copy: &mut [u8], start: usize, end: usize) {
    let Some(value) = copy.get_mut(start..end) else { return };
    let filler = if value.iter().any(u8::is_ascii_alphabetic) { b'*' } else { b'9' };
    for byte in value.iter_mut().filter(|byte| filler == b'*' || byte.is_ascii_digit()) {
        *byte = filler;
    }
}

#[cfg(test)]
mod tests {
    use super::hidden;
    use crate::model::entity::EntitySet;
    use crate::scan::Detector;

    #[test]
    fn values_are_written_over_where_they_stand() {
        let detector = Detector::new(EntitySet::ALL);
        for (text, expected) in [
            ("SELECT 1", None),
            (
                "SELECT 'ada@example.com', 4111111111111111",
                Some("SELECT '***************', 9999999999999999"),
            ),
            ("ALTER ROLE a PASSWORD 'it''s'", Some("ALTER ROLE a PASSWORD '*****'")),
            (
                "alter role a password\n e'a\\'b' valid",
                Some("alter role a password\n e'****' valid"),
            ),
            ("CREATE USER a Password '1234'", Some("CREATE USER a Password '9999'")),
            ("SELECT password FROM t WHERE a = 'x'", None),
            ("ALTER ROLE a PASSWORD NULL", None),
            ("ALTER ROLE a PASSWORD 'cut", None),
        ] {
            let hidden = hidden(&detector, &mut Vec::new(), text.as_bytes());
            let hidden = hidden.map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(hidden.as_deref(), expected, "{text}");
        }
    }
}
