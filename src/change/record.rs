//! Making change records without naming all of their parts.

use super::{ChangeRecord, MessageHead, Numbered, Operation, ProducerName};

/// What the constructors leave open: the kind is `row`; the engine assigns position and term when
/// the record is published, and the time unless it is set.
impl ChangeRecord {
    /// A new row.
    pub fn insert(collection: impl Into<String>, rid: u64) -> Self {
        Self::of(Operation::Insert, collection.into(), rid)
    }

    /// A changed row.
    pub fn update(collection: impl Into<String>, rid: u64) -> Self {
        Self::of(Operation::Update, collection.into(), rid)
    }

    /// A removed row.
    pub fn delete(collection: impl Into<String>, rid: u64) -> Self {
        Self::of(Operation::Delete, collection.into(), rid)
    }

    /// All rows of a collection are replaced by `rows`.
    pub fn refresh<R: Into<Vec<u8>>>(
        collection: impl Into<String>,
        rows: impl IntoIterator<Item = R>,
    ) -> Self {
        Self {
            entity_kind: "refresh".to_owned(),
            refresh_records: Some(rows.into_iter().map(Into::into).collect()),
            ..Self::of(Operation::Refresh, collection.into(), 0)
        }
    }

    /// All rows of a collection are removed.
    pub fn truncate(collection: impl Into<String>) -> Self {
        Self::of(Operation::Truncate, collection.into(), 0)
    }

    /// A logical message: `transactional` as a part of its transaction, otherwise on its own.
    pub fn message(
        transactional: bool,
        prefix: impl Into<String>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            entity_kind: "message".to_owned(),
            entity_bytes: Some(content.into()),
            message: Some(MessageHead {
                prefix: prefix.into(),
                transactional,
            }),
            ..Self::of(Operation::Message, String::new(), 0)
        }
    }

    fn of(operation: Operation, collection: String, entity_id: u64) -> Self {
        Self {
            term: 1,
            lsn: 0,
            timestamp: 0,
            operation,
            collection,
            entity_id,
            entity_kind: "row".to_owned(),
            entity_bytes: None,
            metadata: None,
            refresh_records: None,
            changed_columns: None,
            old: None,
            unchanged: None,
            numbered: None,
            message: None,
        }
    }

    /// The same with another kind of row.
    #[must_use]
    pub fn with_kind(mut self, kind: impl Into<String>) -> Self {
        self.entity_kind = kind.into();
        self
    }

    /// The same with the row's bytes.
    #[must_use]
    pub fn with_entity(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.entity_bytes = Some(bytes.into());
        self
    }

    /// The same with data beside the row.
    #[must_use]
    pub fn with_metadata(mut self, metadata: impl Into<serde_json::Value>) -> Self {
        self.metadata = Some(metadata.into());
        self
    }

    /// The same with the names of the changed columns.
    #[must_use]
    pub fn with_changed_columns<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.changed_columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The same with the row as it was before, or its key.
    #[must_use]
    pub fn with_old(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.old = Some(bytes.into());
        self
    }

    /// The same with the names of the columns that the row does not carry because they stayed as
    /// they were.
    #[must_use]
    pub fn with_unchanged<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.unchanged = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The same as number `seq` of a producer's records.
    #[must_use]
    pub fn with_seq(mut self, producer: ProducerName, seq: u64) -> Self {
        self.numbered = Some(Numbered { producer, seq });
        self
    }

    /// The same with a time of its own, unix milliseconds.
    #[must_use]
    pub const fn with_timestamp(mut self, unix_ms: u64) -> Self {
        self.timestamp = unix_ms;
        self
    }
}
