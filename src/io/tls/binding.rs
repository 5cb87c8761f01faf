//! Channel binding `tls-server-end-point` (RFC 5929 section 4.1). Knows which digest a certificate's
//! signature algorithm calls for.

use aws_lc_rs::digest::{self, Algorithm};
use x509_parser::oid_registry::{
    OID_HASH_SHA1, OID_NIST_HASH_SHA256, OID_NIST_HASH_SHA384, OID_NIST_HASH_SHA512,
    OID_PKCS1_MD5WITHRSAENC, OID_PKCS1_SHA1WITHRSA, OID_PKCS1_SHA224WITHRSA,
    OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA, OID_PKCS1_SHA512WITHRSA,
    OID_SIG_ECDSA_WITH_SHA224, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ECDSA_WITH_SHA512, Oid,
};
use x509_parser::parse_x509_certificate;
use x509_parser::signature_algorithm::SignatureAlgorithm;

/// The digest of a certificate, by the hash of its signature. `None` if it cannot be parsed or its
/// signature has no hash of its own (Ed25519): the RFC leaves the binding undefined there, and
/// PostgreSQL cannot check it either, so the login must go without.
#[must_use]
pub fn server_end_point(certificate_der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(certificate_der).ok()?;
    let signature = &certificate.signature_algorithm;
    let algorithm = by_signature(&signature.algorithm).or_else(|| {
        match SignatureAlgorithm::try_from(signature).ok()? {
            SignatureAlgorithm::RSASSA_PSS(parameters) => by_hash(parameters.hash_algorithm_oid()),
            SignatureAlgorithm::RSA
            | SignatureAlgorithm::RSAAES_OAEP(_)
            | SignatureAlgorithm::DSA
            | SignatureAlgorithm::ECDSA
            | SignatureAlgorithm::ED25519 => None,
        }
    })?;
    Some(digest::digest(algorithm, certificate_der).as_ref().to_vec())
}

/// MD5 and SHA-1 are replaced by SHA-256.
fn by_signature(signature: &Oid<'_>) -> Option<&'static Algorithm> {
    let known: [(&Oid<'_>, &'static Algorithm); 10] = [
        (&OID_PKCS1_MD5WITHRSAENC, &digest::SHA256),
        (&OID_PKCS1_SHA1WITHRSA, &digest::SHA256),
        (&OID_PKCS1_SHA224WITHRSA, &digest::SHA224),
        (&OID_PKCS1_SHA256WITHRSA, &digest::SHA256),
        (&OID_PKCS1_SHA384WITHRSA, &digest::SHA384),
        (&OID_PKCS1_SHA512WITHRSA, &digest::SHA512),
        (&OID_SIG_ECDSA_WITH_SHA224, &digest::SHA224),
        (&OID_SIG_ECDSA_WITH_SHA256, &digest::SHA256),
        (&OID_SIG_ECDSA_WITH_SHA384, &digest::SHA384),
        (&OID_SIG_ECDSA_WITH_SHA512, &digest::SHA512),
    ];
    known.into_iter().find(|(oid, _)| *oid == signature).map(|(_, algorithm)| algorithm)
}

/// The hash that RSA-PSS names in its parameters.
fn by_hash(hash: &Oid<'_>) -> Option<&'static Algorithm> {
    let known: [(&Oid<'_>, &'static Algorithm); 4] = [
        (&OID_HASH_SHA1, &digest::SHA256),
        (&OID_NIST_HASH_SHA256, &digest::SHA256),
        (&OID_NIST_HASH_SHA384, &digest::SHA384),
        (&OID_NIST_HASH_SHA512, &digest::SHA512),
    ];
    known.into_iter().find(|(oid, _)| *oid == hash).map(|(_, algorithm)| algorithm)
}
