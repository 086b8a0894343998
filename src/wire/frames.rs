//! What the server says inside CopyBoth, encoded straight into an out-buffer.
//!
//! ```text
//! CopyData 'd' | length i32 | body                 length counts itself, not the tag
//!   XLogData   'w' | start u64 | end u64 | clock i64 | payload      both positions are the message's
//!   keepalive  'k' | end u64 | clock i64 | reply u8
//! CopyDone 'c' | 4
//! CopyBothResponse 'W' | 7 | format 0 | columns i16 = 0
//! ```
//!
//! Whole messages only; it decides nothing about when they are sent.

use bytes::{BufMut, BytesMut};

use crate::clock::Moment;
use crate::lsn::Lsn;

/// Bytes of an XLogData message in front of its payload.
pub const XLOG_DATA_HEADER_LEN: usize = 30;
/// Bytes of a keepalive.
pub const KEEPALIVE_LEN: usize = 23;

/// 2000-01-01, where PostgreSQL's clock starts, in Unix microseconds.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// A payload that does not fit into one CopyData message (2 GiB).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message of {0} bytes is too long for the protocol")]
pub struct MessageTooLong(pub usize);

/// Appends an XLogData message. Both of its positions are `lsn`.
pub fn xlog_data(
    out: &mut BytesMut,
    lsn: Lsn,
    payload: &[u8],
    now: Moment,
) -> Result<(), MessageTooLong> {
    // The length field counts itself and the header of `w`, not the tag of the message.
    let length = i32::try_from(payload.len())
        .ok()
        .and_then(|len| len.checked_add(29))
        .ok_or(MessageTooLong(payload.len()))?;
    out.reserve(XLOG_DATA_HEADER_LEN + payload.len());
    out.put_u8(b'd');
    out.put_i32(length);
    out.put_u8(b'w');
    out.put_u64(lsn.get());
    out.put_u64(lsn.get());
    out.put_i64(postgres_time(now));
    out.put_slice(payload);
    Ok(())
}

/// Appends a keepalive that names `end`.
pub fn keepalive(out: &mut BytesMut, end: Lsn, reply: bool, now: Moment) {
    out.reserve(KEEPALIVE_LEN);
    out.put_u8(b'd');
    out.put_i32(22);
    out.put_u8(b'k');
    out.put_u64(end.get());
    out.put_i64(postgres_time(now));
    out.put_u8(u8::from(reply));
}

/// Appends CopyDone.
pub fn copy_done(out: &mut BytesMut) {
    out.put_u8(b'c');
    out.put_i32(4);
}

/// Appends the CopyBothResponse that opens a stream: text format, no columns.
pub fn copy_both_response(out: &mut BytesMut) {
    out.put_u8(b'W');
    out.put_i32(7);
    out.put_u8(0);
    out.put_i16(0);
}

/// Microseconds since 2000-01-01, stopping at the ends of the number range.
pub fn postgres_time(now: Moment) -> i64 {
    i64::try_from(now.unix_ms)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000)
        .saturating_sub(POSTGRES_EPOCH_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(append: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
        let mut out = BytesMut::new();
        append(&mut out);
        out.to_vec()
    }

    /// 2000-01-01 00:00:01 UTC.
    fn one_second_in() -> Moment {
        Moment::at_ms(946_684_801_000)
    }

    #[test]
    fn xlog_data_carries_the_message_position_twice() {
        let bytes = encoded(|out| {
            xlog_data(out, Lsn::new(0x0157_9298), b"BEGIN 750", one_second_in()).unwrap();
        });
        assert_eq!(
            hex::encode(&bytes),
            concat!(
                "64",
                "00000026",
                "77",
                "0000000001579298",
                "0000000001579298",
                "00000000000f4240",
                "424547494e20373530"
            )
        );
        assert_eq!(bytes.len(), XLOG_DATA_HEADER_LEN + 9);
    }

    #[test]
    fn keepalive_done_and_both_have_their_bytes() {
        let bytes = encoded(|out| keepalive(out, Lsn::new(0x0314_8368), true, one_second_in()));
        assert_eq!(
            hex::encode(&bytes),
            "64000000166b000000000314836800000000000f424001"
        );
        assert_eq!(bytes.len(), KEEPALIVE_LEN);
        assert_eq!(hex::encode(encoded(copy_done)), "6300000004");
        assert_eq!(hex::encode(encoded(copy_both_response)), "5700000007000000");
    }

    #[test]
    fn clock_before_2000_is_negative_and_never_overflows() {
        assert_eq!(postgres_time(Moment::at_ms(0)), -POSTGRES_EPOCH_US);
        assert_eq!(
            postgres_time(Moment::at_ms(u64::MAX)),
            i64::MAX - POSTGRES_EPOCH_US
        );
    }
}
