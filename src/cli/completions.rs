//! `narrows completions`: what a shell needs to complete our arguments.

use clap_complete::Shell;

use crate::cli::{Context, Exit, tree};

/// Print a completion script for a shell
#[derive(clap::Args)]
#[command(after_help = "Examples:
  narrows completions bash > /etc/bash_completion.d/narrows
  narrows completions zsh > ~/.zfunc/_narrows
  narrows completions fish > ~/.config/fish/completions/narrows.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree(), "narrows", &mut script);
    context.print(&String::from_utf8_lossy(&script))
}
