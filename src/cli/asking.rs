//! Where the running narrows is asked, and where its recordings lie. Knows two keys of the
//! configuration, and reads them leniently: whoever has just broken the configuration wants
//! `status`, `kill` and `tail` all the more.

use std::path::{Path, PathBuf};

use crate::cli::{Context, Exit, complain, fail};
use crate::control::client::{Client, ClientError};

impl Context {
    /// A client for the socket of the command line, the environment, the configuration, or the
    /// place where it is by default; in this order.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// Says what came of a question that failed.
    #[must_use]
    pub fn unanswered(&self, error: &ClientError) -> Exit {
        if let ClientError::Refused { problem, .. } = error {
            complain(&problem.error);
            for detail in &problem.details {
                complain(detail);
            }
            return Exit::Failure;
        }
        let exit = fail(error);
        match error {
            ClientError::NotRunning { .. } | ClientError::Forbidden { .. } => Exit::NotRunning,
            ClientError::Io { .. }
            | ClientError::Runtime { .. }
            | ClientError::Path
            | ClientError::Address { .. }
            | ClientError::Token
            | ClientError::Fetch { .. }
            | ClientError::TimedOut { .. }
            | ClientError::Http { .. }
            | ClientError::TooLarge
            | ClientError::Unreadable { .. }
            | ClientError::Refused { .. } => exit,
        }
    }

    /// Where the recordings lie, by the configuration.
    #[must_use]
    pub fn recordings(&self) -> PathBuf {
        let configured = std::fs::read_to_string(&self.config)
            .ok()
            .and_then(|text| configured_state_dir(&text, &self.config));
        configured.unwrap_or_else(|| PathBuf::from(STATE_DIR_DEFAULT)).join("recordings")
    }

    fn socket(&self) -> PathBuf {
        if let Some(socket) = &self.socket {
            return socket.clone();
        }
        let configured = std::fs::read_to_string(&self.config)
            .ok()
            .and_then(|text| configured_socket(&text, &self.config));
        configured.unwrap_or_else(|| PathBuf::from(SOCKET_DEFAULT))
    }
}

/// `node.admin.socket`, or its usual place in `node.state_dir`; relative to the file that says it.
fn configured_socket(text: &str, file: &Path) -> Option<PathBuf> {
    let table: toml::Table = text.parse().ok()?;
    let node = table.get("node")?;
    let folder = file.parent()?;
    let named = |value: Option<&toml::Value>| Some(folder.join(value?.as_str()?));
    let state_dir = || named(node.get("state_dir")).map(|dir| dir.join("admin.sock"));
    named(node.get("admin").and_then(|admin| admin.get("socket"))).or_else(state_dir)
}

fn configured_state_dir(text: &str, file: &Path) -> Option<PathBuf> {
    let table: toml::Table = text.parse().ok()?;
    Some(file.parent()?.join(table.get("node")?.get("state_dir")?.as_str()?))
}

const STATE_DIR_DEFAULT: &str = "/var/lib/narrows";
const SOCKET_DEFAULT: &str = "/var/lib/narrows/admin.sock";

#[cfg(test)]
mod tests;
