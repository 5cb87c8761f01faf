//! From a token to a principal, and the credentials that upstream logins lease.
//! Verification is offline: it reads the snapshot of key sets that `control` keeps fresh, opens no
//! socket and waits for nobody. Leases do wait; only `control` calls them.

mod claims;
mod gate;
mod issuer;
mod json;
mod keys;
pub mod lease;
mod rules;
mod site_key;
mod token;
pub mod vault;

pub use gate::{Admitted, Bearer, Gate, Rejection};
pub use issuer::{Algorithm, Issuer, KeySource, UrlError, is_loopback, trustworthy_url};
pub use keys::{KeyRing, KeySet, KeySetError, KeySlot, KeyStatus};
pub use rules::{Account, ClaimRule, Group, Pattern, PatternError};
pub use site_key::{SiteKeyError, site_key};
pub use token::{Malformed, Token};

#[cfg(test)]
pub mod tests;
