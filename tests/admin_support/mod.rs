//! `/metrics` and its like, asked with plain sockets.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use pgspool::admin::{AdminListener, ServerState, Watch};
use pgspool::engine::Databases;

/// Answers for a server of the same process.
pub struct Admin {
    pub address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub fn start(databases: Arc<Databases>, state: Arc<dyn ServerState>) -> Self {
        let watch = Watch::default();
        watch.serving(databases, state);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = runtime.block_on(AdminListener::bind(any, watch)).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(listener.run());
        Self {
            address,
            _runtime: runtime,
        }
    }

    pub fn metrics(&self) -> Samples {
        Samples::of(self.address)
    }
}

/// What is answered to these bytes, up to the end.
pub fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let patience = Some(Duration::from_secs(60));
    socket.set_read_timeout(patience).unwrap();
    // What is refused early need not be read to its end.
    let _refused = socket.write_all(request);
    let mut answer = Vec::new();
    let _reset = socket.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Status and body of a GET.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = ask(address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// Samples by name and labels, as they are written.
#[derive(Debug, Clone)]
pub struct Samples(pub BTreeMap<String, f64>);

impl Samples {
    pub fn of(address: SocketAddr) -> Self {
        let (status, body) = get(address, "/metrics");
        assert_eq!(status, 200, "{body}");
        let lines = body.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    /// That of the database `pgspool`.
    pub fn database(&self, name: &str) -> f64 {
        self.exactly(&format!("{name}{{database=\"pgspool\"}}"))
    }

    /// That of a slot.
    pub fn slot(&self, name: &str, slot: &str) -> f64 {
        self.exactly(&format!("{name}{{database=\"pgspool\",slot=\"{slot}\"}}"))
    }

    pub fn exactly(&self, sample: &str) -> f64 {
        let value = self.0.get(sample);
        *value.unwrap_or_else(|| panic!("no {sample} in {:#?}", self.0))
    }
}
