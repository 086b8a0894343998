//! Frames out of the spool, rendered into pieces.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::piece::{Description, Piece, PieceBuilder, Position};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::plugins::{FrameView, Messages, PluginError, RenderError, Renderer};
use crate::spool::{Cursor, Frame, MemoryRead, ReadError};
use crate::wire::frames::{MessageTooLong, XLOG_DATA_HEADER_LEN};

/// Frames are taken from the spool in lots of about this many bytes.
const READ_BYTES: usize = 64 << 10;
/// A piece ends at the first end of a transaction behind this.
const ENOUGH: usize = 64 << 10;
/// A piece ends in the middle of a transaction behind this.
const TOO_MUCH: usize = 128 << 10;
/// A piece ends when so much was read for it, however little came of that.
const READ_ENOUGH: usize = 1 << 20;

/// Why there is no piece.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// The spool cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A transaction cannot be rendered.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The plugin does not start a second time.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A message does not fit into the protocol.
    #[error(transparent)]
    TooLong(#[from] MessageTooLong),
}

/// What rendering came to.
#[derive(Debug)]
pub(super) enum Rendered {
    /// A piece; the reader stands at its end.
    Piece(Piece),
    /// There is nothing to render.
    AtHead,
    /// What follows is on disk only.
    NeedsDisk,
}

/// Where a reader may get frames from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// The newest transactions in memory.
    Memory,
    /// The disk, too. Blocking.
    Disk,
}

/// A place in the spool with a started plugin.
#[derive(Debug)]
pub(super) struct Reader {
    position: Position,
    cursor: Cursor,
    renderer: Renderer,
    /// Frames that were read and not rendered yet.
    queue: VecDeque<Frame>,
    /// Frames of a transaction that are rendered for the renderer's sake only: others have them.
    skip: usize,
    /// As they stand in the pieces that it made: streams compare them by where they lie.
    descriptions: BTreeMap<u32, Arc<Description>>,
    /// It met an error. What it has read and its renderer are somewhere behind its position.
    is_used_up: bool,
    /// When it was left alone (steady time).
    pub(super) idle_since: Duration,
}

impl Reader {
    /// A reader at `position` with a fresh renderer. `cursor` stands behind the same transaction.
    pub(super) fn new(position: Position, cursor: Cursor, renderer: Renderer) -> Self {
        Self {
            position,
            cursor,
            renderer,
            queue: VecDeque::new(),
            skip: position.frames,
            descriptions: BTreeMap::new(),
            is_used_up: false,
            idle_since: Duration::ZERO,
        }
    }

    /// Where it stands.
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// Whether it met an error: who goes on at its position needs another one, which meets the
    /// error again.
    pub(super) const fn is_used_up(&self) -> bool {
        self.is_used_up
    }

    /// There is nothing between its place and `head`.
    pub(super) fn at_head(&mut self, head: Lsn) {
        if self.position.frames == 0 {
            self.position.after = self.position.after.max(head);
        }
    }

    /// Renders the next piece, which ends before it passes `until`, or before an error. After an
    /// error the reader is used up, also when there is a piece.
    pub(super) fn render(
        &mut self,
        from: From,
        until: Option<Lsn>,
        now: Moment,
    ) -> Result<Rendered, Failure> {
        let mut piece = PieceBuilder::new(self.position);
        let mut scratch = Messages::default();
        let mut num_read = 0;
        while !is_full(&piece, num_read, until) {
            let Some(frame) = self.queue.pop_front() else {
                match self.read(from) {
                    Ok(Lot::Frames) => {
                        piece.reserve(self.expected());
                        continue;
                    }
                    Ok(Lot::AtHead | Lot::NeedsDisk) if !piece.is_empty() => break,
                    Ok(Lot::AtHead) => return Ok(Rendered::AtHead),
                    Ok(Lot::NeedsDisk) => return Ok(Rendered::NeedsDisk),
                    Err(error) => {
                        self.met(error.into(), &piece)?;
                        break;
                    }
                }
            };
            num_read += frame.payload.len();
            if let Err(error) = self.frame(&frame, &mut piece, &mut scratch, now) {
                self.met(error, &piece)?;
                break;
            }
        }
        self.position = piece.end();
        Ok(Rendered::Piece(piece.finish()))
    }

    /// It met an error. What was rendered before it is good, and is given out first.
    fn met(&mut self, error: Failure, piece: &PieceBuilder) -> Result<(), Failure> {
        self.is_used_up = true;
        if piece.is_empty() { Err(error) } else { Ok(()) }
    }

    fn frame(
        &mut self,
        frame: &Frame,
        piece: &mut PieceBuilder,
        scratch: &mut Messages,
        now: Moment,
    ) -> Result<(), Failure> {
        let view = FrameView {
            end_lsn: frame.lsn,
            term: frame.term,
            timestamp_ms: frame.timestamp_ms,
            payload: &frame.payload,
        };
        if self.skip == 0
            && let Some(message) = self.renderer.verbatim(view)
        {
            piece.push(frame.lsn, message, now)?;
            piece.frame_done(Some(frame.lsn));
            return Ok(());
        }
        scratch.clear();
        let done = self.renderer.frame(view, scratch)?;
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        let descriptions = &mut self.descriptions;
        piece.append(scratch, now, |oid, messages| {
            description(descriptions, oid, messages)
        })?;
        piece.frame_done(done);
        Ok(())
    }

    fn read(&mut self, from: From) -> Result<Lot, ReadError> {
        let frames = match self.cursor.read_memory(READ_BYTES)? {
            MemoryRead::Frames(frames) => frames,
            MemoryRead::AtHead => return Ok(Lot::AtHead),
            MemoryRead::NeedsDisk if from == From::Memory => return Ok(Lot::NeedsDisk),
            MemoryRead::NeedsDisk => self.cursor.read_disk(READ_BYTES)?,
        };
        if frames.is_empty() {
            return Ok(Lot::AtHead);
        }
        self.queue.extend(frames);
        Ok(Lot::Frames)
    }

    /// About the room that the messages of what was read take.
    fn expected(&self) -> usize {
        let weights = self.queue.iter();
        let weights = weights.map(|frame| frame.payload.len() + XLOG_DATA_HEADER_LEN);
        weights.sum::<usize>().min(TOO_MUCH)
    }
}

/// What reading came to.
enum Lot {
    Frames,
    AtHead,
    NeedsDisk,
}

fn is_full(piece: &PieceBuilder, num_read: usize, until: Option<Lsn>) -> bool {
    if piece.is_between() && !piece.is_empty() {
        let end = piece.end().after;
        piece.len() >= ENOUGH || num_read >= READ_ENOUGH || until.is_some_and(|until| end >= until)
    } else {
        piece.len() >= TOO_MUCH || (num_read >= READ_ENOUGH && !piece.is_empty())
    }
}

/// The description that pieces have of a table, or the one that they have from now on.
fn description(
    known: &mut BTreeMap<u32, Arc<Description>>,
    oid: u32,
    messages: &Arc<[Bytes]>,
) -> Arc<Description> {
    match known.get(&oid) {
        Some(known) if known.messages == *messages => Arc::clone(known),
        Some(_) | None => {
            let description = Arc::new(Description {
                oid,
                messages: Arc::clone(messages),
            });
            known.insert(oid, Arc::clone(&description));
            description
        }
    }
}
