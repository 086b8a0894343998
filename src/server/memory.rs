//! What a session may hold from one statement to the next.
//!
//! Counted is what clients can pile up: prepared statements, portals with their parameters,
//! settings with a copy for each savepoint, definitions of an open block. What a statement needs
//! while it runs has limits of its own, and so have buffers of messages and rows.

use tokio::io::{AsyncRead, AsyncWrite};

use super::session::Session;
use crate::pgerror::PgError;

/// What anything with a name costs beside its bytes.
pub(super) const OVERHEAD: usize = 1 << 10;

/// What a parsed and bound statement costs for each byte of its text, about.
pub(super) const PER_TEXT_BYTE: usize = 4;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// An error when the session holds more than it may, with `more` bytes.
    pub(super) fn check_memory(&self, more: usize) -> Result<(), PgError> {
        let held = [
            self.statements.num_bytes(),
            self.portals.num_bytes(),
            self.state.settings(|settings| settings.num_bytes()),
            self.state.work(|work| work.num_bytes()),
        ];
        let held = held.into_iter().fold(more, usize::saturating_add);
        let limit = self.state.shared.options.limits.session_memory_limit;
        if held <= limit {
            return Ok(());
        }
        let detail = format!(
            "The session would hold {held} bytes in prepared statements, portals, settings and \
             definitions; session_memory_limit is {limit}."
        );
        let hint =
            "Close statements and portals that are not needed any more, or end the transaction.";
        Err(PgError::error("53200", "out of memory")
            .with_detail(detail)
            .with_hint(hint))
    }
}
