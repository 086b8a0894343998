//! Encrypted connections: what the server shows, the handshake, and what it tells of the client.
//!
//! A [`TlsContext`] is made of files and never changes; a reload makes another one, which counts
//! for the next handshake. Nothing of a session outlives its connection: there are no tickets.

mod files;
mod names;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ServerConnection, VerifierBuilderError, WebPkiClientVerifier,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    self, ProtocolVersion, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use tokio_rustls::server::TlsStream;

use super::peer::TlsPeer;

/// The protocol's name in a handshake (ALPN).
const ALPN: &[u8] = b"postgresql";

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLSv1.2
    V12,
    /// TLSv1.3
    V13,
}

/// How connections may be encrypted. Relative paths start at the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsOptions {
    /// `ssl`
    pub enabled: bool,
    /// `ssl_cert_file`: the server's certificate, the ones between it and its root behind it.
    pub cert_file: PathBuf,
    /// `ssl_key_file`: the key of that certificate.
    pub key_file: PathBuf,
    /// `ssl_ca_file`: who signs client certificates; empty: clients are not asked for one.
    pub ca_file: PathBuf,
    /// `ssl_min_protocol_version`
    pub min_version: TlsVersion,
    /// `ssl_max_protocol_version`; `None`: the newest there is.
    pub max_version: Option<TlsVersion>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            enabled: false,
            cert_file: "server.crt".into(),
            key_file: "server.key".into(),
            ca_file: PathBuf::new(),
            min_version: TlsVersion::V12,
            max_version: None,
        }
    }
}

/// Why connections cannot be encrypted as the options say.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate is missing or is none.
    #[error("could not load server certificate file \"{path}\": {reason}")]
    Certificate {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is missing or is none.
    #[error("could not load private key file \"{path}\": {reason}")]
    Key {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The authorities are missing or are none.
    #[error("could not load root certificate file \"{path}\": {reason}")]
    Authorities {
        /// Which file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not that of the certificate, or they cannot be used.
    #[error("certificate and private key cannot be used")]
    Pair(#[source] rustls::Error),
    /// Client certificates cannot be checked with these authorities.
    #[error("client certificates cannot be verified")]
    Verifier(#[source] VerifierBuilderError),
    /// No version lies between the least and the greatest.
    #[error("\"ssl_min_protocol_version\" cannot be higher than \"ssl_max_protocol_version\"")]
    VersionRange,
}

/// What the server shows in a handshake.
pub struct TlsContext {
    acceptor: TlsAcceptor,
    /// The server's own certificate.
    certificate_pem: Vec<u8>,
}

impl std::fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsContext")
    }
}

/// Why there is no encrypted connection, and the stream that the client may still be told on.
#[derive(Debug)]
pub(super) struct HandshakeFailed {
    pub(super) error: io::Error,
    pub(super) stream: TcpStream,
}

impl TlsContext {
    /// Reads the files that `options` name; `None` when connections are not to be encrypted.
    ///
    /// # Errors
    ///
    /// When a file is missing, holds something else, does not fit the others, or when the key can
    /// be read by others.
    pub fn load(options: &TlsOptions, data: &Path) -> Result<Option<Self>, TlsError> {
        if !options.enabled {
            return Ok(None);
        }
        let (chain, certificate_pem) = files::certificates(&data.join(&options.cert_file))?;
        let key = files::private_key(&data.join(&options.key_file))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&options.versions()?)
            .map_err(TlsError::Pair)?;
        let builder = if options.ca_file.as_os_str().is_empty() {
            builder.with_no_client_auth()
        } else {
            let roots = files::authorities(&data.join(&options.ca_file))?;
            builder.with_client_cert_verifier(client_verifier(roots, provider)?)
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.ignore_client_order = true;
        // A resumed session would bring back a client certificate that nobody checked again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Some(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate_pem,
        }))
    }

    /// The server's side of a handshake on a stream from which nothing was read yet.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Box<HandshakeFailed>> {
        let accepted = self.acceptor.accept(stream).into_fallible().await;
        accepted.map_err(|(error, stream)| Box::new(HandshakeFailed { error, stream }))
    }

    /// What a finished handshake tells.
    pub(super) fn describe(&self, connection: &ServerConnection) -> TlsPeer {
        let suite = connection.negotiated_cipher_suite();
        let (cipher, bits) = suite.map_or(("", 0), |suite| names::openssl(suite.suite()));
        let chain = connection.peer_certificates().unwrap_or_default();
        TlsPeer {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "",
            },
            cipher: cipher.to_owned(),
            bits,
            client_certificate: chain.first().map(|certificate| certificate.to_vec()),
            server_certificate_pem: self.certificate_pem.clone(),
        }
    }
}

/// Whether both sides said that they speak PostgreSQL's protocol.
pub(super) fn speaks_postgresql(connection: &ServerConnection) -> bool {
    connection.alpn_protocol() == Some(ALPN)
}

impl TlsOptions {
    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
        let max = self.max_version.unwrap_or(TlsVersion::V13);
        let all = [(TlsVersion::V13, &TLS13), (TlsVersion::V12, &TLS12)];
        let allowed = all.into_iter().filter(|(version, _)| {
            let (least, most) = (self.min_version, max);
            (least..=most).contains(version)
        });
        let versions: Vec<_> = allowed.map(|(_, supported)| supported).collect();
        if versions.is_empty() {
            return Err(TlsError::VersionRange);
        }
        Ok(versions)
    }
}

/// Asks for a certificate and takes none for an answer: whether one is needed is the rules'
/// business. One that is shown must be good.
fn client_verifier(
    roots: RootCertStore,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build()
        .map_err(TlsError::Verifier)
}
