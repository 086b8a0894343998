//! Get changes in.
//!
//! What a producer sends becomes canonical records in a buffer that the engine's batch takes
//! over. Nothing here knows sockets, LSNs or the engine.

pub mod copy_rows;
pub mod lines;
pub mod ndjson;
