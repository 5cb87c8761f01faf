//! Where a client program shall go: straight to a server, or through the gateway.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::postgres::{Postgres, Role};
use crate::support::process::Scratch;

#[derive(Clone, Debug)]
pub struct Endpoint {
    pub port: u16,
    pub user: String,
    pub password: String,
    pub database: String,
    pub ca: PathBuf,
    /// A statement that the gateway refuses here, and the server would run.
    pub refused: Option<String>,
}

impl Endpoint {
    /// Past the gateway: proves a client program right, and says what the server itself does.
    pub fn direct(server: &Postgres, role: Role, database: &str, ca: PathBuf) -> Self {
        Self {
            port: server.port(),
            user: role.name().to_owned(),
            password: role.password(),
            database: database.to_owned(),
            ca,
            refused: None,
        }
    }

    /// `command` with libpq's variables set, which all our client programs read.
    pub fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some(refused) = &self.refused {
            command.env("REFUSED_SQL", refused);
        }
        command
            .env("PGHOST", "localhost")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", &self.user)
            .env("PGPASSWORD", &self.password)
            .env("PGDATABASE", &self.database)
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &self.ca)
    }

    /// Runs a client program to its end; every line `ok CHECK` that it prints is a check passed.
    pub fn run_client(&self, command: &mut Command) -> Vec<String> {
        let scratch = Scratch::new("client");
        let output = scratch.join("output");
        let mut process =
            crate::support::process::Process::start("client", self.prepare(command), &output);
        let started = Instant::now();
        let status = process.wait(CLIENT_PATIENCE);
        let log = process.log();
        // Not the whole command: its variables hold a token.
        let (program, arguments) = (command.get_program(), command.get_args());
        assert!(
            status.success(),
            "{program:?} {:?}: {status} after {:?}\n{log}",
            arguments.collect::<Vec<_>>(),
            started.elapsed()
        );
        log.lines().filter_map(|line| line.strip_prefix("ok ").map(str::to_owned)).collect()
    }
}

const CLIENT_PATIENCE: Duration = Duration::from_secs(120);
