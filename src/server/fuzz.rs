//! What a peer may send, fed from memory.

use std::cell::RefCell;
use std::sync::LazyLock;

use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};

use super::conn::{Broken, Conn, CopyInput, Phase};
use super::peer::Peer;
use super::socket::Socket;
use super::{Access, auth, extended, lexer, negotiation};

/// More than any input; answers fit too.
const ROOM: usize = 1 << 20;
/// More than any startup packet, less than a socket holds.
const SOCKET_ROOM: usize = 32 << 10;

/// What SCRAM is bound to.
static CERTIFICATE: LazyLock<String> = LazyLock::new(|| {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    own.expect("a certificate").cert.pem()
});

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread().enable_all().build().expect("a runtime"),
    );
}

/// A connection on which these bytes came, and then its end.
async fn conn_of(bytes: &[u8]) -> (Conn<DuplexStream>, DuplexStream) {
    let (mut client, server) = tokio::io::duplex(ROOM);
    let bytes = bytes.get(..ROOM / 2).unwrap_or(bytes);
    client.write_all(bytes).await.expect("room for it");
    client.shutdown().await.expect("open until here");
    (Conn::new(server), client)
}

/// From the first byte of a connection to its startup packet.
pub(crate) fn startup(bytes: &[u8]) {
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let (mut client, server) = UnixStream::pair().expect("two descriptors");
            let bytes = bytes.get(..SOCKET_ROOM).unwrap_or(bytes);
            client.write_all(bytes).await.expect("room for it");
            client.shutdown().await.expect("open until here");
            let mut conn = Conn::new(Socket::Unix(server));
            let (mut peer, access) = (Peer::default(), Access::default());
            let _refused = negotiation::negotiate(&mut conn, &mut peer, &access, None).await;
        });
    });
}

/// Messages behind the startup, in the phase that the first byte picks; its third bit says whether
/// the connection is encrypted.
pub(crate) fn frontend(bytes: &[u8]) {
    let Some((phase, messages)) = bytes.split_first() else {
        return;
    };
    let is_encrypted = phase & 4 != 0;
    let phase = match phase % 4 {
        0 => Phase::Command,
        1 => Phase::ReplicationCommand,
        2 => Phase::CopyIn,
        _ => Phase::Authentication,
    };
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            let (mut conn, _client) = conn_of(messages).await;
            match phase {
                Phase::Authentication => {
                    let pem = is_encrypted.then(|| CERTIFICATE.as_str());
                    auth::prove_stranger(&mut conn, pem).await;
                }
                Phase::CopyIn => copy(&mut conn).await,
                Phase::Command | Phase::ReplicationCommand => {
                    while read(&mut conn, phase).await.is_ok() {}
                }
            }
        });
    });
}

async fn read(conn: &mut Conn<DuplexStream>, phase: Phase) -> Result<(), Broken> {
    let message = conn.read_message(phase).await?;
    let body = message.body;
    match message.tag {
        b'P' => drop(extended::parse(body)),
        b'B' => drop(extended::bind(body)),
        b'E' => drop(extended::execute(body)),
        b'D' => drop(extended::target(body, "DESCRIBE")),
        b'C' => drop(extended::target(body, "CLOSE")),
        _ => {}
    }
    Ok(())
}

async fn copy(conn: &mut Conn<DuplexStream>) {
    let mut data = bytes::BytesMut::new();
    loop {
        match conn.take_copy_data(&mut data, 1 << 16) {
            Ok(CopyInput::Data) => {}
            Ok(CopyInput::Done | CopyInput::Fail(_) | CopyInput::Terminate) | Err(_) => return,
        }
        data.clear();
        if conn.fill().await.unwrap_or(0) == 0 {
            return;
        }
    }
}

/// A query string, cut into its statements.
pub(crate) fn statements(text: &str) {
    let Ok(statements) = lexer::statements(text) else {
        return;
    };
    for token in statements.iter().flatten() {
        assert!(
            text.get(token.start..token.end).is_some(),
            "tokens are pieces of the text"
        );
    }
}
