//! The gate: a user name and a token in, a principal or a reason out. Reads no clock, opens no
//! socket, waits for nobody; the work that one token can cause is bounded before it is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::claims::Registered;
use crate::identity::issuer::{Algorithm, Issuer};
use crate::identity::keys::{KeyRing, KeySlot};
use crate::identity::rules::Account;
use crate::identity::token::{Malformed, Token};
use crate::limits::{KEYS_STALE_S_MAX, REVIEW_TOKEN_AGE_S_MAX, TOKEN_KEYS_TRIED_MAX, TOKEN_SKEW_S};
use crate::model::identity::{AccountName, Claims, IssuerName, Principal};
use crate::model::time::Now;

/// Everything that decides who a token's bearer is. One for all workers, replaced on reload.
pub struct Gate {
    accounts: BTreeMap<AccountName, Account>,
    issuers: BTreeMap<String, Arc<KeySlot>>,
}

/// A bot that may come in.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub principal: Arc<Principal>,
    /// What stood behind the `@` of the user name. The caller checks that it names its target.
    pub target_hint: Option<String>,
}

/// A human who has shown a token.
#[derive(Clone, Debug)]
pub struct Bearer {
    pub issuer: IssuerName,
    pub subject: Arc<str>,
    pub claims: Arc<Claims>,
}

/// Why a bot may not come in. For our log: the bot itself is told one fixed text, so that nobody
/// learns from refusals which accounts, issuers and keys there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("the token is malformed: {0}")]
    Malformed(Malformed),
    #[error("the token is of an issuer that is not configured")]
    IssuerUnknown,
    #[error("the token's signature algorithm is not one that is supported")]
    AlgorithmUnsupported,
    #[error("issuer {issuer} may not sign with {}", algorithm.name())]
    AlgorithmRefused { issuer: IssuerName, algorithm: Algorithm },
    #[error("the keys of issuer {issuer} have not been fetched yet")]
    KeysAbsent { issuer: IssuerName },
    #[error("the keys of issuer {issuer} were last fetched {age_s} seconds ago")]
    KeysStale { issuer: IssuerName, age_s: u64 },
    #[error("issuer {issuer} has no key of the token's key id")]
    UnknownKey { issuer: IssuerName },
    #[error("the key of issuer {issuer} is not for {}", algorithm.name())]
    KeyUnfit { issuer: IssuerName, algorithm: Algorithm },
    #[error("the signature is not that of issuer {issuer}")]
    Signature { issuer: IssuerName },
    #[error("the token of issuer {issuer} is meant for another audience")]
    Audience { issuer: IssuerName },
    #[error("the token of issuer {issuer} expired {ago_s} seconds ago")]
    Expired { issuer: IssuerName, ago_s: u64 },
    #[error("the token of issuer {issuer} is valid only in {in_s} seconds")]
    NotYetValid { issuer: IssuerName, in_s: u64 },
    #[error("the token of issuer {issuer} was issued {in_s} seconds in the future")]
    IssuedInFuture { issuer: IssuerName, in_s: u64 },
    #[error("the token of issuer {issuer} is {age_s} seconds old, over its {age_s_max}")]
    TooOld { issuer: IssuerName, age_s: u64, age_s_max: u64 },
    #[error("no service account has the user's name")]
    AccountUnknown,
    #[error("the token of issuer {issuer} matches no rule of service account {account}")]
    AccountMismatch { issuer: IssuerName, account: AccountName },
    #[error("the token of issuer {issuer} is one of service account {account}")]
    OfAccount { issuer: IssuerName, account: AccountName },
}

impl From<Malformed> for Rejection {
    fn from(how: Malformed) -> Self {
        Self::Malformed(how)
    }
}

impl Rejection {
    /// A stable word for each reason, for events and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::IssuerUnknown => "issuer_unknown",
            Self::AlgorithmUnsupported => "algorithm_unsupported",
            Self::AlgorithmRefused { .. } => "algorithm_refused",
            Self::KeysAbsent { .. } => "keys_absent",
            Self::KeysStale { .. } => "keys_stale",
            Self::UnknownKey { .. } => "unknown_key",
            Self::KeyUnfit { .. } => "key_unfit",
            Self::Signature { .. } => "signature",
            Self::Audience { .. } => "audience",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::IssuedInFuture { .. } => "issued_in_future",
            Self::TooOld { .. } => "too_old",
            Self::AccountUnknown => "account_unknown",
            Self::AccountMismatch { .. } => "account_mismatch",
            Self::OfAccount { .. } => "of_account",
        }
    }

    /// True if fresh keys were asked for and may turn the answer.
    #[must_use]
    pub const fn awaits_keys(&self) -> bool {
        matches!(self, Self::KeysAbsent { .. } | Self::KeysStale { .. } | Self::UnknownKey { .. })
    }
}

impl Gate {
    #[must_use]
    pub fn new(ring: &KeyRing, accounts: impl IntoIterator<Item = Account>) -> Self {
        let issuers = ring.slots().iter().map(|slot| (slot.issuer().url.clone(), Arc::clone(slot)));
        let accounts = accounts.into_iter().map(|account| (Arc::clone(&account.name), account));
        Self { accounts: accounts.collect(), issuers: issuers.collect() }
    }

    /// Judges the bearer of `token` who calls itself `user`: `account` or `account@target`.
    /// The token is checked first, so that without one nobody learns which accounts exist.
    pub fn admit(&self, user: &str, token: &[u8], now: Now) -> Result<Admitted, Rejection> {
        let (slot, token) = self.verified(token, now)?;
        let registered = Registered::of(&token.payload)?;
        let issuer = slot.issuer();
        let terms = Terms { audiences: &issuer.audiences, age_s_max: issuer.age_s_max };
        check_claims(issuer, &registered, &terms, now)?;
        let claims = token.claims()?;

        let (name, target_hint) = match user.split_once('@') {
            Some((name, target)) => (name, Some(target.to_owned())),
            None => (user, None),
        };
        let account = self.accounts.get(name).ok_or(Rejection::AccountUnknown)?;
        if !account.admits(&slot.issuer().name, &claims) {
            let account = Arc::clone(&account.name);
            return Err(Rejection::AccountMismatch { issuer: slot.name(), account });
        }
        let principal = Principal {
            account: Arc::clone(&account.name),
            issuer: slot.name(),
            subject: registered.subject,
            token_id: registered.token_id,
            expires_unix_s: registered.expires_s,
            claims: Arc::new(claims),
        };
        Ok(Admitted { principal: Arc::new(principal), target_hint })
    }

    /// Judges the bearer of a token as a human who decides on what bots do. A token that could log
    /// in as a service account is none, whatever else it says.
    pub fn identify(&self, token: &[u8], now: Now) -> Result<Bearer, Rejection> {
        let (slot, token) = self.verified(token, now)?;
        let registered = Registered::of(&token.payload)?;
        let issuer = slot.issuer();
        let audiences = match issuer.reviewer_audiences.as_slice() {
            [] => &issuer.audiences,
            _ => &issuer.reviewer_audiences,
        };
        let age_s_max = issuer.age_s_max.unwrap_or(u64::MAX).min(REVIEW_TOKEN_AGE_S_MAX);
        let terms = Terms { audiences, age_s_max: Some(age_s_max) };
        check_claims(issuer, &registered, &terms, now)?;
        let claims = token.claims()?;
        let mut accounts = self.accounts.values();
        if let Some(account) = accounts.find(|account| account.admits(&issuer.name, &claims)) {
            let account = Arc::clone(&account.name);
            return Err(Rejection::OfAccount { issuer: slot.name(), account });
        }
        let claims = Arc::new(claims);
        Ok(Bearer { issuer: slot.name(), subject: registered.subject, claims })
    }

    /// The token and its issuer, whose signature it bears. Nothing that it says is checked.
    fn verified<'t>(
        &self,
        token: &'t [u8],
        now: Now,
    ) -> Result<(&Arc<KeySlot>, Token<'t>), Rejection> {
        let token = Token::parse(token)?;
        let registered = Registered::of(&token.payload)?;
        let slot = self.issuers.get(&registered.issuer).ok_or(Rejection::IssuerUnknown)?;
        check_signature(slot, &token, now)?;
        Ok((slot, token))
    }

    /// True if a bot that was admitted before would still match its account. Its token is not
    /// asked for again.
    #[must_use]
    pub fn still_admits(&self, principal: &Principal) -> bool {
        self.issuers.values().any(|slot| slot.name() == principal.issuer)
            && self
                .accounts
                .get(&principal.account)
                .is_some_and(|account| account.admits(&principal.issuer, &principal.claims))
    }
}

fn check_signature(slot: &KeySlot, token: &Token<'_>, now: Now) -> Result<(), Rejection> {
    let issuer = || slot.name();
    let algorithm = Algorithm::named(&token.algorithm).ok_or(Rejection::AlgorithmUnsupported)?;
    if !slot.issuer().algorithms.contains(&algorithm) {
        return Err(Rejection::AlgorithmRefused { issuer: issuer(), algorithm });
    }
    let key_id = token.key_id.as_deref();
    let Some(keys) = slot.keys() else {
        slot.wish(key_id, now.unix_s());
        return Err(Rejection::KeysAbsent { issuer: issuer() });
    };
    let age_s = now.unix_s().saturating_sub(keys.fetched_unix_s);
    if age_s > KEYS_STALE_S_MAX {
        slot.wish(key_id, now.unix_s());
        return Err(Rejection::KeysStale { issuer: issuer(), age_s });
    }
    let mut named = keys.with_id(key_id).peekable();
    if named.peek().is_none() {
        slot.wish(key_id, now.unix_s());
        return Err(Rejection::UnknownKey { issuer: issuer() });
    }
    let mut fitting = named.filter(|key| key.fits(algorithm)).peekable();
    if fitting.peek().is_none() {
        return Err(Rejection::KeyUnfit { issuer: issuer(), algorithm });
    }
    let verified = fitting
        .take(TOKEN_KEYS_TRIED_MAX)
        .any(|key| key.verifies(algorithm, token.signed, &token.signature));
    if !verified {
        return Err(Rejection::Signature { issuer: issuer() });
    }
    Ok(())
}

/// What a token must be like beside what every token must.
struct Terms<'i> {
    audiences: &'i [String],
    age_s_max: Option<u64>,
}

fn check_claims(
    issuer: &Issuer,
    token: &Registered,
    terms: &Terms<'_>,
    now: Now,
) -> Result<(), Rejection> {
    let now_s = now.unix_s();
    let name = || Arc::clone(&issuer.name);
    if !token.audiences.iter().any(|audience| terms.audiences.contains(audience)) {
        return Err(Rejection::Audience { issuer: name() });
    }
    if now_s >= token.expires_s.saturating_add(TOKEN_SKEW_S) {
        return Err(Rejection::Expired { issuer: name(), ago_s: now_s - token.expires_s });
    }
    if let Some(in_s) = ahead(token.not_before_s, now_s) {
        return Err(Rejection::NotYetValid { issuer: name(), in_s });
    }
    if let Some(in_s) = ahead(token.issued_s, now_s) {
        return Err(Rejection::IssuedInFuture { issuer: name(), in_s });
    }
    if let Some(age_s_max) = terms.age_s_max {
        let issued_s = token.issued_s.ok_or(Malformed::Claim("iat"))?;
        let age_s = now_s.saturating_sub(issued_s);
        if age_s > age_s_max.saturating_add(TOKEN_SKEW_S) {
            return Err(Rejection::TooOld { issuer: name(), age_s, age_s_max });
        }
    }
    Ok(())
}

/// How far `moment` lies ahead, where it does by more than clocks differ.
fn ahead(moment: Option<u64>, now_s: u64) -> Option<u64> {
    let in_s = moment?.saturating_sub(now_s);
    (in_s > TOKEN_SKEW_S).then_some(in_s)
}
