//! The single looks.

use super::{CheckRequest, Finding, Verdict};
use crate::capture::upstream::{Connection, UpstreamError, literal};
use crate::datum::quote_ident;

/// Settings that are looked at; NULL where a version does not know one.
const SETTINGS: &str = "\
    SELECT pg_is_in_recovery(), current_setting('wal_level'), \
    current_setting('max_replication_slots'), (SELECT count(*) FROM pg_replication_slots), \
    current_setting('max_wal_senders'), \
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'), \
    current_setting('max_slot_wal_keep_size'), \
    current_setting('idle_replication_slot_timeout', true), current_setting('server_version')";

const ROLE: &str = "\
    SELECT rolname, rolreplication, rolsuper FROM pg_roles WHERE rolname = current_user";

/// Tables whose updates and deletes PostgreSQL refuses once they are published.
const NO_IDENTITY: &str = "\
    SELECT DISTINCT quote_ident(n.nspname) || '.' || quote_ident(c.relname) \
    FROM pg_publication_tables t JOIN pg_publication p ON p.pubname = t.pubname \
    JOIN pg_namespace n ON n.nspname = t.schemaname \
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename \
    WHERE t.pubname IN ({names}) AND (p.pubupdate OR p.pubdelete) \
    AND (c.relreplident = 'n' \
    OR (c.relreplident = 'd' AND NOT EXISTS (SELECT 1 FROM pg_index i \
    WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate)) \
    OR (c.relreplident = 'i' AND NOT EXISTS (SELECT 1 FROM pg_index i \
    WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisvalid))) ORDER BY 1";

/// The first version that decodes on a standby.
const STANDBY: u32 = 160_000;

/// How many tables are named.
const NAMED: usize = 5;

/// A row of an answer.
struct Row(Vec<Option<String>>);

impl Row {
    fn text(&self, at: usize) -> &str {
        self.0.get(at).and_then(Option::as_deref).unwrap_or("")
    }

    fn flag(&self, at: usize) -> bool {
        self.text(at) == "t"
    }

    fn number(&self, at: usize) -> i64 {
        self.text(at).parse().unwrap_or(0)
    }
}

async fn rows(connection: &mut Connection, sql: String) -> Result<Vec<Row>, UpstreamError> {
    Ok(connection.query(sql).await?.into_iter().map(Row).collect())
}

/// Looks at everything.
pub(super) async fn look(
    connection: &mut Connection,
    request: &CheckRequest,
    found: &mut Vec<Finding>,
) -> Result<(), UpstreamError> {
    let settings = rows(connection, SETTINGS.to_owned()).await?;
    let slot = slot(connection, request).await?;
    let has_slot = slot.is_some();
    if let Some(settings) = settings.first() {
        found.push(server(settings, connection.version()));
        found.push(wal_level(settings));
        found.push(slots_free(settings, has_slot));
        found.push(senders_free(settings));
        found.extend(limits(settings));
    }
    if let Some(role) = rows(connection, ROLE.to_owned()).await?.first() {
        found.push(role_finding(role));
    }
    if request.slot.is_some() {
        found.push(slot.unwrap_or_else(|| Finding::ok("slot", "is not there, and will be made")));
    }
    publications(connection, request, found).await
}

fn server(settings: &Row, version: u32) -> Finding {
    let (name, standby) = (settings.text(8), settings.flag(0));
    if standby && version < STANDBY {
        let words = format!("PostgreSQL {name} is a standby and cannot decode there");
        let remedy = "follow the primary (target_session_attrs=primary), or use PostgreSQL 16";
        return Finding::with("server", Verdict::Missing, words, remedy);
    }
    let what = if standby { "a standby" } else { "a primary" };
    Finding::ok("server", format!("PostgreSQL {name}, {what}"))
}

fn wal_level(settings: &Row) -> Finding {
    match settings.text(1) {
        "logical" => Finding::ok("wal_level", "logical"),
        other => Finding::with(
            "wal_level",
            Verdict::Missing,
            format!("is {other}"),
            "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
        ),
    }
}

fn slots_free(settings: &Row, has_slot: bool) -> Finding {
    let (most, used) = (settings.number(2), settings.number(3));
    let words = format!("{used} of {most} slots are in use");
    if has_slot || used < most {
        return Finding::ok("max_replication_slots", words);
    }
    let more = most + 4;
    let remedy =
        format!("ALTER SYSTEM SET max_replication_slots = {more}; then restart the server");
    Finding::with("max_replication_slots", Verdict::Missing, words, remedy)
}

fn senders_free(settings: &Row) -> Finding {
    let (most, used) = (settings.number(4), settings.number(5));
    let words = format!("{used} of {most} walsenders are in use");
    if used < most {
        return Finding::ok("max_wal_senders", words);
    }
    let more = most + 4;
    let remedy = format!("ALTER SYSTEM SET max_wal_senders = {more}; then restart the server");
    Finding::with("max_wal_senders", Verdict::Missing, words, remedy)
}

/// What may take a slot away that nobody reads for long.
fn limits(settings: &Row) -> Vec<Finding> {
    let mut found = Vec::new();
    let keep = settings.text(6);
    found.push(match keep {
        "-1" => Finding::with(
            "max_slot_wal_keep_size",
            Verdict::Note,
            "no limit: while capture is away, WAL piles up on the upstream",
            "watch pgspool.captures; to give up the slot before the disk is full: ALTER SYSTEM SET \
             max_slot_wal_keep_size = '100GB'; SELECT pg_reload_conf()",
        ),
        keep => Finding::with(
            "max_slot_wal_keep_size",
            Verdict::Note,
            format!("{keep}: the slot is lost when capture is behind by more"),
            "make it as large as the disk allows",
        ),
    });
    let idle = settings.text(7);
    if !matches!(idle, "" | "0") {
        found.push(Finding::with(
            "idle_replication_slot_timeout",
            Verdict::Note,
            format!("{idle}: the slot is lost when capture is away for longer"),
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf()",
        ));
    }
    found
}

fn role_finding(role: &Row) -> Finding {
    let name = quote_ident(role.text(0));
    if role.flag(1) || role.flag(2) {
        return Finding::ok("role", format!("{name} may replicate"));
    }
    let remedy = format!("ALTER ROLE {name} REPLICATION");
    Finding::with(
        "role",
        Verdict::Missing,
        format!("{name} may not replicate"),
        remedy,
    )
}

/// The slot, if it is there.
async fn slot(
    connection: &mut Connection,
    request: &CheckRequest,
) -> Result<Option<Finding>, UpstreamError> {
    let Some(name) = &request.slot else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT slot_type, plugin, database = current_database(), active, wal_status, \
         restart_lsn, two_phase FROM pg_replication_slots WHERE slot_name = {}",
        literal(name)
    );
    let slots = rows(connection, sql).await?;
    let Some(slot) = slots.first() else {
        return Ok(None);
    };
    let drop = format!(
        "SELECT pg_drop_replication_slot({}), or name another slot",
        literal(name)
    );
    let missing = |words: String| Finding::with("slot", Verdict::Missing, words, drop);
    Ok(Some(match (slot.text(0), slot.text(1), slot.flag(2)) {
        ("physical", ..) => missing("is a physical one".to_owned()),
        (_, plugin, _) if plugin != "pgoutput" => missing(format!("belongs to plugin {plugin}")),
        (_, _, false) => missing("belongs to another database".to_owned()),
        _ if slot.text(4) == "lost" => missing("has wal_status = lost".to_owned()),
        _ if slot.flag(6) => missing("has two_phase, which is not captured".to_owned()),
        _ if slot.flag(3) => Finding::with(
            "slot",
            Verdict::Note,
            "is in use by somebody now",
            "see pg_stat_replication; it has to be this database's alone",
        ),
        _ => Finding::ok(
            "slot",
            format!("is there, holding WAL from {} on", slot.text(5)),
        ),
    }))
}

async fn publications(
    connection: &mut Connection,
    request: &CheckRequest,
    found: &mut Vec<Finding>,
) -> Result<(), UpstreamError> {
    for name in &request.publications {
        let sql = format!(
            "SELECT (SELECT count(*) FROM pg_publication_tables t WHERE t.pubname = p.pubname) \
             FROM pg_publication p WHERE pubname = {}",
            literal(name)
        );
        let shown = quote_ident(name);
        found.push(match rows(connection, sql).await?.first() {
            Some(row) => {
                let tables = row.number(0);
                Finding::ok("publication", format!("{shown} has {tables} tables"))
            }
            None if request.create_publication => Finding::ok(
                "publication",
                format!("{shown} is not there, and will be made"),
            ),
            None => Finding::with(
                "publication",
                Verdict::Missing,
                format!("{shown} does not exist"),
                format!("CREATE PUBLICATION {shown} FOR ALL TABLES"),
            ),
        });
    }
    if request.publications.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = request
        .publications
        .iter()
        .map(|name| literal(name))
        .collect();
    let sql = NO_IDENTITY.replace("{names}", &names.join(", "));
    let tables = rows(connection, sql).await?;
    if tables.is_empty() {
        found.push(Finding::ok("replica_identity", "all tables have one"));
    }
    for table in tables.iter().take(NAMED) {
        let name = table.text(0);
        let words = format!("{name} has none: UPDATE and DELETE on it fail once it is published");
        let remedy = format!("add a primary key, or ALTER TABLE {name} REPLICA IDENTITY FULL");
        // Only INSERT may be done to it, which is captured well.
        found.push(Finding::with(
            "replica_identity",
            Verdict::Note,
            words,
            remedy,
        ));
    }
    if let Some(more) = tables.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let words = format!("and {more} tables more");
        found.push(Finding::with(
            "replica_identity",
            Verdict::Note,
            words,
            "as above",
        ));
    }
    Ok(())
}
