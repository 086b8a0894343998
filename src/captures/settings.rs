//! What a captured database follows.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Name of the file in a captured database's folder.
pub const CAPTURE_FILE: &str = "capture.json";

/// Where the password for the upstream comes from. It is never stored here itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordSource {
    /// None is sent.
    #[default]
    None,
    /// The first line of a file, read at each connection.
    File(PathBuf),
    /// An environment variable of the server.
    Environment(String),
}

/// What a captured database follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureSettings {
    /// libpq's connection string, several hosts too, without a password.
    pub upstream: String,
    /// Where the password comes from.
    #[serde(default)]
    pub password: PasswordSource,
    /// The publications that are captured.
    pub publications: Vec<String>,
    /// The slot on the upstream.
    pub slot: String,
    /// The slot is made when it is not there and nothing was received yet.
    pub create_slot: bool,
    /// The publication is made, FOR ALL TABLES, when it is not there.
    pub create_publication: bool,
    /// A logical message is written to the upstream so often, so that a database in which nothing
    /// is published is acknowledged forward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Duration>,
    /// The operator said PAUSE.
    #[serde(default)]
    pub paused: bool,
}
