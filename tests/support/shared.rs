//! What all tests of a run share, and the part of a gateway's configuration that says it.

use std::sync::OnceLock;

use crate::support::oidc::OidcProvider;
use crate::support::pki::Pki;

pub fn pki() -> &'static Pki {
    static PKI: OnceLock<Pki> = OnceLock::new();
    PKI.get_or_init(Pki::new)
}

pub fn oidc() -> &'static OidcProvider {
    static OIDC: OnceLock<OidcProvider> = OnceLock::new();
    OIDC.get_or_init(|| OidcProvider::start(pki()))
}

/// How a gateway called `name` runs and records, and whose tokens it takes.
pub fn config_head(name: &str, durability: &str, oidc: &OidcProvider) -> String {
    let (issuer, issuer_ca) = (oidc.issuer(), oidc.ca());
    format!(
        r#"
[node]
name      = "{name}"
state_dir = "STATE"
workers   = 2
io        = {{ driver = "DRIVER" }}
admin     = {{ socket = "STATE/admin.sock" }}

[recording]
durability = "{durability}"
on_failure = "close"

[[issuer]]
name      = "provider"
issuer    = "{issuer}"
audiences = ["narrows"]
ca        = "{issuer_ca}"
"#,
        issuer_ca = issuer_ca.display(),
    )
}

/// A listener on a port of loopback before `target`.
pub fn config_listener(target: &str, port: u16) -> String {
    let own = pki().server("narrows");
    format!(
        r#"
[[listener]]
target = "{target}"
bind   = "127.0.0.1:{port}"
tls    = {{ cert = "{cert}", key = "{key}" }}
"#,
        cert = own.cert.display(),
        key = own.key.display(),
    )
}
