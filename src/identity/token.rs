//! A token's three parts, before anything in it is believed: RFC 7515 compact serialisation.
//! `header.payload.signature`, each base64url without padding. Checks no signature.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::identity::claims;
use crate::identity::json::{self, Json};
use crate::limits::TOKEN_BYTES_MAX;
use crate::model::identity::Claims;

/// A token that has the right shape. Nothing in it is verified.
pub struct Token<'t> {
    /// The `alg` header, whatever it says.
    pub algorithm: String,
    pub key_id: Option<String>,
    pub(super) payload: BTreeMap<String, Json>,
    /// What the signature covers.
    pub(super) signed: &'t [u8],
    pub(super) signature: Vec<u8>,
}

/// How a token fails to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("it is not three parts joined by dots")]
    NotThreeParts,
    #[error("a part is not base64url without padding")]
    NotBase64,
    #[error("a part is not JSON")]
    NotJson,
    #[error("a part is not a JSON object")]
    NotAnObject,
    #[error("a name stands twice in one JSON object")]
    DuplicateName,
    #[error("its JSON is nested too deeply")]
    TooDeep,
    #[error("its JSON has too many members")]
    TooManyMembers,
    #[error("its header lacks a well-formed algorithm, key id or type")]
    Header,
    #[error("its header demands an extension")]
    CriticalHeader,
    #[error("its type is not one that logs in")]
    Type,
    #[error("two of its claims have the same flattened name")]
    ClaimCollision,
    #[error("its {0} claim is absent or not of the right kind")]
    Claim(&'static str),
}

impl<'t> Token<'t> {
    pub fn parse(token: &'t [u8]) -> Result<Self, Malformed> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Malformed::TooLong);
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Malformed::NotThreeParts);
        };
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        let Header { algorithm, key_id } = Header::parse(&decode(header)?)?;
        let payload = json::object(&decode(payload)?)?;
        Ok(Self { algorithm, key_id, payload, signed, signature: decode(signature)? })
    }

    /// What the payload claims, flattened; believed by nobody yet.
    pub fn claims(&self) -> Result<Claims, Malformed> {
        claims::flatten(&self.payload)
    }
}

struct Header {
    algorithm: String,
    key_id: Option<String>,
}

impl Header {
    /// Keys that a header brings along (`jwk`, `jku`, `x5c`) are never looked at.
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut header = json::object(text)?;
        if header.contains_key("crit") {
            return Err(Malformed::CriticalHeader);
        }
        match header.get("typ") {
            None => {}
            Some(Json::Text(kind)) if is_login_type(kind) => {}
            Some(_) => return Err(Malformed::Type),
        }
        let key_id = match header.remove("kid") {
            None => None,
            Some(Json::Text(key_id)) => Some(key_id),
            Some(_) => return Err(Malformed::Header),
        };
        let Some(Json::Text(algorithm)) = header.remove("alg") else {
            return Err(Malformed::Header);
        };
        Ok(Self { algorithm, key_id })
    }
}

/// ID tokens and access tokens (RFC 9068). Logout tokens, security events and proofs of possession
/// are signed with the same keys and must not log anybody in (RFC 8725, section 3.11).
fn is_login_type(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    matches!(kind, "jwt" | "at+jwt")
}

fn decode(part: &[u8]) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::NotBase64)
}
