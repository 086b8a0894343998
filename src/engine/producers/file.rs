//! The bytes of `producers.json`, vouched for by a checksum. It touches no disk.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::change::ProducerName;
use crate::disk::{vouch, vouched};
use crate::lsn::Lsn;

const VERSION: u32 = 1;

/// What counted through a position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Checkpoint {
    /// Every number of a record up to here is counted.
    pub(super) through: Lsn,
    /// By name.
    pub(super) producers: Vec<StoredProducer>,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredProducer {
    pub(super) name: ProducerName,
    pub(super) last_seq: u64,
    pub(super) last_lsn: Lsn,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    producers: Vec<Entry>,
    through: Lsn,
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    last_lsn: Lsn,
    last_seq: u64,
    name: String,
}

/// The file's bytes.
pub(super) fn encode(checkpoint: &Checkpoint) -> Result<Vec<u8>, String> {
    let entry = |stored: &StoredProducer| Entry {
        last_lsn: stored.last_lsn,
        last_seq: stored.last_seq,
        name: stored.name.as_str().to_owned(),
    };
    let body = Body {
        producers: checkpoint.producers.iter().map(entry).collect(),
        through: checkpoint.through,
        version: VERSION,
    };
    let json = serde_json::to_string_pretty(&body).map_err(|error| error.to_string())?;
    Ok(vouch(&json))
}

/// What the bytes say, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let json = vouched(bytes)?;
    let body: Body = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    if body.version != VERSION {
        return Err(format!("version {} is not known", body.version));
    }
    let mut names = BTreeSet::new();
    let mut producers = Vec::with_capacity(body.producers.len());
    for entry in body.producers {
        let name = ProducerName::parse(&entry.name).map_err(|error| error.to_string())?;
        if !names.insert(name.clone()) {
            return Err(format!("producer \"{name}\" is there twice"));
        }
        producers.push(StoredProducer {
            name,
            last_seq: entry.last_seq,
            last_lsn: entry.last_lsn,
        });
    }
    Ok(Checkpoint {
        through: body.through,
        producers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let producer = |name: &str, last_seq| StoredProducer {
            name: ProducerName::parse(name).unwrap(),
            last_seq,
            last_lsn: Lsn::new(16_777_480),
        };
        Checkpoint {
            through: Lsn::new(16_777_736),
            producers: vec![producer("billing", 0), producer("orders-eu", u64::MAX)],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for checkpoint in [checkpoint(), Checkpoint::default()] {
            let bytes = encode(&checkpoint).unwrap();
            assert_eq!(decode(&bytes), Ok(checkpoint));
        }
    }

    #[test]
    fn no_changed_byte_goes_unnoticed() {
        let bytes = encode(&checkpoint()).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_producer_that_is_there_twice_is_refused() {
        let mut twice = checkpoint();
        twice.producers.push(twice.producers[0].clone());
        let error = decode(&encode(&twice).unwrap()).unwrap_err();
        assert_eq!(error, "producer \"billing\" is there twice");
    }
}
