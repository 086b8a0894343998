//! What an upstream is and where its slot stands, for the decision whether to go on.

use super::{Connection, UpstreamError, literal};
use crate::captures::{SlotThere, There, TimelineSwitch, UpstreamSlot};
use crate::lsn::Lsn;

/// A row of the upstream's slots.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SlotRow {
    plugin: Option<String>,
    slot_type: Option<String>,
    database: Option<String>,
    confirmed_flush_lsn: Option<Lsn>,
    restart_lsn: Option<Lsn>,
    wal_status: Option<String>,
    cause: Option<String>,
    is_two_phase: bool,
}

impl Connection {
    /// Who the upstream is, and where it and the slot stand.
    pub(in crate::capture) async fn look(&mut self, slot: &str) -> Result<There, UpstreamError> {
        let rows = self.query("IDENTIFY_SYSTEM".to_owned()).await?;
        let row = rows.first();
        let field = |at: usize| row.and_then(|row| row.get(at)?.clone());
        let bad = || UpstreamError::new("IDENTIFY_SYSTEM gave an answer that cannot be read");
        let system_id = field(0)
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad)?;
        let timeline = field(1)
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad)?;
        let end = field(2)
            .and_then(|text| text.parse().ok())
            .ok_or_else(bad)?;
        let database = field(3).unwrap_or_default();
        let recovery = self
            .query("SELECT pg_catalog.pg_is_in_recovery()".to_owned())
            .await?;
        let recovery = recovery.first().and_then(|row| row.first()?.as_deref());
        let history = match timeline {
            0 | 1 => Vec::new(),
            timeline => self.history(timeline).await?,
        };
        let slot = self.slot_row(slot).await?;
        Ok(There {
            system_id,
            timeline,
            history,
            is_standby: recovery == Some("t"),
            end,
            slot: slot.map(|row| there(row, &database)),
        })
    }

    async fn history(&mut self, timeline: u64) -> Result<Vec<TimelineSwitch>, UpstreamError> {
        let rows = self.query(format!("TIMELINE_HISTORY {timeline}")).await?;
        let content = rows.first().and_then(|row| row.get(1)?.as_deref());
        let content = content.ok_or_else(|| UpstreamError::new("TIMELINE_HISTORY gave nothing"))?;
        history_of(content)
    }

    async fn slot_row(&mut self, slot: &str) -> Result<Option<SlotRow>, UpstreamError> {
        let cause = match self.version() {
            ..160_000 => "NULL",
            160_000..170_000 => "CASE WHEN conflicting THEN 'rows_removed' END",
            _ => "invalidation_reason",
        };
        let sql = format!(
            "SELECT plugin, slot_type, database, confirmed_flush_lsn, restart_lsn, wal_status, \
             {cause}, two_phase FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            literal(slot)
        );
        let rows = self.query(sql).await?;
        Ok(rows.into_iter().next().map(|row| {
            let mut fields = row.into_iter();
            let mut next = || fields.next().flatten();
            let lsn = |text: Option<String>| text.and_then(|text| text.parse().ok());
            SlotRow {
                plugin: next(),
                slot_type: next(),
                database: next(),
                confirmed_flush_lsn: lsn(next()),
                restart_lsn: lsn(next()),
                wal_status: next(),
                cause: next(),
                is_two_phase: next().as_deref() == Some("t"),
            }
        }))
    }

    /// The slot as the upstream shows it, and the upstream's end.
    pub(in crate::capture) async fn watch_slot(
        &mut self,
        slot: &str,
        now_ms: u64,
    ) -> Result<(UpstreamSlot, Lsn), UpstreamError> {
        let sql = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() \
                   THEN pg_catalog.pg_last_wal_replay_lsn() \
                   ELSE pg_catalog.pg_current_wal_flush_lsn() END";
        let rows = self.query(sql.to_owned()).await?;
        let end = rows
            .first()
            .and_then(|row| row.first()?.as_deref()?.parse().ok());
        let end: Lsn = end.unwrap_or(Lsn::ZERO);
        let Some(row) = self.slot_row(slot).await? else {
            let none = UpstreamSlot {
                at_ms: now_ms,
                ..UpstreamSlot::default()
            };
            return Ok((none, end));
        };
        let held = row
            .restart_lsn
            .map(|from| end.get().saturating_sub(from.get()));
        let slot = UpstreamSlot {
            restart_lsn: row.restart_lsn,
            confirmed_flush_lsn: row.confirmed_flush_lsn,
            wal_status: row.wal_status,
            lag_bytes: held,
            at_ms: now_ms,
        };
        Ok((slot, end))
    }
}

fn there(row: SlotRow, database: &str) -> SlotThere {
    let not_ours = match (&row.slot_type, &row.plugin, &row.database) {
        (Some(kind), _, _) if kind != "logical" => Some(format!("a {kind} slot")),
        (_, Some(plugin), _) if plugin != "pgoutput" => {
            Some(format!("a slot of the plugin \"{plugin}\""))
        }
        (_, _, Some(other)) if other != database => {
            Some(format!("a slot of the database \"{other}\""))
        }
        _ if row.is_two_phase => Some("a slot with two_phase".to_owned()),
        _ => None,
    };
    let is_lost = row.wal_status.as_deref() == Some("lost");
    let cause = row
        .cause
        .or_else(|| is_lost.then(|| "wal_removed".to_owned()));
    SlotThere {
        confirmed_flush_lsn: row.confirmed_flush_lsn.unwrap_or(Lsn::ZERO),
        lost: cause,
        not_ours,
    }
}

/// A history file: lines of timeline, where it ended, and why; comments begin with `#`.
fn history_of(content: &str) -> Result<Vec<TimelineSwitch>, UpstreamError> {
    let lines = content.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let switch = |line: &str| {
        let mut words = line.split_whitespace();
        let timeline = words.next()?.parse().ok()?;
        let at = words.next()?.parse().ok()?;
        Some(TimelineSwitch { timeline, at })
    };
    let bad = || UpstreamError::new("the upstream's timeline history cannot be read");
    lines.map(|line| switch(line).ok_or_else(bad)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_file_is_read_line_by_line() {
        let text = "1\t0/3000148\tno recovery target specified\n\n# x\n2\t1/5\twhy\n";
        let read = history_of(text).unwrap();
        let wanted = [(1, 0x0300_0148), (2, 0x1_0000_0005)];
        let wanted = wanted.map(|(timeline, at)| TimelineSwitch {
            timeline,
            at: Lsn::new(at),
        });
        assert_eq!(read, wanted);
        assert!(history_of("x\t0/1\n").is_err());
        assert!(history_of("1\n").is_err());
    }

    #[test]
    fn a_slot_of_another_kind_is_not_ours() {
        let ours = SlotRow {
            plugin: Some("pgoutput".to_owned()),
            slot_type: Some("logical".to_owned()),
            database: Some("shop".to_owned()),
            confirmed_flush_lsn: Some(Lsn::new(7)),
            restart_lsn: Some(Lsn::new(5)),
            wal_status: Some("reserved".to_owned()),
            cause: None,
            is_two_phase: false,
        };
        let fine = there(ours.clone(), "shop");
        assert_eq!((fine.lost, fine.not_ours), (None, None));
        assert_eq!(fine.confirmed_flush_lsn, Lsn::new(7));
        let lost = SlotRow {
            wal_status: Some("lost".to_owned()),
            ..ours.clone()
        };
        assert_eq!(there(lost, "shop").lost.as_deref(), Some("wal_removed"));
        assert!(there(ours.clone(), "other").not_ours.is_some());
        let physical = SlotRow {
            plugin: None,
            slot_type: Some("physical".to_owned()),
            database: None,
            ..ours
        };
        let not_ours = there(physical, "shop").not_ours;
        assert_eq!(not_ours.as_deref(), Some("a physical slot"));
    }
}
