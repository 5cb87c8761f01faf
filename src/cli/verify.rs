//! `narrows verify`: whether recordings are unchanged, and whether they are complete.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::screen::{CommandError, Screen, bytes};
use crate::cli::text::{Colour, counted, visible};
use crate::record::verify::{Finding, Report, verify};

/// Check recordings for changes and gaps
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Examples:
  narrows verify                        the configured recording directory
  narrows verify /srv/recordings        another one
  narrows verify seg-3f2a91c0-w0-0000000007.nrw

Exit codes: 0 unchanged and complete, 1 could not be read, 2 changed or damaged,
3 unchanged but something is missing.")]
pub struct Args {
    /// Recording directory, or one segment
    pub path: Option<PathBuf>,
    /// Recording directory, instead of the configured one
    #[arg(long, value_name = "DIR", conflicts_with = "path")]
    pub recordings: Option<PathBuf>,
    #[arg(skip)]
    pub json: bool,
}

/// Verifies `args.path`, or `dir` where none is given.
pub fn run(
    args: &Args,
    dir: &Path,
    screen: Screen,
    out: &mut dyn Write,
) -> Result<ExitCode, CommandError> {
    let report = verify(args.path.as_deref().unwrap_or(dir))?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        text(&report, screen, out)?;
    }
    Ok(ExitCode::from(code(&report)))
}

const fn code(report: &Report) -> u8 {
    if !report.integrity.is_empty() {
        CHANGED
    } else if !report.completeness.is_empty() {
        INCOMPLETE
    } else {
        0
    }
}

fn text(report: &Report, screen: Screen, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{}, {}, {} ({} open), {} recorded in {}{}",
        counted(report.segments, "segment", "segments"),
        counted(report.blocks, "block", "blocks"),
        counted(report.sessions, "session", "sessions"),
        report.sessions_open,
        bytes(report.raw_bytes),
        bytes(report.stored_bytes),
        if report.live { "; being written" } else { "" }
    )?;
    let verdict = |findings: &[Finding], good: &str, bad: &str, colour: Colour| {
        if findings.is_empty() {
            screen.paint.paint(Colour::Green, good)
        } else {
            screen.paint.paint(colour, bad)
        }
    };
    let integrity = verdict(&report.integrity, "unchanged", "CHANGED OR DAMAGED", Colour::Red);
    let completeness = verdict(&report.completeness, "complete", "INCOMPLETE", Colour::Yellow);
    writeln!(out, "integrity     {integrity}")?;
    list(&report.integrity, out)?;
    writeln!(out, "completeness  {completeness}")?;
    list(&report.completeness, out)?;
    if !report.notes.is_empty() {
        writeln!(out, "notes")?;
        list(&report.notes, out)?;
    }
    Ok(())
}

fn list(findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    for finding in findings {
        write!(out, "  {}", visible(&finding.segment))?;
        if let Some(at) = finding.at {
            write!(out, " at {at}")?;
        }
        if let Some(session) = finding.session {
            write!(out, " session {session}")?;
        }
        writeln!(out, ": {}", visible(&finding.what))?;
    }
    Ok(())
}

const CHANGED: u8 = 2;
const INCOMPLETE: u8 = 3;
