//! The messages as values. Times are microseconds since 2000-01-01 00:00 UTC.

use crate::lsn::Lsn;

/// One message. Inside of a streamed transaction (between Stream Start and Stream Stop) those
/// that can come there carry the id of their (sub)transaction as `xid`; elsewhere it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// `B`: a transaction begins.
    Begin {
        /// What its Commit calls the commit LSN.
        final_lsn: Lsn,
        /// When it was committed.
        commit_time: i64,
        /// Its id.
        xid: u32,
    },
    /// `C`: a transaction ends.
    Commit(Commit),
    /// `O`: the transaction comes from elsewhere.
    Origin {
        /// Its commit LSN there.
        commit_lsn: Lsn,
        /// The name of the origin.
        name: &'a str,
    },
    /// `M`: a logical message.
    Logical {
        /// See [`Message`].
        xid: Option<u32>,
        /// It belongs to a transaction.
        transactional: bool,
        /// Its position.
        lsn: Lsn,
        /// Whose message it is.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
    /// `R`: what a table is.
    Relation(RelationDescription<'a>),
    /// `Y`: what a type is that is not built in.
    Type {
        /// See [`Message`].
        xid: Option<u32>,
        /// Its OID.
        oid: u32,
        /// Its schema; empty for `pg_catalog`.
        schema: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// `I`: a new row.
    Insert {
        /// See [`Message`].
        xid: Option<u32>,
        /// OID of its table.
        relation: u32,
        /// The row.
        new: Tuple<'a>,
    },
    /// `U`: a changed row.
    Update {
        /// See [`Message`].
        xid: Option<u32>,
        /// OID of its table.
        relation: u32,
        /// The row before, as far as it is told.
        old: Option<OldTuple<'a>>,
        /// The row.
        new: Tuple<'a>,
    },
    /// `D`: a removed row.
    Delete {
        /// See [`Message`].
        xid: Option<u32>,
        /// OID of its table.
        relation: u32,
        /// The row, as far as it is told.
        old: OldTuple<'a>,
    },
    /// `T`: all rows of tables are removed.
    Truncate {
        /// See [`Message`].
        xid: Option<u32>,
        /// CASCADE
        cascade: bool,
        /// RESTART IDENTITY
        restart_identity: bool,
        /// OIDs of the tables.
        relations: Vec<u32>,
    },
    /// `S`: a piece of a transaction that is not committed yet begins (protocol 2).
    StreamStart {
        /// Id of the transaction.
        xid: u32,
        /// It is its first piece.
        first: bool,
    },
    /// `E`: the piece ends.
    StreamStop,
    /// `c`: a streamed transaction is committed.
    StreamCommit {
        /// Its id.
        xid: u32,
        /// Where and when.
        commit: Commit,
    },
    /// `A`: a streamed transaction, or one of its subtransactions, is rolled back.
    StreamAbort {
        /// Id of the transaction.
        xid: u32,
        /// Id of what is rolled back: the same, or a subtransaction's.
        subxid: u32,
        /// Where and when (protocol 4, when streamed to several workers).
        info: Option<AbortInfo>,
    },
    /// `b`: a prepared transaction begins (protocol 3).
    BeginPrepare(Prepare<'a>),
    /// `P`: it is prepared.
    Prepare(Prepare<'a>),
    /// `K`: COMMIT PREPARED.
    CommitPrepared(CommitPrepared<'a>),
    /// `r`: ROLLBACK PREPARED.
    RollbackPrepared(RollbackPrepared<'a>),
    /// `p`: a streamed transaction is prepared.
    StreamPrepare(Prepare<'a>),
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// Position of the commit.
    pub commit_lsn: Lsn,
    /// End of the transaction.
    pub end_lsn: Lsn,
    /// When.
    pub commit_time: i64,
}

/// Where and when a streamed transaction was rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortInfo {
    /// Position of the abort.
    pub abort_lsn: Lsn,
    /// When.
    pub abort_time: i64,
}

/// A prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepare<'a> {
    /// Position of the PREPARE TRANSACTION.
    pub prepare_lsn: Lsn,
    /// End of the prepared transaction.
    pub end_lsn: Lsn,
    /// When.
    pub prepare_time: i64,
    /// Its id.
    pub xid: u32,
    /// Its name.
    pub gid: &'a str,
}

/// The commit of a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitPrepared<'a> {
    /// Position of the COMMIT PREPARED.
    pub commit_lsn: Lsn,
    /// Its end.
    pub end_lsn: Lsn,
    /// When.
    pub commit_time: i64,
    /// Id of the transaction.
    pub xid: u32,
    /// Its name.
    pub gid: &'a str,
}

/// The rollback of a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackPrepared<'a> {
    /// End of the prepared transaction.
    pub prepare_end_lsn: Lsn,
    /// End of the ROLLBACK PREPARED.
    pub rollback_end_lsn: Lsn,
    /// When it was prepared.
    pub prepare_time: i64,
    /// When it was rolled back.
    pub rollback_time: i64,
    /// Id of the transaction.
    pub xid: u32,
    /// Its name.
    pub gid: &'a str,
}

/// What a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationDescription<'a> {
    /// See [`Message`].
    pub xid: Option<u32>,
    /// Its OID.
    pub oid: u32,
    /// Its schema; empty for `pg_catalog`.
    pub schema: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which old columns its changes carry.
    pub identity: Identity,
    /// Its columns, those that are sent.
    pub columns: Vec<RelationColumn<'a>>,
}

/// A column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationColumn<'a> {
    /// It is of the replica identity.
    pub key: bool,
    /// Its name.
    pub name: &'a str,
    /// OID of its type.
    pub type_oid: u32,
    /// Type modifier, -1 for none.
    pub typmod: i32,
}

/// Which old columns the changes of a table carry (`pg_class.relreplident`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// `d`: the primary key.
    Default,
    /// `n`: none.
    Nothing,
    /// `f`: all.
    Full,
    /// `i`: those of an index.
    Index,
}

impl Identity {
    /// Its letter.
    pub const fn letter(self) -> u8 {
        match self {
            Self::Default => b'd',
            Self::Nothing => b'n',
            Self::Full => b'f',
            Self::Index => b'i',
        }
    }

    /// The one with this letter.
    pub const fn from_letter(letter: u8) -> Option<Self> {
        match letter {
            b'd' => Some(Self::Default),
            b'n' => Some(Self::Nothing),
            b'f' => Some(Self::Full),
            b'i' => Some(Self::Index),
            _ => None,
        }
    }
}

/// What is told of a row as it was before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldTuple<'a> {
    /// `K`: its replica identity; other columns are NULL.
    Key(Tuple<'a>),
    /// `O`: all of it.
    Full(Tuple<'a>),
}

impl<'a> OldTuple<'a> {
    /// The values, as far as they are told.
    pub const fn tuple(&self) -> &Tuple<'a> {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

/// The values of a row: one for each column of its Relation message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tuple<'a>(pub Vec<Value<'a>>);

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `n`: NULL.
    Null,
    /// `u`: a TOASTed value that the change left as it was.
    Unchanged,
    /// `t`: in text form, in the encoding that the client asked for.
    Text(&'a [u8]),
    /// `b`: in binary form.
    Binary(&'a [u8]),
}
