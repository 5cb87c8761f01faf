//! The OpenID provider of the tests: a real one, see `oidc-provider.mjs`, driven line by line.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::pki::Pki;
use crate::support::process::{Process, Scratch, free_port};

pub struct OidcProvider {
    issuer: String,
    ca: PathBuf,
    pipe: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    // Last, so that the pipe closes and the program ends by itself first.
    _process: Process,
    _scratch: Scratch,
}

impl OidcProvider {
    pub fn start(pki: &Pki) -> Self {
        let scratch = Scratch::new("oidc");
        let files = pki.server("oidc");
        let mut process = Process::start_piped(
            "oidc-provider",
            Command::new("node")
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/oidc-provider.mjs"))
                .arg(free_port().to_string())
                .args([&files.cert, &files.key])
                .env("NODE_EXTRA_CA_CERTS", pki.ca()),
            &scratch.join("oidc.log"),
        );
        let stdin = process.child().stdin.take().unwrap();
        let stdout = BufReader::new(process.child().stdout.take().unwrap());
        let mut pipe = (stdin, stdout);
        let hello = read_answer(&mut pipe.1);
        let issuer = hello["issuer"].as_str().unwrap().to_owned();
        Self { issuer, ca: pki.ca(), pipe: Mutex::new(pipe), _process: process, _scratch: scratch }
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub const fn ca(&self) -> &PathBuf {
        &self.ca
    }

    /// A token by the client_credentials grant. `shop-bot`'s is over 1.5 KB.
    pub fn token(&self, client: &str) -> String {
        self.token_for(client, "urn:narrows")
    }

    /// A token that is meant for another service.
    pub fn token_for(&self, client: &str, resource: &str) -> String {
        self.command(&json!({"do": "token", "client": client, "resource": resource}))["token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A token that no grant gives, by the provider's own key: `shop-bot`'s, with `claims` changed.
    pub fn mint(&self, claims: &Value) -> String {
        self.minted(&json!({"do": "mint", "claims": claims}))
    }

    /// As `mint`, with fields of the header changed, such as the algorithm.
    pub fn mint_header(&self, header: &Value) -> String {
        self.minted(&json!({"do": "mint", "header": header}))
    }

    /// Well-formed, and signed by a stranger's key under the provider's key id.
    pub fn forged(&self) -> String {
        self.minted(&json!({"do": "mint", "key": "foreign"}))
    }

    /// A new signing key; the old ones stay published if `keep`.
    pub fn rotate(&self, keep: bool) {
        self.command(&json!({"do": "rotate", "keep": keep}));
    }

    /// The key set answers 503 while `on`.
    pub fn outage(&self, on: bool) {
        self.command(&json!({"do": "outage", "on": on}));
    }

    fn minted(&self, command: &Value) -> String {
        self.command(command)["token"].as_str().unwrap().to_owned()
    }

    fn command(&self, command: &Value) -> Value {
        let mut pipe = self.pipe.lock().unwrap();
        writeln!(pipe.0, "{command}").unwrap();
        let answer = read_answer(&mut pipe.1);
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer
    }
}

/// The package itself prints notices; answers are the lines that are JSON.
fn read_answer(stdout: &mut impl BufRead) -> Value {
    loop {
        let mut line = String::new();
        let bytes = stdout.read_line(&mut line).unwrap();
        assert!(bytes > 0, "the OpenID provider has ended: run `make setup`");
        if let Ok(answer) = serde_json::from_str(&line) {
            return answer;
        }
    }
}
