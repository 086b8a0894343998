//! RedDB's own slots file, in and out.
//!
//! Written byte for byte as RedDB 1.9.0 writes it, but with exact integers. Read by RedDB's
//! rules, except that what RedDB drops without a word is listed, and a file that cannot be
//! decoded is an error. Positions are numbers as they stand in the file.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{InvalidationCause, SlotName, SlotNameError};

/// One slot of a RedDB slots file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedSlot {
    /// Any text.
    pub id: String,
    /// Durable resume position.
    pub restart_lsn: u64,
    /// Highest applied position.
    pub confirmed_lsn: u64,
    /// Unix milliseconds.
    pub last_seen_at_unix_ms: u64,
    /// Set when invalid.
    pub invalidation_reason: Option<InvalidationCause>,
    /// Unix milliseconds.
    pub invalidated_at_unix_ms: Option<u64>,
}

/// An entry, or part of one, that RedDB would drop silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedEntry {
    /// Its `id`, or its place in the list.
    pub id: String,
    /// What is wrong.
    pub reason: String,
}

/// What a RedDB slots file holds, by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RedSlots {
    /// The slots RedDB would see.
    pub slots: Vec<RedSlot>,
    /// What it would not see.
    pub dropped: Vec<DroppedEntry>,
}

/// The file is not a RedDB slots file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedSlotsError {
    /// Not JSON.
    #[error("slots file is not valid JSON: {0}")]
    Json(String),
    /// In strict reading: entries that RedDB would drop.
    #[error("slots file holds unusable entries: {}", list(.0))]
    Dropped(Vec<DroppedEntry>),
}

fn list(dropped: &[DroppedEntry]) -> String {
    let all: Vec<String> = dropped
        .iter()
        .map(|entry| format!("{} ({})", entry.id, entry.reason))
        .collect();
    all.join(", ")
}

/// Reads by RedDB's rules: unusable entries are left out and listed, a missing `last_seen` is
/// `now_unix_ms`, an unknown reason counts as none (and is listed).
pub fn decode(bytes: &[u8], now_unix_ms: u64) -> Result<RedSlots, RedSlotsError> {
    let root: Value =
        serde_json::from_slice(bytes).map_err(|e| RedSlotsError::Json(e.to_string()))?;
    let mut found = BTreeMap::new();
    let mut dropped = Vec::new();
    let entries = root.get("slots").and_then(Value::as_array);
    for (place, entry) in entries.into_iter().flatten().enumerate() {
        match decode_entry(entry, now_unix_ms, &mut dropped) {
            Ok(slot) => {
                found.insert(slot.id.clone(), slot);
            }
            Err(reason) => dropped.push(DroppedEntry {
                id: entry
                    .get("id")
                    .and_then(Value::as_str)
                    .map_or_else(|| format!("#{place}"), str::to_owned),
                reason,
            }),
        }
    }
    if entries.is_none() {
        dropped.push(DroppedEntry {
            id: "slots".to_owned(),
            reason: "there is no such list".to_owned(),
        });
    }
    Ok(RedSlots {
        slots: found.into_values().collect(),
        dropped,
    })
}

/// Reads a file of which nothing may be lost: an entry that RedDB would drop is an error.
pub fn decode_strict(bytes: &[u8], now_unix_ms: u64) -> Result<Vec<RedSlot>, RedSlotsError> {
    let read = decode(bytes, now_unix_ms)?;
    if read.dropped.is_empty() {
        Ok(read.slots)
    } else {
        Err(RedSlotsError::Dropped(read.dropped))
    }
}

fn decode_entry(
    entry: &Value,
    now_unix_ms: u64,
    dropped: &mut Vec<DroppedEntry>,
) -> Result<RedSlot, String> {
    let entry = entry.as_object().ok_or("it is not an object")?;
    let id = entry.get("id").and_then(Value::as_str).ok_or("no id")?;
    let reason = match entry.get("invalidation_reason") {
        None | Some(Value::Null) => None,
        Some(reason) => {
            let known = reason.as_str().and_then(InvalidationCause::parse);
            if known.is_none() {
                dropped.push(DroppedEntry {
                    id: id.to_owned(),
                    reason: format!("unknown invalidation_reason {reason}"),
                });
            }
            known
        }
    };
    Ok(RedSlot {
        id: id.to_owned(),
        restart_lsn: number(entry, "restart_lsn").ok_or("no restart_lsn")?,
        confirmed_lsn: number(entry, "confirmed_lsn").ok_or("no confirmed_lsn")?,
        last_seen_at_unix_ms: number(entry, "last_seen_at_unix_ms").unwrap_or(now_unix_ms),
        invalidation_reason: reason,
        invalidated_at_unix_ms: number(entry, "invalidated_at_unix_ms"),
    })
}

/// A number that is not negative; one written as `12.0` counts while it is exact.
fn number(entry: &Map<String, Value>, key: &str) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = entry.get(key)?;
    value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        ((0.0..=EXACT).contains(&float) && float.fract() == 0.0)
            .then(|| format!("{float:.0}").parse().ok())
            .flatten()
    })
}

#[derive(Serialize)]
struct Root<'a> {
    slots: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    confirmed_lsn: u64,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalidated_at_unix_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalidation_reason: Option<&'static str>,
    last_seen_at_unix_ms: u64,
    restart_lsn: u64,
}

/// The file as RedDB writes it: sorted by id, two spaces, no newline at the end.
pub fn encode(slots: &[RedSlot]) -> Result<Vec<u8>, serde_json::Error> {
    let mut slots: Vec<_> = slots
        .iter()
        .map(|slot| Entry {
            confirmed_lsn: slot.confirmed_lsn,
            id: &slot.id,
            invalidated_at_unix_ms: slot.invalidated_at_unix_ms,
            invalidation_reason: slot.invalidation_reason.map(InvalidationCause::as_str),
            last_seen_at_unix_ms: slot.last_seen_at_unix_ms,
            restart_lsn: slot.restart_lsn,
        })
        .collect();
    slots.sort_by_key(|slot| slot.id);
    serde_json::to_vec_pretty(&Root { slots })
}

/// Ids that are not slot names here (with why), or that would become the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slots cannot keep their ids: {}", list(.0))]
pub struct RefusedIds(pub Vec<DroppedEntry>);

/// Gives every slot its name: its id, or what `renames` (old, new) says. All refused ids are
/// listed together.
pub fn name_all(
    slots: Vec<RedSlot>,
    renames: &[(String, String)],
) -> Result<Vec<(SlotName, RedSlot)>, RefusedIds> {
    let mut named: BTreeMap<SlotName, RedSlot> = BTreeMap::new();
    let mut refused = Vec::new();
    for slot in slots {
        let new = renames.iter().find(|(old, _)| *old == slot.id);
        let wanted = new.map_or(slot.id.as_str(), |(_, new)| new.as_str());
        match SlotName::parse(wanted) {
            Ok(name) if named.contains_key(&name) => refused.push(DroppedEntry {
                id: slot.id,
                reason: format!("another slot is named \"{name}\""),
            }),
            Ok(name) => {
                named.insert(name, slot);
            }
            Err(error) => refused.push(refusal(slot.id, &error)),
        }
    }
    if refused.is_empty() {
        Ok(named.into_iter().collect())
    } else {
        Err(RefusedIds(refused))
    }
}

fn refusal(id: String, error: &SlotNameError) -> DroppedEntry {
    DroppedEntry {
        id,
        reason: error.to_string(),
    }
}
