use std::path::PathBuf;

use serde_json::Value;

use super::{Dev, Inspect, Report, TokenError, mint};
use crate::cli::dev_issuer::DevIssuer;
use crate::cli::dev_keys::{DevAlgorithm, DevFolder};
use crate::model::time::NS_PER_S;

fn dev(dir: &std::path::Path) -> Dev {
    Dev {
        dir: dir.to_owned(),
        audience: vec!["narrows".into()],
        subject: "dev".into(),
        claims: Vec::new(),
        expires: "10m".into(),
        issued_ago: "0s".into(),
        issuer: Some("http://127.0.0.1:1".into()),
    }
}

fn payload(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&engine.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_minted_token_says_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    DevFolder::at(dir.path()).unwrap().add_key(DevAlgorithm::Es256).unwrap();
    let asked = Dev {
        claims: ["repository=acme/shop", "groups=a", "groups=b", "query=a=b", "iss=forged"]
            .map(String::from)
            .to_vec(),
        issued_ago: "1h".into(),
        ..dev(dir.path())
    };
    let said = payload(&mint(&asked, 10_000).unwrap());
    assert_eq!(said["repository"], "acme/shop");
    assert_eq!(said["groups"], serde_json::json!(["a", "b"]));
    assert_eq!(said["query"], "a=b");
    assert_eq!(said["iss"], "http://127.0.0.1:1");
    assert_eq!((&said["iat"], &said["exp"]), (&6_400.into(), &7_000.into()));
    assert_eq!(said["aud"], "narrows");
}

#[test]
fn what_cannot_be_minted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = mint(&dev(dir.path()), 0).unwrap_err();
    assert!(matches!(refused, TokenError::Keys(_)), "no key yet");
    DevFolder::at(dir.path()).unwrap().add_key(DevAlgorithm::Es256).unwrap();
    let no_claim = Dev { claims: vec!["repository".into()], ..dev(dir.path()) };
    assert!(matches!(mint(&no_claim, 0).unwrap_err(), TokenError::Claim { .. }));
    let no_unit = Dev { expires: "10".into(), ..dev(dir.path()) };
    assert!(matches!(mint(&no_unit, 0).unwrap_err(), TokenError::Duration { .. }));
    let no_url = Dev { issuer: None, ..dev(dir.path()) };
    assert!(matches!(mint(&no_url, 0).unwrap_err(), TokenError::Keys(_)));
}

#[tokio::test]
async fn inspection_asks_the_configured_issuer() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DevFolder::at(dir.path()).unwrap();
    folder.add_key(DevAlgorithm::Rs256).unwrap();
    let issuer = DevIssuer::bind("127.0.0.1:0".parse().unwrap(), folder).await.unwrap();
    let url = issuer.url().to_owned();
    let served = tokio::spawn(issuer.serve());
    let config = dir.path().join("narrows.toml");
    let text = format!(
        "[node]\nname = \"n\"\n[[issuer]]\nname = \"dev\"\nissuer = \"{url}\"\n\
         audiences = [\"narrows\"]\n\
         [[service_account]]\nname = \"shop\"\n\
         match = [{{ issuer = \"dev\", claims = {{ repository = \"acme/shop\" }} }}]\n\
         [[service_account]]\nname = \"other\"\n\
         match = [{{ issuer = \"dev\", claims = {{ repository = \"acme/other\" }} }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let now_s = super::unix_ns() / NS_PER_S;
    let token =
        Dev { claims: vec!["repository=acme/shop".into()], issuer: None, ..dev(dir.path()) };
    let token = mint(&token, now_s).unwrap();
    let file: PathBuf = dir.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();

    let inspect = async |ask: bool, user: Option<&str>| {
        let user = user.map(str::to_owned);
        let asked = Inspect { file: Some(file.clone()), ask, user };
        Report::of(&asked, &config).await.unwrap()
    };
    let report = inspect(true, None).await;
    let text = report.to_string();
    assert!(text.contains("shop: admitted"), "{text}");
    assert!(text.contains("other: account_mismatch"), "{text}");
    let signature = token.rsplit('.').next().unwrap();
    let json = serde_json::to_string(&report).unwrap();
    assert!(!text.contains(signature) && !json.contains(signature));
    assert!(inspect(true, Some("absent")).await.to_string().contains("absent: account_unknown"));
    assert!(inspect(false, None).await.to_string().contains("not verified"));
    served.abort();
}
