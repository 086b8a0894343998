//! The views of the schema `pgspool`: their columns and what each means.

use crate::datum::PgType;

use super::{Source, View, slots, spools, streams};

/// A column: name, type, what it is.
type Described = (&'static str, PgType, &'static str);

const FIRST_OID: u32 = 9001;
const FIRST_ROW_TYPE: u32 = 9101;
const FIRST_ARRAY_TYPE: u32 = 9201;

/// All views of ours. A view keeps its place, and with it its OID: new ones go to the end.
pub(super) fn views() -> Vec<View> {
    let rows = Source::Rows;
    let described = [
        (
            "slots",
            "slots: what each holds, and where its client goes on",
            SLOTS,
            rows(slots::own_slots),
        ),
        (
            "changes",
            "retained change records",
            CHANGES,
            Source::Changes,
        ),
        (
            "segments",
            "files of the spools",
            SEGMENTS,
            rows(spools::segments),
        ),
        (
            "replicas",
            "who reads, and how far each is",
            REPLICAS,
            rows(streams::replicas),
        ),
        (
            "commit_waits",
            "commits that wait for replicas",
            COMMIT_WAITS,
            rows(streams::commit_waits),
        ),
        (
            "databases",
            "databases and their spools",
            DATABASES,
            rows(spools::databases),
        ),
    ];
    let oids = (FIRST_OID..).zip(FIRST_ROW_TYPE..).zip(FIRST_ARRAY_TYPE..);
    let views = described.into_iter().zip(oids);
    views
        .map(
            |((name, description, columns, source), ((oid, row_type_oid), array_type_oid))| {
                let mut view = View {
                    schema: "pgspool",
                    name,
                    oid,
                    row_type_oid,
                    array_type_oid,
                    kind: 'v',
                    columns: Vec::new(),
                    attributes: Vec::new(),
                    description: Some(description),
                    source,
                };
                for (name, column_type, description) in columns {
                    view.push(name, *column_type);
                    if let Some(attribute) = view.attributes.last_mut() {
                        attribute.description = Some(description);
                    }
                }
                view
            },
        )
        .collect()
}

const SLOTS: &[Described] = &[
    ("slot_name", PgType::NAME, "name, unique in its database"),
    ("database", PgType::NAME, "database"),
    ("plugin", PgType::NAME, "output plugin"),
    ("temporary", PgType::BOOL, "goes with its session"),
    (
        "active_pid",
        PgType::INT4,
        "session that uses it; NULL when free",
    ),
    (
        "restart_lsn",
        PgType::PG_LSN,
        "everything up to here is confirmed as durable",
    ),
    (
        "persisted_restart_lsn",
        PgType::PG_LSN,
        "restart_lsn as it is on disk; retention goes by it",
    ),
    (
        "confirmed_lsn",
        PgType::PG_LSN,
        "everything up to here is confirmed as applied",
    ),
    (
        "lag_bytes",
        PgType::INT8,
        "from restart_lsn to the head, in bytes of LSN",
    ),
    (
        "retained_bytes",
        PgType::INT8,
        "bytes of files that hold what it still needs",
    ),
    ("last_seen", PgType::TIMESTAMPTZ, "last use"),
    (
        "inactive_since",
        PgType::TIMESTAMPTZ,
        "end of its last stream; NULL while in use",
    ),
    (
        "invalidation_cause",
        PgType::TEXT,
        "wal-removed, horizon or idle-timeout; NULL while valid",
    ),
    (
        "invalidated_at",
        PgType::TIMESTAMPTZ,
        "when it became invalid",
    ),
    (
        "resume_mode",
        PgType::TEXT,
        "partial: its client goes on; full: it begins anew",
    ),
    ("resume_reason", PgType::TEXT, "why it has to begin anew"),
    ("resume_lsn", PgType::PG_LSN, "where its client goes on"),
    (
        "removed_through",
        PgType::PG_LSN,
        "everything up to here is gone",
    ),
];

/// In the order in which `exec::changes` makes them.
const CHANGES: &[Described] = &[
    ("lsn", PgType::PG_LSN, "end of its transaction"),
    ("change_lsn", PgType::PG_LSN, "its own position"),
    ("xid", PgType::XID, "transaction id"),
    ("committed_at", PgType::TIMESTAMPTZ, "commit time"),
    ("term", PgType::INT8, "term under which it was written"),
    ("bytes", PgType::INT4, "bytes that are stored of it"),
    (
        "operation",
        PgType::TEXT,
        "insert, update, delete, truncate, refresh, message, or opaque for what is no record",
    ),
    ("collection", PgType::TEXT, "collection"),
    (
        "rid",
        PgType::NUMERIC,
        "key of the row; up to 64 bits without a sign",
    ),
    ("kind", PgType::TEXT, "kind of row"),
    (
        "entity",
        PgType::BYTEA,
        "the row in the producer's own form, or a message's content",
    ),
    ("document", PgType::JSONB, "the row, when it is JSON"),
    ("metadata", PgType::JSONB, "metadata of the producer"),
    (
        "changed_columns",
        PgType::TEXT_ARRAY,
        "names of the changed columns",
    ),
    ("old", PgType::BYTEA, "the row or its key before"),
    ("old_document", PgType::JSONB, "the same, when it is JSON"),
    (
        "unchanged",
        PgType::TEXT_ARRAY,
        "names whose values were not sent",
    ),
    ("producer", PgType::TEXT, "name of the producer"),
    ("seq", PgType::NUMERIC, "the producer's number"),
    ("refresh_rows", PgType::INT4, "number of a refresh's rows"),
    (
        "refresh_records",
        PgType::BYTEA_ARRAY,
        "the rows of a refresh",
    ),
    ("prefix", PgType::TEXT, "prefix of a message"),
    (
        "transactional",
        PgType::BOOL,
        "whether a message belongs to a transaction",
    ),
];

const SEGMENTS: &[Described] = &[
    ("database", PgType::NAME, "database"),
    ("name", PgType::TEXT, "file name"),
    (
        "first_lsn",
        PgType::PG_LSN,
        "end of its first transaction; 0/0 when empty",
    ),
    (
        "last_lsn",
        PgType::PG_LSN,
        "end of its last transaction; 0/0 when empty",
    ),
    ("bytes", PgType::INT8, "bytes of the file"),
    ("frames", PgType::INT8, "frames in it"),
    ("sealed", PgType::BOOL, "no more is written to it"),
    (
        "state",
        PgType::TEXT,
        "active: written to; needed: a slot holds it; kept: nobody needs it",
    ),
];

const REPLICAS: &[Described] = &[
    ("database", PgType::NAME, "database"),
    ("id", PgType::TEXT, "name of its slot"),
    ("region", PgType::TEXT, "region that it declared"),
    ("pid", PgType::INT4, "session that streams to it"),
    ("application_name", PgType::TEXT, "its application_name"),
    (
        "state",
        PgType::TEXT,
        "startup, catchup, streaming or stopping",
    ),
    ("sent_lsn", PgType::PG_LSN, "sent to it"),
    ("written_lsn", PgType::PG_LSN, "written by it"),
    ("durable_lsn", PgType::PG_LSN, "durable at it"),
    ("applied_lsn", PgType::PG_LSN, "applied by it"),
    (
        "lag_bytes",
        PgType::INT8,
        "from applied_lsn to the head, in bytes of LSN",
    ),
    (
        "acknowledged",
        PgType::BOOL,
        "it confirmed something since it came",
    ),
    ("sync_state", PgType::TEXT, "how it counts for commits"),
    ("rebootstrapping", PgType::BOOL, "it builds its data anew"),
    (
        "apply_errors",
        PgType::INT8,
        "records that it could not apply, as it reported",
    ),
    (
        "divergences",
        PgType::INT8,
        "rows that it found to differ, as it reported",
    ),
    ("connected_at", PgType::TIMESTAMPTZ, "when it came"),
    (
        "last_seen",
        PgType::TIMESTAMPTZ,
        "when it was heard of last",
    ),
];

const COMMIT_WAITS: &[Described] = &[
    ("database", PgType::NAME, "database"),
    ("policy", PgType::TEXT, "primary_replication_commit_policy"),
    (
        "synchronous_standby_names",
        PgType::TEXT,
        "the same in PostgreSQL's words",
    ),
    ("waiting", PgType::INT8, "commits that wait now"),
    (
        "lowest_waiting_lsn",
        PgType::PG_LSN,
        "lowest position that one of them waits for",
    ),
    (
        "released_lsn",
        PgType::PG_LSN,
        "confirmed as required up to here; NULL where nothing is",
    ),
    ("reached", PgType::INT8, "waits that ended confirmed"),
    ("timed_out", PgType::INT8, "waits that ended unconfirmed"),
    (
        "not_required",
        PgType::INT8,
        "commits that had to wait for nobody",
    ),
    (
        "last_wait_us",
        PgType::INT8,
        "how long the last wait took, microseconds",
    ),
    (
        "flow_soft_target",
        PgType::INT8,
        "lag that throttles publishers, bytes of LSN; 0 for off",
    ),
    (
        "flow_lag",
        PgType::INT8,
        "lag of the slowest that counts, bytes of LSN",
    ),
    ("throttled", PgType::BOOL, "publishers are held back"),
];

const DATABASES: &[Described] = &[
    ("oid", PgType::OID, "as in pg_database"),
    ("name", PgType::NAME, "name"),
    (
        "head_lsn",
        PgType::PG_LSN,
        "end of the last durable transaction",
    ),
    (
        "removed_through",
        PgType::PG_LSN,
        "everything up to here is gone",
    ),
    (
        "oldest_lsn",
        PgType::PG_LSN,
        "end of the oldest transaction that is there",
    ),
    (
        "durable_point",
        PgType::PG_LSN,
        "the manifest vouches for the data up to here",
    ),
    (
        "imported_through",
        PgType::PG_LSN,
        "end of what was imported",
    ),
    ("term", PgType::INT8, "leadership term"),
    ("system_id", PgType::TEXT, "system identifier"),
    ("segments", PgType::INT8, "number of spool files"),
    ("bytes", PgType::INT8, "bytes of all spool files"),
    ("slots", PgType::INT8, "number of slots"),
    (
        "appended",
        PgType::INT8,
        "transactions published since the start",
    ),
    ("syncs", PgType::INT8, "syncs since the start"),
    (
        "failure",
        PgType::TEXT,
        "why the writer stopped; NULL while it works",
    ),
    (
        "recovered_lsn",
        PgType::PG_LSN,
        "head that recovery found at the start",
    ),
    (
        "recovery_frames",
        PgType::INT8,
        "frames that recovery scanned",
    ),
    ("torn_bytes", PgType::INT8, "bytes that recovery set aside"),
    ("torn_reason", PgType::TEXT, "what was wrong there"),
    (
        "rebuilt_indexes",
        PgType::INT8,
        "index files that were missing",
    ),
];
