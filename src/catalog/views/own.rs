//! The views of the schema `pgspool`: their columns and what each means.

use crate::datum::PgType;

use super::{Source, View, slots};

/// A column: name, type, what it is.
type Described = (&'static str, PgType, &'static str);

const FIRST_OID: u32 = 9001;
const FIRST_ROW_TYPE: u32 = 9101;
const FIRST_ARRAY_TYPE: u32 = 9201;

/// All views of ours. A view keeps its place, and with it its OID: new ones go to the end.
pub(super) fn views() -> Vec<View> {
    let described = [
        (
            "slots",
            "replication slots with what they hold and where their clients would go on",
            SLOTS,
            Source::Rows(slots::own_slots),
        ),
        (
            "changes",
            "retained change records",
            CHANGES,
            Source::Changes,
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
