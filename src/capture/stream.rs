//! A running stream: what comes goes to the worker, what is durable goes back.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::mirror::Seen;
use super::receiver::{Receiver, told_to_stop};
use super::upstream::{Connection, Incoming, UpstreamError};
use super::worker::{Failure, Item, Progress, Worker};
use crate::captures::StopReason;
use crate::clock::Moment;
use crate::engine::Engine;
use crate::lsn::Lsn;
use crate::replicas::CommitOutcome;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The server stops.
    Stopping,
    /// The operator said PAUSE.
    Paused,
    /// It cannot go on without the operator.
    Stopped(StopReason),
    /// There is no room on the disk.
    DiskFull(UpstreamError),
    /// The next one is to ask for whole transactions only.
    WithoutStreaming(UpstreamError),
    /// The connection failed.
    Lost(UpstreamError),
}

/// Most messages of a batch.
const BATCH: usize = 512;

/// Most bytes of a batch, but for its last message.
const BATCH_BYTES: usize = 256 << 10;

/// How often the upstream is told of what became durable while there is more to read.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(50);

/// How often the worker looks at the time.
const TICK: Duration = Duration::from_secs(1);

/// How long the rest of a stream may take to become durable when the server stops.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// How long a quorum that cannot be met is left alone.
const UNMET_WAIT: Duration = Duration::from_secs(1);

/// A running stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) host: String,
    pub(super) connection: Connection,
    pub(super) worker: JoinHandle<Result<(), Failure>>,
    pub(super) items: mpsc::Sender<Item>,
    /// Bytes that may wait for the worker.
    pub(super) room: Arc<Semaphore>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) seen: mpsc::Receiver<Box<Seen>>,
    pub(super) look_now: Arc<Notify>,
    /// The upstream gives up a connection on which nothing came for so long.
    pub(super) sender_timeout: Option<Duration>,
}

/// What was told the upstream, and when what is due.
#[derive(Debug)]
struct Told {
    acknowledged: Lsn,
    /// When a status update was sent.
    sent: Instant,
    /// When something came.
    heard: Instant,
    /// An answer was asked for since.
    asked: bool,
    /// When the worker was told of the time.
    ticked: Instant,
    /// Answer at once.
    reply: bool,
}

/// Starts the worker.
pub(super) fn spawn(
    database: &str,
    worker: Worker,
    items: mpsc::Receiver<Item>,
) -> Result<JoinHandle<Result<(), Failure>>, UpstreamError> {
    let thread = std::thread::Builder::new().name(format!("capture {database}"));
    let thread = thread.spawn(move || worker.run(items));
    thread.map_err(|error| UpstreamError::new(format!("cannot start a thread: {error}")))
}

impl Ended {
    /// Something is broken for good.
    pub(super) const fn broken(message: String) -> Self {
        Self::Stopped(StopReason::Broken(message))
    }
}

impl Stream {
    /// Bytes in a unit of room.
    const ROOM_UNIT: usize = 1 << 10;

    /// Runs until it ends.
    pub(super) async fn run(mut self, receiver: &mut Receiver) -> Ended {
        let (released, released_receiver) = watch::channel(Lsn::ZERO);
        let quorum = release(
            Arc::clone(&receiver.engine),
            self.progress.clone(),
            released,
        );
        let quorum = tokio::spawn(quorum);
        let ended = self.follow(receiver, released_receiver.clone()).await;
        let ended = self.finish(ended, &released_receiver, receiver).await;
        quorum.abort();
        ended
    }

    async fn follow(
        &mut self,
        receiver: &mut Receiver,
        mut released: watch::Receiver<Lsn>,
    ) -> Ended {
        let mut stop = receiver.stop.clone();
        let mut paused = receiver.capture.paused();
        let mut described = 0;
        let now = Instant::now();
        let mut told = Told {
            acknowledged: Lsn::ZERO,
            sent: now,
            heard: now,
            asked: false,
            ticked: now,
            reply: true,
        };
        loop {
            if *paused.borrow_and_update() {
                return Ended::Paused;
            }
            if let Err(ended) = self.tell(receiver, &released, &mut told).await {
                return ended;
            }
            let due = self.due(receiver, *released.borrow(), &told);
            tokio::select! {
                biased;
                () = told_to_stop(&mut stop) => return Ended::Stopping,
                changed = paused.changed() => if changed.is_err() {
                    return Ended::Stopping;
                },
                () = self.items.closed() => return worker_ended(),
                received = self.connection.receive() => {
                    if let Err(ended) = self.batch(received, receiver, &mut told).await {
                        return ended;
                    }
                }
                seen = self.seen.recv() => if let Some(seen) = seen
                    && self.items.send(Item::Seen(seen)).await.is_err()
                {
                    return worker_ended();
                },
                // Nothing is to be read now: who waits for this upstream commit is told at once.
                _ = released.changed() => told.reply = true,
                () = sleep_until(due) => {}
            }
            let num_described = self.progress.borrow().num_described;
            if num_described != described {
                described = num_described;
                self.look_now.notify_one();
            }
        }
    }

    /// Hands over what came and what more is there already.
    async fn batch(
        &mut self,
        first: Result<Incoming, UpstreamError>,
        receiver: &Receiver,
        told: &mut Told,
    ) -> Result<(), Ended> {
        let mut next = Some(first);
        let mut batch = Vec::new();
        let (mut bytes, mut upstream) = (0, Lsn::ZERO);
        let mut lost = None;
        while let Some(incoming) = next.take() {
            match incoming {
                Ok(incoming) => {
                    match &incoming {
                        Incoming::XLogData { end, message, .. } => {
                            upstream = upstream.max(*end);
                            bytes += message.len();
                        }
                        Incoming::Keepalive { end, reply } => {
                            upstream = upstream.max(*end);
                            told.reply |= *reply;
                        }
                    }
                    batch.push(incoming);
                    if batch.len() < BATCH && bytes < BATCH_BYTES {
                        next = self.connection.receive_now();
                    }
                }
                Err(error) => lost = Some(error),
            }
        }
        told.heard = Instant::now();
        told.asked = false;
        Self::note(receiver, upstream, bytes);
        if !batch.is_empty() {
            let room = self.room_for(bytes, receiver, told).await?;
            let sent = self.items.send(Item::Batch(batch, room)).await;
            sent.map_err(|_| worker_ended())?;
        }
        match lost {
            None => Ok(()),
            Some(error) if error.is_too_long() => Err(too_long(error, receiver.streaming)),
            Some(error) => Err(Ended::Lost(error)),
        }
    }

    fn note(receiver: &Receiver, upstream: Lsn, bytes: usize) {
        let now_ms = Moment::now().unix_ms;
        let bytes = u64::try_from(bytes).unwrap_or(0);
        receiver.status().update(|status| {
            status.upstream_lsn = status.upstream_lsn.max(upstream);
            status.last_message_ms = now_ms;
            status.num_bytes += bytes;
        });
    }

    /// Waits for room, and keeps the upstream told meanwhile.
    async fn room_for(
        &mut self,
        bytes: usize,
        receiver: &Receiver,
        told: &mut Told,
    ) -> Result<OwnedSemaphorePermit, Ended> {
        let units = (bytes / Self::ROOM_UNIT).clamp(1, super::connect::ROOM);
        let units = u32::try_from(units).unwrap_or(1);
        loop {
            let room = Arc::clone(&self.room).acquire_many_owned(units);
            let due = told.sent + self.status_every(receiver);
            tokio::select! {
                room = room => return room.map_err(|_| worker_ended()),
                () = self.items.closed() => return Err(worker_ended()),
                () = sleep_until(due) => {
                    told.reply = true;
                    self.acknowledge(told.acknowledged, receiver, told, false).await?;
                }
            }
        }
    }

    /// Tells the upstream what is due.
    async fn tell(
        &mut self,
        receiver: &Receiver,
        released: &watch::Receiver<Lsn>,
        told: &mut Told,
    ) -> Result<(), Ended> {
        let now = Instant::now();
        let released = *released.borrow();
        let silent = now.saturating_duration_since(told.heard);
        let mut ask = false;
        if let Some(timeout) = receiver.options.receiver_timeout {
            if silent >= timeout {
                let words = "terminating the connection to the upstream due to timeout";
                return Err(Ended::Lost(UpstreamError::new(words)));
            }
            ask = silent >= timeout / 2 && !told.asked;
        }
        let since = now.saturating_duration_since(told.sent);
        let is_more = released > told.acknowledged && since >= ACKNOWLEDGE_EVERY;
        if told.reply || is_more || ask || since >= self.status_every(receiver) {
            self.acknowledge(released, receiver, told, ask).await?;
        }
        if now.saturating_duration_since(told.ticked) >= TICK {
            told.ticked = now;
            // When it is busy it knows the time.
            drop(self.items.try_send(Item::Tick));
        }
        Ok(())
    }

    async fn acknowledge(
        &mut self,
        released: Lsn,
        receiver: &Receiver,
        told: &mut Told,
        ask: bool,
    ) -> Result<(), Ended> {
        let received = self.progress.borrow().received;
        let durable = released.max(told.acknowledged);
        self.connection
            .acknowledge(received.max(durable), durable, ask)
            .await?;
        told.acknowledged = durable;
        told.sent = Instant::now();
        told.reply = false;
        told.asked |= ask;
        receiver
            .status()
            .update(|status| status.acknowledged_lsn = durable);
        Ok(())
    }

    /// When something is to be told, if nothing happens before.
    fn due(&self, receiver: &Receiver, released: Lsn, told: &Told) -> Instant {
        let mut due = told.sent + self.status_every(receiver);
        if let Some(timeout) = receiver.options.receiver_timeout {
            let silence = if told.asked { timeout } else { timeout / 2 };
            due = due.min(told.heard + silence);
        }
        let progress = *self.progress.borrow();
        if progress.received > progress.durable {
            due = due.min(told.ticked + TICK);
        }
        if released > told.acknowledged {
            due = due.min(told.sent + ACKNOWLEDGE_EVERY);
        }
        due.max(Instant::now() + Duration::from_millis(1))
    }

    fn status_every(&self, receiver: &Receiver) -> Duration {
        let every = receiver.options.status_interval;
        let half = self.sender_timeout.map(|timeout| timeout / 2);
        half.map_or(every, |half| half.min(every))
            .max(Duration::from_millis(10))
    }

    /// Lets the worker finish, and tells the upstream the last of it where that still listens.
    async fn finish(
        mut self,
        ended: Ended,
        released: &watch::Receiver<Lsn>,
        receiver: &Receiver,
    ) -> Ended {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.items, closed));
        let failure = end_of(self.worker, &mut receiver.stop.clone()).await;
        if matches!(ended, Ended::Stopping | Ended::Paused) {
            let durable = *released.borrow();
            let durable = match receiver
                .engine
                .replicas()
                .is_released(receiver.engine.head())
            {
                true => receiver.engine.head(),
                false => durable,
            };
            let last = self.connection.acknowledge(durable, durable, false);
            if last.await.is_ok() {
                let acknowledged = |status: &mut crate::captures::CaptureStatus| {
                    status.acknowledged_lsn = status.acknowledged_lsn.max(durable);
                };
                receiver.status().update(acknowledged);
            }
        }
        match failure {
            None => match ended {
                Ended::Lost(error) => lost(error, receiver),
                Ended::Stopping
                | Ended::Paused
                | Ended::Stopped(_)
                | Ended::DiskFull(_)
                | Ended::WithoutStreaming(_) => ended,
            },
            Some(Failure::Publication(reason)) => Ended::Stopped(*reason),
            Some(Failure::DiskFull(words)) => Ended::DiskFull(UpstreamError::new(words)),
            Some(Failure::Streaming(words)) => Ended::WithoutStreaming(UpstreamError::new(words)),
            Some(Failure::Broken(words)) => Ended::broken(words),
        }
    }
}

/// A connection that failed. Up to PostgreSQL 17 the first change after a captured publication was
/// dropped is such an error, each time it is reached.
fn lost(error: UpstreamError, receiver: &Receiver) -> Ended {
    const UNDEFINED_OBJECT: &str = "42704";
    let text = error.to_string();
    let names = receiver.settings().publications;
    let quoted = |name: &String| text.contains(&format!("\"{name}\""));
    match names.into_iter().find(quoted) {
        Some(name) if error.sqlstate() == Some(UNDEFINED_OBJECT) => {
            let since = receiver.engine.head();
            let end = receiver.status().get().upstream_lsn.max(since);
            Ended::Stopped(StopReason::PublicationMissing { name, since, end })
        }
        Some(_) | None => Ended::Lost(error),
    }
}

/// A change that is longer than can be received: it may be one of a transaction that is rolled back,
/// which does not come where only whole ones do. If it comes there, it would do so each time.
fn too_long(error: UpstreamError, streaming: bool) -> Ended {
    if streaming {
        return Ended::WithoutStreaming(error);
    }
    Ended::broken(format!(
        "the upstream sends a change of a row that is longer than can be received: {error}"
    ))
}

/// The worker says why itself.
fn worker_ended() -> Ended {
    Ended::Lost(UpstreamError::new("the thread of a capture ended"))
}

/// Waits for the worker: the next one begins with what this one stored. A server that stops waits
/// only for so long.
async fn end_of(
    worker: JoinHandle<Result<(), Failure>>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Failure> {
    let joined = tokio::task::spawn_blocking(move || worker.join());
    let too_late = async {
        told_to_stop(stop).await;
        tokio::time::sleep(FINISH_WITHIN).await;
    };
    tokio::select! {
        joined = joined => match joined {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(failure))) => Some(failure),
            Ok(Err(_)) | Err(_) => {
                Some(Failure::Broken("the thread of a capture panicked".to_owned()))
            }
        },
        () = too_late => None,
    }
}

/// Passes on what is durable once the quorum, if one is set, has confirmed it.
async fn release(
    engine: Arc<Engine>,
    mut progress: watch::Receiver<Progress>,
    released: watch::Sender<Lsn>,
) {
    loop {
        let durable = progress.borrow_and_update().durable;
        if durable > *released.borrow() {
            match engine.wait_released(durable).await {
                CommitOutcome::NotRequired | CommitOutcome::Reached(_) => {
                    released.send_replace(durable);
                }
                CommitOutcome::TimedOut { .. } | CommitOutcome::Unmet(_) => {
                    tokio::time::sleep(UNMET_WAIT).await;
                    continue;
                }
            }
        }
        if progress.changed().await.is_err() {
            return;
        }
    }
}
