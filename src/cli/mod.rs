//! The operator's commands: the tree of arguments, and what all commands share. A command is one
//! file with `Args` and `run`; it is added here in three places, marked below.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use self::screen::{CommandError, Screen};
use self::text::Paint;

use crate::observe::log::chain;

pub mod approvals;
/// Asks the running narrows.
mod asking;
pub mod completions;
pub mod kill;
pub mod reload;
pub mod sessions;
pub mod status;
/// Aligned columns.
pub mod table;
/// Values as people read them, and text that must not act on a terminal.
pub mod text;
pub mod check;
pub mod demo;
pub mod dev_issuer;
pub mod explain;
pub mod export;
pub mod grep;
pub mod play;
pub mod policy;
/// What commands over recordings share.
pub mod screen;
pub mod tail;
pub mod verify;
/// Keys of the development issuer.
pub mod dev_keys;
pub mod run;
pub mod token;
pub mod vault;
// Another command: its `pub mod` (1 of 3).

/// Parses the process's arguments, runs the command, and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        // Help and version come this way too, and go to standard output with success.
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            return if error.print().is_ok() { exit.into() } else { Exit::Failure.into() };
        }
    };
    let Line { global, command } = line;
    let context = Context::new(global);
    let exit = match command {
        Command::Status(args) => status::run(&args, &context),
        Command::Sessions(args) => sessions::run(&args, &context),
        Command::Kill(args) => kill::run(&args, &context),
        Command::Reload(args) => reload::run(&args, &context),
        Command::Approvals(args) => approvals::run(&args, &context),
        Command::Completions(args) => completions::run(&args, &context),
        Command::Run(args) => run::run(&args, &context),
        Command::Check(args) => check::run(&args, &context),
        Command::Demo(args) => demo::run(&args, &context),
        Command::Explain(args) => explain::run(&args, &context),
        Command::Vault(args) => vault::run(&args, &context),
        Command::Token(args) => token::run(&args, &context),
        Command::DevIssuer(args) => dev_issuer::run(&args, &context),
        Command::Tail(mut args) => {
            args.json = context.output == Output::Json;
            let dir = args.recordings.clone();
            return over_recordings(&context, dir, Exit::Failure as u8, |dir, screen, out| {
                tail::run(&args, dir, screen, out)
            });
        }
        Command::Play(mut args) => {
            args.json = context.output == Output::Json;
            let dir = args.recordings.clone();
            return over_recordings(&context, dir, Exit::Failure as u8, |dir, screen, out| {
                play::run(&args, dir, screen, out)
            });
        }
        Command::Grep(mut args) => {
            args.json = context.output == Output::Json;
            let dir = args.recordings.clone();
            return over_recordings(&context, dir, grep::FAILED, |dir, screen, out| {
                grep::run(&args, dir, screen, out)
            });
        }
        Command::Export(mut args) => {
            args.json = context.output == Output::Json;
            let dir = args.recordings.clone();
            return over_recordings(&context, dir, Exit::Failure as u8, |dir, _, out| {
                export::run(&args, dir, out)
            });
        }
        Command::Verify(mut args) => {
            args.json = context.output == Output::Json;
            let dir = args.recordings.clone();
            return over_recordings(&context, dir, Exit::Failure as u8, |dir, screen, out| {
                verify::run(&args, dir, screen, out)
            });
        }
        Command::Policy(args) => return policy::run(&args, &context),
        // Another command: its call (2 of 3).
    };
    exit.into()
}

/// Runs a command that reads recordings, in `dir` or where the configuration has them.
fn over_recordings(
    context: &Context,
    dir: Option<PathBuf>,
    failed: u8,
    run: impl FnOnce(&Path, Screen, &mut dyn Write) -> Result<ExitCode, CommandError>,
) -> ExitCode {
    let dir = dir.unwrap_or_else(|| context.recordings());
    let mut out = std::io::stdout().lock();
    let done = run(&dir, Screen::stdout(), &mut out);
    let done = done.and_then(|code| Ok(out.flush().map(|()| code)?));
    screen::conclude(done, failed)
}

/// The whole tree, for completions.
#[must_use]
pub fn tree() -> clap::Command {
    Line::command()
}

/// How a command ended. Scripts may rely on the numbers; `--help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it was asked.
    Done = 0,
    /// It could not, or it looked for something and found nothing.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No running narrows could be asked, or not by this user.
    NotRunning = 3,
    /// What was to be checked is wrong: a configuration, a policy, a recording.
    Unsound = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What every command is told besides its own arguments.
pub struct Context {
    pub config: PathBuf,
    pub output: Output,
    /// For standard output.
    pub paint: Paint,
    socket: Option<PathBuf>,
}

/// For whom a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    People,
    /// JSON on standard output and nothing else; diagnostics still go to standard error.
    Json,
}

impl Context {
    fn new(global: Global) -> Self {
        Self {
            config: global.config,
            output: if global.json { Output::Json } else { Output::People },
            paint: Paint::for_stdout(),
            socket: global.socket,
        }
    }

    /// Prints a finished text, a line feed at its end.
    #[must_use]
    pub fn print(&self, text: &str) -> Exit {
        let mut stdout = std::io::stdout().lock();
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(end.as_bytes()))
            .and_then(|()| stdout.flush());
        match written {
            Ok(()) => Exit::Done,
            // `narrows sessions | head -1` is no failure.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Err(error) => fail(&error),
        }
    }

    /// Prints a value as JSON, indented.
    #[must_use]
    pub fn print_json(&self, value: &impl serde::Serialize) -> Exit {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.print(&text),
            Err(error) => fail(&error),
        }
    }
}

/// Says on standard error what went wrong, with its causes, and what that means for the exit.
#[must_use]
pub fn fail(error: &dyn std::error::Error) -> Exit {
    complain(&chain(error));
    Exit::Failure
}

/// Runs a command that waits for sockets or processes.
fn waiting<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

/// A line on standard error, from whatever source: nothing in it acts on the terminal.
pub fn complain(line: &str) {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "narrows: {}", text::escape(line));
}

#[derive(Parser)]
#[command(
    name = "narrows",
    version,
    about = "One passage between your bots and your infrastructure, and nothing crosses it unseen",
    after_help = "Exit codes:
  0 done
  1 failed, or nothing found
  2 wrong usage
  3 narrows is not running, or its socket is not ours to use
  4 what was checked is wrong: a configuration, a policy, a recording",
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Line {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Args)]
struct Global {
    /// The configuration file
    #[arg(
        short,
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "FILE",
        env = "NARROWS_CONFIG",
        default_value = "/etc/narrows/narrows.toml"
    )]
    config: PathBuf,
    /// Print JSON for scripts
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// The admin socket of the running narrows; by default what the configuration says
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "PATH",
        env = "NARROWS_SOCKET"
    )]
    socket: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Demo(demo::Args),
    Explain(explain::Args),
    Policy(policy::Args),
    Status(status::Args),
    Sessions(sessions::Args),
    Kill(kill::Args),
    Reload(reload::Args),
    Approvals(approvals::Args),
    Completions(completions::Args),
    Tail(tail::Args),
    Play(play::Args),
    Grep(grep::Args),
    Export(export::Args),
    Verify(verify::Args),
    Vault(vault::Args),
    Token(token::Args),
    DevIssuer(dev_issuer::Args),
    // Another command: its variant (3 of 3).
}

/// What every command takes stands apart from its own arguments.
const GLOBAL: &str = "Everywhere";

#[cfg(test)]
mod tests;
