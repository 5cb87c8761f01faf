//! `narrows token`: shows what a token says and whether this configuration would let it in, and
//! mints tokens of the development issuer. Prints claims, never a token that it was given.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cli::dev_keys::{DevFolder, DevKeyError};
use crate::cli::text::counted;
use crate::cli::{Context, Exit, Output, fail, waiting};
use crate::config::{self, DURATION_HINT, Diagnostic, UnitError};
use crate::control::keys;
use crate::identity::{Gate, KeyRing, KeyStatus, Malformed, Rejection, Token};
use crate::limits::TOKEN_BYTES_MAX;
use crate::model::identity::{ClaimValue, Claims};
use crate::model::time::{NS_PER_S, Now, unix_ns};

/// Look into tokens, and mint those of the development issuer.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  narrows token inspect token.jwt
  echo \"$TOKEN\" | narrows token inspect -c narrows.toml --ask --user payments-deploy
  export PGPASSWORD=$(narrows token dev --dir /tmp/issuer --claim repository=acme/shop)")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Inspect(Inspect),
    Dev(Dev),
}

/// Show a token's claims; with --ask, also whether the configuration would let its bearer in.
/// Without --ask nothing is verified. Exits with 1 if the token would be refused.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// File with the token; standard input if absent or "-".
    file: Option<PathBuf>,
    /// Ask the configuration whether it would let the bearer in. Its issuers' keys are fetched.
    #[arg(long)]
    ask: bool,
    /// The user name to log in with; without it, every service account is tried.
    #[arg(long, value_name = "ACCOUNT", requires = "ask")]
    user: Option<String>,
}

/// Mint a token of the development issuer.
#[derive(Debug, clap::Args)]
pub struct Dev {
    /// Folder of the development issuer.
    #[arg(long, visible_alias = "issuer-dir", value_name = "DIR")]
    dir: PathBuf,
    /// Whom the token is meant for.
    #[arg(long, value_name = "TEXT", default_value = "narrows")]
    audience: Vec<String>,
    #[arg(long, value_name = "TEXT", default_value = "dev")]
    subject: String,
    /// A claim; given several times, it becomes a list.
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// How long it lives.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    expires: String,
    /// Issue it in the past, to see what becomes of expired tokens.
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    issued_ago: String,
    /// The issuer's URL, instead of the one where it was last served.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token cannot be read")]
    Input(#[source] io::Error),
    #[error("this is not a token")]
    Malformed(#[from] Malformed),
    #[error("the configuration has {}; run narrows check. The first one: {}",
            counted(.0.len() as u64, "problem", "problems"),
            .0.first().map(ToString::to_string).unwrap_or_default())]
    Config(Vec<Diagnostic>),
    #[error("\"{text}\" is not a claim; write NAME=VALUE")]
    Claim { text: String },
    #[error("\"{text}\" is not a duration: {DURATION_HINT}")]
    Duration { text: String, source: UnitError },
    #[error(transparent)]
    Keys(#[from] DevKeyError),
}

#[must_use]
pub fn run(args: &Args, context: &Context) -> Exit {
    match &args.action {
        Action::Inspect(inspect) => {
            waiting(show(inspect, context)).unwrap_or_else(|error| fail(&error))
        }
        Action::Dev(dev) => match mint(dev, unix_ns() / NS_PER_S) {
            Ok(token) => context.print(&token),
            Err(error) => fail(&error),
        },
    }
}

async fn show(inspect: &Inspect, context: &Context) -> Exit {
    let report = match Report::of(inspect, &context.config).await {
        Ok(report) => report,
        Err(error) => return fail(&error),
    };
    let refused = report.logins.as_ref().is_some_and(|all| !all.iter().any(Login::admitted));
    let printed = match context.output {
        Output::Json => context.print_json(&report),
        Output::People => context.print(&report.to_string()),
    };
    if printed == Exit::Done && refused { Exit::Failure } else { printed }
}

/// What a token says, and what a gate says about it.
#[derive(Debug, Serialize)]
struct Report {
    algorithm: String,
    key_id: Option<String>,
    claims: Claims,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issuers: Vec<KeyStatus>,
    /// Absent where no configuration was asked: then nothing is verified.
    logins: Option<Vec<Login>>,
}

#[derive(Debug, Serialize)]
struct Login {
    user: String,
    /// `admitted`, or the code of the reason.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Login {
    fn attempt(gate: &Gate, user: &str, token: &[u8]) -> Self {
        let refused = gate.admit(user, token, now()).err();
        Self {
            user: user.to_owned(),
            outcome: refused.as_ref().map_or(ADMITTED, Rejection::code),
            reason: refused.map(|rejection| rejection.to_string()),
        }
    }

    fn admitted(&self) -> bool {
        self.outcome == ADMITTED
    }
}

impl Report {
    async fn of(inspect: &Inspect, config: &Path) -> Result<Self, TokenError> {
        let bytes = read_token(inspect.file.as_deref()).map_err(TokenError::Input)?;
        let token = Token::parse(&bytes)?;
        let claims = token.claims()?;
        let mut report = Self {
            algorithm: token.algorithm.clone(),
            key_id: token.key_id.clone(),
            claims,
            issuers: Vec::new(),
            logins: None,
        };
        if inspect.ask {
            let config = config::load(config).map_err(TokenError::Config)?;
            let ring = Arc::new(KeyRing::new(&config.issuers, None));
            keys::fetch_all(&ring).await;
            report.issuers = ring.status();
            let users = match &inspect.user {
                Some(user) => vec![user.clone()],
                None => config.accounts.iter().map(|account| account.name.to_string()).collect(),
            };
            let gate = Gate::new(&ring, config.accounts);
            let attempt = |user: &String| Login::attempt(&gate, user, &bytes);
            report.logins = Some(users.iter().map(attempt).collect());
        }
        Ok(report)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key_id.as_deref().unwrap_or("(none)");
        writeln!(
            out,
            "algorithm  {}\nkey id     {}",
            self.algorithm.escape_debug(),
            key.escape_debug()
        )?;
        writeln!(out, "claims")?;
        let width = self.claims.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.claims {
            let value = match value {
                ClaimValue::Text(text) => text.escape_debug().to_string(),
                ClaimValue::List(items) => items.join(", ").escape_debug().to_string(),
            };
            writeln!(out, "  {:width$}  {value}", name.escape_debug().to_string())?;
        }
        for issuer in &self.issuers {
            if let Some(error) = &issuer.error {
                writeln!(out, "issuer {}: {error}", issuer.issuer)?;
            }
        }
        let Some(logins) = &self.logins else {
            return writeln!(out, "not verified; pass --ask to ask the configuration");
        };
        for login in logins {
            let reason =
                login.reason.as_deref().unwrap_or("the signature and all claims are in order");
            writeln!(out, "{}: {} ({reason})", login.user.escape_debug(), login.outcome)?;
        }
        Ok(())
    }
}

fn read_token(file: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Somewhat over the bound, so that a token that is too long is called that.
    let most = TOKEN_BYTES_MAX as u64 * 2;
    match file {
        Some(path) if path != Path::new("-") => {
            File::open(path)?.take(most).read_to_end(&mut bytes)?
        }
        Some(_) | None => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes.trim_ascii().to_vec())
}

fn mint(dev: &Dev, now_s: u64) -> Result<String, TokenError> {
    let folder = DevFolder::at(&dev.dir)?;
    let issuer = match &dev.issuer {
        Some(url) => url.clone(),
        None => folder.url()?,
    };
    let issued_s = now_s.saturating_sub(seconds(&dev.issued_ago)?);
    let mut claims = Map::new();
    for text in &dev.claims {
        let (name, value) =
            text.split_once('=').ok_or_else(|| TokenError::Claim { text: text.clone() })?;
        add_claim(&mut claims, name, value);
    }
    let audience = match dev.audience.as_slice() {
        [one] => Value::from(one.as_str()),
        several => Value::from(several.to_vec()),
    };
    claims.insert("iss".to_owned(), issuer.into());
    claims.insert("sub".to_owned(), dev.subject.clone().into());
    claims.insert("aud".to_owned(), audience);
    claims.insert("iat".to_owned(), issued_s.into());
    claims.insert("exp".to_owned(), (issued_s + seconds(&dev.expires)?).into());
    claims.insert("jti".to_owned(), uuid::Uuid::now_v7().to_string().into());
    Ok(folder.newest_key()?.mint(&claims)?)
}

/// A name given again makes a list of its values.
fn add_claim(claims: &mut Map<String, Value>, name: &str, value: &str) {
    match claims.get_mut(name) {
        None => {
            claims.insert(name.to_owned(), value.into());
        }
        Some(Value::Array(values)) => values.push(value.into()),
        Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
    }
}

fn seconds(text: &str) -> Result<u64, TokenError> {
    match config::duration_ms(text) {
        Ok(ms) => Ok(ms / 1000),
        Err(source) => Err(TokenError::Duration { text: text.to_owned(), source }),
    }
}

fn now() -> Now {
    Now { unix_ns: unix_ns(), mono_ns: 0 }
}

const ADMITTED: &str = "admitted";

#[cfg(test)]
mod tests;
