//! Transactions on their way in: encoded once, on the publisher's thread, into one buffer.

use bytes::Bytes;

use super::PublishError;
use crate::change::{self, ChangeRecord};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::spool::{Draft, Drafts, MAX_PAYLOAD, Stamp, Unit};

/// The most digits that the writer puts into the hole of a payload; the spool counts this many.
const LSN_DIGITS: usize = 20;

/// Room for a record of common size without growing.
const FIRST_ROOM: usize = 512;

/// Transactions on their way in, already encoded but for the LSNs that only the spool's writer
/// knows.
#[derive(Debug)]
pub struct Batch {
    term: u64,
    unix_ms: u64,
    bytes: Vec<u8>,
    pieces: Vec<Piece>,
    num_transactions: usize,
}

/// One payload in the buffer.
#[derive(Debug, Clone, Copy)]
struct Piece {
    end: usize,
    /// Offset of the LSN's digits inside the payload.
    lsn_at: usize,
    part: Part,
    /// End LSN that the caller chose for the transaction.
    chosen: Option<Lsn>,
}

/// A piece's place in its transaction.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// The transaction has several records.
    several: bool,
    /// The transaction goes on in the next piece.
    continues: bool,
}

impl Part {
    const WHOLE: Self = Self {
        several: false,
        continues: false,
    };
}

impl Batch {
    pub(super) fn new(term: u64, now: Moment) -> Self {
        Self {
            term,
            unix_ms: now.unix_ms,
            bytes: Vec::with_capacity(FIRST_ROOM),
            pieces: Vec::new(),
            num_transactions: 0,
        }
    }

    /// The term its records get.
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Commit time of its transactions, unix milliseconds.
    pub const fn unix_ms(&self) -> u64 {
        self.unix_ms
    }

    /// Adds a record as a transaction of its own. Its `lsn` and `term` are assigned by the
    /// engine; a `timestamp` of 0 becomes the time of publishing.
    pub fn push(&mut self, record: &ChangeRecord) -> Result<(), PublishError> {
        let (term, unix_ms) = (self.term, self.unix_ms);
        self.push_with(|out| Ok(change::encode_open_into(record, term, unix_ms, out)?.lsn_at))
    }

    /// Adds a transaction of one record that `encode` appends to the buffer; it returns where in
    /// the record the digits of the LSN go. On an error nothing is added.
    pub fn push_with<E: From<PublishError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.append(encode, Part::WHOLE, None)?;
        self.num_transactions += 1;
        Ok(())
    }

    /// Adds several records as one transaction.
    pub fn push_transaction(&mut self, records: &[ChangeRecord]) -> Result<(), PublishError> {
        self.push_records(records, None)
    }

    /// Adds one transaction that ends at `lsn`, which the caller chooses: above the one before by
    /// at least [`MIN_LSN_STEP`](crate::spool::MIN_LSN_STEP) (for an embedding engine with a log
    /// of its own; checked when the batch reaches the spool).
    pub fn push_at(&mut self, lsn: Lsn, records: &[ChangeRecord]) -> Result<(), PublishError> {
        self.push_records(records, Some(lsn))
    }

    fn push_records(
        &mut self,
        records: &[ChangeRecord],
        chosen: Option<Lsn>,
    ) -> Result<(), PublishError> {
        let (start, num_pieces) = (self.bytes.len(), self.pieces.len());
        let num_records = records.len();
        if num_records == 0 {
            return Err(PublishError::Empty);
        }
        for (index, record) in records.iter().enumerate() {
            let part = Part {
                several: num_records > 1,
                continues: index + 1 < num_records,
            };
            if let Err(error) = self.push_record(record, index == 0, part, chosen) {
                self.bytes.truncate(start);
                self.pieces.truncate(num_pieces);
                return Err(error);
            }
        }
        self.num_transactions += 1;
        Ok(())
    }

    fn push_record(
        &mut self,
        record: &ChangeRecord,
        first: bool,
        part: Part,
        chosen: Option<Lsn>,
    ) -> Result<(), PublishError> {
        let (term, unix_ms) = (self.term, self.unix_ms);
        let encode = |out: &mut Vec<u8>| {
            let start = out.len();
            if part.several {
                out.extend_from_slice(&change::frame_part_prefix(first, !part.continues));
            }
            let open = change::encode_open_into(record, term, unix_ms, out)?;
            Ok::<_, PublishError>(open.start - start + open.lsn_at)
        };
        self.append(encode, part, chosen)
    }

    /// Transactions in it.
    pub const fn len(&self) -> usize {
        self.num_transactions
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.num_transactions == 0
    }

    /// Encoded bytes in it.
    pub const fn num_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn append<E: From<PublishError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
        part: Part,
        chosen: Option<Lsn>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        let encoded = encode(&mut self.bytes).and_then(|lsn_at| {
            // As the spool counts it, which would refuse the whole batch for one such record.
            let len = self.bytes.len() - start + LSN_DIGITS;
            if len > MAX_PAYLOAD {
                Err(PublishError::too_large(len).into())
            } else {
                Ok(lsn_at)
            }
        });
        match encoded {
            Ok(lsn_at) => {
                let end = self.bytes.len();
                self.pieces.push(Piece {
                    end,
                    lsn_at,
                    part,
                    chosen,
                });
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// The batch as the spool takes it: slices of one shared buffer.
    pub(super) fn into_units(self) -> Vec<Unit> {
        let bytes = Bytes::from(self.bytes);
        let mut units = Vec::with_capacity(self.num_transactions);
        let mut open = Vec::new();
        let mut start = 0;
        for piece in self.pieces {
            let stamp = if piece.part.several {
                Stamp::OwnLsn
            } else {
                Stamp::EndLsn
            };
            let draft = Draft {
                bytes: bytes.slice(start..piece.end),
                hole: Some((piece.lsn_at, stamp)),
            };
            start = piece.end;
            let frames = if piece.part.several {
                open.push(draft);
                if piece.part.continues {
                    continue;
                }
                Drafts::Many(std::mem::take(&mut open))
            } else {
                Drafts::One(draft)
            };
            units.push(Unit {
                term: self.term,
                timestamp_ms: self.unix_ms,
                lsn: piece.chosen,
                frames,
            });
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::AppendError;

    #[test]
    fn a_record_that_the_spool_would_refuse_never_gets_into_a_batch() {
        let mut batch = Batch::new(1, Moment::now());
        let mut push = |len: usize| {
            batch.push_with(|out| {
                out.resize(out.len() + len, b' ');
                Ok::<_, PublishError>(0)
            })
        };
        assert!(push(8).is_ok());
        let error = push(MAX_PAYLOAD - LSN_DIGITS + 1).unwrap_err();
        let PublishError::Append(AppendError::PayloadTooLarge { len, max }) = error else {
            panic!("{error}");
        };
        assert_eq!((len, max), (MAX_PAYLOAD + 1, MAX_PAYLOAD));
        assert!(push(MAX_PAYLOAD - LSN_DIGITS).is_ok());
        assert_eq!((batch.len(), batch.num_bytes()), (2, 8 + MAX_PAYLOAD - 20));
    }
}
