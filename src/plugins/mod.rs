//! Turn a transaction into the bytes a subscriber asked for.
//!
//! A [`Renderer`] is fed the frames of a stream in order and appends finished messages to a
//! [`Messages`] list. It keeps no more than one transaction's state and knows no socket.

#[cfg(test)]
mod captured_tests;
mod feed;
mod json;
mod messages;
mod options;
mod pgoutput;
mod sql_text;
mod test_decoding;
mod wal2json;

pub use messages::{Messages, TableUse, Told};
pub(crate) use options::parse_bool;

use bytes::Bytes;

use crate::change::{self, ChunkError, PayloadRef};
use crate::lsn::Lsn;
use crate::pgoutput::EncodeError;
use crate::publications::PublicationError;
use crate::relations::RelationStore;
use crate::rows::{CapturedError, RowError};
use feed::Feed;
use json::Json;
use pgoutput::Pgoutput;
use test_decoding::TestDecoding;
use wal2json::Wal2Json;

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
    /// An option that is one no more, or a list in it that is none (42602); wal2json's and
    /// PostgreSQL's words.
    #[error("{0}")]
    InvalidName(String),
    /// Something that the plugin knows and does not do (0A000); wal2json's and PostgreSQL's words.
    #[error("{0}")]
    Unsupported(String),
    /// An option that was given twice, or that has another kind of value (42601).
    #[error("{0}")]
    Syntax(String),
    /// An option that pgoutput does not know (XX000).
    #[error("{0}")]
    UnknownOption(String),
}

/// What is stored cannot be rendered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{fault}")]
pub struct RenderError {
    /// Where the change is stored.
    pub lsn: Lsn,
    /// Where its transaction ends.
    pub end: Lsn,
    /// What PostgreSQL calls the part of a plugin that renders it: `change`, `truncate`, `message`.
    pub callback: &'static str,
    /// Why.
    pub fault: Box<RenderFault>,
}

/// Why what is stored cannot be rendered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RenderFault {
    /// A record is no row of its table, as that was defined when it was stored.
    #[error(transparent)]
    Row(#[from] RowError),
    /// It cannot be said what the stream's publications show of a change.
    #[error(transparent)]
    Publication(#[from] PublicationError),
    /// A transaction does not fit into the one message that it was asked to be (54000).
    #[error("a transaction is longer than {0} bytes as one message of wal2json's format 1")]
    TransactionTooLong(usize),
    /// A captured transaction is damaged (XX001).
    #[error(transparent)]
    Captured(#[from] CapturedError),
    /// A captured change is no record (XX000).
    #[error(transparent)]
    Record(#[from] change::EncodeError),
    /// A change has no place in a message (54000).
    #[error(transparent)]
    Message(#[from] EncodeError),
}

impl From<ChunkError> for RenderFault {
    fn from(error: ChunkError) -> Self {
        Self::Captured(error.into())
    }
}

/// The output plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// `json`: one message a change record, RedDB's JSON.
    Json,
    /// `test_decoding`: PostgreSQL's text.
    TestDecoding,
    /// `wal2json`: version 2.5's JSON.
    Wal2Json,
    /// `pgoutput`: PostgreSQL's logical replication messages.
    Pgoutput,
}

impl Plugin {
    /// Finds a plugin by the name a client gave.
    pub fn parse(name: &str) -> Result<Self, PluginError> {
        match name {
            "json" => Ok(Self::Json),
            "test_decoding" => Ok(Self::TestDecoding),
            "wal2json" => Ok(Self::Wal2Json),
            "pgoutput" => Ok(Self::Pgoutput),
            other => Err(PluginError::UnknownPlugin(other.to_owned())),
        }
    }

    /// Whether its messages are bytes that are no text.
    pub const fn is_binary(self) -> bool {
        match self {
            Self::Json | Self::TestDecoding | Self::Wal2Json => false,
            Self::Pgoutput => true,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::TestDecoding => "test_decoding",
            Self::Wal2Json => "wal2json",
            Self::Pgoutput => "pgoutput",
        }
    }
}

/// A started plugin: one stream's rendering.
#[derive(Debug)]
pub struct Renderer {
    plugin: Started,
}

#[derive(Debug)]
enum Started {
    Json(Feed, Json),
    TestDecoding(Feed, TestDecoding),
    Wal2Json(Feed, Box<Wal2Json>),
    Pgoutput(Feed, Box<Pgoutput>),
}

impl Renderer {
    /// Starts `plugin` with the options of START_REPLICATION, for records whose tables and
    /// publications are in `relations`.
    pub fn start(
        plugin: Plugin,
        options: &[(String, Option<String>)],
        relations: RelationStore,
    ) -> Result<Self, PluginError> {
        let plugin = match plugin {
            Plugin::Json => Started::Json(Feed::new(relations), Json::start(options)?),
            Plugin::TestDecoding => {
                Started::TestDecoding(Feed::new(relations), TestDecoding::start(options)?)
            }
            Plugin::Wal2Json => {
                let plugin = Wal2Json::start(options)?;
                Started::Wal2Json(Feed::new(relations), Box::new(plugin))
            }
            Plugin::Pgoutput => {
                let plugin = Pgoutput::start(options)?;
                Started::Pgoutput(Feed::new(relations), Box::new(plugin))
            }
        };
        Ok(Self { plugin })
    }

    /// The frame's only message, where that is its payload as stored and completes its
    /// transaction (its LSN is the transaction's end): the common case of `json`, in which
    /// nothing has to be rendered or copied.
    pub fn verbatim<'a>(&self, frame: FrameView<'a>) -> Option<&'a [u8]> {
        match &self.plugin {
            Started::Json(..) => json::verbatim(frame),
            Started::TestDecoding(..) | Started::Wal2Json(..) | Started::Pgoutput(..) => None,
        }
    }

    /// Bytes of rendered text that wait for the end of their transaction.
    pub fn held_bytes(&self) -> usize {
        match &self.plugin {
            Started::Wal2Json(_, plugin) => plugin.held_bytes(),
            Started::Json(_, plugin) => plugin.held_bytes(),
            Started::TestDecoding(..) | Started::Pgoutput(..) => 0,
        }
    }

    /// Renders one frame. Returns `Some(end)` when this frame completed its transaction.
    pub fn frame(
        &mut self,
        frame: FrameView<'_>,
        out: &mut Messages,
    ) -> Result<Option<Lsn>, RenderError> {
        let complete = match &mut self.plugin {
            Started::Json(feed, plugin) => match PayloadRef::of(frame.payload) {
                PayloadRef::Chunk { .. } => {
                    plugin.set_term(frame.term);
                    feed.frame(frame, plugin, out)?
                }
                PayloadRef::Whole(_) | PayloadRef::Part { .. } | PayloadRef::Opaque(_) => {
                    json::frame(frame, out)
                }
            },
            Started::TestDecoding(feed, plugin) => feed.frame(frame, plugin, out)?,
            Started::Wal2Json(feed, plugin) => feed.frame(frame, plugin.as_mut(), out)?,
            Started::Pgoutput(feed, plugin) => feed.frame(frame, plugin.as_mut(), out)?,
        };
        Ok(complete.then_some(frame.end_lsn))
    }
}
