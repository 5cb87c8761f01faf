//! Who a bot is: the claims of its token, and the service account that they map to.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Name of a service account, as configuration and recordings spell it.
pub type AccountName = Arc<str>;
/// Name of an issuer in the configuration (not its URL).
pub type IssuerName = Arc<str>;

/// A claim's value, reduced to what rules can compare.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum ClaimValue {
    Text(String),
    List(Vec<String>),
}

/// The claims of one verified token, nested names joined by a dot.
pub type Claims = BTreeMap<String, ClaimValue>;

/// A bot whose token has been verified and matched to its service account.
#[derive(Clone, Debug)]
pub struct Principal {
    pub account: AccountName,
    pub issuer: IssuerName,
    /// The token's `sub`.
    pub subject: Arc<str>,
    /// The token's `jti`, where it has one.
    pub token_id: Option<Arc<str>>,
    /// The token's `exp`, in seconds since the Unix epoch.
    pub expires_unix_s: u64,
    pub claims: Arc<Claims>,
}
