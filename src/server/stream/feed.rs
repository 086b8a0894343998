//! What a stream sends: pieces that it shares with others, and what it alone has to be told.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::Sleep;

use super::StreamOutcome;
use crate::clock::Moment;
use crate::fanout::{
    Channel, Description, Failure, FlightWait, Job, Made, Next, Piece, Place, Position, Run,
};
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::spool::HeadWait;
use crate::wire::{StreamEnd, StreamSession};

/// How long a stream that is in front lets others catch up before it asks again, and how often.
const PACE: Duration = Duration::from_millis(2);
const PATIENCE: u32 = 5;

/// Turns what the channel has into the dialogue's messages.
pub(super) struct Feed {
    channel: Channel,
    /// Behind the last piece.
    at: Position,
    /// The piece under way, and how far in it.
    piece: Option<(Arc<Piece>, Place)>,
    pending: Pending,
    /// How often it let others catch up since its last piece.
    num_paces: u32,
    /// The head when there was nothing more: everything up to it was sent.
    drained_at: Option<Lsn>,
    head_wait: Option<HeadWait>,
    /// The tables that this stream was told of.
    described: BTreeMap<u32, Arc<Description>>,
    /// Transactions that were sent and not counted yet, and the bytes of their messages.
    counted: (u64, u64),
}

/// What the next piece waits for.
enum Pending {
    Nothing,
    /// Another stream makes it.
    Flight(FlightWait),
    /// It is made from the disk.
    Making(JoinHandle<Made>),
    /// Others catch up.
    Pace(Pin<Box<Sleep>>),
}

impl Feed {
    pub(super) const fn new(channel: Channel, start: Lsn) -> Self {
        Self {
            channel,
            at: Position::after(start),
            piece: None,
            pending: Pending::Nothing,
            num_paces: 0,
            drained_at: None,
            head_wait: None,
            described: BTreeMap::new(),
            counted: (0, 0),
        }
    }

    /// Transactions and bytes that were sent since this was asked last.
    pub(super) fn take_counted(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.counted)
    }

    /// Lets go of what nobody has used for a while.
    pub(super) fn tidy(&self, now: Moment) {
        self.channel.tidy(now);
    }

    /// Hands over pieces while the dialogue wants data and there are any.
    pub(super) fn fill(
        &mut self,
        session: &mut StreamSession,
        now: Moment,
    ) -> Result<(), StreamOutcome> {
        while session.wants_data() {
            if let Some((piece, place)) = &mut self.piece {
                match piece.run(place, session.ends_at_boundary()) {
                    Some(run) => {
                        let (described, piece) = (&mut self.described, Arc::clone(piece));
                        send(session, described, &piece, &run, now);
                        self.counted.0 = self.counted.0.saturating_add(run.num_transactions);
                        self.counted.1 = self.counted.1.saturating_add(run.num_bytes);
                    }
                    None => {
                        self.at = piece.end();
                        self.piece = None;
                    }
                }
                continue;
            }
            if !matches!(self.pending, Pending::Nothing) {
                return Ok(());
            }
            if let Some(head) = self.drained_at {
                session.reached_head(head);
                return Ok(());
            }
            self.ask(session, now)?;
        }
        Ok(())
    }

    /// Asks the channel for what follows.
    fn ask(&mut self, session: &mut StreamSession, now: Moment) -> Result<(), StreamOutcome> {
        let patient = self.num_paces < PATIENCE;
        match self.channel.next(self.at, now, patient).map_err(failed)? {
            Next::Piece(piece) => self.begin(piece),
            Next::AtHead(head) => {
                self.at.after = self.at.after.max(head);
                self.head_wait = Some(self.channel.engine().wait_after(head));
                self.drained_at = Some(head);
            }
            Next::Wait(wait) => self.pending = Pending::Flight(wait),
            Next::Make(job) => {
                session.behind();
                self.pending = Pending::Making(make(job));
            }
            Next::Pace => {
                self.num_paces += 1;
                self.pending = Pending::Pace(Box::pin(tokio::time::sleep(PACE)));
            }
        }
        Ok(())
    }

    fn begin(&mut self, piece: Arc<Piece>) {
        self.num_paces = 0;
        let place = piece.join(self.at);
        self.piece = place.map(|place| (piece, place));
    }

    /// True when the head moved or a piece came.
    pub(super) fn poll_source(&mut self, cx: &mut Context<'_>) -> Result<bool, StreamOutcome> {
        if let Some(wait) = &mut self.head_wait
            && Pin::new(wait).poll(cx).is_ready()
        {
            self.head_wait = None;
            self.drained_at = None;
            return Ok(true);
        }
        let made = match &mut self.pending {
            Pending::Nothing => return Ok(false),
            Pending::Pace(sleep) => sleep.as_mut().poll(cx).map(|()| Ok(None)),
            // Who made it may have given up: then it is asked for again.
            Pending::Flight(wait) => Pin::new(wait)
                .poll(cx)
                .map(|landed| landed.unwrap_or(Ok(None)).map_err(failed)),
            Pending::Making(making) => Pin::new(making)
                .poll(cx)
                .map(|made| made.map_err(lost)?.map_err(failed)),
        };
        let Poll::Ready(made) = made else {
            return Ok(false);
        };
        self.pending = Pending::Nothing;
        if let Some(piece) = made? {
            self.begin(piece);
        }
        Ok(true)
    }
}

/// Sends a run, and in front of its first use in this stream each description of a table that the
/// stream does not know.
fn send(
    session: &mut StreamSession,
    described: &mut BTreeMap<u32, Arc<Description>>,
    piece: &Piece,
    run: &Run,
    now: Moment,
) {
    let mut stream = (&mut *session, described);
    piece.tell(
        run,
        &mut stream,
        |(_, known), description| {
            let known = known.get(&description.oid);
            known.is_some_and(|known| Arc::ptr_eq(known, description) || known == description)
        },
        |(session, known), description| {
            for message in description.messages.iter() {
                session.push_message(Lsn::ZERO, message, now);
            }
            known.insert(description.oid, Arc::clone(description));
        },
        |(session, _), messages| session.push_shared(messages, run.told, now),
    );
    if let Some(end) = run.done {
        session.transaction_done(end);
    }
}

fn make(job: Job) -> JoinHandle<Made> {
    tokio::task::spawn_blocking(move || job.run(Moment::now()))
}

fn failed(failure: Failure) -> StreamOutcome {
    match failure {
        Failure::Read(error) => StreamOutcome::ReadFailed(error),
        Failure::Render(error) => StreamOutcome::NotRendered(error),
        Failure::Plugin(error) => StreamOutcome::Broken(error.into()),
        Failure::TooLong(error) => StreamOutcome::Ended(StreamEnd::Failed(error.to_string())),
    }
}

fn lost(error: JoinError) -> StreamOutcome {
    let message = format!("internal error: {error}");
    StreamOutcome::Broken(PgError::error("XX000", message))
}
