//! From the first byte of a connection to its startup packet.
//!
//! Answers SSLRequest and GSSENCRequest, does the handshake, and hands on cancel requests and the
//! startup packet. Only bytes of the packet that is awaited may be there: a request with anything
//! behind it ends the connection unanswered, so that nothing sent before an encryption answer is
//! ever taken for something sent after it.

use std::time::Duration;

use super::access::Access;
use super::conn::Conn;
use super::peer::Peer;
use super::socket::Socket;
use super::startup::{Startup, parse_packet, unsupported_protocol};
use super::tls::{TlsContext, speaks_postgresql};
use crate::pgerror::PgError;

/// Code of an SSLRequest.
const SSL_REQUEST: u32 = 80_877_103;
/// Code of a GSSENCRequest.
const GSSENC_REQUEST: u32 = 80_877_104;
/// Code of a CancelRequest.
const CANCEL_REQUEST: u32 = 80_877_102;
/// Length of a request for encryption.
const ENCRYPTION_REQUEST: usize = 8;
/// The first byte of a handshake: a client that speaks TLS without asking first.
const HANDSHAKE: u8 = 0x16;

/// How the negotiation ended.
#[derive(Debug)]
pub(super) enum Negotiated {
    /// With a startup packet.
    Startup(Startup),
    /// With a cancel request: process id and key. The connection ends without an answer.
    Cancel(u32, u32),
    /// Without either; why, for the log.
    Dropped(String),
    /// Neither: the handshake failed; why, for the log.
    NotEncrypted(String),
    /// With an error that the client is told before the connection ends.
    Refused(PgError),
}

fn dropped(reason: &str) -> Negotiated {
    Negotiated::Dropped(reason.to_owned())
}

/// Carries a connection to its startup packet. `peer` learns of the encryption.
///
/// Not cancel-safe: a handshake that is given up takes the stream along.
pub(super) async fn negotiate(
    conn: &mut Conn<Socket>,
    peer: &mut Peer,
    access: &Access,
    wal_sender_timeout: Option<Duration>,
) -> std::io::Result<Negotiated> {
    let tls = access.tls();
    let (mut ssl_done, mut gss_done) = (false, false);
    if let Some(tls) = &tls
        && conn.peek().await? == Some(HANDSHAKE)
    {
        if let Err(end) = encrypt(conn, peer, tls, true).await {
            return Ok(end);
        }
        (ssl_done, gss_done) = (true, true);
    }
    loop {
        let (code, len) = match next_packet(conn).await? {
            Packet::Complete { code, len } => (code, len),
            Packet::Eof => return Ok(dropped("closed before its startup packet")),
            Packet::BadLength => {
                let error = PgError::fatal("08P01", "invalid length of startup packet");
                return Ok(Negotiated::Refused(error));
            }
        };
        let asked = match code {
            SSL_REQUEST => &mut ssl_done,
            GSSENC_REQUEST => &mut gss_done,
            CANCEL_REQUEST => return Ok(cancel_request(conn.buffered(), len)),
            _ => {
                let parsed = parse_packet(conn, code, len, wal_sender_timeout);
                conn.consume(len);
                return Ok(parsed.map_or_else(Negotiated::Refused, Negotiated::Startup));
            }
        };
        if len != ENCRYPTION_REQUEST || conn.buffered().len() != ENCRYPTION_REQUEST {
            return Ok(dropped("bytes behind an encryption request"));
        }
        if std::mem::replace(asked, true) {
            return Ok(Negotiated::Refused(unsupported_protocol(code)));
        }
        conn.consume(ENCRYPTION_REQUEST);
        let tls = tls
            .as_ref()
            .filter(|_| code == SSL_REQUEST && conn.is_tcp());
        conn.out.extend_from_slice(tls.map_or(b"N", |_| b"S"));
        conn.flush().await?;
        if let Some(tls) = tls {
            if let Err(end) = encrypt(conn, peer, tls, false).await {
                return Ok(end);
            }
            gss_done = true;
        }
    }
}

/// Does the handshake and has the connection go on over it. Nothing may have been read before.
async fn encrypt(
    conn: &mut Conn<Socket>,
    peer: &mut Peer,
    tls: &TlsContext,
    is_direct: bool,
) -> Result<(), Negotiated> {
    let Some(stream) = conn.take_tcp() else {
        return Err(dropped("something was sent before the handshake"));
    };
    match tls.accept(stream).await {
        Ok(stream) => {
            let connection = stream.get_ref().1;
            if is_direct && !speaks_postgresql(connection) {
                return Err(dropped(
                    "direct TLS without the protocol name postgresql (ALPN)",
                ));
            }
            peer.tls = Some(tls.describe(connection));
            conn.put_back(Socket::Tls(Box::new(stream)));
            Ok(())
        }
        Err(failed) => {
            // So that the alert is not lost with what the client sent behind its own words.
            conn.put_back(Socket::Tcp(failed.stream));
            conn.close_after_last_words().await;
            let reason = format!("could not accept SSL connection: {}", failed.error);
            Err(Negotiated::NotEncrypted(reason))
        }
    }
}

enum Packet {
    Complete { code: u32, len: usize },
    BadLength,
    Eof,
}

/// Waits until a whole packet is buffered. Its length is checked as soon as it is there.
async fn next_packet(conn: &mut Conn<Socket>) -> std::io::Result<Packet> {
    loop {
        if let Some(len) = be_u32(conn.buffered(), 0) {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if !(8..=conn.max_message()).contains(&len) {
                return Ok(Packet::BadLength);
            }
            if conn.buffered().len() >= len
                && let Some(code) = be_u32(conn.buffered(), 4)
            {
                return Ok(Packet::Complete { code, len });
            }
        }
        if conn.fill().await? == 0 {
            return Ok(Packet::Eof);
        }
    }
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_be_bytes(*word))
}

fn cancel_request(packet: &[u8], len: usize) -> Negotiated {
    match (len, be_u32(packet, 8), be_u32(packet, 12)) {
        (16, Some(pid), Some(key)) => Negotiated::Cancel(pid, key),
        _ => dropped("cancel request of a wrong length"),
    }
}
