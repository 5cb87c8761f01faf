//! Tokens of humans at the admin address (RFC 6750). Knows the header and the answers; whose token
//! it is, the gate says.
//!
//! A browser sends nothing here that counts: what it adds by itself (cookies, client certificates) is
//! not looked at, a header with a token needs leave from a preflight that is never answered, and what
//! comes from a page is refused whatever else it carries.

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use zeroize::Zeroizing;

use crate::control::admin::{Answer, problem};
use crate::identity::Rejection;

/// Why no token could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenless {
    /// There is none, or more than one.
    Absent,
    /// A page in a browser asks.
    Page,
}

/// The one token of the one header; never one in the address, which ends up in logs.
pub fn token(headers: &HeaderMap) -> Result<Zeroizing<Vec<u8>>, Tokenless> {
    let is_page =
        [ORIGIN.as_str(), "sec-fetch-site"].iter().any(|name| headers.contains_key(*name));
    if is_page {
        return Err(Tokenless::Page);
    }
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return Err(Tokenless::Absent) };
    let (scheme, token) =
        shown.as_bytes().split_at_checked(SCHEME.len()).ok_or(Tokenless::Absent)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Tokenless::Absent);
    }
    Ok(Zeroizing::new(token.trim_ascii().to_vec()))
}

/// To whoever shows no token.
pub fn refused(why: Tokenless) -> Box<Answer> {
    match why {
        Tokenless::Absent => challenge("show a token: Authorization: Bearer …"),
        Tokenless::Page => {
            let text = "a page in a browser may not ask for this";
            Box::new(problem(StatusCode::FORBIDDEN, text, Vec::new()))
        }
    }
}

/// To whoever shows one that is not believed. What is wrong with it stands in the audit events: a
/// stranger learns nothing here.
pub fn unknown(why: Rejection) -> Box<Answer> {
    if !why.awaits_keys() {
        return challenge("the token is not one of a human who may decide");
    }
    let text = "the keys of the token's issuer are not at hand yet: ask again";
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, text, Vec::new());
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    Box::new(answer)
}

fn challenge(text: &str) -> Box<Answer> {
    let mut answer = problem(StatusCode::UNAUTHORIZED, text, Vec::new());
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    Box::new(answer)
}

const SCHEME: &[u8] = b"bearer ";
