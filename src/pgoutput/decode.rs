//! Bytes into messages.

use super::reader::Reader;
use super::{
    AbortInfo, Commit, CommitPrepared, DecodeError, DecodeFault, Identity, Message, OldTuple,
    Prepare, Protocol, RelationColumn, RelationDescription, RollbackPrepared, Tuple, Value,
};

/// What the bytes of a message do not say themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The protocol that was agreed.
    pub protocol: Protocol,
    /// `streaming 'parallel'` was agreed: a Stream Abort says where and when.
    pub parallel: bool,
    /// A streamed transaction is open: between Stream Start and Stream Stop.
    pub in_stream: bool,
}

impl Context {
    /// Whole transactions in `protocol`.
    pub const fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            parallel: false,
            in_stream: false,
        }
    }
}

/// Reads the messages of one stream in order: it knows when a streamed transaction is open.
#[derive(Debug, Clone)]
pub struct Decoder {
    context: Context,
}

impl Decoder {
    /// For a stream that begins.
    pub const fn new(protocol: Protocol, parallel: bool) -> Self {
        let context = Context {
            protocol,
            parallel,
            in_stream: false,
        };
        Self { context }
    }

    /// Whether a streamed transaction is open.
    pub const fn in_stream(&self) -> bool {
        self.context.in_stream
    }

    /// Reads the next message.
    pub fn decode<'a>(&mut self, bytes: &'a [u8]) -> Result<Message<'a>, DecodeError> {
        let message = Message::decode(bytes, self.context)?;
        if let Message::StreamStart { .. } = message {
            self.context.in_stream = true;
        } else if let Message::StreamStop = message {
            self.context.in_stream = false;
        }
        Ok(message)
    }
}

impl<'a> Message<'a> {
    /// Reads one message, all of `bytes`.
    pub fn decode(bytes: &'a [u8], context: Context) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let Some(&tag) = bytes.first() else {
            return Err(reader.fault(DecodeFault::Empty));
        };
        let message = read(tag, context, &mut reader)?;
        reader.end()?;
        Ok(message)
    }
}

/// Where a message can come.
enum Place {
    /// Not inside of a streamed transaction.
    Outside,
    /// Only inside.
    Inside,
    /// Anywhere; inside it carries a transaction id.
    Anywhere,
}

fn read<'a>(
    tag: u8,
    context: Context,
    reader: &mut Reader<'a>,
) -> Result<Message<'a>, DecodeError> {
    let (since, place) = match tag {
        b'B' | b'C' => (Protocol::V1, Place::Outside),
        b'O' | b'M' | b'R' | b'Y' | b'I' | b'U' | b'D' | b'T' => (Protocol::V1, Place::Anywhere),
        b'S' | b'c' | b'A' => (Protocol::V2, Place::Outside),
        b'E' => (Protocol::V2, Place::Inside),
        b'b' | b'P' | b'K' | b'r' | b'p' => (Protocol::V3, Place::Outside),
        _ => return Err(reader.fault(DecodeFault::UnknownMessage)),
    };
    if context.protocol < since {
        return Err(reader.fault(DecodeFault::NotInProtocol(context.protocol)));
    }
    match (place, context.in_stream) {
        (Place::Outside, true) => return Err(reader.fault(DecodeFault::InStream)),
        (Place::Inside, false) => return Err(reader.fault(DecodeFault::NotInStream)),
        (Place::Outside, false) | (Place::Inside, true) | (Place::Anywhere, _) => {}
    }
    reader.byte("the kind of message")?;
    match tag {
        b'B' | b'C' | b'O' => transaction(tag, reader),
        b'S' | b'E' | b'c' | b'A' => stream(tag, context, reader),
        b'b' | b'P' | b'K' | b'r' | b'p' => prepared(tag, reader),
        _ => {
            let xid = if context.in_stream {
                Some(reader.u32("the transaction id")?)
            } else {
                None
            };
            match tag {
                b'M' | b'R' | b'Y' => description(tag, xid, reader),
                _ => change(tag, xid, reader),
            }
        }
    }
}

fn transaction<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    Ok(match tag {
        b'B' => Message::Begin {
            final_lsn: reader.lsn("the final LSN")?,
            commit_time: reader.i64("the commit time")?,
            xid: reader.u32("the transaction id")?,
        },
        b'C' => Message::Commit(commit(reader)?),
        _ => Message::Origin {
            commit_lsn: reader.lsn("the commit LSN")?,
            name: reader.text("the origin's name")?,
        },
    })
}

fn commit(reader: &mut Reader<'_>) -> Result<Commit, DecodeError> {
    reader.no_flags()?;
    Ok(Commit {
        commit_lsn: reader.lsn("the commit LSN")?,
        end_lsn: reader.lsn("the end LSN")?,
        commit_time: reader.i64("the commit time")?,
    })
}

fn stream<'a>(
    tag: u8,
    context: Context,
    reader: &mut Reader<'a>,
) -> Result<Message<'a>, DecodeError> {
    Ok(match tag {
        b'S' => Message::StreamStart {
            xid: reader.u32("the transaction id")?,
            first: reader.flag("the mark of the first piece")?,
        },
        b'E' => Message::StreamStop,
        b'c' => Message::StreamCommit {
            xid: reader.u32("the transaction id")?,
            commit: commit(reader)?,
        },
        _ => Message::StreamAbort {
            xid: reader.u32("the transaction id")?,
            subxid: reader.u32("the subtransaction id")?,
            info: if context.parallel && context.protocol >= Protocol::V4 {
                Some(AbortInfo {
                    abort_lsn: reader.lsn("the abort LSN")?,
                    abort_time: reader.i64("the abort time")?,
                })
            } else {
                None
            },
        },
    })
}

fn prepared<'a>(tag: u8, reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    if tag != b'b' {
        reader.no_flags()?;
    }
    Ok(match tag {
        b'b' => Message::BeginPrepare(prepare(reader)?),
        b'P' => Message::Prepare(prepare(reader)?),
        b'p' => Message::StreamPrepare(prepare(reader)?),
        b'K' => Message::CommitPrepared(CommitPrepared {
            commit_lsn: reader.lsn("the commit LSN")?,
            end_lsn: reader.lsn("the end LSN")?,
            commit_time: reader.i64("the commit time")?,
            xid: reader.u32("the transaction id")?,
            gid: reader.text("the transaction's name")?,
        }),
        _ => Message::RollbackPrepared(RollbackPrepared {
            prepare_end_lsn: reader.lsn("the end LSN of the prepared transaction")?,
            rollback_end_lsn: reader.lsn("the end LSN of the rollback")?,
            prepare_time: reader.i64("the prepare time")?,
            rollback_time: reader.i64("the rollback time")?,
            xid: reader.u32("the transaction id")?,
            gid: reader.text("the transaction's name")?,
        }),
    })
}

fn prepare<'a>(reader: &mut Reader<'a>) -> Result<Prepare<'a>, DecodeError> {
    Ok(Prepare {
        prepare_lsn: reader.lsn("the prepare LSN")?,
        end_lsn: reader.lsn("the end LSN")?,
        prepare_time: reader.i64("the prepare time")?,
        xid: reader.u32("the transaction id")?,
        gid: reader.text("the transaction's name")?,
    })
}

/// What describes, and what belongs to no table.
fn description<'a>(
    tag: u8,
    xid: Option<u32>,
    reader: &mut Reader<'a>,
) -> Result<Message<'a>, DecodeError> {
    Ok(match tag {
        b'M' => {
            let transactional = reader.flag("flags")?;
            let lsn = reader.lsn("the message's LSN")?;
            let prefix = reader.text("the prefix")?;
            let len = reader.length("the content's length")?;
            Message::Logical {
                xid,
                transactional,
                lsn,
                prefix,
                content: reader.bytes(len, "the content")?,
            }
        }
        b'R' => Message::Relation(relation(xid, reader)?),
        _ => Message::Type {
            xid,
            oid: reader.u32("the type's OID")?,
            schema: reader.text("the type's schema")?,
            name: reader.text("the type's name")?,
        },
    })
}

fn relation<'a>(
    xid: Option<u32>,
    reader: &mut Reader<'a>,
) -> Result<RelationDescription<'a>, DecodeError> {
    let oid = reader.u32("the relation's OID")?;
    let schema = reader.text("the relation's schema")?;
    let name = reader.text("the relation's name")?;
    let identity = reader.letter("the replica identity", Identity::from_letter)?;
    // A column is a flag, a NUL, a type and a modifier at least.
    let count = reader.short_count(10, "the number of columns")?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        columns.push(RelationColumn {
            key: reader.flag("a column's flags")?,
            name: reader.text("a column's name")?,
            type_oid: reader.u32("a column's type")?,
            typmod: reader.i32("a column's type modifier")?,
        });
    }
    Ok(RelationDescription {
        xid,
        oid,
        schema,
        name,
        identity,
        columns,
    })
}

fn change<'a>(
    tag: u8,
    xid: Option<u32>,
    reader: &mut Reader<'a>,
) -> Result<Message<'a>, DecodeError> {
    if tag == b'T' {
        return truncate(xid, reader);
    }
    let relation = reader.u32("the relation's OID")?;
    let kind = |letter| match letter {
        b'N' => Some(Kind::New),
        b'K' => Some(Kind::Key),
        b'O' => Some(Kind::Old),
        _ => None,
    };
    let new = |letter| (letter == b'N').then_some(());
    Ok(match tag {
        b'I' => {
            reader.letter("the kind of row", new)?;
            let new = tuple(reader)?;
            Message::Insert { xid, relation, new }
        }
        b'U' => {
            let old = match reader.letter("the kind of row", kind)? {
                Kind::New => None,
                Kind::Key => Some(OldTuple::Key(tuple(reader)?)),
                Kind::Old => Some(OldTuple::Full(tuple(reader)?)),
            };
            if old.is_some() {
                reader.letter("the kind of row", new)?;
            }
            let new = tuple(reader)?;
            Message::Update {
                xid,
                relation,
                old,
                new,
            }
        }
        _ => {
            let key = |letter| match letter {
                b'K' => Some(true),
                b'O' => Some(false),
                _ => None,
            };
            let old = if reader.letter("the kind of row", key)? {
                OldTuple::Key(tuple(reader)?)
            } else {
                OldTuple::Full(tuple(reader)?)
            };
            Message::Delete { xid, relation, old }
        }
    })
}

enum Kind {
    New,
    Key,
    Old,
}

fn truncate<'a>(xid: Option<u32>, reader: &mut Reader<'a>) -> Result<Message<'a>, DecodeError> {
    let start = reader.at();
    let count = reader.length("the number of relations")?;
    let options = reader.letter("the options", |byte| (byte <= 3).then_some(byte))?;
    reader.justified(start, count, 4, "the number of relations")?;
    let mut relations = Vec::with_capacity(count);
    for _ in 0..count {
        relations.push(reader.u32("a relation's OID")?);
    }
    Ok(Message::Truncate {
        xid,
        cascade: options & 1 != 0,
        restart_identity: options & 2 != 0,
        relations,
    })
}

fn tuple<'a>(reader: &mut Reader<'a>) -> Result<Tuple<'a>, DecodeError> {
    let count = reader.short_count(1, "the number of values")?;
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let kind = reader.letter("the kind of a value", |byte| {
            matches!(byte, b'n' | b'u' | b't' | b'b').then_some(byte)
        })?;
        values.push(match kind {
            b'n' => Value::Null,
            b'u' => Value::Unchanged,
            _ => {
                let len = reader.length("a value's length")?;
                let bytes = reader.bytes(len, "a value")?;
                if kind == b't' {
                    Value::Text(bytes)
                } else {
                    Value::Binary(bytes)
                }
            }
        });
    }
    Ok(Tuple(values))
}
