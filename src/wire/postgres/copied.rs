//! Rows of a copy to the bot (COPY TO STDOUT): text, CSV and binary. Cuts them into values and
//! writes replaced ones in the same form. The server sends whole rows in a message; one that is cut
//! inside a row is not understood.

use crate::wire::postgres::message::{Malformed, Reader};
use crate::wire::postgres::rewrite::{Draft, messages, tuple};
use crate::wire::{CopyForm, Edit, Editor, Part};

/// How the rows at hand are written, and how far they have come.
pub struct Form {
    form: CopyForm,
    null: Box<[u8]>,
    columns: usize,
    /// The first line holds names.
    header: bool,
    begun: bool,
    /// The mark behind the last row of a binary copy has come.
    ended: bool,
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

impl Form {
    pub fn new(form: CopyForm, null: &[u8], columns: usize, header: bool) -> Self {
        Self { form, null: null.into(), columns, header, begun: false, ended: false }
    }

    pub fn rewrite(
        &mut self,
        draft: &mut Draft<'_>,
        editor: &mut impl Editor,
    ) -> Result<(), Malformed> {
        let mut scratch = Scratch::default();
        messages(draft, |draft, from, to| match self.form {
            CopyForm::Binary => self.tuples(draft, from, to, editor, &mut scratch),
            CopyForm::Text { .. } | CopyForm::Csv { .. } => {
                self.lines(draft, from, to, editor, &mut scratch)
            }
        })
    }

    fn tuples(
        &mut self,
        draft: &mut Draft<'_>,
        from: usize,
        to: usize,
        editor: &mut impl Editor,
        scratch: &mut Scratch,
    ) -> Result<(), Malformed> {
        let mut reader = Reader::new(draft.bytes().get(from..to).unwrap_or_default());
        if !std::mem::replace(&mut self.begun, true) {
            if reader.bytes(SIGNATURE.len())? != SIGNATURE {
                return Err(Malformed::Kind);
            }
            reader.u32()?;
            let extension = reader.u32()? as usize;
            reader.bytes(extension)?;
        }
        while !reader.remaining().is_empty() && !self.ended {
            let count = i16::from_be_bytes(reader.array()?);
            if count == -1 {
                self.ended = true;
                continue;
            }
            if usize::try_from(count) != Ok(self.columns) {
                return Err(Malformed::Value);
            }
            editor.row();
            reader = tuple(draft, to, reader, self.columns, editor, &mut scratch.new)?;
        }
        reader.finish()
    }

    fn lines(
        &mut self,
        draft: &mut Draft<'_>,
        from: usize,
        to: usize,
        editor: &mut impl Editor,
        scratch: &mut Scratch,
    ) -> Result<(), Malformed> {
        let body = draft.bytes().get(from..to).unwrap_or_default();
        let mut at = 0;
        while at < body.len() {
            let names = self.header && !self.begun;
            self.begun = true;
            if !names {
                editor.row();
            }
            scratch.names = names;
            at = self.line(draft, from, at, body, editor, scratch)?;
        }
        Ok(())
    }

    /// One row, or the names of the columns, from `at` on; returns where the next one begins.
    fn line(
        &self,
        draft: &mut Draft<'_>,
        from: usize,
        mut at: usize,
        body: &[u8],
        editor: &mut impl Editor,
        scratch: &mut Scratch,
    ) -> Result<usize, Malformed> {
        for column in 0.. {
            scratch.value.clear();
            let field = match self.form {
                CopyForm::Csv { delimiter, quote, escape } => {
                    csv_field(body, at, delimiter, quote, escape, &mut scratch.value)?
                }
                CopyForm::Text { delimiter } => {
                    text_field(body, at, delimiter, &mut scratch.value)?
                }
                CopyForm::Binary => return Err(Malformed::Kind),
            };
            let raw = body.get(at..field.end).ok_or(Malformed::Short)?;
            let is_null = !field.quoted && raw == &*self.null;
            if column >= self.columns {
                // A row of no columns at all is an empty line.
                let is_row = self.columns == 0 && raw.is_empty() && field.ends_row;
                return if is_row { Ok(field.end + 1) } else { Err(Malformed::Value) };
            }
            if scratch.names || !is_null {
                scratch.new.clear();
                let edit = if scratch.names {
                    editor.words(Part::Label, &scratch.value, &mut scratch.new)
                } else {
                    editor.cell(column, &scratch.value, &mut scratch.new)
                };
                self.put(draft, from + at, from + field.end, edit, scratch);
            }
            at = field.end + 1;
            if field.ends_row {
                if column + 1 < self.columns {
                    return Err(Malformed::Short);
                }
                return Ok(at);
            }
        }
        Err(Malformed::Value)
    }

    fn put(
        &self,
        draft: &mut Draft<'_>,
        from: usize,
        to: usize,
        edit: Edit,
        scratch: &mut Scratch,
    ) {
        let written = match edit {
            Edit::Keep => return,
            Edit::Null => &*self.null,
            Edit::Written => {
                scratch.written.clear();
                match self.form {
                    CopyForm::Csv { delimiter, quote, escape } => {
                        let marks = [delimiter, quote];
                        write_csv(&scratch.new, marks, escape, &self.null, &mut scratch.written);
                    }
                    CopyForm::Text { delimiter } => {
                        write_text(&scratch.new, delimiter, &mut scratch.written);
                    }
                    CopyForm::Binary => {}
                }
                &scratch.written
            }
        };
        if scratch.names {
            draft.replace(from, to, written);
        } else {
            draft.replace_cell(from, to, written);
        }
    }
}

#[derive(Default)]
struct Scratch {
    /// The line at hand holds what the columns are called.
    names: bool,
    /// A value as it is meant.
    value: Vec<u8>,
    /// What takes its place, as it is meant, and as it is written.
    new: Vec<u8>,
    written: Vec<u8>,
}

struct Field {
    /// Where the field's delimiter, or the row's newline, stands.
    end: usize,
    ends_row: bool,
    quoted: bool,
}

fn text_field(
    body: &[u8],
    start: usize,
    delimiter: u8,
    value: &mut Vec<u8>,
) -> Result<Field, Malformed> {
    let mut at = start;
    loop {
        let byte = *body.get(at).ok_or(Malformed::Unterminated)?;
        match byte {
            b'\n' => return Ok(Field { end: at, ends_row: true, quoted: false }),
            byte if byte == delimiter => {
                return Ok(Field { end: at, ends_row: false, quoted: false });
            }
            b'\\' => {
                at += 1;
                let escaped = *body.get(at).ok_or(Malformed::Unterminated)?;
                value.push(match escaped {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    other => other,
                });
            }
            byte => value.push(byte),
        }
        at += 1;
    }
}

fn csv_field(
    body: &[u8],
    start: usize,
    delimiter: u8,
    quote: u8,
    escape: u8,
    value: &mut Vec<u8>,
) -> Result<Field, Malformed> {
    let mut at = start;
    let quoted = body.get(at) == Some(&quote);
    if quoted {
        at += 1;
        loop {
            let byte = *body.get(at).ok_or(Malformed::Unterminated)?;
            let next = body.get(at + 1).copied();
            if byte == escape && next.is_some_and(|next| next == quote || next == escape) {
                value.extend(next);
                at += 2;
            } else if byte == quote {
                at += 1;
                break;
            } else {
                value.push(byte);
                at += 1;
            }
        }
    }
    loop {
        let byte = *body.get(at).ok_or(Malformed::Unterminated)?;
        if byte == b'\n' || byte == delimiter {
            return Ok(Field { end: at, ends_row: byte == b'\n', quoted });
        }
        if quoted {
            return Err(Malformed::Value);
        }
        value.push(byte);
        at += 1;
    }
}

fn write_text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value {
        let escaped = match byte {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            byte if *byte == delimiter => *byte,
            byte => {
                out.push(*byte);
                continue;
            }
        };
        out.extend([b'\\', escaped]);
    }
}

/// Quoted whenever that could matter; a reader takes both for the same.
fn write_csv(
    value: &[u8],
    [delimiter, quote]: [u8; 2],
    escape: u8,
    null: &[u8],
    out: &mut Vec<u8>,
) {
    let special = |byte: &u8| [delimiter, quote, escape, b'\n', b'\r'].contains(byte);
    if value != null && value != b"\\." && !value.iter().any(special) {
        out.extend(value);
        return;
    }
    out.push(quote);
    for byte in value {
        if *byte == quote || *byte == escape {
            out.push(escape);
        }
        out.push(*byte);
    }
    out.push(quote);
}
