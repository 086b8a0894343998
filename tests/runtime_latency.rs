//! W-25: no disk call on a runtime worker. The server runs on a runtime of one thread over a disk
//! whose every operation takes long; whoever does not need the disk is answered at once.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crash_support::Connection;
use pgspool::clock::Moment;
use pgspool::disk::{Disk, DiskFile, OpenMode, RealDisk};
use pgspool::engine::{Databases, EngineOptions};
use pgspool::server::{Server, ServerOptions};

const SLOW: Duration = Duration::from_millis(500);
const AT_ONCE: Duration = Duration::from_millis(300);

/// The real disk; each operation waits while `slow` is set.
#[derive(Debug, Clone)]
struct SlowDisk {
    slow: Arc<AtomicBool>,
}

impl SlowDisk {
    fn wait(&self) {
        if self.slow.load(Ordering::Relaxed) {
            thread::sleep(SLOW);
        }
    }
}

#[derive(Debug)]
struct SlowFile {
    disk: SlowDisk,
    file: Arc<dyn DiskFile>,
}

impl Disk for SlowDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.wait();
        RealDisk.list(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.wait();
        RealDisk.exists(path)
    }
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.wait();
        RealDisk.read(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.wait();
        let file = RealDisk.open(path, mode)?;
        Ok(Arc::new(SlowFile {
            disk: self.clone(),
            file,
        }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.sync_dir(dir)
    }
}

impl DiskFile for SlowFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.wait();
        self.file.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.disk.wait();
        self.file.write_all_at(buf, offset)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.wait();
        self.file.sync()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.wait();
        self.file.set_len(len)
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// Serves on a runtime of one thread for as long as the test runs; returns the port.
fn serve(data: &Path, disk: SlowDisk) -> u16 {
    let options = EngineOptions {
        // Nothing of what is streamed below is still in memory.
        ring_frames: 1,
        ..EngineOptions::default()
    };
    let databases = Databases::open(Arc::new(disk), data, options, Moment::now()).unwrap();
    let (tell, port) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let options = ServerOptions {
                listen: vec!["127.0.0.1:0".parse().unwrap()],
                ..ServerOptions::default()
            };
            let server = Server::bind(Arc::new(databases), options).await.unwrap();
            tell.send(server.local_addrs()[0].port()).unwrap();
            server.run(std::future::pending()).await;
        });
    });
    port.recv().unwrap()
}

#[test]
fn w25_no_disk_call_on_a_runtime_worker() {
    let data = tempfile::tempdir().unwrap();
    let slow = Arc::new(AtomicBool::new(false));
    let port = serve(
        data.path(),
        SlowDisk {
            slow: Arc::clone(&slow),
        },
    );
    let create =
        |slot: &str| format!("CREATE_REPLICATION_SLOT {slot} LOGICAL json (SNAPSHOT 'nothing')");
    let line = r#"{"operation":"insert","collection":"c","kind":"row","rid":1}"#.to_owned();
    let mut producer = Connection::plain(port).unwrap();
    let mut creator = Connection::replication(port).unwrap();
    let mut subscriber = Connection::replication(port).unwrap();
    creator.query(&create("reader")).unwrap();
    producer.copy(&vec![line.clone(); 100]).unwrap();
    let mut bystander = Connection::plain(port).unwrap();

    slow.store(true, Ordering::Relaxed);
    let busy = [
        thread::spawn(move || producer.copy(&[line]).unwrap()),
        thread::spawn(move || {
            creator.query(&create("another")).unwrap();
            creator.query("DROP_REPLICATION_SLOT another").unwrap();
        }),
        thread::spawn(move || {
            subscriber.start_replication("reader").unwrap();
            while subscriber.read().unwrap().body[0] != b'w' {}
        }),
    ];
    let mut slowest = Duration::ZERO;
    while busy.iter().any(|work| !work.is_finished()) {
        let asked = Instant::now();
        bystander.query("SHOW server_version").unwrap();
        slowest = slowest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    slow.store(false, Ordering::Relaxed);
    for work in busy {
        work.join().unwrap();
    }
    assert!(
        slowest < AT_ONCE,
        "somebody waited {slowest:?} for somebody else's disk"
    );
}
