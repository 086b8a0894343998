//! The numbers of all producers in memory (no disk, no lock).

use std::collections::{BTreeMap, VecDeque};

use super::file::{Checkpoint, StoredProducer};
use crate::change::{Numbered, ProducerName};
use crate::lsn::Lsn;
use crate::spool::{Probe, Progress};

/// One producer at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// Name.
    pub name: ProducerName,
    /// The highest number that is durable, `None` when none is yet.
    pub last_seq: Option<u64>,
    /// End of the transaction that it is in, zero when there is none.
    pub last_lsn: Lsn,
    /// Repeated records that were not stored again, since the server started.
    pub num_duplicates: u64,
}

/// What one submit brings of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::engine) struct Numbering {
    pub(in crate::engine) producer: ProducerName,
    /// The highest number that is to be stored.
    pub(in crate::engine) highest: Option<u64>,
    pub(in crate::engine) num_repeated: u64,
}

/// Sorts the repeated records out of one submit.
#[derive(Debug, Default)]
pub(in crate::engine) struct Screen {
    seen: BTreeMap<ProducerName, Seen>,
}

#[derive(Debug)]
struct Seen {
    submitted: Option<u64>,
    highest: Option<u64>,
    num_repeated: u64,
}

impl Screen {
    /// Whether a number came before, here or according to `submitted`; if not it counts from now.
    pub(super) fn is_repeated(
        &mut self,
        numbered: &Numbered,
        submitted: impl FnOnce() -> Option<u64>,
    ) -> bool {
        let producer = numbered.producer.clone();
        let seen = self.seen.entry(producer).or_insert_with(|| Seen {
            submitted: submitted(),
            highest: None,
            num_repeated: 0,
        });
        let seq = Some(numbered.seq);
        let repeated = seen.submitted.max(seen.highest) >= seq;
        if repeated {
            seen.num_repeated += 1;
        } else {
            seen.highest = seq;
        }
        repeated
    }

    /// What is to be noted.
    pub(in crate::engine) fn into_numberings(self) -> Vec<Numbering> {
        let numbering = |(producer, seen): (ProducerName, Seen)| Numbering {
            producer,
            highest: seen.highest,
            num_repeated: seen.num_repeated,
        };
        self.seen.into_iter().map(numbering).collect()
    }
}

/// The numbers of all producers.
#[derive(Debug, Default)]
pub(super) struct Table {
    producers: BTreeMap<ProducerName, Producer>,
    /// Handed to the writer, oldest first.
    pending: VecDeque<Pending>,
    /// End of the last durable transaction with a number.
    durable_lsn: Lsn,
    /// More is durable than the checkpoint says.
    changed: bool,
}

#[derive(Debug, Default)]
struct Producer {
    submitted: Option<u64>,
    durable: Option<u64>,
    last_lsn: Lsn,
    num_duplicates: u64,
}

#[derive(Debug)]
struct Pending {
    probe: Probe,
    highest: Vec<(ProducerName, u64)>,
}

impl Table {
    pub(super) fn new(checkpoint: Checkpoint) -> Self {
        let mut table = Self {
            durable_lsn: checkpoint.through,
            ..Self::default()
        };
        for stored in checkpoint.producers {
            let producer = Producer {
                submitted: Some(stored.last_seq),
                durable: Some(stored.last_seq),
                last_lsn: stored.last_lsn,
                num_duplicates: 0,
            };
            table.producers.insert(stored.name, producer);
        }
        table
    }

    /// Takes the number of a record that is stored, at a start.
    pub(super) fn restore(&mut self, numbered: Numbered, lsn: Lsn) {
        let producer = self.producers.entry(numbered.producer).or_default();
        producer.submitted = producer.submitted.max(Some(numbered.seq));
        producer.durable = producer.submitted;
        producer.last_lsn = lsn;
        self.durable_lsn = self.durable_lsn.max(lsn);
        self.changed = true;
    }

    pub(super) fn submitted(&self, name: &ProducerName) -> Option<u64> {
        self.producers.get(name)?.submitted
    }

    /// Notes what was handed to the writer.
    pub(super) fn note(&mut self, numberings: Vec<Numbering>, probe: Probe) {
        let mut highest = Vec::new();
        for numbering in numberings {
            let producer = self
                .producers
                .entry(numbering.producer.clone())
                .or_default();
            producer.num_duplicates += numbering.num_repeated;
            if let Some(seq) = numbering.highest {
                producer.submitted = producer.submitted.max(Some(seq));
                highest.push((numbering.producer, seq));
            }
        }
        if !highest.is_empty() {
            self.pending.push_back(Pending { probe, highest });
        }
    }

    /// Looks what has become durable. What failed has stopped the writer, so nothing that comes
    /// behind it can be taken for stored.
    pub(super) fn drain(&mut self) {
        while let Some(pending) = self.pending.front() {
            match pending.probe.look() {
                Progress::UnderWay => return,
                Progress::Durable(lsn) => {
                    for (name, seq) in &pending.highest {
                        if let Some(producer) = self.producers.get_mut(name) {
                            producer.durable = producer.durable.max(Some(*seq));
                            producer.last_lsn = lsn;
                        }
                    }
                    self.durable_lsn = lsn;
                    self.changed = true;
                }
                Progress::Failed => {}
            }
            self.pending.pop_front();
        }
    }

    /// Whether more is durable than the last checkpoint said.
    pub(super) const fn is_changed(&self) -> bool {
        self.changed
    }

    /// What is durable. `head` was the head before the caller kept others from submitting, so
    /// with nothing under way every number up to there is in the table.
    pub(super) fn checkpoint(&mut self, head: Lsn) -> Checkpoint {
        self.changed = false;
        let through = if self.pending.is_empty() {
            self.durable_lsn.max(head)
        } else {
            self.durable_lsn
        };
        let stored = |(name, producer): (&ProducerName, &Producer)| {
            Some(StoredProducer {
                name: name.clone(),
                last_seq: producer.durable?,
                last_lsn: producer.last_lsn,
            })
        };
        // So that what was counted here is never behind what an earlier one counted through.
        self.durable_lsn = through;
        Checkpoint {
            through,
            producers: self.producers.iter().filter_map(stored).collect(),
        }
    }

    /// The last checkpoint was not written: another one is due.
    pub(super) const fn not_stored(&mut self) {
        self.changed = true;
    }

    pub(super) fn snapshot(&self) -> Vec<ProducerSnapshot> {
        let snapshot = |(name, producer): (&ProducerName, &Producer)| ProducerSnapshot {
            name: name.clone(),
            last_seq: producer.durable,
            last_lsn: producer.last_lsn,
            num_duplicates: producer.num_duplicates,
        };
        self.producers.iter().map(snapshot).collect()
    }
}
