//! The development issuer as a real issuer: discovery, rotation and failure over real sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{DevIssuer, DevIssuerError};
use crate::cli::dev_keys::{DevAlgorithm, DevFolder};
use crate::control::keys::{Pace, fetch_all, keep_fresh};
use crate::identity::{
    Account, Algorithm, ClaimRule, Gate, Issuer, KeyRing, KeySource, Pattern, Rejection,
};
use crate::model::time::{NS_PER_S, Now};

const LOOPBACK: &str = "127.0.0.1:0";

/// Nobody waits for minutes here; what the issuer says about caching is bounded from above.
const SWIFT: Pace = Pace {
    refresh: Duration::from_secs(3600),
    refresh_min: Duration::from_secs(3600),
    refresh_max: Duration::from_secs(3600),
    gap: Duration::from_millis(10),
};

fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now { unix_ns: u64::try_from(since.as_nanos()).unwrap(), mono_ns: 0 }
}

fn issuer(url: &str, keys: KeySource) -> Arc<Issuer> {
    Arc::new(Issuer {
        name: "dev".into(),
        url: url.to_owned(),
        audiences: vec!["narrows".into()],
        reviewer_audiences: Vec::new(),
        keys,
        ca: None,
        algorithms: Algorithm::DEFAULT.to_vec(),
        age_s_max: None,
    })
}

fn gate(ring: &KeyRing) -> Gate {
    let claims = vec![("repository".to_owned(), vec![Pattern::parse("acme/*").unwrap()])];
    let rule = ClaimRule { issuer: "dev".into(), claims };
    Gate::new(ring, [Account { name: "shop".into(), rules: vec![rule] }])
}

fn token(folder: &DevFolder, url: &str) -> String {
    let now_s = now().unix_ns / NS_PER_S;
    let claims = json!({
        "iss": url, "sub": "dev", "aud": "narrows", "iat": now_s, "exp": now_s + 600,
        "repository": "acme/shop",
    });
    let Value::Object(claims) = claims else { unreachable!() };
    folder.newest_key().unwrap().mint(&claims).unwrap()
}

struct Served {
    folder: DevFolder,
    url: String,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(algorithm: DevAlgorithm) -> Served {
    let dir = tempfile::tempdir().unwrap();
    let folder = DevFolder::at(dir.path()).unwrap();
    folder.add_key(algorithm).unwrap();
    let issuer = DevIssuer::bind(LOOPBACK.parse().unwrap(), folder.clone()).await.unwrap();
    let url = issuer.url().to_owned();
    Served { folder, url, task: tokio::spawn(issuer.serve()), _dir: dir }
}

/// Answers every request on a port with one fixed text, as servers that lie do.
async fn lying(answer: String) -> SocketAddr {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.replace("{self}", &format!("http://{address}"));
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// Without a length, the end of the stream is the end of the answer.
fn http(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{body}")
}

async fn failure(keys: KeySource, url: &str) -> String {
    let ring = KeyRing::new(&[issuer(url, keys)], None);
    fetch_all(&ring).await;
    let status = ring.status().remove(0);
    assert_eq!(status.fetched_unix_s, None);
    status.error.unwrap()
}

#[tokio::test]
async fn discovered_keys_admit_the_issuers_tokens() {
    for algorithm in [DevAlgorithm::Rs256, DevAlgorithm::Es256] {
        let served = serve(algorithm).await;
        let by_uri = KeySource::Uri(format!("{}/jwks", served.url));
        for keys in [KeySource::Discovery, by_uri] {
            let ring = KeyRing::new(&[issuer(&served.url, keys)], None);
            fetch_all(&ring).await;
            assert_eq!(ring.status()[0].error, None);
            let token = token(&served.folder, &served.url);
            assert!(gate(&ring).admit("shop", token.as_bytes(), now()).is_ok());
        }
    }
}

#[tokio::test]
async fn a_rotated_key_is_fetched_when_a_token_names_it() {
    let served = serve(DevAlgorithm::Es256).await;
    let ring = Arc::new(KeyRing::new(&[issuer(&served.url, KeySource::Discovery)], None));
    let gate = gate(&ring);
    let keeper = tokio::spawn(keep_fresh(Arc::clone(&ring), SWIFT));
    let arrived = async |generation: u64| {
        while ring.generation() < generation {
            tokio::task::yield_now().await;
        }
    };
    arrived(1).await;
    let old = token(&served.folder, &served.url);
    assert!(gate.admit("shop", old.as_bytes(), now()).is_ok());

    served.folder.add_key(DevAlgorithm::Rs256).unwrap();
    let new = token(&served.folder, &served.url);
    let refused = gate.admit("shop", new.as_bytes(), now()).unwrap_err();
    assert_eq!(refused, Rejection::UnknownKey { issuer: "dev".into() });
    tokio::time::timeout(Duration::from_secs(10), arrived(2)).await.unwrap();
    assert!(gate.admit("shop", new.as_bytes(), now()).is_ok());
    assert!(gate.admit("shop", old.as_bytes(), now()).is_ok(), "the older key is still published");
    keeper.abort();
}

#[tokio::test]
async fn an_issuer_that_goes_down_leaves_its_keys() {
    let served = serve(DevAlgorithm::Es256).await;
    let ring = KeyRing::new(&[issuer(&served.url, KeySource::Discovery)], None);
    let gate = gate(&ring);
    fetch_all(&ring).await;
    served.task.abort();
    while !served.task.is_finished() {
        tokio::task::yield_now().await;
    }
    fetch_all(&ring).await;
    let status = ring.status().remove(0);
    assert!(status.error.unwrap().contains("discovery document"));
    assert_eq!(status.keys, 1);
    let token = token(&served.folder, &served.url);
    assert!(gate.admit("shop", token.as_bytes(), now()).is_ok());
}

#[tokio::test]
async fn one_issuer_that_hangs_does_not_hold_up_another() {
    let silent = TcpListener::bind(LOOPBACK).await.unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let served = serve(DevAlgorithm::Es256).await;
    let hanging =
        Issuer { name: "hangs".into(), ..(*issuer(&silent_url, KeySource::Discovery)).clone() };
    let issuers = [Arc::new(hanging), issuer(&served.url, KeySource::Discovery)];
    let ring = Arc::new(KeyRing::new(&issuers, None));
    let keeper = tokio::spawn(keep_fresh(Arc::clone(&ring), SWIFT));
    let second = async {
        while ring.status()[1].keys == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), second).await.unwrap();
    assert_eq!(ring.status()[0].keys, 0);
    keeper.abort();
}

#[tokio::test]
async fn a_key_file_is_read_again() {
    let served = serve(DevAlgorithm::Es256).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jwks.json");
    let write = || {
        let set = serde_json::to_vec(&served.folder.key_set().unwrap()).unwrap();
        std::fs::write(&file, set).unwrap();
    };
    let ring = KeyRing::new(&[issuer(&served.url, KeySource::File(file.clone()))], None);
    fetch_all(&ring).await;
    assert!(ring.status()[0].error.as_ref().unwrap().contains("jwks.json"));
    write();
    fetch_all(&ring).await;
    assert_eq!(ring.status()[0].keys, 1);
    served.folder.add_key(DevAlgorithm::Es256).unwrap();
    write();
    fetch_all(&ring).await;
    assert_eq!(ring.status()[0].keys, 2);
}

#[tokio::test]
async fn answers_that_cannot_be_believed_are_refused_with_their_reason() {
    let of = async |answer: String| {
        let address = lying(answer).await;
        failure(KeySource::Discovery, &format!("http://{address}")).await
    };
    let other = http(r#"{"issuer":"https://other.example","jwks_uri":"{self}/jwks"}"#);
    assert!(of(other).await.contains("another issuer"));
    let insecure = http(r#"{"issuer":"{self}","jwks_uri":"http://keys.example/jwks"}"#);
    assert!(of(insecure).await.contains("neither https nor http on a loopback"));
    let not_keys = http(r#"{"issuer":"{self}","jwks_uri":"{self}/jwks"}"#);
    assert!(of(not_keys).await.contains("not a key set"));
    assert!(of(http("<html>")).await.contains("the discovery document is not one"));
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_owned();
    assert!(of(redirect).await.contains("302"));
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{".to_owned();
    assert!(of(broken).await.contains("breaks off"));
    let endless = http(&"x".repeat(crate::limits::ISSUER_ANSWER_BYTES_MAX + 1));
    assert!(of(endless).await.contains("over"));
}

/// An issuer behind TLS, with the PEM of the certificate that it shows.
async fn serve_tls(dir: &Path) -> (String, Arc<Issuer>, DevFolder) {
    use std::io::{Read, Write};
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, certified.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let tls = Arc::new(tls);
    let folder = DevFolder::at(&dir.join("keys")).unwrap();
    folder.add_key(DevAlgorithm::Es256).unwrap();
    let listener = std::net::TcpListener::bind(LOOPBACK).unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let keys = serde_json::to_string(&folder.key_set().unwrap()).unwrap();
    let document = json!({ "issuer": url, "jwks_uri": format!("{url}/jwks") }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut tls = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut stream);
            let mut request = [0; 4096];
            let Ok(bytes) = stream.read(&mut request) else { continue };
            let asks_for_keys = request[..bytes].starts_with(b"GET /jwks ");
            let body = if asks_for_keys { &keys } else { &document };
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
            let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    let trusting = Issuer { ca: Some(ca), ..(*issuer(&url, KeySource::Discovery)).clone() };
    (url, Arc::new(trusting), folder)
}

#[tokio::test]
async fn over_https_only_the_named_certificates_are_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (url, trusting, folder) = serve_tls(dir.path()).await;
    let ring = KeyRing::new(&[Arc::clone(&trusting)], None);
    fetch_all(&ring).await;
    assert_eq!(ring.status()[0].error, None);
    let token = token(&folder, &url);
    assert!(gate(&ring).admit("shop", token.as_bytes(), now()).is_ok());

    let other_ca = dir.path().join("other.pem");
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&other_ca, other.cert.pem()).unwrap();
    let no_ca = dir.path().join("none.pem");
    std::fs::write(&no_ca, "no certificate\n").unwrap();
    for (ca, said) in [(other_ca, "invalid peer certificate"), (no_ca, "no usable certificate")] {
        let distrusting = Issuer { ca: Some(ca), ..(*trusting).clone() };
        let ring = KeyRing::new(&[Arc::new(distrusting)], None);
        fetch_all(&ring).await;
        let error = ring.status()[0].error.clone().unwrap();
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn the_issuer_stays_on_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    let folder = DevFolder::at(dir.path()).unwrap();
    let address: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let refused = DevIssuer::bind(address, folder).await.err().unwrap();
    assert!(matches!(refused, DevIssuerError::NotLoopback { .. }));
}

#[test]
fn keys_are_for_their_owner_and_the_newest_signs() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = DevFolder::at(dir.path()).unwrap();
    assert!(folder.newest_key().is_err());
    let first = folder.add_key(DevAlgorithm::Rs256).unwrap();
    let second = folder.add_key(DevAlgorithm::Es256).unwrap();
    assert_ne!(first.id(), second.id());
    assert_eq!(folder.newest_key().unwrap().id(), second.id());
    assert_eq!(folder.key_set().unwrap().keys().len(), 2);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    let published = serde_json::to_value(folder.key_set().unwrap()).unwrap().to_string();
    for private in ["\"d\":", "\"p\":", "\"q\":", "\"k\":"] {
        assert!(!published.contains(private), "{private}");
    }
    assert!(second.mint(&Map::new()).is_ok());
}
