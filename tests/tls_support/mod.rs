//! Certificates made on the spot, and a client that speaks TLS and says exactly what it is told to.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgspool::server::{TlsContext, TlsOptions};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::{PATIENCE, RawClient};

pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
pub const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x30];

/// A certificate and its key in PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

/// Somebody who signs.
pub struct Authority {
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self {
            certificate,
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, mut params: CertificateParams, name: &str) -> Issued {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        self.signed(&params)
    }

    /// For a server that is reached by these names.
    pub fn server(&self, names: &[&str]) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let first = names[0].clone();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, &first)
    }

    /// For a client of this name, with these parts of a name before it and these addresses.
    pub fn client_of(&self, name: &str, parts: &[(DnType, &str)], mails: &[&str]) -> Issued {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, part) in parts {
            params.distinguished_name.push(kind.clone(), *part);
        }
        params.distinguished_name.push(DnType::CommonName, name);
        for mail in mails {
            let mail = SanType::Rfc822Name((*mail).try_into().unwrap());
            params.subject_alt_names.push(mail);
        }
        self.signed(&params)
    }

    fn signed(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued {
            certificate,
            key: key.serialize_pem(),
        }
    }

    /// For a client of this name, up to the end of that year.
    pub fn client(&self, name: &str, last_year: i32) -> Issued {
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(last_year, 12, 31);
        self.issue(params, name)
    }
}

/// The files of a server in a folder, and the options that name them.
pub struct Files {
    pub folder: PathBuf,
    pub options: TlsOptions,
}

impl Files {
    pub fn write(folder: &Path, server: &Issued, clients: Option<&Authority>) -> Self {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        };
        write("server.crt", &server.certificate);
        write("server.key", &server.key);
        let mut options = TlsOptions {
            enabled: true,
            ..TlsOptions::default()
        };
        if let Some(authority) = clients {
            write("root.crt", &authority.certificate);
            options.ca_file = "root.crt".into();
        }
        Self {
            folder: folder.to_owned(),
            options,
        }
    }

    pub fn load(&self) -> TlsContext {
        TlsContext::load(&self.options, &self.folder)
            .unwrap()
            .unwrap()
    }
}

/// How a client does its handshake.
#[derive(Clone)]
pub struct Handshake {
    pub root: String,
    pub identity: Option<Issued>,
    pub alpn: Vec<&'static str>,
    pub host: &'static str,
    pub only_tls12: bool,
}

impl Handshake {
    /// Trusts that authority.
    pub fn trusting(authority: &Authority) -> Self {
        Self {
            root: authority.certificate.clone(),
            identity: None,
            alpn: vec!["postgresql"],
            host: "localhost",
            only_tls12: false,
        }
    }

    /// The same for a client that does its handshake itself.
    pub fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(self.root.as_bytes()).unwrap();
        roots.add(root).unwrap();
        let versions: &[_] = if self.only_tls12 {
            &[&TLS12]
        } else {
            &[&TLS12, &TLS13]
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
                builder
                    .with_client_auth_cert(chain.map(Result::unwrap).collect(), key)
                    .unwrap()
            }
        };
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        config
    }

    /// The client's side of the handshake on a stream; its error, if it fails.
    pub fn over(&self, stream: TcpStream) -> std::io::Result<TlsStream> {
        let host = ServerName::try_from(self.host).unwrap();
        let connection = ClientConnection::new(Arc::new(self.config()), host).unwrap();
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(TlsStream(stream))
    }

    /// Connects, asks for TLS and does the handshake.
    pub fn asked(&self, address: SocketAddr) -> std::io::Result<RawClient<TlsStream>> {
        let mut stream = connect(address);
        stream.write_all(&SSL_REQUEST).unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, *b"S");
        Ok(RawClient::over(self.over(stream)?))
    }

    /// Connects and begins with the handshake.
    pub fn direct(&self, address: SocketAddr) -> std::io::Result<RawClient<TlsStream>> {
        Ok(RawClient::over(self.over(connect(address))?))
    }
}

/// A connection that waits for no answer longer than tests do.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// An encrypted stream. The end of the bytes below it is its end too.
pub struct TlsStream(pub StreamOwned<ClientConnection, TcpStream>);

impl Read for TlsStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buf) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            other => other,
        }
    }
}

impl Write for TlsStream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
