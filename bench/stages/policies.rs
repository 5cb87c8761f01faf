//! Policies as a session has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use narrows::judge::policy::{Circumstances, Library, PolicyDocument, SessionPolicy};
use narrows::model::identity::{ClaimValue, Principal};
use narrows::model::target::Labels;

/// A session under the policy `toml`, of somebody who has groups.
pub fn bound(toml: &str) -> SessionPolicy {
    let document: PolicyDocument = toml::from_str(toml).expect("the policy can be read");
    let library = Library::new("v".into(), BTreeMap::from([("p".into(), document)]));
    let groups = ClaimValue::List(vec!["dev".to_owned(), "oncall".to_owned()]);
    let principal = Principal {
        account: "a".into(),
        issuer: "i".into(),
        subject: "s".into(),
        token_id: None,
        expires_unix_s: 0,
        claims: Arc::new(BTreeMap::from([("groups".to_owned(), groups)])),
    };
    let labels = Labels::new();
    let circumstances =
        Circumstances { principal: &principal, labels: &labels, target: "t", database: "d" };
    let library = library.expect("the policy holds");
    library.bind(&["p".into()], &circumstances).expect("the policy exists")
}
