//! The bytes of `slots.json`: RedDB's keys plus ours, vouched for by a checksum.
//!
//! ```text
//! {
//!   "crc32": "0123abcd",     exactly this line first: CRC-32 (IEEE) of every byte after its "\n"
//!   "generation": 3,         how often the store was opened
//!   "slots": [ ... ],        by id; keys in alphabetical order
//!   "version": 1
//! }
//! ```
//!
//! Any changed byte is an error: the first line is compared as text, the rest by checksum.
//! Integers are exact `u64`. It reads and makes bytes; it touches no disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::{vouch, vouched};
use crate::lsn::Lsn;

use super::{Invalidation, InvalidationCause, SlotName};

const VERSION: u32 = 1;

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SlotFile {
    pub(super) generation: u64,
    pub(super) slots: Vec<StoredSlot>,
}

/// One permanent slot as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredSlot {
    pub(super) name: SlotName,
    pub(super) plugin: Arc<str>,
    pub(super) two_phase: bool,
    /// OID of the role it belongs to; a file from before there were owners says nothing.
    pub(super) owner: Option<u32>,
    pub(super) restart_lsn: Lsn,
    pub(super) confirmed_lsn: Lsn,
    pub(super) created_at_unix_ms: u64,
    pub(super) last_seen_unix_ms: u64,
    pub(super) invalidation: Option<Invalidation>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    generation: u64,
    slots: Vec<Entry>,
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    confirmed_lsn: Lsn,
    created_at_unix_ms: u64,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invalidated_at_unix_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invalidation_reason: Option<String>,
    last_seen_at_unix_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<u32>,
    plugin: String,
    restart_lsn: Lsn,
    two_phase: bool,
}

/// The file's bytes.
pub(super) fn encode(file: &SlotFile) -> Result<Vec<u8>, String> {
    let body = Body {
        generation: file.generation,
        slots: file.slots.iter().map(entry).collect(),
        version: VERSION,
    };
    let json = serde_json::to_string_pretty(&body).map_err(|e| e.to_string())?;
    Ok(vouch(&json))
}

/// What the bytes say, or what is wrong with them.
pub(super) fn decode(bytes: &[u8]) -> Result<SlotFile, String> {
    let body: Body = serde_json::from_str(&vouched(bytes)?).map_err(|e| e.to_string())?;
    if body.version != VERSION {
        return Err(format!("version {} is not known", body.version));
    }
    let mut names = BTreeSet::new();
    let mut slots = Vec::with_capacity(body.slots.len());
    for entry in body.slots {
        let slot = stored(entry)?;
        if !names.insert(slot.name.clone()) {
            return Err(format!("slot \"{}\" is there twice", slot.name));
        }
        slots.push(slot);
    }
    Ok(SlotFile {
        generation: body.generation,
        slots,
    })
}

fn entry(slot: &StoredSlot) -> Entry {
    Entry {
        confirmed_lsn: slot.confirmed_lsn,
        created_at_unix_ms: slot.created_at_unix_ms,
        id: slot.name.as_str().to_owned(),
        invalidated_at_unix_ms: slot.invalidation.map(|i| i.at_unix_ms),
        invalidation_reason: slot.invalidation.map(|i| i.cause.as_str().to_owned()),
        last_seen_at_unix_ms: slot.last_seen_unix_ms,
        owner: slot.owner,
        plugin: slot.plugin.as_ref().to_owned(),
        restart_lsn: slot.restart_lsn,
        two_phase: slot.two_phase,
    }
}

fn stored(entry: Entry) -> Result<StoredSlot, String> {
    let name = SlotName::parse(&entry.id).map_err(|e| e.to_string())?;
    if entry.confirmed_lsn < entry.restart_lsn {
        return Err(format!("slot \"{name}\" is confirmed below its restart"));
    }
    let invalidation = match (entry.invalidation_reason, entry.invalidated_at_unix_ms) {
        (None, None) => None,
        (Some(reason), Some(at_unix_ms)) => Some(Invalidation {
            cause: InvalidationCause::parse(&reason)
                .ok_or_else(|| format!("slot \"{name}\" has the unknown reason {reason:?}"))?,
            at_unix_ms,
        }),
        (Some(_), None) | (None, Some(_)) => {
            return Err(format!("slot \"{name}\" has half an invalidation"));
        }
    };
    Ok(StoredSlot {
        name,
        plugin: entry.plugin.into(),
        two_phase: entry.two_phase,
        owner: entry.owner,
        restart_lsn: entry.restart_lsn,
        confirmed_lsn: entry.confirmed_lsn,
        created_at_unix_ms: entry.created_at_unix_ms,
        last_seen_unix_ms: entry.last_seen_at_unix_ms,
        invalidation,
    })
}

/// Any bytes are slots or an error; slots are read as they were written.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_file(bytes: &[u8]) {
    let _refused = decode(bytes);
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    if let Ok(file) = decode(&vouch(text)) {
        let again = encode(&file).and_then(|bytes| decode(&bytes));
        assert_eq!(again, Ok(file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> SlotFile {
        let slot = |name: &str, restart| StoredSlot {
            name: SlotName::parse(name).unwrap(),
            plugin: "json".into(),
            two_phase: false,
            owner: (name == "a").then_some(16_385),
            restart_lsn: Lsn::new(restart),
            confirmed_lsn: Lsn::MAX,
            created_at_unix_ms: 7,
            last_seen_unix_ms: 8,
            invalidation: None,
        };
        let mut invalid = slot("b", 1);
        invalid.invalidation = Some(Invalidation {
            cause: InvalidationCause::Horizon,
            at_unix_ms: 9,
        });
        SlotFile {
            generation: 4,
            slots: vec![slot("a", (1 << 53) + 1), invalid],
        }
    }

    #[test]
    fn reads_what_it_wrote_exactly() {
        let file = sample();
        let bytes = encode(&file).unwrap();
        assert_eq!(decode(&bytes).unwrap(), file);
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["slots"][0]["restart_lsn"], 9_007_199_254_740_993_u64);
        assert_eq!(value["slots"][1]["invalidation_reason"], "horizon");
        assert_eq!(value["slots"][0]["owner"], 16_385);
        assert!(value["slots"][1].get("owner").is_none());
    }

    #[test]
    fn refuses_every_cut_and_every_flipped_bit() {
        let bytes = encode(&sample()).unwrap();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "cut at {end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                assert!(decode(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = bytes;
        longer.push(b'\n');
        assert!(decode(&longer).is_err());
    }

    #[test]
    fn refuses_what_a_right_checksum_vouches_for_but_makes_no_sense() {
        let mut twice = sample();
        twice.slots[1].name = twice.slots[0].name.clone();
        assert!(decode(&encode(&twice).unwrap()).is_err());
        let mut below = sample();
        below.slots[0].confirmed_lsn = Lsn::ZERO;
        assert!(decode(&encode(&below).unwrap()).is_err());
    }
}
