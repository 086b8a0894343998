//! A stream's hold on what it shares with others.

use std::sync::Arc;

use super::flight::{Flight, FlightWait, Landed, Made};
use super::hub::{Asked, Found, Hub, Making};
use super::piece::{Piece, Position};
use super::reader::{Failure, From, Reader, Rendered};
use crate::clock::Moment;
use crate::engine::Engine;
use crate::lsn::Lsn;

/// A stream's hold on what it shares with others that asked for the same.
#[derive(Debug)]
pub(crate) struct Channel {
    hub: Arc<Hub>,
    id: u64,
    member: u64,
}

/// What there is behind a position.
#[derive(Debug)]
pub(crate) enum Next {
    /// Messages: go on in it where [`Piece::join`] says.
    Piece(Arc<Piece>),
    /// Nothing up to this head.
    AtHead(Lsn),
    /// Somebody makes it: wait.
    Wait(FlightWait),
    /// It has to be made on a thread that may block.
    Make(Job),
    /// Others are about to lose what they could have from those in front: ask again in a moment.
    Pace,
}

/// A piece to be made from the disk. Dropped without being run, it leaves it to others.
#[derive(Debug)]
pub(crate) struct Job {
    hub: Arc<Hub>,
    channel: u64,
    at: Position,
    until: Option<Lsn>,
    asked: Arc<Asked>,
    flight: Arc<Flight>,
    reader: Option<Box<Reader>>,
    is_over: bool,
}

impl Channel {
    pub(super) const fn new(hub: Arc<Hub>, id: u64, member: u64) -> Self {
        Self { hub, id, member }
    }

    /// The database.
    pub(crate) fn engine(&self) -> &Engine {
        &self.hub.engine
    }

    /// What there is behind `at`. Renders what is in memory on the spot. Who is `patient` may be
    /// asked to let others catch up.
    ///
    /// # Errors
    ///
    /// When it cannot be read or rendered.
    pub(crate) fn next(&self, at: Position, now: Moment, patient: bool) -> Result<Next, Failure> {
        // Read before anything else: a transaction that comes in between is not yet read and must
        // not count as passed.
        let head = self.hub.engine.head();
        if at.frames == 0 && at.after >= head {
            return Ok(Next::AtHead(head));
        }
        let found = self.hub.look(self.id, self.member, at, now, patient);
        match found {
            Some(Found::Piece(piece)) => Ok(Next::Piece(piece)),
            Some(Found::Flight(flight)) => Ok(Next::Wait(flight.wait())),
            Some(Found::Make(making)) => self.job(at, making).try_memory(head, now),
            // Without its channel a stream has ended.
            Some(Found::Pace) | None => Ok(Next::Pace),
        }
    }

    #[cfg(test)]
    pub(super) fn look(&self, at: Position, now: Moment) -> Option<Found> {
        self.hub.look(self.id, self.member, at, now, true)
    }

    /// Lets go of what nobody has used for a while. To be called now and then.
    pub(crate) fn tidy(&self, now: Moment) {
        self.hub.tidy(now);
    }

    fn job(&self, at: Position, making: Making) -> Job {
        Job {
            hub: Arc::clone(&self.hub),
            channel: self.id,
            at,
            until: making.until,
            asked: making.asked,
            flight: making.flight,
            reader: making.reader,
            is_over: false,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.hub.leave(self.id, self.member);
    }
}

impl Job {
    /// Reads and renders; `None` when there is nothing after all. Blocking.
    ///
    /// # Errors
    ///
    /// When it cannot be read or rendered.
    pub(crate) fn run(mut self, now: Moment) -> Made {
        match self.render(From::Disk, now) {
            Ok(Rendered::Piece(piece)) => Ok(Some(self.made(piece, now))),
            Ok(Rendered::AtHead | Rendered::NeedsDisk) => {
                self.over(Some(Ok(None)), Some(now));
                Ok(None)
            }
            Err(failure) => Err(self.failed(failure, now)),
        }
    }

    /// The same from memory only, which may not be enough.
    fn try_memory(mut self, head: Lsn, now: Moment) -> Result<Next, Failure> {
        match self.render(From::Memory, now) {
            Ok(Rendered::Piece(piece)) => Ok(Next::Piece(self.made(piece, now))),
            Ok(Rendered::NeedsDisk) => Ok(Next::Make(self)),
            Ok(Rendered::AtHead) => {
                if let Some(reader) = &mut self.reader {
                    reader.at_head(head);
                }
                self.over(Some(Ok(None)), Some(now));
                Ok(Next::AtHead(head))
            }
            Err(failure) => Err(self.failed(failure, now)),
        }
    }

    fn render(&mut self, from: From, now: Moment) -> Result<Rendered, Failure> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none @ None => {
                let cursor = self.hub.engine.reader_after(self.at.after);
                let renderer = self.hub.start(&self.asked)?;
                none.insert(Box::new(Reader::new(self.at, cursor, renderer)))
            }
        };
        reader.render(from, self.until, now)
    }

    fn made(&mut self, piece: Piece, now: Moment) -> Arc<Piece> {
        let (transactions, bytes) = piece.counts();
        let rendered = self.hub.engine.rendered();
        rendered.transactions.add(transactions);
        rendered.bytes.add(bytes);
        let piece = Arc::new(piece);
        self.over(Some(Ok(Some(Arc::clone(&piece)))), Some(now));
        piece
    }

    fn failed(&mut self, failure: Failure, now: Moment) -> Failure {
        self.reader = None;
        self.over(Some(Err(failure.clone())), Some(now));
        failure
    }

    fn over(&mut self, outcome: Landed, now: Option<Moment>) {
        self.is_over = true;
        let piece = match &outcome {
            Some(Ok(Some(piece))) => Some(piece),
            Some(Ok(None) | Err(_)) | None => None,
        };
        let reader = self.reader.take().filter(|reader| !reader.is_used_up());
        self.hub.land(self.channel, self.at, piece, reader, now);
        self.flight.land(outcome);
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.is_over {
            self.over(None, None);
        }
    }
}
