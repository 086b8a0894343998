//! Who is connected, how far each is, and which commits may be released.
//!
//! Registry with regions and topology epoch, commit waiter, commit policies and quorum, flow
//! control, causal bookmarks. All in memory; positions it is given are already clamped to what
//! was sent. It knows no slots, no disk and no clock. [`Replicas`] is the one door for a
//! database; the rest are its parts.

mod applied;
mod bookmark;
mod facade;
mod flow;
mod lag;
mod policy;
pub mod quorum;
mod registry;
mod standby_names;
mod sync_state;
pub mod topology;
mod waiter;
mod waits;

pub use applied::{AppliedTracker, Gap};
pub use bookmark::{Bookmark, BookmarkError, ParseBookmarkError};
pub use facade::{QuorumTimeout, Replicas};
pub use flow::{FlowControl, Throttled};
pub use lag::Lags;
pub use policy::{
    CommitPolicy, CommitSettings, CommitSettingsError, ParseCommitPolicyError, QuorumMode,
    SynchronousCommit,
};
pub use quorum::{ConfirmLevel, Member, QuorumUnmet, Requirement};
pub use registry::{Registry, ReplicaSnapshot, ReplicaState, ReplicationProgress, UnknownReplica};
pub use standby_names::{ParseStandbyNamesError, StandbyNames, SyncMethod};
pub use sync_state::{SyncState, sync_states};
pub use waiter::{
    Acknowledger, CommitOutcome, CommitWait, CommitWaitMetrics, CommitWaiter, Confirmed, Regions,
};
