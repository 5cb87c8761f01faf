//! Logs of our own doings, to standard error. Knows formats and levels; what is logged is the
//! caller's choice, and by rule of the house it is never a value from a wire.

use std::fs::File;
use std::io::{IsTerminal, stderr};
use std::os::fd::AsFd;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people: coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "the log level is none of error, warn, info, debug, trace, nor a list like info,io=debug"
    )]
    Level { source: ParseError },
    #[error("standard error cannot be duplicated")]
    Descriptor { source: std::io::Error },
    #[error("logging has been set up before")]
    Again { source: TryInitError },
}

/// Sends the whole process's logs to standard error. `level` is a level (`info`) or a list of
/// them by module (`info,narrows::io=debug`).
pub fn start(format: LogFormat, level: &str) -> Result<(), LogError> {
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // The SQL grammar, a C library, turns descriptor 2 aside while it works: logs take their own.
    let out = stderr().as_fd().try_clone_to_owned();
    let out = File::from(out.map_err(|source| LogError::Descriptor { source })?);
    subscriber(format, level, colour, out)?.try_init().map_err(|source| LogError::Again { source })
}

fn subscriber<W>(
    format: LogFormat,
    level: &str,
    colour: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(level).map_err(|source| LogError::Level { source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match format {
        LogFormat::Text => Box::new(builder.with_ansi(colour).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// An error and its causes, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        line.push_str(": ");
        line.push_str(&inner.to_string());
        cause = inner.source();
    }
    line
}

#[cfg(test)]
mod tests;
