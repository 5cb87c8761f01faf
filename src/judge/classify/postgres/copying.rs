//! `COPY`: what it reads and writes, and how its rows are written. Options are taken as the server
//! takes them; one that is not known here, or has a value that the server would refuse, leaves the
//! format unknown.

use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf as pg;

use crate::judge::classify::postgres::tree::Walked;
use crate::judge::classify::postgres::walk::{Walk, text};
use crate::model::facts::{
    Access, Copy, CopyDirection, CopyFormat, CopySource, Draws, Effects, ForceQuote,
};

impl Walked for pg::CopyStmt {
    fn walk(&self, walk: &mut Walk) {
        let (verb, effects, access) = if self.is_from {
            ("COPY FROM", Effects::COPY_IN | Effects::INSERT, Access::Write)
        } else {
            ("COPY TO", Effects::COPY_OUT | Effects::READ, Access::Read)
        };
        walk.commands(verb, effects);
        if self.is_program {
            walk.commands(verb, Effects::PROGRAM_EXEC);
        } else if !self.filename.is_empty() {
            walk.commands(
                verb,
                if self.is_from { Effects::FILE_READ } else { Effects::FILE_WRITE },
            );
        }
        walk.with_access(access, |walk| self.relation.walk(walk));
        let rows = walk.rows_of(|walk| self.query.walk(walk));
        self.attlist.walk(walk);
        self.options.walk(walk);
        walk.with_access(Access::Read, |walk| self.where_clause.walk(walk));
        if !self.is_program && self.filename.is_empty() {
            walk.statement.copy = Some(Box::new(copy(self)));
            if let Some(rows) = rows {
                walk.statement.outputs = rows.outputs;
            }
        } else if !self.is_from {
            walk.assigns(&match (rows, columns(self)) {
                (Some(rows), _) => rows.whole,
                (None, Some(columns)) => Draws::columns(columns.into_vec()),
                (None, None) => Draws::Anything,
            });
        }
    }
}

fn copy(statement: &pg::CopyStmt) -> Copy {
    let options = Options::read(&statement.options);
    let is_csv = options.format == CopyFormat::Csv;
    let quote = options.quote.unwrap_or(b'"');
    Copy {
        direction: if statement.is_from {
            CopyDirection::FromClient
        } else {
            CopyDirection::ToClient
        },
        source: match &statement.relation {
            Some(relation) => CopySource::Relation {
                schema: Some(relation.schemaname.as_str())
                    .filter(|name| !name.is_empty())
                    .map(Box::from),
                name: relation.relname.as_str().into(),
                columns: columns(statement),
            },
            None => CopySource::Query,
        },
        format: options.format,
        delimiter: options.delimiter.unwrap_or(if is_csv { b',' } else { b'\t' }),
        null: options.null.unwrap_or_else(|| if is_csv { [].into() } else { (*b"\\N").into() }),
        quote,
        escape: options.escape.unwrap_or(quote),
        header: options.header,
        force_quote: options.force_quote,
        encoding_given: options.encoding_given,
    }
}

fn columns(statement: &pg::CopyStmt) -> Option<Box<[Box<str>]>> {
    if statement.attlist.is_empty() {
        return None;
    }
    Some(statement.attlist.iter().filter_map(text).map(Box::from).collect())
}

/// Options as they are given.
struct Options {
    format: CopyFormat,
    delimiter: Option<u8>,
    null: Option<Box<[u8]>>,
    quote: Option<u8>,
    escape: Option<u8>,
    header: bool,
    force_quote: ForceQuote,
    encoding_given: bool,
}

/// An option, or its value, that the server would refuse, or that only a later one knows.
struct NotUnderstood;

impl Options {
    fn read(list: &[pg::Node]) -> Self {
        let mut options = Self {
            format: CopyFormat::Text,
            delimiter: None,
            null: None,
            quote: None,
            escape: None,
            header: false,
            force_quote: ForceQuote::No,
            encoding_given: false,
        };
        let mut given = BTreeSet::new();
        for option in list {
            let understood = match &option.node {
                Some(NodeEnum::DefElem(option)) if given.insert(option.defname.as_str()) => {
                    options.take(option)
                }
                Some(_) | None => Err(NotUnderstood),
            };
            if understood.is_err() {
                options.format = CopyFormat::Unknown;
                break;
            }
        }
        options
    }

    fn take(&mut self, option: &pg::DefElem) -> Result<(), NotUnderstood> {
        match option.defname.as_str() {
            "format" => {
                self.format = match word(option)?.as_str() {
                    "text" => CopyFormat::Text,
                    "csv" => CopyFormat::Csv,
                    "binary" => CopyFormat::Binary,
                    _ => return Err(NotUnderstood),
                }
            }
            "delimiter" => self.delimiter = Some(byte(option)?),
            "null" => self.null = Some(word(option)?.into_bytes().into()),
            "quote" => self.quote = Some(byte(option)?),
            "escape" => self.escape = Some(byte(option)?),
            "header" => self.header = header(option)?,
            "force_quote" => self.force_quote = forced(option)?,
            "encoding" => self.encoding_given = true,
            // About what comes in, and what happens to it then.
            "freeze" | "default" | "force_not_null" | "force_null" | "on_error"
            | "log_verbosity" | "reject_limit" => {}
            _ => return Err(NotUnderstood),
        }
        Ok(())
    }
}

fn value(option: &pg::DefElem) -> Option<&NodeEnum> {
    option.arg.as_ref().and_then(|value| value.node.as_ref())
}

/// An option's value as the server would print it.
fn word(option: &pg::DefElem) -> Result<String, NotUnderstood> {
    match value(option) {
        Some(NodeEnum::String(word)) => Ok(word.sval.clone()),
        Some(NodeEnum::Integer(number)) => Ok(number.ival.to_string()),
        Some(NodeEnum::Float(number)) => Ok(number.fval.clone()),
        Some(NodeEnum::Boolean(truth)) => Ok(truth.boolval.to_string()),
        Some(_) | None => Err(NotUnderstood),
    }
}

fn byte(option: &pg::DefElem) -> Result<u8, NotUnderstood> {
    match word(option)?.as_bytes() {
        // Where a newline is a mark nobody can tell rows apart; the server takes one as a quote.
        [b'\n' | b'\r'] => Err(NotUnderstood),
        [byte] => Ok(*byte),
        _ => Err(NotUnderstood),
    }
}

fn header(option: &pg::DefElem) -> Result<bool, NotUnderstood> {
    if value(option).is_none() {
        return Ok(true);
    }
    let said = word(option)?.to_ascii_lowercase();
    match said.as_str() {
        "true" | "on" | "1" | "match" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(NotUnderstood),
    }
}

fn forced(option: &pg::DefElem) -> Result<ForceQuote, NotUnderstood> {
    match value(option) {
        Some(NodeEnum::AStar(_)) => Ok(ForceQuote::All),
        Some(NodeEnum::List(list)) => {
            Ok(ForceQuote::Columns(list.items.iter().filter_map(text).map(Box::from).collect()))
        }
        Some(_) | None => Err(NotUnderstood),
    }
}
