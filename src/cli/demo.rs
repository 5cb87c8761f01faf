//! `narrows demo`: the guided run of `demo/run.sh`, with this binary in its leading part.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::cli::{Context, Exit, complain, fail};

/// Walk through a real passage: a throw-away PostgreSQL, a development issuer, Narrows and a bot
///
/// Needs the programs of PostgreSQL (initdb, postgres, psql), bash and openssl. Everything lives in
/// a temporary directory and on loopback, every command is printed before it runs, and nothing is
/// left running.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows demo
  narrows demo --keep          # and then connect to it yourself")]
pub struct Args {
    /// Leave it all running until Ctrl-C, and print how to connect
    #[arg(long)]
    keep: bool,
}

#[must_use]
pub fn run(args: &Args, _context: &Context) -> Exit {
    let binary = match std::env::current_exe() {
        Ok(binary) => binary,
        Err(error) => return fail(&error),
    };
    let mut bash = Command::new("bash");
    bash.args(["-c", SCRIPT, "narrows-demo"]).env("NARROWS", binary).env("SHOP", SHOP);
    if args.keep {
        bash.env("KEEP", "1");
    }
    // The script takes our place, so that Ctrl-C reaches what cleans up. It exits with 0 or 1.
    let error = bash.exec();
    if error.kind() == std::io::ErrorKind::NotFound {
        complain("bash is not there; install it to run the demo");
        return Exit::Failure;
    }
    fail(&error)
}

const SCRIPT: &str = include_str!("../../demo/run.sh");
const SHOP: &str = include_str!("../../demo/shop.sql");
