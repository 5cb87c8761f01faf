//! Stand-ins of JSON and XML: one string or one element, whatever the document was.

use crate::model::mask::Strategy;

use super::Cell;
use super::Format;
use super::Shape;
use super::keys::Keys;
use super::keys::Kind;
use super::keys::Purpose;
use super::text;

pub(super) fn json(
    strategy: Strategy,
    cell: Cell<'_>,
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let document = match (cell.shape == &Shape::Jsonb, cell.format) {
        (true, Format::Binary) => {
            let document = cell.bytes.strip_prefix(&[JSONB_VERSION])?;
            out.push(JSONB_VERSION);
            document
        }
        (true, Format::Text) | (false, Format::Text | Format::Binary) => cell.bytes,
    };
    let purpose = match strategy {
        Strategy::Null => return None,
        Strategy::Redact | Strategy::Partial { .. } | Strategy::Fpe | Strategy::Year => {
            out.extend_from_slice(br#""[redacted]""#);
            return Some(());
        }
        Strategy::Mask => {
            stars(document, out);
            return Some(());
        }
        Strategy::Hash => Purpose::Hash,
        Strategy::Pseudonym => Purpose::Pseudonym,
    };
    out.push(b'"');
    text::digest(&mut keys.draw(purpose, Kind::Document, document), out);
    out.push(b'"');
    Some(())
}

/// A string as long as the document was.
fn stars(document: &[u8], out: &mut Vec<u8>) {
    match text::chars(document).checked_sub(2) {
        Some(chars) => {
            out.push(b'"');
            out.resize(out.len() + chars, b'*');
            out.push(b'"');
        }
        None => out.push(b'0'),
    }
}

pub(super) fn xml(
    strategy: Strategy,
    document: &[u8],
    keys: &Keys,
    out: &mut Vec<u8>,
) -> Option<()> {
    let purpose = match strategy {
        Strategy::Null => return None,
        Strategy::Redact
        | Strategy::Mask
        | Strategy::Partial { .. }
        | Strategy::Fpe
        | Strategy::Year => {
            out.extend_from_slice(b"<redacted/>");
            return Some(());
        }
        Strategy::Hash => Purpose::Hash,
        Strategy::Pseudonym => Purpose::Pseudonym,
    };
    out.extend_from_slice(b"<redacted>");
    text::digest(&mut keys.draw(purpose, Kind::Document, undeclared(document)), out);
    out.extend_from_slice(b"</redacted>");
    Some(())
}

/// Without the declaration, which only one of the formats may have.
fn undeclared(document: &[u8]) -> &[u8] {
    let Some(rest) = document.strip_prefix(b"<?xml ") else { return document };
    let end = rest.windows(2).position(|pair| pair == b"?>");
    end.and_then(|end| rest.get(end + 2..)).unwrap_or(document)
}

pub(super) const JSONB_VERSION: u8 = 1;
