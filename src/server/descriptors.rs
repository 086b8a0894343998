//! File descriptors: as many as the operating system lets the process have, and how many of them
//! sockets may take. What is left over is for files: without it a segment, a manifest or a slot
//! position could not be written.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of the process itself: logs, timers, listeners, small files that are replaced.
const OF_PROCESS: u64 = 32;
/// Those of a database: segments that are sealed, removed, searched.
const OF_DATABASE: u64 = 16;
/// Those of a connection: its socket, and the segment that its stream reads.
const OF_CONNECTION: u64 = 2;
/// Sockets that are accepted in any case: without them nobody could look what is wrong.
const LEAST: usize = 4;

/// Lets the process have as many descriptors as it is allowed to take. Returns how many that are;
/// `None` when there is no limit.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            limit.current
        }
    }
}

/// Most sockets at a time.
pub(super) fn max_sockets(num_databases: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| sockets_within(limit, num_databases))
}

fn sockets_within(limit: u64, num_databases: usize) -> usize {
    let databases = u64::try_from(num_databases).unwrap_or(u64::MAX);
    let kept = OF_PROCESS.saturating_add(databases.saturating_mul(OF_DATABASE));
    let sockets = limit.saturating_sub(kept) / OF_CONNECTION;
    usize::try_from(sockets).unwrap_or(usize::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_descriptors_whatever_sockets_want() {
        for (limit, num_databases, wanted) in [
            (1024, 1, 488),
            (1024, 10, 416),
            (64, 1, 8),
            (16, 1, LEAST),
            (1024, 1000, LEAST),
        ] {
            assert_eq!(sockets_within(limit, num_databases), wanted, "{limit}");
        }
    }
}
