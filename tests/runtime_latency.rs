//! W-25: no disk call on a runtime worker. The server runs on a runtime of one thread over a disk
//! whose every operation stands still until it is let through; whoever does not need the disk is
//! answered meanwhile. Nothing here depends on how fast the machine is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

mod crash_support;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crash_support::Connection;
use pgspool::clock::Moment;
use pgspool::disk::{Disk, DiskFile, OpenMode, RealDisk};
use pgspool::engine::{Databases, EngineOptions};
use pgspool::hba::HbaRules;
use pgspool::roles::{RoleChanges, RoleCommand};
use pgspool::server::{Access, Server, ServerOptions};

/// Where disk operations wait.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    /// Operations that stand before the closed gate.
    waiting: usize,
    /// So many of them may go.
    permits: usize,
    /// The runtime's only thread, and what it did itself.
    runtime: Option<ThreadId>,
    on_runtime: usize,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What each disk operation does first.
    fn pass(&self) {
        let mut state = self.state();
        if state.runtime == Some(thread::current().id()) {
            state.on_runtime += 1;
            return;
        }
        state.waiting += 1;
        self.changed.notify_all();
        while state.closed && state.permits == 0 {
            state = self.changed.wait(state).unwrap();
        }
        state.permits = state.permits.saturating_sub(1);
        state.waiting -= 1;
    }

    fn close(&self) {
        self.state().closed = true;
    }

    fn open(&self) {
        let mut state = self.state();
        (state.closed, state.permits) = (false, 0);
        self.changed.notify_all();
    }

    /// Waits a little for an operation to stand before the gate; it stays there.
    fn holds_one(&self) -> bool {
        let little = Duration::from_millis(10);
        let free = |state: &mut State| state.waiting == 0 || state.permits > 0;
        let waited = self.changed.wait_timeout_while(self.state(), little, free);
        !waited.unwrap().1.timed_out()
    }

    fn let_one_through(&self) {
        self.state().permits += 1;
        self.changed.notify_all();
    }
}

/// The real disk behind a gate.
#[derive(Debug, Clone)]
struct GatedDisk {
    gate: Arc<Gate>,
}

impl GatedDisk {
    fn wait(&self) {
        self.gate.pass();
    }
}

#[derive(Debug)]
struct GatedFile {
    disk: GatedDisk,
    file: Arc<dyn DiskFile>,
}

impl Disk for GatedDisk {
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
        Ok(Arc::new(GatedFile {
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

impl DiskFile for GatedFile {
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
        self.disk.wait();
        self.file.len()
    }
}

/// Serves on a runtime of one thread for as long as the test runs; returns the port.
fn serve(data: &Path, gate: Arc<Gate>) -> u16 {
    let options = EngineOptions {
        // Nothing of what is streamed below is still in memory.
        ring_frames: 1,
        ..EngineOptions::default()
    };
    let disk = GatedDisk {
        gate: Arc::clone(&gate),
    };
    let databases = Databases::open(Arc::new(disk), data, options, Moment::now()).unwrap();
    let changes = RoleChanges {
        login: Some(true),
        superuser: Some(true),
        ..RoleChanges::default()
    };
    let name = "pgspool".to_owned();
    let create = RoleCommand::Create { name, changes };
    databases.roles().apply(&create).unwrap();
    let (tell, port) = std::sync::mpsc::channel();
    thread::spawn(move || {
        gate.state().runtime = Some(thread::current().id());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let options = ServerOptions {
                listen: vec!["127.0.0.1:0".parse().unwrap()],
                access: Access::new(HbaRules::trust_all()),
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
    let gate = Arc::new(Gate::default());
    let port = serve(data.path(), Arc::clone(&gate));
    let create =
        |slot: &str| format!("CREATE_REPLICATION_SLOT {slot} LOGICAL json (SNAPSHOT 'nothing')");
    let line = r#"{"operation":"insert","collection":"c","kind":"row","rid":1}"#.to_owned();
    let mut producer = Connection::plain(port).unwrap();
    let mut creator = Connection::replication(port).unwrap();
    let mut subscriber = Connection::replication(port).unwrap();
    creator.query(&create("reader")).unwrap();
    producer.copy(&vec![line.clone(); 100]).unwrap();
    let mut bystander = Connection::plain(port).unwrap();

    gate.close();
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
    let mut answered = 0;
    while busy.iter().any(|work| !work.is_finished()) {
        if gate.holds_one() {
            bystander.query("SHOW server_version").unwrap();
            answered += 1;
            gate.let_one_through();
        }
    }
    gate.open();
    for work in busy {
        work.join().unwrap();
    }
    let on_runtime = gate.state().on_runtime;
    assert_eq!(on_runtime, 0, "disk operations on the runtime's thread");
    assert!(answered >= 8, "answered during {answered} disk operations");
}
