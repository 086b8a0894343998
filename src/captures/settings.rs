//! What a captured database follows.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, ReplaceError, replace_file, vouch, vouched};

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

/// Why what a database follows cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFileError {
    /// What is there is not what was written.
    #[error("{path}: {reason}")]
    Corrupt {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// The error.
        #[source]
        source: io::Error,
    },
}

impl CaptureSettings {
    /// What the database in the folder `dir` follows; `None` for one that takes records of its own.
    /// Blocking.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, CaptureFileError> {
        let path = dir.join(CAPTURE_FILE);
        let io = |source| CaptureFileError::Io {
            action: format!("read {}", path.display()),
            source,
        };
        if !disk.exists(&path).map_err(io)? {
            return Ok(None);
        }
        let bytes = disk.read(&path).map_err(io)?;
        let settings = Self::decode(&bytes).map_err(|reason| CaptureFileError::Corrupt {
            path: path.display().to_string(),
            reason,
        })?;
        Ok(Some(settings))
    }

    /// Replaces the file in the folder `dir`, durably. Blocking.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), ReplaceError> {
        let bytes = self.encode().map_err(ReplaceError::OldStands)?;
        replace_file(disk, &dir.join(CAPTURE_FILE), &bytes)
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let settings = self.clone();
        let file = File {
            settings,
            version: VERSION,
        };
        let mut json = serde_json::to_string_pretty(&file)?;
        json.push('\n');
        Ok(vouch(&json))
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let file: File = serde_json::from_str(&vouched(bytes)?).map_err(|e| e.to_string())?;
        if file.version != VERSION {
            return Err(format!("version {} is not known", file.version));
        }
        Ok(file.settings)
    }
}

/// The layout this version writes and reads.
const VERSION: u32 = 1;

/// The file below its checksum.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    settings: CaptureSettings,
    version: u32,
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::FakeDisk;

    fn sample() -> CaptureSettings {
        CaptureSettings {
            upstream: "host='a,b' dbname=shop user=\"pg\"".to_owned(),
            password: PasswordSource::File(PathBuf::from("/run/secret")),
            publications: vec!["p".to_owned(), "q \u{e9}".to_owned()],
            slot: "pgspool_shop".to_owned(),
            create_slot: true,
            create_publication: false,
            heartbeat: Some(Duration::from_millis(1500)),
            paused: true,
        }
    }

    #[test]
    fn settings_read_back_as_they_were_written() {
        let (disk, dir) = (FakeDisk::default(), Path::new("/data/databases/shop"));
        disk.create_dir_all(dir).unwrap();
        assert_eq!(CaptureSettings::read(&disk, dir).unwrap(), None);
        sample().write(&disk, dir).unwrap();
        let read = CaptureSettings::read(&disk, dir).unwrap();
        assert_eq!(read, Some(sample()));
    }

    #[test]
    fn a_flip_of_any_byte_is_refused() {
        let good = sample().encode().unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(
                    CaptureSettings::decode(&bad).is_err(),
                    "byte {at}, bit {bit}"
                );
            }
            assert!(CaptureSettings::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let json = "{\n  \"settings\": {}, \"version\": 2\n}\n";
        assert!(CaptureSettings::decode(&vouch(json)).is_err());
    }
}
