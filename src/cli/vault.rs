//! `narrows vault`: puts upstream secrets into the vault file. A secret comes from standard input
//! or a prompt, never from an argument, where every process on the machine could read it; no
//! command prints one.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::cli::{Context, Exit, Output, fail};
use crate::config::{self, Diagnostic, VAULT_NAME_HINT, is_vault_name};
use crate::identity::vault::{Stored, Vault, VaultError};
use crate::limits::SECRET_BYTES_MAX;
use crate::model::secret::Secret;

/// Keep the upstream secrets that connections lease.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  narrows vault set payments-db/app            asks for the secret
  pass show payments | narrows vault set payments-db/app
  narrows vault ls --json
  narrows vault rm payments-db/app")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Folder of the vault, instead of what the configuration says.
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Key of the vault, instead of vault.key in the folder.
    #[arg(long, global = true, value_name = "FILE", requires = "state_dir")]
    key: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Store a secret, read from standard input or asked for on a terminal. One newline at its
    /// end is taken off.
    Set { name: String },
    /// List the names of the secrets.
    #[command(alias = "list")]
    Ls,
    /// Remove a secret.
    Rm { name: String },
}

#[derive(Debug, thiserror::Error)]
pub enum VaultCommandError {
    #[error("{}", first(.0))]
    Config(Vec<Diagnostic>),
    #[error("\"{name}\" is not a usable name: {VAULT_NAME_HINT}")]
    Name { name: String },
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the secret cannot be read")]
    Input(#[source] io::Error),
    #[error("the answer cannot be written")]
    Output(#[from] io::Error),
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    match act(args, context) {
        Ok(text) => context.print(&text),
        Err(error) => fail(&error),
    }
}

fn act(args: &Args, context: &Context) -> Result<String, VaultCommandError> {
    let vault = vault(args, &context.config)?;
    let file = vault.file().display();
    Ok(match &args.action {
        Action::Set { name } => {
            if !is_vault_name(name) {
                return Err(VaultCommandError::Name { name: name.clone() });
            }
            let secret = read_secret(name).map_err(VaultCommandError::Input)?;
            let done = match vault.set(name, &secret)? {
                Stored::New => "stored",
                Stored::Replaced => "replaced",
            };
            format!("{name} {done} in {file}")
        }
        Action::Ls => {
            let names = vault.names()?;
            match context.output {
                Output::Json => serde_json::json!({ "secrets": names }).to_string(),
                Output::People => names.join("\n"),
            }
        }
        Action::Rm { name } => {
            vault.remove(name)?;
            format!("{name} removed from {file}")
        }
    })
}

fn vault(args: &Args, config: &Path) -> Result<Vault, VaultCommandError> {
    match &args.state_dir {
        Some(folder) => {
            let key = args.key.clone().unwrap_or_else(|| folder.join("vault.key"));
            Ok(Vault::new(folder.join("vault.age"), key))
        }
        None => config::vault_of(config).map_err(VaultCommandError::Config),
    }
}

fn first(problems: &[Diagnostic]) -> String {
    let problem = problems.first().map(ToString::to_string).unwrap_or_default();
    format!("{problem}\n  or name the vault's folder with --state-dir")
}

fn read_secret(name: &str) -> io::Result<Secret<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 2));
    let stdin = io::stdin();
    if stdin.is_terminal() {
        write!(io::stderr(), "Secret for {name} (not shown): ")?;
        let _quiet = Quiet::new()?;
        stdin.lock().take(SECRET_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
        writeln!(io::stderr())?;
    } else {
        stdin.lock().take(SECRET_BYTES_MAX as u64 + 2).read_to_end(&mut bytes)?;
    }
    let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(Secret::new(secret.to_vec()))
}

/// A terminal that shows nothing of what is typed, until this is dropped.
struct Quiet {
    before: rustix::termios::Termios,
}

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // If the terminal is gone, there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
