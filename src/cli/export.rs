//! `narrows export`: one session for other programs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::screen::{CommandError, rfc3339};
use crate::record::Flow;
use crate::record::export::{ExportError, Format, export};
use crate::record::reader::find_session;

/// Write one session for other programs
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows export 3f2a91c0 --format jsonl | jq 'select(.event == \"statement\") | .body.text'
  narrows export 3f2a91c0 --format sql > session.sql
  narrows export 3f2a91c0 --format raw --direction to-bot > answers.bin

Exit codes: 0 written, 1 could not be read.")]
pub struct Args {
    /// The beginning or end of a session's id
    pub session: String,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    pub recordings: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t = FormatWord::Jsonl)]
    pub format: FormatWord,
    /// Which bytes `raw` writes
    #[arg(long, value_enum, default_value_t = DirectionWord::FromBot)]
    pub direction: DirectionWord,
    /// The same as `--format jsonl`
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FormatWord {
    /// One JSON object for the start, each statement and the end
    Jsonl,
    /// The statements; refused ones as comments
    Sql,
    /// The wire's bytes in one direction
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DirectionWord {
    FromBot,
    ToBot,
    /// What the gateway said to the target by itself
    ToTarget,
}

pub fn run(args: &Args, dir: &Path, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    let session = find_session(dir, &args.session)?;
    let direction = match args.direction {
        DirectionWord::FromBot => Flow::FromBot,
        DirectionWord::ToBot => Flow::ToBot,
        DirectionWord::ToTarget => Flow::ToTarget,
    };
    let format = match args.format {
        FormatWord::Jsonl => Format::JsonLines,
        FormatWord::Sql => Format::Sql,
        FormatWord::Raw => Format::Raw(direction),
    };
    match export(dir, session, format, rfc3339, out) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(ExportError::Read(error)) => Err(error.into()),
        Err(ExportError::Write(error)) => Err(error.into()),
    }
}
