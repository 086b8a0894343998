//! A piece that somebody makes while others wait for it.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use super::piece::Piece;
use super::reader::Failure;

/// What was made: a piece, or nothing when there is nothing at that place.
pub(crate) type Made = Result<Option<Arc<Piece>>, Failure>;

/// The same for those who wait; `None` when it was given up.
pub(super) type Landed = Option<Made>;

/// A piece that somebody makes.
#[derive(Debug, Default)]
pub(super) struct Flight {
    landed: Arc<Notify>,
    outcome: OnceLock<Landed>,
}

impl Flight {
    /// Waits for it. It may have landed before.
    pub(super) fn wait(self: &Arc<Self>) -> FlightWait {
        FlightWait {
            flight: Arc::clone(self),
            landed: Box::pin(Arc::clone(&self.landed).notified_owned()),
        }
    }

    /// Tells all who wait; `None` that it was given up.
    pub(super) fn land(&self, outcome: Landed) {
        // The first counts, and there is only one. Who does not see it waits already.
        drop(self.outcome.set(outcome));
        self.landed.notify_waiters();
    }
}

/// Waits for a piece that somebody else makes.
#[derive(Debug)]
pub(crate) struct FlightWait {
    flight: Arc<Flight>,
    landed: Pin<Box<OwnedNotified>>,
}

impl Future for FlightWait {
    type Output = Option<Made>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Landed> {
        // It waits since before it looked: what lands behind the look wakes it.
        if let Some(landed) = self.flight.outcome.get() {
            return Poll::Ready(landed.clone());
        }
        let woken = self.landed.as_mut().poll(cx);
        woken.map(|()| self.flight.outcome.get().cloned().flatten())
    }
}
