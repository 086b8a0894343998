//! What a capture makes on an upstream: its slot, and the publication where that was asked for.

use super::{Connection, UpstreamError, literal};
use crate::captures::CaptureSettings;
use crate::datum::quote_ident;
use crate::lsn::Lsn;

/// The first version whose slots can follow a failover.
const FAILOVER_SLOTS: u32 = 170_000;

/// The first version with options in parentheses.
const SLOT_OPTIONS: u32 = 150_000;

impl Connection {
    /// Makes the slot and tells where it begins. Waits for transactions that run there now.
    pub(in crate::capture) async fn create_slot(
        &mut self,
        slot: &str,
        is_standby: bool,
    ) -> Result<Lsn, UpstreamError> {
        let options = if self.version < SLOT_OPTIONS {
            "NOEXPORT_SNAPSHOT"
        } else if self.version < FAILOVER_SLOTS || is_standby {
            "(SNAPSHOT 'nothing')"
        } else {
            "(SNAPSHOT 'nothing', FAILOVER true)"
        };
        let slot = quote_always(slot);
        let sql = format!("CREATE_REPLICATION_SLOT {slot} LOGICAL pgoutput {options}");
        let rows = self.query_patiently(sql).await?;
        let row = rows.first();
        let point = row.and_then(|row| row.get(1)?.as_deref()?.parse().ok());
        point.ok_or_else(|| UpstreamError::new("CREATE_REPLICATION_SLOT gave no position"))
    }

    /// Sees to it that the publications are there before the slot is: one that is made later is
    /// unknown to what the slot reads first.
    pub(in crate::capture) async fn have_publications(
        &mut self,
        settings: &CaptureSettings,
    ) -> Result<(), UpstreamError> {
        for name in &settings.publications {
            let sql = format!(
                "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = {}",
                literal(name)
            );
            if !self.query(sql).await?.is_empty() {
                continue;
            }
            let name = quote_ident(name);
            if !settings.create_publication {
                let words = format!("publication {name} does not exist on the upstream");
                return Err(UpstreamError::coded("42704", words));
            }
            let sql = format!("CREATE PUBLICATION {name} FOR ALL TABLES");
            self.query(sql).await?;
            tracing::info!(publication = name, "made a publication on the upstream");
        }
        Ok(())
    }
}

/// The command grammar of a walsender knows words that SQL does not.
fn quote_always(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `publication_names`: quoted names with commas between them.
pub(super) fn name_list(names: &[String]) -> String {
    let names = names.iter().map(|name| quote_always(name));
    names.collect::<Vec<_>>().join(",")
}
