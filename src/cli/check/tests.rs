use super::Outcome;
use crate::identity::vault::Vault;
use crate::model::secret::Secret;

pub(super) const SOUND: &str = r#"
[node]
name = "n"
state_dir = "state"
[[issuer]]
name = "ci"
issuer = "https://ci.example"
audiences = ["narrows"]
[[service_account]]
name = "deploy"
match = [{ issuer = "ci", claims = { sub = "x" } }]
[[target]]
name = "db"
protocol = "postgres"
address = "127.0.0.1:5432"
[[listener]]
target = "db"
bind = "127.0.0.1:6432"
tls = "off"
[[connection]]
service_account = "deploy"
target = "db"
credential = { username = "app", password = { vault = "db/app" } }
policies = ["p"]
[policy.p]
default = "deny"
"#;

fn outcome(folder: &std::path::Path, text: &str) -> Outcome {
    let path = folder.join("narrows.toml");
    std::fs::write(&path, text).unwrap();
    Outcome::of(&path, None)
}

#[test]
fn a_secret_that_is_not_in_the_vault_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let before = outcome(folder.path(), SOUND);
    assert!(before.ok);
    assert!(before.to_string().contains("the vault has no secret db/app, which deploy@db needs"));
    let vault = Vault::in_state_dir(&folder.path().join("state"));
    vault.set("db/app", &Secret::new(b"CANARY".to_vec())).unwrap();
    let after = outcome(folder.path(), SOUND);
    assert_eq!(after.warnings, []);
    assert!(after.to_string().starts_with("ok: version "));
}

#[test]
fn every_problem_is_printed_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = SOUND.replace("\"postgres\"", "\"x\"").replace("name = \"n\"", "nam = \"n\"");
    let outcome = outcome(folder.path(), &text);
    assert!(!outcome.ok);
    let printed = outcome.to_string();
    assert!(printed.contains("narrows.toml:14: `target.protocol` cannot be \"x\""), "{printed}");
    assert!(printed.ends_with("3 problems to mend\n"), "{printed}");
    let json: serde_json::Value = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["problems"].as_array().unwrap().len(), 3);
    assert_eq!(json["problems"][2]["line"], 14);
}
