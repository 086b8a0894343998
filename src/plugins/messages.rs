//! Messages ready to be sent, in one buffer that is used again and again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::lsn::Lsn;

/// How much memory an empty list keeps, bytes.
const MOST_KEPT: usize = 1 << 20;

/// Messages ready to be sent, with their LSNs, in one buffer.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    ends: Vec<(Lsn, usize)>,
    tables: Vec<TableUse>,
}

/// The next message is about a table that a subscriber must have been told of: its description
/// goes out before it, once a stream and again when it is another. It is no message itself, so
/// that messages can be shared by streams that were told of different tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// Messages before it.
    pub at: usize,
    /// The table's OID.
    pub oid: u32,
    /// What describes it, one or more messages (a Type message each and a Relation message): all
    /// of them at LSN 0/0.
    pub description: Arc<[Bytes]>,
}

/// What a stream was told of tables last, by their OIDs.
#[derive(Debug, Default)]
pub struct Told(HashMap<u32, Arc<[Bytes]>>);

impl Told {
    /// Whether the stream must be told; then it counts as told.
    fn is_news(&mut self, used: &TableUse) -> bool {
        let last = self.0.get(&used.oid);
        if last.is_some_and(|last| *last == used.description) {
            return false;
        }
        self.0.insert(used.oid, Arc::clone(&used.description));
        true
    }
}

impl Messages {
    /// Notes that the next message is about the table `oid`, which `description` describes. What
    /// was noted for the table's last message in this list is not noted again.
    pub fn use_table(&mut self, oid: u32, description: &Arc<[Bytes]>) {
        let last = self.tables.iter().rev().find(|last| last.oid == oid);
        if last.is_some_and(|last| Arc::ptr_eq(&last.description, description)) {
            return;
        }
        self.tables.push(TableUse {
            at: self.ends.len(),
            oid,
            description: Arc::clone(description),
        });
    }

    /// The uses of tables in order.
    pub fn table_uses(&self) -> &[TableUse] {
        &self.tables
    }

    /// Empties the list, keeping its memory unless one large record had blown it up.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(MOST_KEPT);
        self.ends.clear();
        self.tables.clear();
        self.ends.shrink_to(MOST_KEPT / size_of::<(Lsn, usize)>());
    }

    /// Appends one message that `write` produces.
    pub fn push_with(&mut self, lsn: Lsn, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push((lsn, self.bytes.len()));
    }

    /// Appends one message.
    pub fn push(&mut self, lsn: Lsn, message: &[u8]) {
        self.push_with(lsn, |bytes| bytes.extend_from_slice(message));
    }

    /// The messages in order.
    pub fn iter(&self) -> impl Iterator<Item = (Lsn, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(lsn, end)| {
            let message = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (lsn, message)
        })
    }

    /// The messages in order for a stream that was told what is in `told`, with the descriptions
    /// that it must be told before them: those have no LSN.
    pub fn each_with_descriptions(
        &self,
        told: &mut Told,
        mut each: impl FnMut(Option<Lsn>, &[u8]),
    ) {
        let mut uses = self.tables.iter().peekable();
        for (number, (lsn, message)) in self.iter().enumerate() {
            while let Some(used) = uses.next_if(|used| used.at <= number) {
                if told.is_news(used) {
                    for description in used.description.iter() {
                        each(None, description);
                    }
                }
            }
            each(Some(lsn), message);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held.
    pub fn num_bytes(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_record_does_not_keep_its_memory() {
        let mut messages = Messages::default();
        messages.push(Lsn::ZERO, &vec![0; 8 * MOST_KEPT]);
        messages.clear();
        assert!(messages.bytes.capacity() <= 2 * MOST_KEPT);
    }
}
