//! How old what follows a position is: by its commit time, without a reader's hold on the spool.

use std::sync::Arc;

use super::handle::Spool;
use super::reader::Cursor;
use super::ring::RingRead;
use super::{ReadError, lock};
use crate::lsn::Lsn;

impl Spool {
    /// When the first transaction after `since` was committed, unix milliseconds; `None` when
    /// nothing is after it. Reads a block from disk where it is not in memory. Blocking.
    pub fn committed_after(&self, since: Lsn) -> Result<Option<u64>, ReadError> {
        let newest = lock(&self.shared().ring).read(since, 0, 1);
        let frames = match newest {
            RingRead::Frames(frames) => frames,
            RingRead::AtHead(_) => return Ok(None),
            RingRead::Below => Cursor::new(Arc::clone(self.shared()), since)?.read_disk(1)?,
        };
        Ok(frames.first().map(|frame| frame.timestamp_ms))
    }
}
