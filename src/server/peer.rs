//! Who is on the other end of a connection, as far as the connection itself tells.

use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Peer {
    /// Where the client is; `None` on a Unix socket.
    pub(super) client: Option<SocketAddr>,
    /// Where the server is; `None` on a Unix socket.
    pub(super) server: Option<SocketAddr>,
    /// The operating system's user on the other end of a Unix socket.
    pub(super) unix_uid: Option<u32>,
    /// How it is encrypted; `None`: it is not.
    pub(super) tls: Option<TlsPeer>,
}

/// What an encrypted connection tells.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsPeer {
    /// `TLSv1.2`, `TLSv1.3`
    pub(super) version: &'static str,
    /// As OpenSSL names it.
    pub(super) cipher: String,
    /// Length of the key.
    pub(super) bits: i32,
    /// The client's certificate in DER, signed by an authority that is trusted here.
    pub(super) client_certificate: Option<Vec<u8>>,
    /// The server's certificate in PEM, to which SCRAM may be bound.
    pub(super) server_certificate_pem: Vec<u8>,
}

impl Peer {
    /// The client's address without its port.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.client.map(|address| address.ip())
    }
}

/// `127.0.0.1:4711` or `[local]`
impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.client {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("[local]"),
        }
    }
}
