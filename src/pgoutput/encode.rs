//! Messages into bytes.

use super::write;
use super::{
    AbortInfo, CommitPrepared, EncodeError, Message, OldTuple, Prepare, RelationDescription,
    RollbackPrepared, Tuple, Value,
};
use crate::lsn::Lsn;

impl Message<'_> {
    /// Appends its bytes. On an error `out` is as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.append(out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn append(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Self::Begin {
                final_lsn,
                commit_time,
                xid,
            } => write::begin(*final_lsn, *commit_time, *xid, out),
            Self::Commit(at) => write::commit(at, out),
            Self::Origin { commit_lsn, name } => origin(*commit_lsn, name, out)?,
            Self::Logical {
                xid,
                transactional,
                lsn,
                prefix,
                content,
            } => write::logical(*xid, *transactional, *lsn, prefix, content, out)?,
            Self::Relation(relation) => describe(relation, out)?,
            Self::Type {
                xid,
                oid,
                schema,
                name,
            } => describe_type(*xid, *oid, schema, name, out)?,
            Self::Insert { xid, relation, new } => {
                write::insert(*xid, *relation, out);
                tuple(write::NEW, new, out)?;
            }
            Self::Update {
                xid,
                relation,
                old,
                new,
            } => {
                write::update(*xid, *relation, out);
                if let Some(old) = old {
                    old_tuple(old, out)?;
                }
                tuple(write::NEW, new, out)?;
            }
            Self::Delete { xid, relation, old } => {
                write::delete(*xid, *relation, out);
                old_tuple(old, out)?;
            }
            Self::Truncate {
                xid,
                cascade,
                restart_identity,
                relations,
            } => write::truncate(*xid, *cascade, *restart_identity, relations, out)?,
            Self::StreamStart { xid, first } => write::stream_start(*xid, *first, out),
            Self::StreamStop => write::stream_stop(out),
            Self::StreamCommit { xid, commit } => write::stream_commit(*xid, commit, out),
            Self::StreamAbort { xid, subxid, info } => stream_abort(*xid, *subxid, *info, out),
            Self::BeginPrepare(at) => prepare(b"b", at, out)?,
            Self::Prepare(at) => prepare(b"P\0", at, out)?,
            Self::StreamPrepare(at) => prepare(b"p\0", at, out)?,
            Self::CommitPrepared(at) => commit_prepared(at, out)?,
            Self::RollbackPrepared(at) => rollback_prepared(at, out)?,
        }
        Ok(())
    }
}

fn origin(commit_lsn: Lsn, name: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b'O');
    write::lsn(commit_lsn, out);
    write::text(name, "an origin's name", out)
}

fn describe(relation: &RelationDescription<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::head(b'R', relation.xid, out);
    out.extend_from_slice(&relation.oid.to_be_bytes());
    write::text(relation.schema, "a schema's name", out)?;
    write::text(relation.name, "a relation's name", out)?;
    out.push(relation.identity.letter());
    write::count(relation.columns.len(), "the number of columns", out)?;
    for column in &relation.columns {
        out.push(u8::from(column.key));
        write::text(column.name, "a column's name", out)?;
        out.extend_from_slice(&column.type_oid.to_be_bytes());
        out.extend_from_slice(&column.typmod.to_be_bytes());
    }
    Ok(())
}

fn describe_type(
    xid: Option<u32>,
    oid: u32,
    schema: &str,
    name: &str,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    write::head(b'Y', xid, out);
    out.extend_from_slice(&oid.to_be_bytes());
    write::text(schema, "a schema's name", out)?;
    write::text(name, "a type's name", out)
}

fn old_tuple(old: &OldTuple<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match old {
        OldTuple::Key(key) => tuple(write::KEY, key, out),
        OldTuple::Full(row) => tuple(write::OLD, row, out),
    }
}

fn tuple(letter: u8, tuple: &Tuple<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::tuple(letter, tuple.0.len(), out)?;
    for value in &tuple.0 {
        match value {
            Value::Null => write::null(out),
            Value::Unchanged => write::unchanged(out),
            Value::Text(text) => write::text_value(text, out)?,
            Value::Binary(bytes) => write::binary_value(bytes, out)?,
        }
    }
    Ok(())
}

fn stream_abort(xid: u32, subxid: u32, info: Option<AbortInfo>, out: &mut Vec<u8>) {
    write::head(b'A', Some(xid), out);
    out.extend_from_slice(&subxid.to_be_bytes());
    if let Some(info) = info {
        write::lsn(info.abort_lsn, out);
        out.extend_from_slice(&info.abort_time.to_be_bytes());
    }
}

/// `head` is the letter, and the flags of those that have some: none are known.
fn prepare(head: &[u8], at: &Prepare<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(head);
    write::lsn(at.prepare_lsn, out);
    write::lsn(at.end_lsn, out);
    out.extend_from_slice(&at.prepare_time.to_be_bytes());
    out.extend_from_slice(&at.xid.to_be_bytes());
    write::text(at.gid, "a transaction's name", out)
}

fn commit_prepared(at: &CommitPrepared<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(b"K\0");
    write::lsn(at.commit_lsn, out);
    write::lsn(at.end_lsn, out);
    out.extend_from_slice(&at.commit_time.to_be_bytes());
    out.extend_from_slice(&at.xid.to_be_bytes());
    write::text(at.gid, "a transaction's name", out)
}

fn rollback_prepared(at: &RollbackPrepared<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.extend_from_slice(b"r\0");
    write::lsn(at.prepare_end_lsn, out);
    write::lsn(at.rollback_end_lsn, out);
    out.extend_from_slice(&at.prepare_time.to_be_bytes());
    out.extend_from_slice(&at.rollback_time.to_be_bytes());
    out.extend_from_slice(&at.xid.to_be_bytes());
    write::text(at.gid, "a transaction's name", out)
}
