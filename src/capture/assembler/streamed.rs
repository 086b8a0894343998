//! A transaction that comes in pieces while it runs.
//!
//! What becomes of it and of its subtransactions is known at its end only, so all of it is kept
//! until then; then one pass over it decides what is stored and counts that, and another one makes
//! the frames while they are written.
//!
//! Of a subtransaction that was rolled back nothing is stored but descriptions, and those only
//! where a change that is stored needs them: the upstream sends a description once in a transaction
//! that it streams, with whichever change is the first. In a transaction that comes whole it does
//! the same without the changes that were rolled back, so both ways the same is stored.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::super::spill::{Blocks, Budget};
use super::entries::{Entries, EntryHead, EntryPart, EntryReader};
use super::frames::{Counts, FrameWriter, Sizes};
use super::known::{Known, Said, Sent, Table, Types};
use super::plain::{is_large, write_table};
use super::replay::{EntriesReplay, Plan, few};
use super::{AssembleError, peek};
use crate::engine::CapturedFrames;
use crate::lsn::Lsn;
use crate::pgoutput::{Commit, Context, Message, Protocol, write};

/// A transaction under way.
#[derive(Debug, Default)]
pub(super) struct Streamed {
    entries: Entries,
    aborted: HashSet<u32>,
    /// Its Origin message.
    origin: Option<Vec<u8>>,
    has_message: bool,
    /// It has logical messages from before a subtransaction was rolled back.
    is_undecidable: bool,
}

/// Whether a message describes a table or a type.
pub(super) fn is_description(message: &[u8]) -> bool {
    matches!(message.first(), Some(b'R' | b'Y'))
}

impl Streamed {
    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes()
    }

    pub(super) fn spilled_bytes(&self) -> u64 {
        self.entries.spilled_bytes()
    }

    /// Writes what is in memory to the file. Blocking.
    pub(super) fn spill(&mut self, budget: &Budget) -> Result<(), AssembleError> {
        self.entries.spill(budget)
    }

    pub(super) fn origin(&mut self, message: &[u8]) {
        self.origin.get_or_insert_with(|| message.to_vec());
    }

    /// A subtransaction was rolled back. PostgreSQL says so of each one inside of it, too.
    pub(super) fn abort(&mut self, subxid: u32) {
        self.aborted.insert(subxid);
        self.is_undecidable |= self.has_message;
    }

    /// A message between Stream Start and Stream Stop that has a transaction id.
    pub(super) fn take(
        &mut self,
        (lsn, message): (Lsn, &[u8]),
        known: &mut Known,
        sizes: Sizes,
        budget: &Budget,
    ) -> Result<(), AssembleError> {
        let letter = message.first().copied().unwrap_or_default();
        let mut lsn = lsn.get();
        match letter {
            b'I' | b'U' | b'D' => {
                peek::relation(message, 5)?;
            }
            _ => {
                self.look(message, sizes)?;
                if is_description(message) {
                    lsn = known.next_serial();
                }
            }
        }
        let subxid = peek::u32_at(message, 1, "the transaction id")?;
        let rest = message.get(5..).unwrap_or_default();
        self.entries
            .push((subxid, lsn), (letter, rest), sizes, budget)
    }

    /// Looks at a message that is no change of a row.
    fn look(&mut self, message: &[u8], sizes: Sizes) -> Result<(), AssembleError> {
        let context = Context {
            in_stream: true,
            ..Context::new(Protocol::V2)
        };
        let decoded = Message::decode(message, context)?;
        if let Message::Logical { transactional, .. } = decoded {
            if !transactional {
                return Err(peek::out_of_place(message, "inside of a transaction"));
            }
            self.has_message = true;
        } else if message.len() > sizes.part {
            // It is decoded once more, so it has to lie in one piece.
            return Err(AssembleError::TooLong {
                letter: message.first().copied().map_or('?', char::from),
                len: message.len(),
            });
        }
        Ok(())
    }

    /// Its frames and the descriptions in them, `None` if nothing of it is stored. Blocking.
    pub(super) fn commit(
        self,
        (xid, commit, lsn): (u32, Commit, Lsn),
        known: &mut Known,
        (sizes, large): (Sizes, usize),
    ) -> Result<Option<(CapturedFrames, Said)>, AssembleError> {
        if self.is_undecidable {
            return Err(AssembleError::NeedsWhole(xid));
        }
        let mut begin = Vec::new();
        write::begin(commit.commit_lsn, commit.commit_time, xid, &mut begin);
        let mut end = Vec::new();
        write::commit(&commit, &mut end);
        let mut start = vec![(Lsn::ZERO, begin)];
        start.extend(self.origin.map(|origin| (Lsn::ZERO, origin)));
        let entries = self.entries.into_blocks();
        let mut sieve = Sieve::new(&self.aborted, known, sizes);
        for (_, message) in &start {
            sieve.counter.message(Lsn::ZERO, message);
        }
        sieve.read(&entries)?;
        let Sieved {
            first_lsn,
            said,
            sent,
            mut counter,
        } = sieve.done();
        for sent in sent {
            known.note_sent(sent);
        }
        let Some(first_lsn) = first_lsn else {
            return Ok(None);
        };
        // As PostgreSQL does: an Origin has the position, and a Begin before it none.
        if let Some((lsn, _)) = start.last_mut() {
            *lsn = first_lsn;
        }
        counter.message(lsn, &end);
        let counts: Counts = counter.finish();
        let all_said = said.iter().map(|(_, table)| Arc::clone(table)).collect();
        let plan = Plan {
            start,
            commit: (lsn, end),
            aborted: self.aborted,
            said,
            counts,
            large: is_large(counts, large),
        };
        let replay = EntriesReplay::new(entries, plan, FrameWriter::new(sizes));
        Ok(Some((few(replay)?, all_said)))
    }
}

/// Decides what of a transaction is stored.
struct Sieve<'a> {
    aborted: &'a HashSet<u32>,
    known: &'a Known,
    counter: FrameWriter,
    /// Entries seen.
    num_seen: u64,
    /// The last entry is not stored.
    skips: bool,
    first_lsn: Option<Lsn>,
    /// Descriptions seen, the last of each table.
    seen: HashMap<u32, Sent>,
    types: Types,
    /// Those directly before this entry: they came with its change.
    open: Vec<u32>,
    said: VecDeque<(u64, Arc<Table>)>,
    /// The same without the places.
    said_tables: Said,
    /// The table of the last change that is stored.
    ready: Option<u32>,
}

struct Sieved {
    first_lsn: Option<Lsn>,
    said: VecDeque<(u64, Arc<Table>)>,
    sent: Vec<Sent>,
    counter: FrameWriter,
}

impl<'a> Sieve<'a> {
    fn new(aborted: &'a HashSet<u32>, known: &'a Known, sizes: Sizes) -> Self {
        Self {
            aborted,
            known,
            counter: FrameWriter::counter(sizes),
            num_seen: 0,
            skips: false,
            first_lsn: None,
            seen: HashMap::new(),
            types: Types::new(),
            open: Vec::new(),
            said: VecDeque::new(),
            said_tables: Said::new(),
            ready: None,
        }
    }

    fn read(&mut self, entries: &Blocks) -> Result<(), AssembleError> {
        let mut reader = EntryReader::default();
        entries.look(|block| {
            reader.read(block, |part| match part {
                EntryPart::Begin(head, message) => self.entry(head, message),
                EntryPart::Rest(bytes) => {
                    if !self.skips {
                        self.counter.bytes(bytes);
                    }
                    Ok(())
                }
            })
        })
    }

    fn entry(&mut self, head: EntryHead, message: &[u8]) -> Result<(), AssembleError> {
        self.skips = true;
        if is_description(message) {
            self.description(head, message)?;
        } else if self.aborted.contains(&head.subxid) {
            self.open.clear();
        } else {
            self.skips = false;
            self.first_lsn.get_or_insert(head.header_lsn());
            self.describe(message)?;
            self.counter.begin_message(head.header_lsn(), head.len);
            self.counter.bytes(message);
        }
        self.num_seen += 1;
        Ok(())
    }

    fn description(&mut self, head: EntryHead, message: &[u8]) -> Result<(), AssembleError> {
        if message.first() == Some(&b'Y') {
            let oid = peek::u32_at(message, 1, "the type's OID")?;
            self.types.insert(oid, message.to_vec());
            return Ok(());
        }
        let table = self.known.read(message, &self.types)?;
        self.open.push(table.oid);
        self.ready = None;
        let serial = head.lsn;
        self.seen.insert(table.oid, Sent { serial, table });
        Ok(())
    }

    /// Has readers know the tables of a change that is stored.
    fn describe(&mut self, message: &[u8]) -> Result<(), AssembleError> {
        for oid in std::mem::take(&mut self.open) {
            self.say(oid)?;
        }
        match message.first() {
            Some(b'I' | b'U' | b'D') => {
                let relation = peek::relation(message, 1)?;
                if self.ready != Some(relation) {
                    self.say(relation)?;
                    self.ready = Some(relation);
                }
                Ok(())
            }
            Some(b'T') => {
                let decoded = Message::decode(message, Context::new(Protocol::V1))?;
                if let Message::Truncate { relations, .. } = decoded {
                    relations.into_iter().try_for_each(|oid| self.say(oid))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn say(&mut self, oid: u32) -> Result<(), AssembleError> {
        let seen = self.seen.get(&oid).map(|seen| &seen.table);
        let table = seen.or_else(|| self.known.sent(oid));
        let table = Arc::clone(table.ok_or(AssembleError::NotDescribed(oid))?);
        if !self.known.is_stored(&table, &self.said_tables) {
            write_table(&table, &mut self.counter);
            self.said_tables.push(Arc::clone(&table));
            self.said.push_back((self.num_seen, table));
        }
        Ok(())
    }

    fn done(self) -> Sieved {
        Sieved {
            first_lsn: self.first_lsn,
            said: self.said,
            sent: self.seen.into_values().collect(),
            counter: self.counter,
        }
    }
}
