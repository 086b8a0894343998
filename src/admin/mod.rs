//! What the server says of itself over HTTP: `/metrics` for Prometheus, `/healthz`, `/readyz`,
//! and a status page for people.
//!
//! Read only, without authentication, and without any secret to tell. Nothing is sampled in the
//! background: every answer is made from a `snapshot` taken for it, one at a time. It has few
//! connections, each of a few seconds, so that nobody who reaches it can take anything from the
//! server but that.

mod escape;
mod exposition;
mod families;
mod http;
mod listener;
mod page;
mod problems;
mod report;
mod snapshot;
mod units;
mod watch;

#[cfg(test)]
mod tests;

pub use listener::{AdminBindError, AdminListener};
pub use watch::{ServerSnapshot, ServerState, SessionCount, Watch};
