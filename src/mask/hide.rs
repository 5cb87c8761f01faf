//! What a recording keeps of a bot's own words: passwords, keys and what policy searches answers for
//! are written over, byte for byte, so that lengths and places stay true. What is forwarded is not
//! touched.
//!
//! A value that is cut by the end of a piece, as copied data may be, is not found.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::mask::over::write_over;
use crate::scan::{Detector, Hit};

/// `bytes` without the values in them; `None` where there are none.
#[must_use]
pub fn hidden(detector: &Detector, hits: &mut Vec<Hit>, bytes: &[u8]) -> Option<Vec<u8>> {
    detector.scan(bytes, hits);
    let mut copy = None;
    for hit in hits.iter() {
        let copy = copy.get_or_insert_with(|| bytes.to_vec());
        write_over(hit.entity, copy.get_mut(hit.range.clone()).unwrap_or_default());
    }
    for spelling in &*SPELLINGS {
        for at in spelling.find_iter(bytes) {
            if let Some(inside) = literal(bytes, at + spelling.needle().len()) {
                let copy = copy.get_or_insert_with(|| bytes.to_vec());
                copy.get_mut(inside).unwrap_or_default().fill(b'*');
            }
        }
    }
    copy
}

/// Made once: every request is searched for them.
static SPELLINGS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["PASSWORD", "password", "Password"].map(Finder::new));

/// The inside of the quoted text that follows the word `PASSWORD`.
fn literal(bytes: &[u8], after: usize) -> Option<Range<usize>> {
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
            (b'\'', _) => return Some(start..end),
            (_, _) => end += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::hidden;
    use crate::model::entity::EntitySet;
    use crate::scan::Detector;

    #[test]
    fn values_are_written_over_where_they_stand() {
        let detector = Detector::new(EntitySet::ALL, &[]);
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
            ("CREATE USER a Password '1234'", Some("CREATE USER a Password '****'")),
            ("CREATE USER a Password '!?.4'", Some("CREATE USER a Password '****'")),
            ("SELECT 'ftp://u:!?.@host.example'", Some("SELECT 'ftp://u:***@host.example'")),
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
