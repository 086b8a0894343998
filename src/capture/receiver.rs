//! One task a captured database: connects, goes on, waits, and says how it fares.
//!
//! What happens on one connection is [`Stream`]'s; this decides what follows when it ends. The log
//! tells of changes only: an error that comes again is counted, not told again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::backoff::{Backoff, jitter};
use super::connect::connect;
use super::options::CaptureOptions;
use super::stream::Ended;
use super::upstream::UpstreamError;
use crate::captures::{CaptureSettings, CaptureState, LastError, StatusCell, StopReason};
use crate::clock::Moment;
use crate::engine::{Capture, Engine};

/// How often a full disk is looked at.
const DISK_FULL_WAIT: Duration = Duration::from_secs(2);

/// A stream that lasted so long was one, whether anything came or not.
const STANDS: Duration = Duration::from_secs(30);

/// Whom the outcome of the first attempt is told.
pub(super) type FirstContactSender = oneshot::Sender<Result<(), UpstreamError>>;

/// What follows the upstream of one database.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) engine: Arc<Engine>,
    pub(super) capture: Arc<Capture>,
    pub(super) options: CaptureOptions,
    /// `true` when the server stops.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) first_contact: Option<FirstContactSender>,
    /// Transactions under way are asked for.
    pub(super) streaming: bool,
    /// It was connected once.
    pub(super) was_connected: bool,
}

impl Receiver {
    /// Follows until it is told to stop.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut paused = self.capture.paused();
        loop {
            if *self.stop.borrow() {
                return;
            }
            let ended = if *paused.borrow_and_update() {
                Ended::Paused
            } else {
                self.attempt(&mut backoff).await
            };
            self.tell_failure(&ended);
            match ended {
                Ended::Stopping => return,
                Ended::Paused => {
                    self.paused();
                    if !self.wait_for(&mut paused, |paused| !paused).await {
                        return;
                    }
                    tracing::info!(database = self.engine.name(), "capture resumed");
                }
                Ended::Stopped(reason) => {
                    self.stopped(reason);
                    // RESUME has it looked at again, whether it was paused or not.
                    if !self.wait_for(&mut paused, |_| true).await {
                        return;
                    }
                }
                Ended::DiskFull(error) => {
                    self.failed(CaptureState::DiskFull, &error, &backoff);
                    self.wait_for_room(&mut paused).await;
                }
                Ended::WithoutStreaming(error) => {
                    self.failed(CaptureState::Connecting, &error, &backoff);
                    self.streaming = false;
                }
                Ended::Lost(error) => {
                    self.failed(CaptureState::Connecting, &error, &backoff);
                    let wait = backoff.next(jitter());
                    self.sleep(wait, &mut paused).await;
                }
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn attempt(&mut self, backoff: &mut Backoff) -> Ended {
        let mut stop = self.stop.clone();
        let connecting = connect(self);
        let stream = tokio::select! {
            biased;
            () = told_to_stop(&mut stop) => return Ended::Stopping,
            connected = connecting => match connected {
                Ok(stream) => stream,
                Err(ended) => return ended,
            },
        };
        self.connected(&stream.host, backoff);
        self.was_connected = true;
        if let Some(first_contact) = self.first_contact.take() {
            // Nobody may be waiting.
            drop(first_contact.send(Ok(())));
        }
        let (began, head) = (Instant::now(), self.engine.head());
        let ended = stream.run(self).await;
        // An upstream that lets us in only to end the stream at once is not reached.
        if self.engine.head() > head || began.elapsed() >= STANDS {
            backoff.reset();
        }
        ended
    }

    pub(super) fn status(&self) -> &StatusCell {
        &self.capture.status
    }

    pub(super) fn settings(&self) -> CaptureSettings {
        self.capture.settings()
    }

    /// Who waits for the first contact learns how it failed.
    fn tell_failure(&mut self, ended: &Ended) {
        let told = match ended {
            Ended::Stopping => return,
            // What is paused is not to contact anybody.
            Ended::Paused => Ok(()),
            Ended::Stopped(reason) => {
                let stop = reason.explain(self.engine.name(), &self.settings());
                Err(UpstreamError::new(stop.message))
            }
            Ended::Lost(error) | Ended::WithoutStreaming(error) | Ended::DiskFull(error) => {
                Err(UpstreamError::clone(error))
            }
        };
        if let Some(first_contact) = self.first_contact.take() {
            drop(first_contact.send(told));
        }
    }

    fn connected(&self, host: &str, backoff: &Backoff) {
        let database = self.engine.name();
        let head = self.engine.head();
        match backoff.num_failed() {
            0 => tracing::info!(database, host, from = %head, "capture follows its upstream"),
            num_failed => tracing::info!(
                database,
                host,
                from = %head,
                num_failed,
                "capture follows its upstream again"
            ),
        }
        self.status().update(|status| {
            status.state = CaptureState::CatchingUp;
            status.stop = None;
            status.num_restarts += u64::from(self.was_connected);
        });
    }

    fn paused(&self) {
        let database = self.engine.name();
        tracing::info!(database, head = %self.engine.head(), "capture paused");
        self.status().update(|status| {
            status.state = CaptureState::Paused;
            status.stop = None;
        });
    }

    fn stopped(&self, reason: StopReason) {
        let database = self.engine.name();
        let stop = reason.explain(database, &self.settings());
        tracing::error!(
            database,
            cause = stop.cause,
            hint = stop.hint,
            "{}",
            stop.message
        );
        self.status().update(|status| {
            status.state = CaptureState::Stopped;
            status.last_error = Some(last_error(stop.message));
            status.stop = Some(reason);
        });
    }

    /// Notes an error, and tells it unless it is the one that was told before.
    fn failed(&self, state: CaptureState, error: &UpstreamError, backoff: &Backoff) {
        let message = error.to_string();
        let mut is_new = true;
        self.status().update(|status| {
            let known = status.last_error.as_ref();
            let is_known = known.is_some_and(|known| known.message == message);
            is_new = backoff.num_failed() == 0 || status.state != state || !is_known;
            status.state = state;
            status.last_error = Some(last_error(message));
        });
        if is_new {
            let database = self.engine.name();
            let what = match (state, self.was_connected) {
                (CaptureState::DiskFull, _) => "capture waits for room on the disk",
                (_, true) => "capture lost its upstream",
                (_, false) => "capture does not reach its upstream",
            };
            tracing::warn!(database, %error, "{what}");
        }
    }

    /// Waits for PAUSE or RESUME; `false` when the server stops.
    async fn wait_for(&mut self, paused: &mut watch::Receiver<bool>, is: fn(bool) -> bool) -> bool {
        loop {
            tokio::select! {
                biased;
                () = told_to_stop(&mut self.stop) => return false,
                changed = paused.changed() => {
                    if changed.is_err() {
                        return false;
                    }
                    if is(*paused.borrow()) {
                        return true;
                    }
                }
            }
        }
    }

    /// Waits until there may be room on the disk, PAUSE, RESUME, or the server's stop.
    async fn wait_for_room(&mut self, paused: &mut watch::Receiver<bool>) {
        loop {
            self.sleep(DISK_FULL_WAIT, paused).await;
            let is_over = *self.stop.borrow() || paused.has_changed().unwrap_or(true);
            if is_over || *paused.borrow() || self.engine.has_room() {
                return;
            }
        }
    }

    /// Waits, but not longer than until PAUSE, RESUME or the server's stop.
    async fn sleep(&mut self, wait: Duration, paused: &mut watch::Receiver<bool>) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = paused.changed() => {}
            () = told_to_stop(&mut self.stop) => {}
        }
    }
}

/// Waits until the server stops.
pub(super) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // Without a sender nobody is left who wants anything.
    drop(stop.wait_for(|stop| *stop).await);
}

fn last_error(message: String) -> LastError {
    LastError {
        message,
        at_ms: Moment::now().unix_ms,
    }
}
