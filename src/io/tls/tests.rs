use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tempfile::TempDir;

use super::*;
use crate::limits::CHUNK_BYTES;
use crate::model::target::{KeyPairFiles, UpstreamTls};

const ALPN: &[&[u8]] = &[b"postgresql"];

/// A root and a certificate for `db.internal` under it, as files.
struct Authority {
    folder: TempDir,
    ca: PathBuf,
    files: KeyPairFiles,
}

fn authority(algorithm: &'static SignatureAlgorithm) -> Authority {
    let folder = TempDir::new().unwrap();
    let root_key = KeyPair::generate_for(algorithm).unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let issuer = Issuer::new(root, root_key);
    let leaf_key = KeyPair::generate_for(algorithm).unwrap();
    let leaf = CertificateParams::new(vec!["db.internal".into()]).unwrap();
    let leaf_pem = leaf.signed_by(&leaf_key, &issuer).unwrap().pem();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ca = write("ca.pem", &root_pem);
    let cert = write("leaf.pem", &leaf_pem);
    let key = write("leaf.key", &leaf_key.serialize_pem());
    Authority { folder, ca, files: KeyPairFiles { cert, key } }
}

fn verify(ca: &Path, name: Option<&str>) -> UpstreamTls {
    UpstreamTls::VerifyFull { ca: Some(ca.to_owned()), name: name.map(str::to_owned) }
}

fn pair(authority: &Authority, tls: &UpstreamTls, client_alpn: &[&[u8]]) -> (Tls, Tls) {
    let server = Tls::server(server_config(&authority.files, ALPN).unwrap()).unwrap();
    let config = client_config(tls, None, client_alpn).unwrap().unwrap();
    let client = Tls::client(config, server_name(tls, "db.internal").unwrap()).unwrap();
    (client, server)
}

/// Carries bytes to and fro, `step` at a time, until both are silent: what each received.
fn carry(client: &mut Tls, server: &mut Tls, step: usize) -> Result<(Vec<u8>, Vec<u8>), TlsError> {
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    loop {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.drain(&mut up);
        server.drain(&mut down);
        if up.is_empty() && down.is_empty() {
            return Ok((at_client, at_server));
        }
        for piece in up.chunks(step) {
            server.feed(piece, &mut |plain| at_server.extend_from_slice(plain))?;
        }
        for piece in down.chunks(step) {
            client.feed(piece, &mut |plain| at_client.extend_from_slice(plain))?;
        }
    }
}

#[test]
fn bytes_cross_whole_in_both_directions_however_they_are_cut() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let message: Vec<u8> = (0..3 * CHUNK_BYTES + 17).map(|n| (n % 251) as u8).collect();
    for step in [1, 5, 1400, CHUNK_BYTES, 1 << 20] {
        let (mut client, mut server) = pair(&authority, &verify(&authority.ca, None), ALPN);
        carry(&mut client, &mut server, step).unwrap();
        assert!(client.handshake_done() && server.handshake_done());
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.seal(message.chunks(5_000), &mut up).unwrap();
        server.seal([&*message].into_iter(), &mut down).unwrap();
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        for piece in up.chunks(step) {
            server.feed(piece, &mut |plain| at_server.extend_from_slice(plain)).unwrap();
        }
        for piece in down.chunks(step) {
            client.feed(piece, &mut |plain| at_client.extend_from_slice(plain)).unwrap();
        }
        assert!(at_server == message && at_client == message, "step {step}");
    }
}

#[test]
fn a_certificate_of_another_name_or_root_is_refused_under_verify_full() {
    let ours = authority(&PKCS_ECDSA_P256_SHA256);
    let theirs = authority(&PKCS_ECDSA_P256_SHA256);
    for tls in [verify(&ours.ca, Some("other.internal")), verify(&theirs.ca, None)] {
        let (mut client, mut server) = pair(&ours, &tls, ALPN);
        let refusal = carry(&mut client, &mut server, CHUNK_BYTES).unwrap_err();
        assert!(matches!(refusal, TlsError::PeerCertificate { .. }), "{refusal:?}");
        let mut alert = Vec::new();
        client.drain(&mut alert);
        let heard = server.feed(&alert, &mut |_| {}).unwrap_err();
        assert!(matches!(heard, TlsError::PeerAlert { .. }), "{heard:?}");
    }
}

#[test]
fn require_accepts_any_certificate_and_shows_it() {
    let authority = authority(&PKCS_ECDSA_P384_SHA384);
    let (mut client, mut server) = pair(&authority, &UpstreamTls::Require, ALPN);
    carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
    let pem = fs::read(&authority.files.cert).unwrap();
    let der = CertificateDer::from_pem_slice(&pem).unwrap();
    assert_eq!(client.peer_certificate_der(), Some(der.as_ref()));
    assert_eq!(server.peer_certificate_der(), None);
}

#[test]
fn a_server_that_cannot_sign_for_its_certificate_is_refused_even_under_require() {
    let shown = authority(&PKCS_ECDSA_P256_SHA256);
    let owned = authority(&PKCS_ECDSA_P256_SHA256);
    let chain = vec![CertificateDer::from_pem_file(&shown.files.cert).unwrap()];
    for (key, accepted) in [(&shown.files.key, true), (&owned.files.key, false)] {
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let certified = CertifiedKey::new(chain.clone(), key);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        let mut server = Tls::server(Arc::new(config)).unwrap();
        let (mut client, _) = pair(&shown, &UpstreamTls::Require, &[]);
        let outcome = carry(&mut client, &mut server, CHUNK_BYTES);
        assert_eq!(outcome.is_ok(), accepted);
        assert_eq!(client.handshake_done(), accepted);
    }
}

#[test]
fn a_client_without_alpn_is_accepted_and_seen_as_such() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let tls = verify(&authority.ca, None);
    let (mut client, mut server) = pair(&authority, &tls, &[]);
    carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
    assert_eq!(server.alpn(), None);
    let (mut client, mut server) = pair(&authority, &tls, ALPN);
    carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
    assert_eq!(server.alpn(), Some(&b"postgresql"[..]));
    let (mut client, mut server) = pair(&authority, &tls, &[b"h2"]);
    let refusal = carry(&mut client, &mut server, CHUNK_BYTES).unwrap_err();
    assert!(matches!(refusal, TlsError::Alpn { .. }), "{refusal:?}");
}

#[test]
fn close_notify_is_told_from_a_stream_cut_off() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let (mut client, mut server) = pair(&authority, &UpstreamTls::Require, ALPN);
    carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
    let mut bytes = Vec::new();
    client.seal([&b"terminate"[..]].into_iter(), &mut bytes).unwrap();
    assert_eq!(server.feed(&bytes, &mut |_| {}).unwrap(), Flow::Open);
    bytes.clear();
    client.close_notify(&mut bytes);
    assert_eq!(server.feed(&bytes, &mut |_| {}).unwrap(), Flow::PeerClosed);
    assert_eq!(server.feed(b"more", &mut |_| {}).unwrap(), Flow::PeerClosed);
}

#[test]
fn bytes_that_are_not_tls_are_the_peers_fault() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let (_, mut server) = pair(&authority, &UpstreamTls::Require, ALPN);
    let refusal = server.feed(b"GET / HTTP/1.1\r\n\r\n", &mut |_| {}).unwrap_err();
    assert!(matches!(refusal, TlsError::Protocol { .. }), "{refusal:?}");
}

#[test]
fn pieces_that_leave_together_share_a_record() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let (mut client, mut server) = pair(&authority, &UpstreamTls::Require, ALPN);
    carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
    let pieces: [&[u8]; 5] = [b"", b"labels", b"rows", b"", b"ready"];
    let (mut records, mut read) = (Vec::new(), Vec::new());
    client.seal(pieces.into_iter(), &mut records).unwrap();
    // Application data, the version, the length of all that follows (RFC 8446, 5.2).
    let length = u16::try_from(records.len() - 5).unwrap().to_be_bytes();
    assert_eq!(records[..5], [23, 3, 3, length[0], length[1]]);
    server.feed(&records, &mut |plain| read.extend_from_slice(plain)).unwrap();
    assert_eq!(read, b"labelsrowsready");
    records.clear();
    client.seal([&b""[..]].into_iter(), &mut records).unwrap();
    assert!(records.is_empty());
}

#[test]
fn nothing_is_sealed_before_the_handshake_is_done() {
    let authority = authority(&PKCS_ECDSA_P256_SHA256);
    let (mut client, _) = pair(&authority, &UpstreamTls::Require, ALPN);
    let refusal = client.seal([&b"select 1"[..]].into_iter(), &mut Vec::new()).unwrap_err();
    assert!(matches!(refusal, TlsError::TooEarly));
}

#[test]
fn the_end_point_binding_follows_the_signatures_hash() {
    for (algorithm, digest) in [
        (&PKCS_ECDSA_P256_SHA256, Some(&aws_lc_rs::digest::SHA256)),
        (&PKCS_ECDSA_P384_SHA384, Some(&aws_lc_rs::digest::SHA384)),
        (&PKCS_ED25519, None),
    ] {
        let authority = authority(algorithm);
        let (mut client, mut server) = pair(&authority, &UpstreamTls::Require, ALPN);
        carry(&mut client, &mut server, CHUNK_BYTES).unwrap();
        let der = client.peer_certificate_der().unwrap();
        let expected =
            digest.map(|digest| aws_lc_rs::digest::digest(digest, der).as_ref().to_vec());
        assert_eq!(client.peer_end_point(), expected);
        assert_eq!(server.peer_end_point(), None);
    }
    assert_eq!(server_end_point(b"not a certificate"), None);
}

#[test]
fn files_that_cannot_serve_are_refused_by_name() {
    let ours = authority(&PKCS_ECDSA_P256_SHA256);
    let theirs = authority(&PKCS_ECDSA_P256_SHA256);
    let empty = ours.folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let with = |cert: &Path, key: &Path| {
        let files = KeyPairFiles { cert: cert.to_owned(), key: key.to_owned() };
        server_config(&files, ALPN).unwrap_err()
    };
    let absent = ours.folder.path().join("absent.pem");
    assert!(
        matches!(with(&absent, &ours.files.key), TlsConfigError::Pem { path, .. } if path == absent)
    );
    let no_certificate = with(&empty, &ours.files.key);
    assert!(matches!(no_certificate, TlsConfigError::NoCertificate { path } if path == empty));
    let no_key = with(&ours.files.cert, &empty);
    assert!(matches!(no_key, TlsConfigError::Pem { path, .. } if path == empty));
    let mixed = with(&ours.files.cert, &theirs.files.key);
    assert!(matches!(mixed, TlsConfigError::KeyPair { .. }), "{mixed:?}");
}

#[test]
fn a_disabled_leg_has_no_configuration_and_a_name_must_be_one() {
    assert!(client_config(&UpstreamTls::Disable, None, ALPN).unwrap().is_none());
    assert!(server_name(&UpstreamTls::Require, "10.0.0.7").is_ok());
    let refusal = server_name(&UpstreamTls::Require, "not a name").unwrap_err();
    assert!(matches!(refusal, TlsConfigError::Name { .. }));
}
