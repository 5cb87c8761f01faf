//! A token's payload, reduced to what checks and rules compare.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::json::Json;
use crate::identity::token::Malformed;
use crate::model::identity::{ClaimValue, Claims};

/// The claims that every token is checked by.
pub struct Registered {
    pub issuer: String,
    pub subject: Arc<str>,
    pub audiences: Vec<String>,
    pub expires_s: u64,
    pub not_before_s: Option<u64>,
    pub issued_s: Option<u64>,
    pub token_id: Option<Arc<str>>,
}

impl Registered {
    pub fn of(payload: &BTreeMap<String, Json>) -> Result<Self, Malformed> {
        let text = |name| match payload.get(name) {
            Some(Json::Text(text)) => Some(text.as_str()),
            Some(_) | None => None,
        };
        let required = |name| text(name).ok_or(Malformed::Claim(name));
        Ok(Self {
            issuer: required("iss")?.to_owned(),
            subject: required("sub")?.into(),
            audiences: audiences(payload.get("aud")).ok_or(Malformed::Claim("aud"))?,
            expires_s: date(payload, "exp")?.ok_or(Malformed::Claim("exp"))?,
            not_before_s: date(payload, "nbf")?,
            issued_s: date(payload, "iat")?,
            token_id: text("jti").map(Arc::from),
        })
    }
}

/// Every claim under its flattened name. Nulls, empty objects and lists of objects have no value
/// that a rule could compare, and are left out.
pub fn flatten(payload: &BTreeMap<String, Json>) -> Result<Claims, Malformed> {
    let mut claims = Claims::new();
    for (name, value) in payload {
        add(&mut claims, name.clone(), value)?;
    }
    Ok(claims)
}

/// Depth is bounded by the reader of the JSON.
fn add(claims: &mut Claims, name: String, value: &Json) -> Result<(), Malformed> {
    let value = match value {
        Json::Map(members) => {
            for (member, value) in members {
                add(claims, format!("{name}.{member}"), value)?;
            }
            return Ok(());
        }
        Json::List(items) => ClaimValue::List(items.iter().filter_map(scalar).collect()),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => match scalar(value) {
            Some(text) => ClaimValue::Text(text),
            None => return Ok(()),
        },
    };
    match claims.insert(name, value) {
        None => Ok(()),
        Some(_) => Err(Malformed::ClaimCollision),
    }
}

fn scalar(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => Some(text.clone()),
        Json::Bool(truth) => Some(truth.to_string()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::List(_) | Json::Map(_) => None,
    }
}

fn audiences(claim: Option<&Json>) -> Option<Vec<String>> {
    match claim? {
        Json::Text(one) => Some(vec![one.clone()]),
        Json::List(items) => items
            .iter()
            .map(|item| match item {
                Json::Text(text) => Some(text.clone()),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Map(_) => None,
            })
            .collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Map(_) => None,
    }
}

/// A NumericDate (RFC 7519, section 2): seconds, possibly with a fraction, which is cut off.
fn date(payload: &BTreeMap<String, Json>, name: &'static str) -> Result<Option<u64>, Malformed> {
    match payload.get(name) {
        None => Ok(None),
        Some(Json::Number(number)) => number
            .as_u64()
            .or_else(|| number.as_f64().and_then(whole_seconds))
            .map(Some)
            .ok_or(Malformed::Claim(name)),
        Some(Json::Null | Json::Bool(_) | Json::Text(_) | Json::List(_) | Json::Map(_)) => {
            Err(Malformed::Claim(name))
        }
    }
}

fn whole_seconds(seconds: f64) -> Option<u64> {
    // Beyond 2^53 a float does not count single seconds any more.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (0.0..EXACT_MAX).contains(&seconds).then_some(seconds as u64)
}
