//! Looks at the upstream beside the stream: its slot, its tables and publications; and writes the
//! heartbeat.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::mirror::Seen;
use super::upstream::{Connection, Door, UpstreamError};
use crate::captures::{CaptureSettings, StatusCell};
use crate::clock::Moment;

/// Prefix of the heartbeat's message.
const HEARTBEAT_PREFIX: &str = "pgspool";

/// What looks at the upstream of one connection.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) database: String,
    pub(super) settings: CaptureSettings,
    pub(super) status: StatusCell,
    pub(super) door: Door,
    /// Whether the upstream takes writes, for the heartbeat.
    pub(super) is_primary: bool,
    /// How often it looks.
    pub(super) interval: Duration,
    /// Look now.
    pub(super) look_now: Arc<Notify>,
    /// To whom it is told.
    pub(super) seen: mpsc::Sender<Box<Seen>>,
}

impl Observer {
    /// Looks until nobody listens any more; `connection` is there already.
    pub(super) async fn run(self, connection: Connection) {
        let mut connection = Some(connection);
        let mut last_error: Option<String> = None;
        let mut look_at = Instant::now() + self.interval;
        let heartbeat = self.settings.heartbeat.filter(|_| self.is_primary);
        let mut beat_at = heartbeat.map(|_| Instant::now());
        while !self.seen.is_closed() {
            let next = beat_at.map_or(look_at, |beat_at| beat_at.min(look_at));
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.look_now.notified() => look_at = Instant::now(),
                () = self.seen.closed() => return,
            }
            let now = Instant::now();
            let beats = beat_at.is_some_and(|at| at <= now);
            let looks = look_at <= now;
            match self.round(&mut connection, beats, looks).await {
                Ok(()) => last_error = None,
                Err(error) => {
                    connection = None;
                    let error = error.to_string();
                    if last_error.as_ref() != Some(&error) {
                        let database = &*self.database;
                        tracing::warn!(database, %error, "cannot look at the upstream");
                    }
                    last_error = Some(error);
                }
            }
            let now = Instant::now();
            if beats {
                beat_at = heartbeat.map(|every| now + every);
            }
            if looks {
                look_at = now + self.interval;
            }
        }
    }

    async fn round(
        &self,
        connection: &mut Option<Connection>,
        beats: bool,
        looks: bool,
    ) -> Result<(), UpstreamError> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(self.door.open().await?),
        };
        if beats {
            let sql = format!(
                "SELECT pg_catalog.pg_logical_emit_message(false, '{HEARTBEAT_PREFIX}', '')"
            );
            connection.query(sql).await?;
        }
        if looks {
            self.watch_slot(connection).await?;
            let seen = Seen::look(connection, &self.settings.publications).await?;
            // The last one was not taken yet: then this one comes later, too.
            drop(self.seen.try_send(Box::new(seen)));
        }
        Ok(())
    }

    /// Shows the slot as the upstream sees it.
    pub(super) async fn watch_slot(
        &self,
        connection: &mut Connection,
    ) -> Result<(), UpstreamError> {
        let now_ms = Moment::now().unix_ms;
        let (slot, end) = connection.watch_slot(&self.settings.slot, now_ms).await?;
        self.status.update(|status| {
            status.slot = slot;
            status.upstream_lsn = status.upstream_lsn.max(end);
        });
        Ok(())
    }
}
