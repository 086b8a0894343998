//! Settings of captured databases.

use super::{Context, KILOBYTES, Kind, Setting, print_time, some, time};
use crate::units::{self, print_bytes};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "capture_work_mem",
        meaning: "memory of a captured database's transactions under way; the rest goes to files",
        kind: Kind::Kilobytes,
        context: Context::Postmaster,
        category: MEMORY,
        show: |of| print_bytes(of.server.capture.work_mem),
        apply: |to, value| {
            let bytes = units::bytes(value, 1 << 10).ok_or(KILOBYTES)?;
            if bytes < 64 << 10 {
                return Err("expected 64kB or more");
            }
            to.server.capture.work_mem = bytes;
            Ok(())
        },
    },
    Setting {
        name: "capture_mirror_interval",
        meaning: "how often an upstream is asked what its publications and tables are",
        kind: Kind::Milliseconds,
        context: Context::Postmaster,
        category: CAPTURE,
        show: |of| print_time(of.server.capture.mirror_interval),
        apply: |to, value| {
            let interval = time(value)?;
            some(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX))?;
            to.server.capture.mirror_interval = interval;
            Ok(())
        },
    },
    Setting {
        name: "wal_receiver_timeout",
        meaning: "connect again when an upstream was silent for this long; 0: never",
        kind: Kind::Milliseconds,
        context: Context::Postmaster,
        category: CAPTURE,
        show: |of| print_time(of.server.capture.receiver_timeout.unwrap_or_default()),
        apply: |to, value| {
            let timeout = Some(time(value)?);
            to.server.capture.receiver_timeout = timeout.filter(|timeout| !timeout.is_zero());
            Ok(())
        },
    },
    Setting {
        name: "wal_receiver_status_interval",
        meaning: "how often an upstream is told what is durable here, at least",
        kind: Kind::Seconds,
        context: Context::Postmaster,
        category: CAPTURE,
        show: |of| print_time(of.server.capture.status_interval),
        apply: |to, value| {
            const SECONDS: &str = "expected seconds, or a number with us, ms, s, min, h or d, \
                                   from 1s to 600s";
            let seconds = units::seconds(value).filter(|seconds| (1..=600).contains(seconds));
            let seconds = seconds.ok_or(SECONDS)?;
            to.server.capture.status_interval = std::time::Duration::from_secs(seconds);
            Ok(())
        },
    },
];

const MEMORY: &str = "Resource Usage / Memory";
const CAPTURE: &str = "Replication / Subscribers";
