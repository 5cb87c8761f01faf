//! A certificate authority for one run: the gateway's, the servers' and the clients' certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::support::process::Scratch;

pub struct Pki {
    scratch: Scratch,
    issuer: Issuer<'static, KeyPair>,
    /// One at a time: a certificate that somebody uses must not change under its reader.
    issuing: Mutex<()>,
}

/// PEM files.
#[derive(Clone, Debug)]
pub struct KeyPairFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Pki {
    pub fn new() -> Self {
        let scratch = Scratch::new("pki");
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Narrows test authority");
        let certificate = params.self_signed(&key).unwrap();
        fs::write(scratch.join("ca.pem"), certificate.pem()).unwrap();
        open_to_all(scratch.path());
        Self { scratch, issuer: Issuer::new(params, key), issuing: Mutex::new(()) }
    }

    pub fn ca(&self) -> PathBuf {
        self.scratch.join("ca.pem")
    }

    /// A file beside the certificates, for its owner alone.
    pub fn secret(&self, name: &str, secret: &str) -> PathBuf {
        let _issuing = self.issuing.lock().unwrap();
        let file = self.scratch.join(name);
        if !file.exists() {
            fs::write(&file, secret).unwrap();
            close_to_others(&file);
        }
        file
    }

    /// A certificate for this machine's loopback names.
    pub fn server(&self, name: &str) -> KeyPairFiles {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "localhost");
        self.issue(name, &params)
    }

    /// A certificate whose common name is a database role.
    pub fn client(&self, role: &str) -> KeyPairFiles {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, role);
        self.issue(role, &params)
    }

    fn issue(&self, name: &str, params: &CertificateParams) -> KeyPairFiles {
        let _issuing = self.issuing.lock().unwrap();
        let files = KeyPairFiles {
            cert: self.scratch.join(&format!("{name}.pem")),
            key: self.scratch.join(&format!("{name}.key")),
        };
        if files.key.exists() {
            return files;
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(&files.cert, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        close_to_others(&files.key);
        files
    }
}

/// Another user, the one that servers run as, may enter.
pub fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Secrets are their owner's alone: the servers insist on it.
fn close_to_others(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
