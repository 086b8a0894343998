//! The messages that a session sends, put behind one another until they are flushed.

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::data::{DataRow, FieldDescription, RowDescription};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ErrorResponse, NoticeResponse, ReadyForQuery,
    TransactionStatus,
};
use pgwire::messages::startup::ParameterStatus;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::pgerror::PgError;
use crate::relations::Notice;

use super::conn::Conn;

/// A column's type on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    /// text
    Text,
    /// int4
    Int4,
    /// int8
    Int8,
}

impl ColumnType {
    const fn oid_and_size(self) -> (u32, i16) {
        match self {
            Self::Text => (25, -1),
            Self::Int4 => (23, 4),
            Self::Int8 => (20, 8),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    /// Puts a message into the out-buffer, all of it or nothing. After one that could not be put
    /// there nothing follows but the error that ends the connection, which takes the place of the
    /// next message from the client.
    pub(super) fn send(&mut self, message: &impl Message) {
        if self.is_unsendable {
            return;
        }
        let whole = self.out.len();
        if let Err(error) = message.encode(&mut self.out) {
            // Only a message over its type's length limit ends here, and all callers bound theirs.
            tracing::error!(%error, "a message could not be encoded");
            self.out.truncate(whole);
            self.is_unsendable = true;
        }
    }

    /// ErrorResponse.
    pub(super) fn send_error(&mut self, error: &PgError) {
        self.send(&ErrorResponse::new(error.fields()));
    }

    /// NoticeResponse of level WARNING.
    pub(super) fn send_warning(&mut self, code: &'static str, message: &str) {
        self.send(&NoticeResponse::new(PgError::warning_fields(code, message)));
    }

    /// NoticeResponse of level NOTICE.
    pub(super) fn send_notice(&mut self, notice: &Notice) {
        self.send(&NoticeResponse::new(PgError::notice_fields(notice)));
    }

    /// ParameterStatus.
    pub(super) fn send_parameter(&mut self, name: &str, value: &str) {
        self.send(&ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    /// RowDescription and one DataRow.
    pub(super) fn send_row(&mut self, columns: &[(&str, ColumnType, Option<&str>)]) {
        let fields = columns.iter().map(|&(name, column_type, _)| {
            let (oid, size) = column_type.oid_and_size();
            FieldDescription::new(name.to_owned(), 0, 0, oid, size, -1, 0)
        });
        self.send(&RowDescription::new(fields.collect()));
        let mut data = BytesMut::new();
        for (_, _, value) in columns {
            match value {
                Some(text) => {
                    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                    data.extend_from_slice(&len.to_be_bytes());
                    data.extend_from_slice(text.as_bytes());
                }
                None => data.extend_from_slice(&(-1_i32).to_be_bytes()),
            }
        }
        let num_columns = i16::try_from(columns.len()).unwrap_or(i16::MAX);
        self.send(&DataRow::new(data, num_columns));
    }

    /// CommandComplete with a bare tag.
    pub(super) fn send_complete(&mut self, tag: &str) {
        self.send(&CommandComplete::new(tag.to_owned()));
    }

    /// EmptyQueryResponse.
    pub(super) fn send_empty_query(&mut self) {
        self.send(&EmptyQueryResponse::new());
    }

    /// ReadyForQuery.
    pub(super) fn send_ready(&mut self, status: TransactionStatus) {
        self.send(&ReadyForQuery::new(status));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::conn::Phase;

    #[tokio::test]
    async fn a_message_that_cannot_be_sent_leaves_nothing_of_it_and_ends_the_connection() {
        let (ours, _theirs) = tokio::io::duplex(100);
        let mut conn = Conn::new(ours);
        conn.send_parameter("a", "1");
        let whole = conn.out.clone();
        conn.send_parameter("b", &"2".repeat(1 << 20));
        assert_eq!(conn.out, whole);
        conn.send_ready(TransactionStatus::Idle);
        assert_eq!(conn.out, whole);
        let error = conn.next_message(Phase::Command).unwrap_err();
        assert!(error.is_fatal());
        assert_eq!(error.code(), "XX000");
        conn.send_error(&error);
        assert_eq!(conn.out.get(whole.len()), Some(&b'E'));
    }
}
