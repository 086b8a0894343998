//! What is told of servers in trouble: readiness, metrics and page, over a fake disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::report::Reporter;
use super::watch::{ServerSnapshot, ServerState, SessionCount, Watch};
use crate::captures::{CaptureState, LastError, NewCapture, StopReason, UpstreamSlot};
use crate::change::ChangeRecord;
use crate::clock::Moment;
use crate::disk::{FakeDisk, FakeError, FakeOp};
use crate::engine::{Databases, DiskFloor, Engine, EngineOptions, SlotRequest, SlotStart};
use crate::lsn::Lsn;
use crate::roles::{RoleChanges, RoleCommand};
use crate::slots::{SlotLimits, SlotName};
use crate::wire::Progress;

/// A server of which nothing but its numbers is known.
#[derive(Debug, Default)]
struct Told(ServerSnapshot);

impl ServerState for Told {
    fn snapshot(&self) -> ServerSnapshot {
        self.0.clone()
    }
}

struct World {
    disk: FakeDisk,
    databases: Arc<Databases>,
    reporter: Reporter,
    watch: Watch,
}

impl World {
    fn new() -> Self {
        Self::telling(ServerSnapshot::default(), EngineOptions::default())
    }

    fn telling(server: ServerSnapshot, options: EngineOptions) -> Self {
        let disk = FakeDisk::default();
        let shared = Arc::new(disk.clone());
        let now = Moment::now();
        let databases = Databases::open(shared, Path::new("/data"), options, now).unwrap();
        let databases = Arc::new(databases);
        let watch = Watch::default();
        let reporter = Reporter::new(watch.clone());
        watch.serving(Arc::clone(&databases), Arc::new(Told(server)));
        Self {
            disk,
            databases,
            reporter,
            watch,
        }
    }

    fn engine(&self) -> Arc<Engine> {
        self.databases.get("pgspool").unwrap()
    }

    /// A database that follows an upstream.
    fn captured(&self) -> Arc<Engine> {
        let options = [("upstream", "host=a dbname=b"), ("publication", "p")];
        let new = NewCapture::from_options("shop", options).unwrap();
        let made = self
            .databases
            .create("shop", Some(&new.settings), Moment::now());
        made.unwrap()
    }

    fn slot(&self, name: &str) -> SlotName {
        let request = SlotRequest {
            name: SlotName::parse(name).unwrap(),
            plugin: "json".to_owned(),
            start: SlotStart::Head,
            temporary: None,
            two_phase: false,
            owner: None,
        };
        self.engine()
            .create_slot(request, Moment::now())
            .unwrap()
            .name
    }

    fn publish(&self, count: u64, committed_ago: Duration) -> Lsn {
        let engine = self.engine();
        let mut now = Moment::now();
        now.unix_ms -= u64::try_from(committed_ago.as_millis()).unwrap();
        let mut batch = engine.batch(now);
        for id in 0..count {
            batch.push(&ChangeRecord::insert("orders", id)).unwrap();
        }
        engine.publish(batch).unwrap().last_lsn
    }

    /// The value of a sample, by how its line begins.
    fn value(&self, sample: &str) -> f64 {
        let metrics = self.reporter.metrics().unwrap();
        let line = metrics.lines().find(|line| line.starts_with(sample));
        let line = line.unwrap_or_else(|| panic!("no {sample} in\n{metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Not ready, for a reason with these words, which the page says first.
    fn assert_unready(&self, words: &str) {
        let (is_ready, why) = self.reporter.readiness();
        assert!(!is_ready && why.contains(words), "{why}");
        assert_eq!(self.value("pgspool_ready "), 0.0);
        let page = self.reporter.page();
        let first = page.find("<ul class=\"problems\">").unwrap();
        assert!(page.contains("<span class=\"state bad\">not ready</span>"));
        assert!(
            page.find("class=\"tiles\"")
                .is_none_or(|tiles| first < tiles)
        );
    }
}

#[test]
fn a_server_is_ready_after_recovery_and_until_it_stops() {
    let watch = Watch::default();
    let recovering = Reporter::new(watch);
    assert_eq!(
        recovering.readiness(),
        (false, "the databases are being opened\n".to_owned())
    );
    assert!(recovering.metrics().unwrap().contains("pgspool_ready 0\n"));
    assert!(recovering.page().contains("not ready"));
    let world = World::new();
    assert_eq!(world.reporter.readiness(), (true, "ready\n".to_owned()));
    assert_eq!(world.value("pgspool_ready "), 1.0);
    assert!(world.reporter.page().contains("all well"));
    world.watch.closing();
    world.assert_unready("being closed");
    let stopping = ServerSnapshot {
        stopping: true,
        ..ServerSnapshot::default()
    };
    let world = World::telling(stopping, EngineOptions::default());
    world.assert_unready("stopping");
}

#[test]
fn a_stopped_writer_is_not_ready() {
    let world = World::new();
    world.publish(3, Duration::ZERO);
    world.disk.fail_from(FakeOp::Sync, 1, FakeError::Io);
    let engine = world.engine();
    let mut batch = engine.batch(Moment::now());
    batch.push(&ChangeRecord::insert("orders", 9)).unwrap();
    engine.publish(batch).unwrap_err();
    world.assert_unready("writer has stopped");
    assert_eq!(world.value("pgspool_writer_failed{"), 1.0);
    assert_eq!(world.value("pgspool_published_records_total{"), 3.0);
}

#[test]
fn slots_that_cannot_be_written_are_not_ready() {
    let world = World::new();
    let name = world.slot("a");
    world.disk.fail_from(FakeOp::Rename, 1, FakeError::NoSpace);
    assert!(world.engine().drop_slot(&name, None).is_err());
    world.assert_unready("slot positions are not written");
    assert_eq!(world.value("pgspool_slots_write_failed{"), 1.0);
}

#[test]
fn roles_that_cannot_be_written_are_not_ready() {
    let world = World::new();
    assert_eq!(world.value("pgspool_roles_write_failed "), 0.0);
    world.disk.fail(FakeOp::SyncDir, 1, FakeError::Io);
    let create = RoleCommand::Create {
        name: "ann".to_owned(),
        changes: RoleChanges::default(),
    };
    assert!(world.databases.roles().apply(&create).is_err());
    world.assert_unready("roles are not changed any more");
    assert_eq!(world.value("pgspool_roles_write_failed "), 1.0);
}

#[test]
fn a_full_disk_is_not_ready_until_there_is_space_again() {
    let options = EngineOptions {
        disk_floor: DiskFloor::Bytes(64 << 20),
        ..EngineOptions::default()
    };
    let world = World::telling(ServerSnapshot::default(), options);
    world.disk.set_free_bytes(Some(10 << 20));
    world.engine().maintain(Moment::now()).unwrap();
    world.assert_unready("the disk is full: 10.0 MB left");
    assert_eq!(world.value("pgspool_disk_full{"), 1.0);
    assert_eq!(world.value("pgspool_disk_free_bytes{"), 10_485_760.0);
    world.disk.set_free_bytes(Some(1 << 30));
    world.engine().maintain(Moment::now()).unwrap();
    assert!(world.reporter.readiness().0);
}

#[test]
fn a_lost_slot_is_an_alarm_but_ready() {
    let options = EngineOptions {
        limits: SlotLimits {
            max_lag_lsn: 1000,
            ..SlotLimits::default()
        },
        ..EngineOptions::default()
    };
    let world = World::telling(ServerSnapshot::default(), options);
    world.slot("lagging");
    world.publish(100, Duration::ZERO);
    assert_eq!(world.value("pgspool_slot_wal_status{database=\"pgspool\",slot=\"lagging\",wal_status=\"unreserved\"}"), 1.0);
    assert!(world.value("pgspool_slot_safe_wal_bytes{") < 0.0);
    assert!(world.reporter.page().contains("is past a limit"));
    world.engine().maintain(Moment::now()).unwrap();
    assert!(world.reporter.readiness().0);
    let lost = "pgspool_slot_wal_status{database=\"pgspool\",slot=\"lagging\",wal_status=\"lost\"}";
    assert_eq!(world.value(lost), 1.0);
    let invalidated = "pgspool_slot_invalidations_total{database=\"pgspool\",cause=\"horizon\"}";
    assert_eq!(world.value(invalidated), 1.0);
    let metrics = world.reporter.metrics().unwrap();
    assert!(!metrics.contains("pgspool_slot_lag_seconds{"), "{metrics}");
    let page = world.reporter.page();
    assert!(
        page.contains("slot &quot;lagging&quot; was invalidated (horizon"),
        "{page}"
    );
    assert!(page.contains("Recent invalidations"));
}

#[test]
fn lag_in_seconds_is_the_age_of_the_oldest_unconfirmed_transaction() {
    let world = World::new();
    let name = world.slot("a");
    let lag = || world.value("pgspool_slot_lag_seconds{");
    assert_eq!(lag(), 0.0);
    let first = world.publish(1, Duration::from_secs(100));
    let second = world.publish(1, Duration::from_secs(40));
    assert!((100.0..110.0).contains(&lag()), "{}", lag());
    let confirm = |upto| {
        let progress = Progress {
            write: upto,
            flush: upto,
            apply: upto,
        };
        let engine = world.engine();
        engine.acknowledge(&name, progress, Moment::now()).unwrap();
    };
    confirm(first);
    assert!((40.0..50.0).contains(&lag()), "{}", lag());
    confirm(second);
    assert_eq!(lag(), 0.0);
    assert_eq!(world.value("pgspool_slot_acknowledgements_total{"), 2.0);
}

#[test]
fn names_are_escaped_in_metrics_and_on_the_page() {
    let server = ServerSnapshot {
        refused: vec![("no_rule", 3)],
        sessions: vec![SessionCount {
            backend_type: "client backend",
            state: "a\"b\\c\n<i>",
            count: 7,
        }],
        ..ServerSnapshot::default()
    };
    let world = World::telling(server, EngineOptions::default());
    let sample =
        "pgspool_connections{backend_type=\"client backend\",state=\"a\\\"b\\\\c\\n<i>\"} 7";
    assert!(world.reporter.metrics().unwrap().contains(sample));
    let page = world.reporter.page();
    assert!(
        !page.contains("<i>") && page.contains("&lt;i&gt;"),
        "{page}"
    );
    assert!(page.contains("refused since the start: no_rule"));
}

#[test]
fn a_capture_that_has_stopped_is_told_and_the_server_stays_ready() {
    let world = World::new();
    let engine = world.captured();
    let status = &engine.capture().unwrap().status;
    assert!(world.reporter.page().contains("<h2>Captures</h2>"));
    assert!(!world.reporter.page().contains("class=\"problems\""));
    status.update(|status| {
        status.state = CaptureState::Stopped;
        status.stop = Some(StopReason::SlotMissing {
            received_upto: Lsn::new(0x100),
            end: Lsn::new(0x200),
        });
    });
    let (ready, words) = world.reporter.readiness();
    assert!(ready, "{words}");
    let page = world.reporter.page();
    assert!(page.contains("ready, with an alarm"), "{page}");
    assert!(
        page.contains("capture has stopped (slot_missing)"),
        "{page}"
    );
    let metrics = world.reporter.metrics().unwrap();
    let stopped = "pgspool_capture_state{database=\"shop\",state=\"stopped\"} 1";
    assert!(metrics.contains(stopped), "{metrics}");
    let streaming = "pgspool_capture_state{database=\"shop\",state=\"streaming\"} 0";
    assert!(metrics.contains(streaming), "{metrics}");

    status.update(|status| {
        status.stop = None;
        status.state = CaptureState::Paused;
    });
    let page = world.reporter.page();
    assert!(page.contains("capture is paused"), "{page}");
    assert!(page.contains("RESUME shop"), "{page}");

    status.update(|status| {
        status.state = CaptureState::Connecting;
        status.last_error = Some(LastError {
            message: "nobody there".to_owned(),
            at_ms: 1,
        });
    });
    let page = world.reporter.page();
    assert!(page.contains("cannot be reached: nobody there"), "{page}");
}

/// Each name and each label of the table in the docs is exposed, and nothing else.
#[test]
fn the_docs_list_every_metric_with_its_labels() {
    let docs = include_str!("../../docs/operations.md");
    let world = World::telling(
        ServerSnapshot {
            sessions: vec![SessionCount {
                backend_type: "walsender",
                state: "active",
                count: 1,
            }],
            refused: vec![("no_rule", 0)],
            ..ServerSnapshot::default()
        },
        EngineOptions::default(),
    );
    world.disk.set_free_bytes(Some(1 << 40));
    let name = world.slot("a");
    let who = crate::engine::Subscriber {
        user: crate::slots::SlotUser { pid: 1, role: None },
        application_name: "a".to_owned(),
        region: None,
    };
    let now = Moment::now();
    let stream = world.engine().subscribe(&name, Lsn::ZERO, &who, now);
    let stream = stream.unwrap();
    let end = world.publish(1, Duration::ZERO);
    stream.note_sent(end, now);
    let progress = Progress {
        write: end,
        flush: end,
        apply: end,
    };
    stream.acknowledge(progress, Moment::now()).unwrap();
    world.engine().maintain(Moment::now()).unwrap();
    world.captured().capture().unwrap().status.update(|status| {
        status.received_lsn = Lsn::new(8);
        status.acknowledged_lsn = Lsn::new(8);
        status.upstream_lsn = Lsn::new(8);
        status.last_message_ms = 1;
        status.slot = UpstreamSlot {
            restart_lsn: Some(Lsn::new(8)),
            wal_status: Some("reserved".to_owned()),
            lag_bytes: Some(0),
            ..UpstreamSlot::default()
        };
    });
    agree(docs, &world.reporter.metrics().unwrap());
}

/// The table in the docs and what is exposed name the same.
fn agree(docs: &str, metrics: &str) {
    for line in metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = format!("| `{name}` | {kind} |");
        assert!(docs.contains(&row), "docs/operations.md misses {row}");
        let row = docs.lines().find(|line| line.starts_with(&row)).unwrap();
        let documented = row.split('|').nth(3).unwrap();
        let sample = metrics.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
        });
        let sample = sample.unwrap();
        let labels = sample.split_once('{').map_or("", |(_, rest)| rest);
        for label in labels.split("\",").filter_map(|l| l.split_once("=\"")) {
            let (label, _) = label;
            assert!(
                label == "le" || documented.contains(label),
                "{name}: {label}"
            );
        }
    }
    for row in docs.lines().filter(|line| line.starts_with("| `pgspool_")) {
        let name = row.split('`').nth(1).unwrap();
        assert!(
            metrics.contains(&format!("# TYPE {name} ")),
            "{name} is not exposed"
        );
    }
}
