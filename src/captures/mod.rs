//! What a captured database follows, kept durably; how that fares; and whether it may go on (pure).
//!
//! One file a database (`capture.json`, replaced atomically): the upstream's connection string
//! without its password, publications, slot. Its presence makes a database a captured one, which
//! takes no records of its own. What is received is the spool's head (`received_upto`); nothing
//! here repeats it. It knows no socket, no spool and no session.

mod lag;
mod options;
mod plan;
mod settings;
mod status;
mod stop;

pub use options::{CaptureOptionError, NewCapture};
pub use plan::{Here, SlotThere, StartPlan, StopReason, There, TimelineSwitch, plan_start};
pub use settings::{CAPTURE_FILE, CaptureFileError, CaptureSettings, PasswordSource};
pub use status::{CaptureState, CaptureStatus, LastError, StatusCell, UpstreamSlot};
pub use stop::Stop;
