//! The records that this program wrote: the keys in their order, no blanks, no escapes. Nearly all
//! stored ones are such; they are read in one pass that builds nothing.

use std::borrow::Cow;

use super::fields::{Fields, Hex};
use super::{Numbered, Operation, ProducerName};

/// Digits that no 64-bit integer is too short for.
const SAFE_DIGITS: usize = 19;

/// Reads a record in that form; `None` for any other text, which may be a record all the same, and
/// for those with metadata, a refresh's rows or a message.
pub(super) fn read(payload: &[u8]) -> Option<Fields<'_>> {
    let mut scan = Scan { rest: payload };
    scan.past(b"{")?;
    let changed_columns = match scan.eat(b"\"changed_columns\":") {
        true => {
            let list = scan.list()?;
            scan.past(b",")?;
            Some(list)
        }
        false => None,
    };
    scan.past(b"\"collection\":\"")?;
    let collection = scan.text()?;
    let entity_bytes = scan.hex_at(b",\"entity_bytes_hex\":\"")?;
    scan.past(b",\"kind\":\"")?;
    let entity_kind = scan.text()?;
    scan.past(b",\"lsn\":")?;
    let lsn = scan.integer()?;
    let old = scan.hex_at(b",\"old\":\"")?;
    scan.past(b",\"operation\":\"")?;
    let operation = Operation::parse(scan.text()?)?;
    let producer = match scan.eat(b",\"producer\":\"") {
        true => Some(ProducerName::parse(scan.text()?).ok()?),
        false => None,
    };
    scan.past(b",\"rid\":")?;
    let entity_id = scan.integer()?;
    let numbered = match producer {
        Some(producer) => {
            scan.past(b",\"seq\":")?;
            let seq = scan.integer()?;
            Some(Numbered { producer, seq })
        }
        None => None,
    };
    scan.past(b",\"term\":")?;
    let term = scan.integer()?;
    scan.past(b",\"timestamp\":")?;
    let timestamp = scan.integer()?;
    let unchanged = match scan.eat(b",\"unchanged\":") {
        true => Some(scan.list()?),
        false => None,
    };
    scan.past(b"}")?;
    let is_whole = scan.rest.is_empty() && operation != Operation::Message;
    is_whole.then_some(Fields {
        term,
        lsn,
        timestamp,
        operation,
        collection: Cow::Borrowed(collection),
        entity_id,
        entity_kind: Cow::Borrowed(entity_kind),
        entity_bytes,
        metadata: None,
        refresh_records: None,
        changed_columns,
        old,
        unchanged,
        numbered,
        message: None,
    })
}

/// What is left of a record.
struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Goes past `wanted`, if that is next.
    fn eat(&mut self, wanted: &[u8]) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Goes past `wanted`, which must be next.
    fn past(&mut self, wanted: &[u8]) -> Option<()> {
        self.eat(wanted).then_some(())
    }

    /// What stands before the next quote; goes past that.
    fn quoted(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(b'"', self.rest)?;
        let (inside, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        Some(inside)
    }

    /// The rest of a string without escapes.
    fn text(&mut self) -> Option<&'a str> {
        let inside = self.quoted()?;
        let is_plain = inside.iter().all(|byte| *byte >= b' ' && *byte != b'\\');
        std::str::from_utf8(inside).ok().filter(|_| is_plain)
    }

    /// The hexadecimal digits of the string that begins with `wanted`, if that is next.
    fn hex_at(&mut self, wanted: &[u8]) -> Option<Option<Hex<'a>>> {
        if !self.eat(wanted) {
            return Some(None);
        }
        let digits = std::str::from_utf8(self.quoted()?).ok()?;
        let hex = Hex::parse(Cow::Borrowed(digits), "a record").ok()?;
        Some(Some(hex))
    }

    /// A number without zeros in front.
    fn integer(&mut self) -> Option<u64> {
        let is_digit = |byte: &&u8| byte.is_ascii_digit();
        let len = self.rest.iter().take_while(is_digit).count();
        let (digits, rest) = self.rest.split_at_checked(len)?;
        let is_plain = match digits {
            [] | [b'0', _, ..] => false,
            _ => len <= SAFE_DIGITS,
        };
        self.rest = rest;
        let value = |so_far: u64, digit: &u8| so_far * 10 + u64::from(digit & 0xF);
        is_plain.then(|| digits.iter().fold(0, value))
    }

    /// A list of strings without escapes.
    fn list(&mut self) -> Option<Vec<Cow<'a, str>>> {
        let mut list = Vec::new();
        self.past(b"[")?;
        if self.eat(b"]") {
            return Some(list);
        }
        loop {
            self.past(b"\"")?;
            list.push(Cow::Borrowed(self.text()?));
            if self.eat(b"]") {
                return Some(list);
            }
            self.past(b",")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{ChangeRecord, encode};
    use super::*;

    fn record() -> impl Strategy<Value = ChangeRecord> {
        let names = || prop::option::of(prop::collection::vec("[a-zä\"\\\\\n]{0,3}", 0..3));
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..20));
        let operation = prop::sample::select(vec![
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
            Operation::Truncate,
        ]);
        let numbered = prop::option::of(("[a-z\"]{1,3}", any::<u64>()));
        (
            (operation, "[a-z.ü\\\\]{0,4}", any::<u64>(), any::<u64>()),
            (bytes(), bytes(), names(), names(), numbered),
        )
            .prop_map(|((operation, collection, lsn, rid), rest)| {
                let (entity_bytes, old, changed_columns, unchanged, numbered) = rest;
                ChangeRecord {
                    lsn,
                    operation,
                    entity_bytes,
                    old,
                    changed_columns,
                    unchanged,
                    numbered: numbered.map(|(name, seq)| Numbered {
                        producer: ProducerName::parse(&name).unwrap(),
                        seq,
                    }),
                    ..ChangeRecord::insert(collection, rid)
                }
            })
    }

    proptest! {
        /// Whatever is read in one pass is read to the same record the long way, also when
        /// something of the text is another.
        #[test]
        fn both_readings_of_a_record_agree(
            record in record(),
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut payload = encode(&record).unwrap();
            for (at, byte) in edits {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            if let Some(fields) = read(&payload) {
                let slow = Fields::decode_any(&payload).unwrap();
                prop_assert_eq!(fields.into_record(), slow.into_record());
            }
        }
    }

    #[test]
    fn a_record_as_it_is_stored_is_read_in_one_pass() {
        let plain = ChangeRecord::update("s.orders", 7).with_entity(b"{}".to_vec());
        let full = ChangeRecord {
            changed_columns: Some(vec!["a".to_owned()]),
            unchanged: Some(vec!["b".to_owned(), "c".to_owned()]),
            old: Some(b"{\"id\":1}".to_vec()),
            ..plain.clone()
        };
        for record in [plain, full] {
            let payload = encode(&record).unwrap();
            let fields = read(&payload).unwrap();
            let slow = Fields::decode_any(&payload).unwrap();
            assert_eq!(fields.into_record(), slow.into_record());
        }
    }
}
