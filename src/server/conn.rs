//! One connection's bytes: the stream, what was read and not yet used, what waits to be written.
//!
//! Nothing is decoded before the type-and-length guard of the present [`Phase`] let it pass, so a
//! peer can make the server hold no more than that phase's limit. It knows messages, not what
//! they mean. Reads are cancel-safe: bytes land in the buffer or stay in the socket.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::socket::Socket;
use crate::pgerror::PgError;

/// The largest startup packet, its length field included, unless a setting says another.
pub(super) const MAX_STARTUP: usize = 10_000;
/// The largest message of a client that is not known yet: PostgreSQL's limit.
pub(super) const MAX_PROOF: usize = 65_535;
/// The largest message of the command phase, its length field included, unless a setting says
/// another.
pub(super) const MAX_COMMAND: usize = 1 << 20;
/// The largest standby message; PostgreSQL's are at most 38 bytes.
pub(super) const MAX_STANDBY: usize = 8 << 10;
/// PostgreSQL's limit for one CopyData message. Its body is taken piece by piece.
pub(super) const MAX_COPY_DATA: usize = 0x3FFF_FFFF;

/// Type byte and length field.
const HEADER: usize = 5;
/// How long a client has to read the last words of a connection.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Room made before each read of a client that sends much.
const READ_CHUNK: usize = 64 << 10;
/// How many pieces of memory one write takes at most.
const WRITE_SLICES: usize = 64;
/// What is read at once of a client that does not: no buffer waits for it.
const SMALL_READ: usize = 4 << 10;

/// What the server is ready to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waiting for the proof of who the client is.
    Authentication,
    /// Waiting for a command.
    Command,
    /// The same on a replication connection, which has no extended protocol.
    ReplicationCommand,
    /// Inside COPY FROM STDIN.
    CopyIn,
}

/// What to do with a message that passed the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    /// Wait for the whole of it.
    Buffer,
    /// Throw its body away as it comes.
    Discard,
    /// Hand its body on as it comes.
    Stream,
}

/// The guard: may a message of this type and length (length field included) come now? What is
/// held of one is at most `max` long.
fn admit(phase: Phase, tag: u8, len: usize, max: usize) -> Result<Treatment, PgError> {
    use Phase::{Command, ReplicationCommand};
    let (lengths, treatment) = match (phase, tag) {
        (Command | ReplicationCommand, b'Q') => (5..=max, Treatment::Buffer),
        (Command | ReplicationCommand, b'X' | b'S' | b'H' | b'c') => (4..=4, Treatment::Discard),
        (Command, b'P' | b'B' | b'D' | b'E' | b'C') => (4..=max, Treatment::Buffer),
        (Command, b'F') | (ReplicationCommand, b'P' | b'B' | b'D' | b'E' | b'C' | b'F') => {
            (4..=max, Treatment::Discard)
        }
        // What a client still sends of a COPY or stream that ended with an error here.
        (Command | ReplicationCommand, b'd' | b'f') => (4..=MAX_COPY_DATA, Treatment::Discard),
        (Phase::Authentication, b'p') => (4..=MAX_PROOF, Treatment::Buffer),
        (Phase::Authentication, _) => {
            let message = format!("expected SASL response, got message type {tag}");
            return Err(PgError::fatal("08P01", message));
        }
        (Phase::CopyIn, b'd') => (4..=MAX_COPY_DATA, Treatment::Stream),
        (Phase::CopyIn, b'c' | b'X' | b'S' | b'H') => (4..=4, Treatment::Discard),
        (Phase::CopyIn, b'f') => (5..=max, Treatment::Buffer),
        (Command | ReplicationCommand, _) => {
            let message = format!("invalid frontend message type {tag}");
            return Err(PgError::fatal("08P01", message));
        }
        (Phase::CopyIn, _) => {
            let message = format!("unexpected message type 0x{tag:02X} during COPY from stdin");
            return Err(PgError::fatal("08P01", message));
        }
    };
    if lengths.contains(&len) {
        Ok(treatment)
    } else {
        Err(PgError::fatal("08P01", "invalid message length"))
    }
}

/// A message of the command phase.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Its type.
    pub(super) tag: u8,
    /// Its body; empty for those whose body nobody reads.
    pub(super) body: Bytes,
}

/// What came of COPY data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CopyInput {
    /// All that was read is used up, or the given limit is reached.
    Data,
    /// CopyDone.
    Done,
    /// CopyFail with the client's words.
    Fail(String),
    /// Terminate.
    Terminate,
}

/// Why no further message can be read.
#[derive(Debug)]
pub(super) enum Broken {
    /// The client closed the connection.
    Closed,
    /// The socket failed.
    Io(io::Error),
    /// The guard refused a message; the error is for the client, then the connection ends.
    Refused(PgError),
}

/// A byte stream with its buffers.
#[derive(Debug)]
pub(super) struct Conn<S> {
    io: S,
    input: BytesMut,
    /// The last read brought as much as it could.
    sends_much: bool,
    /// Something was written and not flushed.
    unflushed: bool,
    /// Body bytes of the message being streamed or discarded that are still to come.
    body_left: usize,
    /// The largest message that is held, its length field included.
    max_message: usize,
    /// A message could not be put into `out`.
    pub(super) is_unsendable: bool,
    /// What is written at the next [`Conn::flush`].
    pub(super) out: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    /// Takes a fresh stream.
    pub(super) fn new(io: S) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            sends_much: false,
            unflushed: false,
            body_left: 0,
            max_message: MAX_STARTUP,
            is_unsendable: false,
            out: BytesMut::new(),
        }
    }

    /// The largest message that is held.
    pub(super) const fn max_message(&self) -> usize {
        self.max_message
    }

    /// Holds messages up to this length from now on.
    pub(super) const fn set_max_message(&mut self, max_message: usize) {
        self.max_message = max_message;
    }

    /// Reads once; 0 is the end of the stream. Cancel-safe.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Reads once if something is there already.
    pub(super) async fn fill_now(&mut self) -> Option<io::Result<usize>> {
        poll_fn(|cx| match self.poll_fill(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// [`Conn::fill`] for a poll loop. A connection that waits holds no room to read into.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = if self.sends_much {
            self.poll_read_much(cx)
        } else {
            self.poll_read_little(cx)
        };
        if read.is_pending() {
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            if self.out.is_empty() {
                self.out = BytesMut::new();
            }
        }
        read
    }

    fn poll_read_much(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(READ_CHUNK);
        // No more, whatever room there is: who reads in order to use a little at a time would
        // otherwise hold ever more.
        let mut room = (&mut self.input).limit(READ_CHUNK);
        let read = std::pin::pin!(self.io.read_buf(&mut room)).poll(cx);
        if let Poll::Ready(Ok(num_bytes)) = read {
            self.sends_much = num_bytes >= SMALL_READ;
        }
        read
    }

    fn poll_read_little(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); SMALL_READ];
        let mut room = ReadBuf::uninit(&mut room);
        Pin::new(&mut self.io)
            .poll_read(cx, &mut room)
            .map_ok(|()| {
                self.input.extend_from_slice(room.filled());
                self.sends_much = room.remaining() == 0;
                room.filled().len()
            })
    }

    /// Writes once from the front of `bytes` and removes what was written.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
        let num_slices = bytes.chunks_vectored(&mut slices);
        let slices = slices.get(..num_slices).unwrap_or_default();
        Pin::new(&mut self.io)
            .poll_write_vectored(cx, slices)
            .map(|written| match written {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(num_bytes) => {
                    bytes.advance(num_bytes);
                    self.unflushed = true;
                    Ok(())
                }
                Err(error) => Err(error),
            })
    }

    /// Moves on what [`Conn::poll_write`] took and an encrypted stream may still hold.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.unflushed = flushed.is_pending();
        flushed
    }

    /// Completes when the client closed the connection; keeps what it sends before that.
    pub(super) async fn hung_up(&mut self) {
        while self.input.len() < MAX_COMMAND {
            match self.fill().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }

    /// Writes everything in the out-buffer.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            if self.io.write_buf(&mut self.out).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        self.io.flush().await
    }

    /// Writes everything and waits a moment for the client to read it: closing a socket with
    /// unread input in it would take the client's last words away.
    pub(super) async fn close_after_last_words(&mut self) {
        let last_words = async {
            self.flush().await?;
            self.io.shutdown().await?;
            let mut left = MAX_COMMAND;
            while left > 0 {
                self.input.clear();
                match self.fill().await? {
                    0 => break,
                    num_bytes => left = left.saturating_sub(num_bytes),
                }
            }
            Ok::<(), io::Error>(())
        };
        // Whether the client heard them is the client's matter.
        let _heard = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    /// Tells the client that nothing more comes. One that does not listen is not waited for.
    pub(super) async fn close(&mut self) {
        // The peer may be gone already; there is nobody left to tell.
        let _gone = tokio::time::timeout(LAST_WORDS, self.io.shutdown()).await;
    }

    /// What was read and not used yet.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.input
    }

    /// Drops `num_bytes` from the front of what was read.
    pub(super) fn consume(&mut self, num_bytes: usize) {
        self.input.advance(num_bytes.min(self.input.len()));
    }

    /// The type and length field of the message at the front. The length is as the client sent
    /// it: nothing is checked yet.
    pub(super) fn peek_header(&self) -> Option<(u8, usize)> {
        let header = self.input.first_chunk::<HEADER>()?;
        let [tag, length @ ..] = *header;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        Some((tag, length))
    }

    /// The body of the message at the front, once all of it is here.
    pub(super) fn peek_body(&self, len: usize) -> Option<&[u8]> {
        self.input.get(HEADER..len.checked_add(1)?)
    }

    /// The next message, waiting for it.
    pub(super) async fn read_message(&mut self, phase: Phase) -> Result<Incoming, Broken> {
        loop {
            if let Some(message) = self.next_message(phase).map_err(Broken::Refused)? {
                return Ok(message);
            }
            match self.fill().await {
                Ok(0) => return Err(Broken::Closed),
                Ok(_) => {}
                Err(error) => return Err(Broken::Io(error)),
            }
        }
    }

    /// The next message, if all that is to be had of it is here.
    pub(super) fn next_message(&mut self, phase: Phase) -> Result<Option<Incoming>, PgError> {
        if std::mem::take(&mut self.is_unsendable) {
            return Err(PgError::fatal("XX000", "an answer was too long to be sent"));
        }
        self.discard_body();
        let Some((tag, len)) = self.peek_header().filter(|_| self.body_left == 0) else {
            return Ok(None);
        };
        match admit(phase, tag, len, self.max_message)? {
            Treatment::Buffer => {
                if self.peek_body(len).is_none() {
                    return Ok(None);
                }
                self.consume(HEADER);
                let body = self.input.split_to(len.saturating_sub(4)).freeze();
                Ok(Some(Incoming { tag, body }))
            }
            Treatment::Discard | Treatment::Stream => {
                self.consume(HEADER);
                self.body_left = len.saturating_sub(4);
                let body = Bytes::new();
                Ok(Some(Incoming { tag, body }))
            }
        }
    }

    fn discard_body(&mut self) {
        let num_bytes = self.body_left.min(self.input.len());
        self.input.advance(num_bytes);
        self.body_left -= num_bytes;
    }

    /// Moves COPY data from the messages at the front to `into`, until that holds `limit` bytes.
    pub(super) fn take_copy_data(
        &mut self,
        into: &mut BytesMut,
        limit: usize,
    ) -> Result<CopyInput, PgError> {
        loop {
            let num_bytes = self.body_left.min(self.input.len());
            let (body, _) = self.input.split_at(num_bytes);
            into.extend_from_slice(body);
            self.discard_body();
            if self.body_left > 0 || into.len() >= limit {
                return Ok(CopyInput::Data);
            }
            let Some((tag, len)) = self.peek_header() else {
                return Ok(CopyInput::Data);
            };
            match (admit(Phase::CopyIn, tag, len, self.max_message)?, tag) {
                (Treatment::Stream, _) => {
                    self.consume(HEADER);
                    self.body_left = len.saturating_sub(4);
                }
                (Treatment::Buffer, _) => {
                    let Some(body) = self.peek_body(len) else {
                        return Ok(CopyInput::Data);
                    };
                    let words = text_of(body).unwrap_or_default().to_owned();
                    self.consume(len.saturating_add(1));
                    return Ok(CopyInput::Fail(words));
                }
                (Treatment::Discard, b'c') => {
                    self.consume(HEADER);
                    return Ok(CopyInput::Done);
                }
                (Treatment::Discard, b'X') => return Ok(CopyInput::Terminate),
                // Flush and Sync mean nothing here.
                (Treatment::Discard, _) => self.consume(HEADER),
            }
        }
    }
}

impl Conn<Socket> {
    /// The client's first byte, if nothing was read yet and the stream can be looked at.
    pub(super) async fn peek(&self) -> io::Result<Option<u8>> {
        self.io.peek().await
    }

    /// Whether it is TCP that is not encrypted.
    pub(super) const fn is_tcp(&self) -> bool {
        matches!(self.io, Socket::Tcp(_))
    }

    /// The TCP stream for a handshake; until another is put back nothing can be read or written.
    /// `None` when it is none, or when something was read that nobody used.
    pub(super) fn take_tcp(&mut self) -> Option<TcpStream> {
        if !self.input.is_empty() {
            return None;
        }
        self.io.take_tcp()
    }

    /// Goes on with this stream.
    pub(super) fn put_back(&mut self, io: Socket) {
        self.io = io;
    }
}

/// The text of a body that is one zero-terminated string in UTF-8.
pub(super) fn text_of(body: &[u8]) -> Option<&str> {
    let end = memchr::memchr(0, body)?;
    std::str::from_utf8(body.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_admits_only_what_the_phase_expects() {
        use Phase::{Authentication, Command, CopyIn};
        for (phase, tag, len, admitted) in [
            (Authentication, b'p', 3, false),
            (Authentication, b'p', 4, true),
            (Authentication, b'p', MAX_PROOF, true),
            (Authentication, b'p', MAX_PROOF + 1, false),
            (Authentication, b'Q', 5, false),
            (Authentication, b'X', 4, false),
            (Authentication, b'd', 3, false),
            (Command, b'Q', 4, false),
            (Command, b'Q', 5, true),
            (Command, b'Q', MAX_COMMAND, true),
            (Command, b'Q', MAX_COMMAND + 1, false),
            (Command, b'X', 4, true),
            (Command, b'X', 5, false),
            (Command, b'd', 3, false),
            (Command, b'd', 4, true),
            (Command, b'd', MAX_COPY_DATA + 1, false),
            (Command, b'P', 4, true),
            (Command, b'p', 8, false),
            (Command, 0, 8, false),
            (CopyIn, b'd', 4, true),
            (CopyIn, b'd', 0, false),
            (CopyIn, b'Q', 9, false),
            (CopyIn, b'f', 4, false),
            (CopyIn, b'c', 4, true),
        ] {
            assert_eq!(
                admit(phase, tag, len, MAX_COMMAND).is_ok(),
                admitted,
                "{phase:?} {tag} {len}"
            );
        }
    }

    #[tokio::test]
    async fn a_read_brings_no_more_than_its_share() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut conn = Conn::new(server);
        client.write_all(&vec![7; 1 << 20]).await.unwrap();
        conn.input.reserve(1 << 20);
        let mut read = 0;
        while read < 1 << 20 {
            let num_bytes = conn.fill().await.unwrap();
            assert!(num_bytes <= READ_CHUNK, "{num_bytes}");
            read += num_bytes;
        }
    }

    #[tokio::test]
    async fn discarded_bodies_are_never_held() {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let mut conn = Conn::new(server);
        let writer = tokio::spawn(async move {
            let mut message = vec![b'd'];
            message.extend_from_slice(&(1_000_004_u32).to_be_bytes());
            message.extend_from_slice(&vec![7; 1_000_000]);
            message.extend_from_slice(b"Q\0\0\0\x0aSHOW \0");
            client.write_all(&message).await.unwrap();
        });
        let first = conn.read_message(Phase::Command).await.unwrap();
        assert_eq!((first.tag, first.body.len()), (b'd', 0));
        let second = conn.read_message(Phase::Command).await.unwrap();
        assert_eq!((second.tag, &*second.body), (b'Q', &b"SHOW \0"[..]));
        assert!(conn.input.capacity() < 300_000);
        writer.await.unwrap();
    }
}
