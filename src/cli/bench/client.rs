//! A client as bare as can be: what it costs must not hide what the server costs.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A connection.
#[derive(Debug)]
pub(super) struct Client<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

/// One backend message: type byte and body.
pub(super) type Message = (u8, Vec<u8>);

impl Client {
    /// Connects with trust authentication and waits until the server is ready.
    pub(super) fn connect(
        address: SocketAddr,
        user: &str,
        database: &str,
        more: &[(&str, &str)],
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self::over(stream, &startup(user, database, more))?;
        client.until_ready()?;
        Ok(client)
    }
}

impl<S: Read + Write> Client<S> {
    /// Sends a startup packet and leaves the login to the caller.
    pub(super) fn over(mut stream: S, startup: &[u8]) -> io::Result<Self> {
        stream.write_all(startup)?;
        let buffer = Vec::new();
        Ok(Self { stream, buffer })
    }

    /// Runs one statement to its end.
    pub(super) fn query(&mut self, sql: &str) -> io::Result<()> {
        self.send_query(sql)?;
        self.until_ready()
    }

    /// The text that a statement answers: one row of one column.
    pub(super) fn value(&mut self, sql: &str) -> io::Result<String> {
        self.send_query(sql)?;
        let (_, row) = self.expect(b'D')?;
        self.until_ready()?;
        // Its count, its length, its text.
        let text = row.get(6..).unwrap_or_default();
        String::from_utf8(text.to_vec()).map_err(io::Error::other)
    }

    /// Sends one statement and leaves its answer to the caller.
    pub(super) fn send_query(&mut self, sql: &str) -> io::Result<()> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.send(b'Q', &body)
    }

    /// Copies `data` in with the COPY statement `sql`, in messages of `chunk` bytes.
    pub(super) fn copy_in(&mut self, sql: &str, data: &[u8], chunk: usize) -> io::Result<()> {
        self.send_query(sql)?;
        self.expect(b'G')?;
        for piece in data.chunks(chunk) {
            self.send(b'd', piece)?;
        }
        self.send(b'c', &[])?;
        self.until_ready()
    }

    /// Sends one message.
    pub(super) fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.push(kind);
        self.buffer.extend_from_slice(&length(body.len()));
        self.buffer.extend_from_slice(body);
        self.stream.write_all(&self.buffer)
    }

    /// Reads until a message of type `kind`; an error of the server is an error here.
    pub(super) fn expect(&mut self, kind: u8) -> io::Result<Message> {
        loop {
            let message = self.message()?;
            if message.0 == kind {
                return Ok(message);
            }
            if message.0 == b'E' {
                return Err(io::Error::other(
                    String::from_utf8_lossy(&message.1).into_owned(),
                ));
            }
        }
    }

    /// Reads until the server is ready for the next statement.
    pub(super) fn until_ready(&mut self) -> io::Result<()> {
        self.expect(b'Z').map(drop)
    }

    fn message(&mut self) -> io::Result<Message> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        let len = usize::try_from(u32::from_be_bytes(length).saturating_sub(4));
        let mut body = vec![0; len.map_err(io::Error::other)?];
        self.stream.read_exact(&mut body)?;
        Ok((kind, body))
    }

    /// What it runs over, for reading a stream without looking at it.
    pub(super) const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }
}

/// A startup packet.
pub(super) fn startup(user: &str, database: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in [("user", user), ("database", database)].iter().chain(more) {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    let mut packet = length(body.len()).to_vec();
    packet.append(&mut body);
    packet
}

/// A message's length word for a body of `len` bytes.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len.saturating_add(4))
        .unwrap_or(u32::MAX)
        .to_be_bytes()
}
