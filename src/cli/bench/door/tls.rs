//! One stream over TLS, against the same stream without.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::cli::bench::BenchError;
use crate::cli::bench::client::{Client, startup};
use crate::cli::bench::report::{Row, Target, human, median, rate};
use crate::cli::bench::server::ServerProcess;
use crate::cli::bench::stream::{RECORDS, count_messages, publish, start};

const ROUNDS: usize = 5;
const SLOT: &str = "reader";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];

/// Both in turn.
pub(super) fn run(scratch: &Path, exe: &Path) -> Result<Row, BenchError> {
    let server = ServerProcess::start_with(exe, scratch, &["ssl=on"], "warn")?;
    let mut control = server.connect_replication()?;
    control.query(&format!(
        "CREATE_REPLICATION_SLOT {SLOT} LOGICAL json (SNAPSHOT 'nothing')"
    ))?;
    publish(&server)?;
    let config = trusting(&server)?;
    let (mut encrypted, mut plain, mut ratios) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let without = read(server.connect_replication()?)?;
        let with = read(connect(&server, &config)?)?;
        plain.push(without);
        encrypted.push(with);
        ratios.push(with / without);
    }
    Ok(Row {
        what: "a stream over TLS 1.3".to_owned(),
        ours: format!("{}msg/s", human(median(encrypted))),
        reference: format!("{}msg/s: the same without TLS", human(median(plain))),
        figure: median(ratios),
        target: Target::None,
    })
}

/// Messages a second of one reader.
fn read<S: Read + Write>(mut client: Client<S>) -> Result<f64, BenchError> {
    let started = Instant::now();
    start(&mut client, SLOT)?;
    count_messages(client.stream(), RECORDS)?;
    Ok(rate(RECORDS, started.elapsed()))
}

/// What trusts the server's own certificate and nothing else.
fn trusting(server: &ServerProcess) -> Result<Arc<ClientConfig>, BenchError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.certificate())?)?;
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn connect(
    server: &ServerProcess,
    config: &Arc<ClientConfig>,
) -> Result<Client<StreamOwned<ClientConnection, TcpStream>>, BenchError> {
    let mut socket = TcpStream::connect(server.address())?;
    socket.set_nodelay(true)?;
    socket.write_all(&SSL_REQUEST)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    if answer != *b"S" {
        return Err("the server has no TLS".into());
    }
    let host = ServerName::try_from("localhost")?;
    let session = ClientConnection::new(Arc::clone(config), host)?;
    let more = [
        ("replication", "database"),
        ("options", "-c wal_sender_timeout=0"),
    ];
    let packet = startup("pgspool", "pgspool", &more);
    let mut client = Client::over(StreamOwned::new(session, socket), &packet)?;
    client.until_ready()?;
    Ok(client)
}
