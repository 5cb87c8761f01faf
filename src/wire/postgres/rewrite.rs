//! Passes the values in messages through an editor and writes the messages anew where some were
//! replaced. Lengths and counts are made to fit; nothing else changes.

use crate::wire::postgres::copied::Form;
use crate::wire::postgres::frame::{Body, HEADER_BYTES, Header};
use crate::wire::postgres::message::{Malformed, Reader};
use crate::wire::{Column, Edit, Editor, Part, Shown};

/// How far `rewrite` came.
pub struct Extent {
    /// Of all the bytes, those of the messages before the first that goes past `masked_max`.
    pub bytes: usize,
    /// Whether anything in them was replaced; then `out` holds all of them.
    pub changed: bool,
    /// Cells in them that were replaced.
    pub masked: u64,
}

/// Rewrites whole messages of one kind, until more than `masked_max` cells would be replaced.
pub fn rewrite(
    shown: &Shown,
    bytes: &[u8],
    form: Option<&mut Form>,
    masked_max: u64,
    editor: &mut impl Editor,
    out: &mut Vec<u8>,
) -> Result<Extent, Malformed> {
    let mut draft = Draft { bytes, kept: 0, out, begun: false, masked: 0, masked_max };
    match (shown, form) {
        (Shown::Rows { columns, .. }, _) => rows(&mut draft, columns, editor)?,
        (Shown::RowBegins { held, behind, .. }, _) => {
            row_begins(&mut draft, *held, *behind, editor)?;
        }
        (Shown::Copied { .. }, Some(form)) => form.rewrite(&mut draft, editor)?,
        // Whoever does not say how a copy is written cannot have looked at it.
        (Shown::Copied { .. }, None) => return Err(Malformed::Kind),
        (Shown::Description, _) => labels(&mut draft, editor)?,
        (Shown::Words { .. }, _) => words(&mut draft, editor)?,
        (Shown::Aside, _) => aside(&mut draft, editor)?,
        (Shown::CopyBegins { .. }, _) => {}
    }
    Ok(draft.finish())
}

/// What is written instead of `bytes`: begun only when something differs.
pub struct Draft<'a> {
    bytes: &'a [u8],
    /// Up to here `bytes` are in `out`, or replaced there.
    kept: usize,
    out: &'a mut Vec<u8>,
    begun: bool,
    /// Cells that were replaced, and how many may be.
    masked: u64,
    masked_max: u64,
}

/// Where a draft stood in front of a message.
#[derive(Clone, Copy)]
struct Mark {
    at: usize,
    kept: usize,
    out_bytes: usize,
    begun: bool,
    masked: u64,
}

impl<'a> Draft<'a> {
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Puts `new` in the place of the bytes from `from` to `to`.
    pub fn replace(&mut self, from: usize, to: usize, new: &[u8]) {
        self.begun = true;
        self.out.extend(self.bytes.get(self.kept..from).unwrap_or_default());
        self.out.extend(new);
        self.kept = to;
    }

    /// Puts `new` in the place of a cell that stands from `from` to `to`.
    pub fn replace_cell(&mut self, from: usize, to: usize, new: &[u8]) {
        self.masked += 1;
        self.replace(from, to, new);
    }

    const fn mark(&self, at: usize) -> Mark {
        let (kept, out_bytes) = (self.kept, self.out.len());
        Mark { at, kept, out_bytes, begun: self.begun, masked: self.masked }
    }

    /// What was written behind `mark` is taken back, and the bytes end there.
    fn end_at(&mut self, mark: Mark) {
        self.bytes = self.bytes.get(..mark.at).unwrap_or_default();
        self.kept = mark.kept;
        self.out.truncate(mark.out_bytes);
        self.begun = mark.begun;
        self.masked = mark.masked;
    }

    /// Where the byte at `at`, which has not been passed yet, will stand in `out`.
    const fn place(&self, at: usize) -> usize {
        self.out.len() + at - self.kept
    }

    /// Makes the length of the message whose length field stands at `field` of `out` fit, now that
    /// everything before `end` has been decided. So many of its bytes are `behind` what is at hand.
    fn settle(&mut self, field: usize, end: usize, behind: usize) -> Result<(), Malformed> {
        self.out.extend(self.bytes.get(self.kept..end).unwrap_or_default());
        self.kept = end;
        let length =
            u32::try_from(self.out.len() - field + behind).map_err(|_| Malformed::Length)?;
        let field = self.out.get_mut(field..field + 4).ok_or(Malformed::Length)?;
        field.copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn finish(self) -> Extent {
        if self.begun {
            self.out.extend(self.bytes.get(self.kept..).unwrap_or_default());
        }
        Extent { bytes: self.bytes.len(), changed: self.begun, masked: self.masked }
    }
}

/// Calls `edit` for each message with where its body begins and ends, and makes the lengths fit. A
/// message in which too many cells are replaced is left out, with all behind it.
pub fn messages(
    draft: &mut Draft<'_>,
    mut edit: impl FnMut(&mut Draft<'_>, usize, usize) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut at = 0;
    while let Some(window) = draft.bytes.get(at..).filter(|window| !window.is_empty()) {
        let header = Header::read(window)?.ok_or(Malformed::Short)?;
        let Body::Whole(_) = header.body(window, usize::MAX)? else {
            return Err(Malformed::Short);
        };
        let end = at + header.total();
        let (mark, place) = (draft.mark(at), draft.place(at + 1));
        edit(draft, end - header.body_bytes, end)?;
        if draft.masked > draft.masked_max {
            draft.end_at(mark);
            return Ok(());
        }
        if draft.kept != mark.kept {
            draft.settle(place, end, 0)?;
        }
        at = end;
    }
    Ok(())
}

const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// DataRow: a count, then cells of a length and as many bytes; the length -1 is null.
fn rows(
    draft: &mut Draft<'_>,
    columns: &[Column],
    editor: &mut impl Editor,
) -> Result<(), Malformed> {
    let mut new = Vec::new();
    messages(draft, |draft, from, to| {
        let body = draft.bytes.get(from..to).unwrap_or_default();
        let mut reader = Reader::new(body);
        if reader.count()? != columns.len() {
            return Err(Malformed::Value);
        }
        editor.row();
        tuple(draft, to, reader, columns.len(), editor, &mut new)?.finish()
    })
}

/// The beginning of a DataRow, up to the end of a cell; `behind` bytes follow as they are.
fn row_begins(
    draft: &mut Draft<'_>,
    held: usize,
    behind: usize,
    editor: &mut impl Editor,
) -> Result<(), Malformed> {
    let (mark, place, end) = (draft.mark(0), draft.place(1), draft.bytes.len());
    let mut reader = Reader::new(draft.bytes.get(HEADER_BYTES..).unwrap_or_default());
    reader.count()?;
    editor.row();
    tuple(draft, end, reader, held, editor, &mut Vec::new())?.finish()?;
    if draft.masked > draft.masked_max {
        draft.end_at(mark);
    } else if draft.kept != mark.kept {
        draft.settle(place, end, behind)?;
    }
    Ok(())
}

/// Cells of a row, as DataRow and binary copies have them, in a message that ends at `to`. Returns
/// what follows them.
pub fn tuple<'a>(
    draft: &mut Draft<'_>,
    to: usize,
    mut reader: Reader<'a>,
    count: usize,
    editor: &mut impl Editor,
    new: &mut Vec<u8>,
) -> Result<Reader<'a>, Malformed> {
    for column in 0..count {
        let field = to - reader.remaining().len();
        let length = reader.i32()?;
        if length == -1 {
            continue;
        }
        let length = usize::try_from(length).map_err(|_| Malformed::Value)?;
        let value = reader.bytes(length)?;
        new.clear();
        new.extend(NULL);
        match editor.cell(column, value, new) {
            Edit::Keep => {}
            Edit::Null => draft.replace_cell(field, field + 4 + length, &NULL),
            Edit::Written => {
                let written = u32::try_from(new.len() - 4).map_err(|_| Malformed::Length)?;
                if let Some(place) = new.get_mut(..4) {
                    place.copy_from_slice(&written.to_be_bytes());
                }
                draft.replace_cell(field, field + 4 + length, new);
            }
        }
    }
    Ok(reader)
}

/// RowDescription: the columns' names.
fn labels(draft: &mut Draft<'_>, editor: &mut impl Editor) -> Result<(), Malformed> {
    const ATTRIBUTES_BYTES: usize = 18;
    messages(draft, |draft, from, to| {
        let body = draft.bytes.get(from..to).unwrap_or_default();
        let mut reader = Reader::new(body);
        for _ in 0..reader.count()? {
            string(draft, to, &mut reader, Part::Label, editor)?;
            reader.bytes(ATTRIBUTES_BYTES)?;
        }
        reader.finish()
    })
}

/// ErrorResponse and NoticeResponse: fields of a letter and a string, up to a zero.
fn words(draft: &mut Draft<'_>, editor: &mut impl Editor) -> Result<(), Malformed> {
    messages(draft, |draft, from, to| {
        let body = draft.bytes.get(from..to).unwrap_or_default();
        let About { code, table, points_at_text } = About::read(body)?;
        let mut new = Vec::new();
        let mut reader = Reader::new(body);
        loop {
            let start = to - reader.remaining().len();
            let part = match reader.byte()? {
                0 => return reader.finish(),
                // Severity, code, positions in the bot's own text, place in the server's source.
                b'S' | b'V' | b'C' | b'P' | b'p' | b'F' | b'L' | b'R' => {
                    reader.string()?;
                    continue;
                }
                b'M' => Part::Message { code, points_at_text },
                b's' | b't' | b'c' | b'd' | b'n' => Part::Name,
                _ => Part::Addition { code, table },
            };
            let text = reader.string()?;
            new.clear();
            match editor.words(part, text, &mut new) {
                Edit::Keep => {}
                // The letter and the terminator go too.
                Edit::Null => draft.replace(start, start + text.len() + 2, &[]),
                Edit::Written => write(draft, start + 1, text, &mut new),
            }
        }
    })
}

/// What an error or a notice says of itself.
#[derive(Default)]
struct About<'a> {
    code: &'a [u8],
    table: &'a [u8],
    /// There is a position in the bot's text.
    points_at_text: bool,
}

impl<'a> About<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let mut about = Self::default();
        loop {
            let kind = reader.byte()?;
            if kind == 0 {
                return Ok(about);
            }
            let value = reader.string()?;
            match kind {
                b'C' => about.code = value,
                b't' => about.table = value,
                b'P' => about.points_at_text = true,
                _ => {}
            }
        }
    }
}

/// ParameterStatus: a name and a value. NotificationResponse: a process id, a channel, a payload.
fn aside(draft: &mut Draft<'_>, editor: &mut impl Editor) -> Result<(), Malformed> {
    let is_notification = draft.bytes.first() == Some(&b'A');
    messages(draft, |draft, from, to| {
        let body = draft.bytes.get(from..to).unwrap_or_default();
        let mut reader = Reader::new(body);
        if is_notification {
            reader.u32()?;
            string(draft, to, &mut reader, Part::Aside, editor)?;
        } else {
            reader.string()?;
        }
        string(draft, to, &mut reader, Part::Aside, editor)?;
        reader.finish()
    })
}

fn write(draft: &mut Draft<'_>, start: usize, old: &[u8], new: &mut Vec<u8>) {
    new.retain(|byte| *byte != 0);
    draft.replace(start, start + old.len(), new);
}

/// Shows a string to the editor. With `Edit::Null` it is left empty.
fn string(
    draft: &mut Draft<'_>,
    to: usize,
    reader: &mut Reader<'_>,
    part: Part<'_>,
    editor: &mut impl Editor,
) -> Result<(), Malformed> {
    let start = to - reader.remaining().len();
    let text = reader.string()?;
    let mut new = Vec::new();
    match editor.words(part, text, &mut new) {
        Edit::Keep => {}
        Edit::Null => draft.replace(start, start + text.len(), &[]),
        Edit::Written => write(draft, start, text, &mut new),
    }
    Ok(())
}
