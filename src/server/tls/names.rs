//! What connections are called elsewhere: ciphers as OpenSSL writes them, names of certificates as
//! `pg_stat_ssl` does.

use tokio_rustls::rustls::CipherSuite;
use x509_parser::objects::{oid_registry, oid2abbrev, oid2sn};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::X509Name;

use crate::catalog::{ClientCertificate, SessionTls};
use crate::server::peer::TlsPeer;

/// OpenSSL's names of the cipher suites that there are, and the lengths of their keys.
const SUITES: [(CipherSuite, &str, i32); 9] = [
    (
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_AES_128_GCM_SHA256",
        128,
    ),
    (
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_256_GCM_SHA384",
        256,
    ),
    (
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256",
        256,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        128,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        256,
    ),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        256,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256",
        128,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES256-GCM-SHA384",
        256,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305",
        256,
    ),
];

/// OpenSSL's name of a cipher suite, and the length of its key.
pub(super) fn openssl(suite: CipherSuite) -> (&'static str, i32) {
    let known = SUITES.iter().find(|(known, _, _)| *known == suite);
    let unknown = || (suite.as_str().unwrap_or_default(), 0);
    known.map_or_else(unknown, |(_, name, bits)| (name, *bits))
}

impl TlsPeer {
    /// What `pg_stat_ssl` shows of it.
    pub(in crate::server) fn shown(&self) -> SessionTls {
        SessionTls {
            version: self.version,
            cipher: self.cipher.clone(),
            bits: self.bits,
            client: self.client_certificate.as_deref().and_then(client),
        }
    }
}

/// What is shown of a certificate in DER.
fn client(der: &[u8]) -> Option<ClientCertificate> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(ClientCertificate {
        subject: slashed(certificate.subject()),
        serial: certificate.serial.to_string(),
        issuer: slashed(certificate.issuer()),
    })
}

/// `/C=DE/O=Example/CN=ann`
fn slashed(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type();
        let short = oid2abbrev(oid, oid_registry()).or_else(|_| oid2sn(oid, oid_registry()));
        text.push('/');
        text.push_str(&short.map_or_else(|_| oid.to_id_string(), str::to_owned));
        text.push('=');
        text.push_str(attribute.as_str().unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::crypto::ring;

    use super::*;

    #[test]
    fn every_cipher_that_is_offered_has_its_name() {
        for suite in ring::ALL_CIPHER_SUITES {
            let (name, bits) = openssl(suite.suite());
            assert!(bits > 0 && !name.contains("WITH"), "{suite:?}");
        }
    }
}
