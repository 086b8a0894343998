//! What a service manager is told when it asked for it (`NOTIFY_SOCKET`): that the server is
//! ready, reads its configuration again, or stops.
//!
//! A manager that cannot be told is none of the server's business, so it is only logged.

use std::net::SocketAddr;

use sd_notify::NotifyState;

/// What the server is doing, for people.
pub(super) fn status(words: &str) {
    tell(&[NotifyState::Status(words)]);
}

/// All databases are recovered and the server listens.
pub(super) fn ready(num_databases: usize, addresses: &[SocketAddr]) {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let words = format!(
        "serving {num_databases} database(s) on {}",
        addresses.join(", ")
    );
    tell(&[NotifyState::Ready, NotifyState::Status(&words)]);
}

/// The configuration is read again.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of the reload"),
    }
}

/// The configuration was read again, or its mistakes were logged.
pub(super) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// The server stops.
pub(super) fn stopping() {
    let words = NotifyState::Status("ending connections");
    tell(&[NotifyState::Stopping, words]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell the service manager");
    }
}
