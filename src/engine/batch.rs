//! Transactions on their way in: encoded once, on the publisher's thread, into one buffer.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::PublishError;
use super::check::{Encoded, RowCheck};
use super::define::Collections;
use super::scratch::size;
use crate::change::{self, ChangeRecord, Numbered, OpenRecord};
use crate::clock::Moment;
use crate::lsn::Lsn;
use crate::relations::RelationSet;
use crate::spool::{Draft, Drafts, End, MAX_PAYLOAD, Stamp, Unit};

/// The most digits that the writer puts into the hole of a payload; the spool counts this many.
pub(super) const LSN_DIGITS: usize = 20;

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
    /// Which pieces are numbered by a producer, in order.
    numbered: Vec<(usize, Numbered)>,
    collections: Collections,
    check: RowCheck,
}

/// One payload in the buffer.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    /// Offset of the LSN's digits inside the payload.
    lsn_at: usize,
    /// Counts the batch's transactions.
    transaction: usize,
    /// Its transaction has several records: the payload begins with [`PART_PREFIX`] bytes that
    /// say its place, filled in when the places are known.
    several: bool,
    /// End LSN that the caller chose for the transaction.
    chosen: Option<Lsn>,
}

/// Bytes before the JSON of a record of several.
pub(super) const PART_PREFIX: usize = change::frame_part_prefix(false, false).len();

impl Batch {
    pub(super) fn new(term: u64, now: Moment, check: RowCheck) -> Self {
        Self {
            term,
            unix_ms: now.unix_ms,
            bytes: Vec::with_capacity(FIRST_ROOM),
            pieces: Vec::new(),
            num_transactions: 0,
            numbered: Vec::new(),
            collections: Collections::default(),
            check,
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

    /// Adds a record as a transaction of its own. One that is no row of its declared table is
    /// refused. Its `lsn` and `term` are assigned by the
    /// engine; a `timestamp` of 0 becomes the time of publishing.
    pub fn push(&mut self, record: &ChangeRecord) -> Result<(), PublishError> {
        let (term, unix_ms) = (self.term, self.unix_ms);
        self.push_open(|out| Ok(change::encode_open_into(record, term, unix_ms, out)?))
    }

    /// Adds a transaction of one record that `encode` appends to the buffer. On an error nothing
    /// is added.
    pub fn push_open<E: From<PublishError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<OpenRecord, E>,
    ) -> Result<(), E> {
        let (start, mut numbered, mut collection) = (self.bytes.len(), None, 0..0);
        let num_pieces = self.pieces.len();
        let encode = |out: &mut Vec<u8>| {
            let record = encode(out)?;
            numbered = record.numbered;
            collection = record.collection;
            Ok::<_, E>(record.lsn_at)
        };
        self.append(encode, false, None)?;
        if let Err(error) = self.check_last(start, &collection) {
            self.bytes.truncate(start);
            self.pieces.truncate(num_pieces);
            return Err(error.into());
        }
        self.num_transactions += 1;
        self.note_number(numbered);
        self.note_collection(start, start, &collection);
        Ok(())
    }

    /// Adds a transaction of one record that `encode` appends to the buffer; it returns where in
    /// the record the digits of the LSN go. On an error nothing is added. Its collection becomes no
    /// table by this.
    pub fn push_with<E: From<PublishError>>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.append(encode, false, None)?;
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
        let num_numbered = self.numbered.len();
        let num_records = records.len();
        if num_records == 0 {
            return Err(PublishError::Empty);
        }
        for record in records {
            if let Err(error) = self.push_record(record, num_records > 1, chosen) {
                self.bytes.truncate(start);
                self.pieces.truncate(num_pieces);
                self.numbered.truncate(num_numbered);
                self.collections.cut(size(start));
                return Err(error);
            }
        }
        self.num_transactions += 1;
        Ok(())
    }

    fn push_record(
        &mut self,
        record: &ChangeRecord,
        several: bool,
        chosen: Option<Lsn>,
    ) -> Result<(), PublishError> {
        if chosen.is_some() && record.numbered.is_some() {
            return Err(PublishError::NumberedAtPosition);
        }
        if several && record.stands_alone() {
            return Err(PublishError::StandsAlone);
        }
        let (term, unix_ms) = (self.term, self.unix_ms);
        let (start, mut json_at, mut collection) = (self.bytes.len(), 0, 0..0);
        let encode = |out: &mut Vec<u8>| {
            if several {
                out.extend_from_slice(&change::frame_part_prefix(false, false));
            }
            let open = change::encode_open_into(record, term, unix_ms, out)?;
            json_at = open.start;
            collection = open.collection;
            Ok::<_, PublishError>(open.start - start + open.lsn_at)
        };
        self.append(encode, several, chosen)?;
        self.check_last(json_at, &collection)?;
        self.note_number(record.numbered.clone());
        self.note_collection(start, json_at, &collection);
        Ok(())
    }

    /// Whether the last piece, whose JSON begins at `json_at`, is a row of its table.
    fn check_last(&mut self, json_at: usize, place: &Range<usize>) -> Result<(), PublishError> {
        let Self {
            bytes,
            pieces,
            check,
            ..
        } = self;
        let Some(last) = pieces.last() else {
            return Ok(());
        };
        let collection = bytes.get(json_at + place.start..json_at + place.end);
        check.record(collection.unwrap_or_default(), last.encoded(bytes))
    }

    /// Looks at the records again where what they were checked under is not `set`. Nobody defines
    /// meanwhile.
    pub(super) fn check_under(&mut self, set: Arc<RelationSet>) -> Result<(), PublishError> {
        if self.check.holds_under(&set, &self.collections) {
            return Ok(());
        }
        self.check.start_again(set);
        for piece in &self.pieces {
            let record = piece.encoded(&self.bytes);
            self.check.row(record)?;
        }
        Ok(())
    }

    /// Notes the collection of the piece that begins at `start` and its JSON at `json_at`.
    fn note_collection(&mut self, start: usize, json_at: usize, collection: &Range<usize>) {
        let place = json_at + collection.start..json_at + collection.end;
        if let Some(json) = self.bytes.get(place) {
            self.collections.note(json, size(start));
        }
    }

    /// The collections of its records.
    pub(super) const fn collections(&self) -> &Collections {
        &self.collections
    }

    /// Notes the number of the last piece.
    fn note_number(&mut self, numbered: Option<Numbered>) {
        let last = self.pieces.len().saturating_sub(1);
        self.numbered
            .extend(numbered.map(|numbered| (last, numbered)));
    }

    /// Whether producers number any of its records.
    pub(super) const fn is_numbered(&self) -> bool {
        !self.numbered.is_empty()
    }

    /// Removes the records whose numbers `is_repeated` knows. It is asked in order.
    pub(super) fn remove_repeated(&mut self, mut is_repeated: impl FnMut(&Numbered) -> bool) {
        let repeated = std::mem::take(&mut self.numbered).into_iter();
        let repeated = repeated.filter(|(_, numbered)| is_repeated(numbered));
        let mut repeated = repeated.map(|(piece, _)| piece).peekable();
        let mut index = 0;
        self.pieces.retain(|_| {
            let goes = repeated.next_if_eq(&index).is_some();
            index += 1;
            !goes
        });
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
        several: bool,
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
                    start,
                    end,
                    lsn_at,
                    transaction: self.num_transactions,
                    several,
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
    pub(super) fn into_units(mut self) -> Vec<Unit> {
        let same = |a: &Piece, b: &Piece| a.transaction == b.transaction;
        for pieces in self.pieces.chunk_by(same) {
            mark_places(pieces, &mut self.bytes);
        }
        let bytes = Bytes::from(self.bytes);
        let unit = |pieces: &[Piece]| Unit {
            term: self.term,
            timestamp_ms: self.unix_ms,
            end: pieces
                .first()
                .and_then(|piece| piece.chosen)
                .map_or(End::Local, End::Chosen),
            frames: match pieces {
                [only] => Drafts::One(only.whole(&bytes)),
                several => Drafts::Many(several.iter().map(|piece| piece.part(&bytes)).collect()),
            },
        };
        self.pieces.chunk_by(same).map(unit).collect()
    }
}

impl Piece {
    /// Its record.
    fn encoded<'b>(&self, bytes: &'b [u8]) -> Encoded<'b> {
        let prefix = if self.several { PART_PREFIX } else { 0 };
        Encoded {
            json: bytes.get(self.start + prefix..self.end).unwrap_or_default(),
            lsn_at: self.lsn_at.saturating_sub(prefix),
        }
    }

    /// As a transaction of its own, whatever it was meant to be.
    fn whole(&self, bytes: &Bytes) -> Draft {
        let prefix = if self.several { PART_PREFIX } else { 0 };
        Draft {
            bytes: bytes.slice(self.start + prefix..self.end),
            hole: Some((self.lsn_at.saturating_sub(prefix), Stamp::EndLsn)),
        }
    }

    /// As one of several.
    fn part(&self, bytes: &Bytes) -> Draft {
        Draft {
            bytes: bytes.slice(self.start..self.end),
            hole: Some((self.lsn_at, Stamp::OwnLsn)),
        }
    }
}

/// Writes the place of each of a transaction's `pieces` into its prefix.
fn mark_places(pieces: &[Piece], bytes: &mut [u8]) {
    if pieces.len() < 2 {
        return;
    }
    for (index, piece) in pieces.iter().enumerate() {
        let prefix = change::frame_part_prefix(index == 0, index + 1 == pieces.len());
        if let Some(place) = bytes.get_mut(piece.start..piece.start + PART_PREFIX) {
            place.copy_from_slice(&prefix);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::engine::{Engine, EngineOptions};
    use crate::spool::AppendError;

    #[test]
    fn a_record_that_the_spool_would_refuse_never_gets_into_a_batch() {
        let dir = tempfile::tempdir().unwrap();
        let (options, now) = (EngineOptions::default(), Moment::now());
        let engine = Engine::open(Arc::new(RealDisk), dir.path(), "main", options, now).unwrap();
        let mut batch = engine.batch(now);
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
