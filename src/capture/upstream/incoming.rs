//! What comes in on a running replication stream.

use bytes::Bytes;

use super::UpstreamError;
use crate::lsn::Lsn;

/// Bytes in front of the message of an XLogData: tag, two positions, a time.
const XLOG_DATA_HEADER: usize = 25;

/// A message of a walsender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) enum Incoming {
    /// A piece of the stream.
    XLogData {
        /// Its position.
        lsn: Lsn,
        /// The server's end.
        end: Lsn,
        /// What is in it; shares memory with what was read.
        message: Bytes,
    },
    /// A sign of life.
    Keepalive {
        /// Everything up to here was sent.
        end: Lsn,
        /// An answer is wanted at once.
        reply: bool,
    },
}

impl Incoming {
    /// Reads the body of a CopyData message.
    pub(in crate::capture) fn parse(body: &Bytes) -> Result<Self, UpstreamError> {
        let lsn = |bytes: [u8; 8]| Lsn::new(u64::from_be_bytes(bytes));
        if let [b'k', rest @ ..] = &body[..] {
            let parts = rest.split_first_chunk::<8>();
            if let Some((end, [_, _, _, _, _, _, _, _, reply])) = parts {
                return Ok(Self::Keepalive {
                    end: lsn(*end),
                    reply: *reply != 0,
                });
            }
        }
        if let [b'w', rest @ ..] = &body[..]
            && let Some((start, rest)) = rest.split_first_chunk::<8>()
            && let Some((end, rest)) = rest.split_first_chunk::<8>()
            && rest.len() >= 8
        {
            return Ok(Self::XLogData {
                lsn: lsn(*start),
                end: lsn(*end),
                message: body.slice(XLOG_DATA_HEADER..),
            });
        }
        Err(UpstreamError::new(
            "the upstream sent something that is neither data nor a keepalive",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_walsender_sends_is_read_and_the_rest_is_refused() {
        let mut data = vec![b'w'];
        data.extend_from_slice(&7u64.to_be_bytes());
        data.extend_from_slice(&9u64.to_be_bytes());
        data.extend_from_slice(&1i64.to_be_bytes());
        data.extend_from_slice(b"B...");
        let read = Incoming::parse(&Bytes::from(data.clone())).unwrap();
        let wanted = Incoming::XLogData {
            lsn: Lsn::new(7),
            end: Lsn::new(9),
            message: Bytes::from_static(b"B..."),
        };
        assert_eq!(read, wanted);
        for len in 0..XLOG_DATA_HEADER {
            assert!(Incoming::parse(&Bytes::copy_from_slice(&data[..len])).is_err());
        }
        let mut keepalive = vec![b'k'];
        keepalive.extend_from_slice(&9u64.to_be_bytes());
        keepalive.extend_from_slice(&1i64.to_be_bytes());
        keepalive.push(1);
        let read = Incoming::parse(&Bytes::from(keepalive.clone())).unwrap();
        let end = Lsn::new(9);
        assert_eq!(read, Incoming::Keepalive { end, reply: true });
        keepalive.push(0);
        assert!(Incoming::parse(&Bytes::from(keepalive)).is_err());
    }
}
