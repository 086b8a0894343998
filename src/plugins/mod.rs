//! Turn a transaction into the bytes a subscriber asked for.
//!
//! A [`Renderer`] is fed the frames of a stream in order and appends finished messages to a
//! [`Messages`] list. It keeps no more than one transaction's state and knows no socket.

use bytes::Bytes;

use crate::lsn::Lsn;

/// Messages ready to be sent, with their LSNs, in one buffer.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<(Lsn, usize)>,
}

impl Messages {
    /// Empties the list, keeping its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends one message that `write` produces.
    pub fn push_with(&mut self, lsn: Lsn, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push((lsn, self.bytes.len()));
    }

    /// Appends one message.
    pub fn push(&mut self, lsn: Lsn, message: &[u8]) {
        self.push_with(lsn, |bytes| bytes.extend_from_slice(message));
    }

    /// The messages in order.
    pub fn iter(&self) -> impl Iterator<Item = (Lsn, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(lsn, end)| {
            let message = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (lsn, message)
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held.
    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// A frame as the plugins see it.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// End LSN of its transaction.
    pub end_lsn: Lsn,
    /// Term of the frame (wins over the payload's).
    pub term: u64,
    /// Commit time, unix milliseconds.
    pub timestamp_ms: u64,
    /// The payload.
    pub payload: &'a Bytes,
}

/// Why a plugin cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// No such plugin (58P01).
    #[error("could not access file \"{0}\": No such file or directory")]
    UnknownPlugin(String),
    /// An option the plugin does not know, or a bad value (22023); PostgreSQL's words.
    #[error("{0}")]
    InvalidOption(String),
}

/// The output plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// `json`: one message a change record, RedDB's JSON.
    Json,
    /// `test_decoding`: PostgreSQL's text.
    TestDecoding,
}

impl Plugin {
    /// Finds a plugin by the name a client gave.
    pub fn parse(name: &str) -> Result<Self, PluginError> {
        match name {
            "json" => Ok(Self::Json),
            "test_decoding" => Ok(Self::TestDecoding),
            other => Err(PluginError::UnknownPlugin(other.to_owned())),
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::TestDecoding => "test_decoding",
        }
    }
}

/// A started plugin: one stream's rendering.
#[derive(Debug)]
pub struct Renderer {
    _private: (),
}

impl Renderer {
    /// Starts `plugin` with the options of START_REPLICATION.
    pub fn start(
        _plugin: Plugin,
        _options: &[(String, Option<String>)],
    ) -> Result<Self, PluginError> {
        todo!()
    }

    /// Renders one frame. Returns `Some(end)` when this frame completed its transaction.
    pub fn frame(&mut self, _frame: FrameView<'_>, _out: &mut Messages) -> Option<Lsn> {
        todo!()
    }
}
