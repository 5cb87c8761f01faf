//! Files to TLS configurations. Knows PEM, versions and what each side checks; the crypto provider
//! is named here and nowhere else, so that no process-wide default decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

use crate::io::tls::verifier::AnyServer;
use crate::model::target::{KeyPairFiles, UpstreamTls};

/// What keeps a configuration from being built. Display names the file; the source says what is
/// wrong in it.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("{} cannot be read as PEM", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("certificate {} and key {} cannot be used together", cert.display(), key.display())]
    KeyPair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{} holds a certificate that cannot be trusted as a root", path.display())]
    Root { path: PathBuf, source: rustls::Error },
    #[error("the system has no trusted root certificates; name a `ca` file")]
    NoSystemRoots,
    #[error("{name:?} is neither a host name nor an address, so no certificate can bear it")]
    Name { name: String },
    #[error("the crypto provider does not support the TLS versions")]
    Provider { source: rustls::Error },
}

/// Terminates TLS with this certificate. `alpn` is agreed on where the client offers it; a client
/// that offers none is accepted, and the caller judges by `Tls::alpn`.
pub fn server_config(
    files: &KeyPairFiles,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let (chain, key) = key_pair(files)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsConfigError::Provider { source })?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| refused(files, source))?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // Tickets resume sessions on every worker without a store that workers would share.
    config.ticketer =
        aws_lc_rs::Ticketer::new().map_err(|source| TlsConfigError::Provider { source })?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// Reaches a target as its `tls` setting demands. `None` where it demands none.
pub fn client_config(
    tls: &UpstreamTls,
    client_cert: Option<&KeyPairFiles>,
    alpn: &[&[u8]],
) -> Result<Option<Arc<ClientConfig>>, TlsConfigError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)
        .map_err(|source| TlsConfigError::Provider { source })?;
    let builder = match tls {
        UpstreamTls::Disable => return Ok(None),
        UpstreamTls::Require => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer::new(provider()))),
        UpstreamTls::VerifyFull { ca, .. } => builder.with_root_certificates(roots(ca.as_deref())?),
    };
    let mut config = match client_cert {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = key_pair(files)?;
            builder.with_client_auth_cert(chain, key).map_err(|source| refused(files, source))?
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Some(Arc::new(config)))
}

/// The name that the target's certificate must bear, and that is asked for: the configured one, or
/// else the host.
pub fn server_name(tls: &UpstreamTls, host: &str) -> Result<ServerName<'static>, TlsConfigError> {
    let name = match tls {
        UpstreamTls::VerifyFull { name: Some(name), .. } => name,
        UpstreamTls::VerifyFull { name: None, .. }
        | UpstreamTls::Require
        | UpstreamTls::Disable => host,
    };
    ServerName::try_from(name.to_owned())
        .map_err(|_| TlsConfigError::Name { name: name.to_owned() })
}

type Chain = Vec<CertificateDer<'static>>;

fn key_pair(files: &KeyPairFiles) -> Result<(Chain, PrivateKeyDer<'static>), TlsConfigError> {
    let chain = certificates(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| TlsConfigError::Pem { path: files.key.clone(), source })?;
    Ok((chain, key))
}

fn certificates(path: &Path) -> Result<Chain, TlsConfigError> {
    let unreadable = |source| TlsConfigError::Pem { path: path.to_owned(), source };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<Chain, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsConfigError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsConfigError> {
    let mut store = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates(path)? {
                store
                    .add(certificate)
                    .map_err(|source| TlsConfigError::Root { path: path.to_owned(), source })?;
            }
        }
        None => {
            // Systems carry roots that cannot be parsed; the others are enough.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(TlsConfigError::NoSystemRoots);
            }
        }
    }
    Ok(store)
}

fn refused(files: &KeyPairFiles, source: rustls::Error) -> TlsConfigError {
    TlsConfigError::KeyPair { cert: files.cert.clone(), key: files.key.clone(), source }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// 1.2 stays for drivers that ship an old stack.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
