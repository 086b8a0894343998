//! How a replica counts for commits, in the words of `pg_stat_replication`.

use super::policy::{CommitPolicy, CommitSettings};
use super::quorum;

/// `sync_priority` and `sync_state` of a replica of `region`: 0 and `async`, or 1 and `quorum`
/// (several may confirm and it is one of them).
pub fn sync_state(settings: &CommitSettings, region: Option<&str>) -> (i32, &'static str) {
    let counts = match settings.policy {
        CommitPolicy::Local | CommitPolicy::RemoteWal | CommitPolicy::AckN(0) => false,
        CommitPolicy::AckN(_) => true,
        CommitPolicy::Quorum => quorum::in_quorum(&settings.quorum, region),
    };
    if counts { (1, "quorum") } else { (0, "async") }
}
