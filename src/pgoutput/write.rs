//! The pieces of messages, appended to a buffer: for those who write many of them.
//!
//! A row is [`insert`] (or [`update`], [`delete`]), then for each tuple its letter and number of
//! values ([`tuple()`]), then each value.

use super::{Commit, EncodeError};
use crate::lsn::Lsn;

/// How a tuple begins: `N`, a new row.
pub const NEW: u8 = b'N';
/// `K`: the replica identity of an old row.
pub const KEY: u8 = b'K';
/// `O`: an old row.
pub const OLD: u8 = b'O';

/// A whole Begin.
pub fn begin(final_lsn: Lsn, commit_time: i64, xid: u32, out: &mut Vec<u8>) {
    out.push(b'B');
    lsn(final_lsn, out);
    out.extend_from_slice(&commit_time.to_be_bytes());
    out.extend_from_slice(&xid.to_be_bytes());
}

/// A whole Commit.
pub fn commit(at: &Commit, out: &mut Vec<u8>) {
    out.push(b'C');
    commit_body(at, out);
}

/// The beginning of a piece of a streamed transaction.
pub fn stream_start(xid: u32, first: bool, out: &mut Vec<u8>) {
    head(b'S', Some(xid), out);
    out.push(u8::from(first));
}

/// The end of a piece of a streamed transaction.
pub fn stream_stop(out: &mut Vec<u8>) {
    out.push(b'E');
}

/// The end of a streamed transaction.
pub fn stream_commit(xid: u32, at: &Commit, out: &mut Vec<u8>) {
    head(b'c', Some(xid), out);
    commit_body(at, out);
}

/// A message that stands outside of streamed transactions as it is inside of the one with the id
/// `xid`.
pub fn inside_stream(xid: u32, message: &[u8], out: &mut Vec<u8>) {
    if let Some((letter, rest)) = message.split_first() {
        head(*letter, Some(xid), out);
        out.extend_from_slice(rest);
    }
}

pub(super) fn commit_body(at: &Commit, out: &mut Vec<u8>) {
    out.push(0);
    lsn(at.commit_lsn, out);
    lsn(at.end_lsn, out);
    out.extend_from_slice(&at.commit_time.to_be_bytes());
}

/// A whole logical message.
pub fn logical(
    xid: Option<u32>,
    transactional: bool,
    at: Lsn,
    prefix: &str,
    content: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    head(b'M', xid, out);
    out.push(u8::from(transactional));
    lsn(at, out);
    text(prefix, "a prefix", out)?;
    sized(content, "a message", out)
}

/// A whole Truncate.
pub fn truncate(
    xid: Option<u32>,
    cascade: bool,
    restart_identity: bool,
    relations: &[u32],
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    head(b'T', xid, out);
    length(relations.len(), "the number of relations", out)?;
    out.push(u8::from(cascade) | (u8::from(restart_identity) << 1));
    for relation in relations {
        out.extend_from_slice(&relation.to_be_bytes());
    }
    Ok(())
}

/// What an Insert begins with; one new tuple follows.
pub fn insert(xid: Option<u32>, relation: u32, out: &mut Vec<u8>) {
    head(b'I', xid, out);
    out.extend_from_slice(&relation.to_be_bytes());
}

/// What an Update begins with; an old tuple may follow, and a new one does.
pub fn update(xid: Option<u32>, relation: u32, out: &mut Vec<u8>) {
    head(b'U', xid, out);
    out.extend_from_slice(&relation.to_be_bytes());
}

/// What a Delete begins with; an old tuple follows.
pub fn delete(xid: Option<u32>, relation: u32, out: &mut Vec<u8>) {
    head(b'D', xid, out);
    out.extend_from_slice(&relation.to_be_bytes());
}

/// What a tuple of `len` values begins with; its letter is [`NEW`], [`KEY`] or [`OLD`].
pub fn tuple(letter: u8, len: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(letter);
    count(len, "the number of values", out)
}

/// NULL.
pub fn null(out: &mut Vec<u8>) {
    out.push(b'n');
}

/// A value that the change left as it was.
pub fn unchanged(out: &mut Vec<u8>) {
    out.push(b'u');
}

/// A value in text form.
pub fn text_value(value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b't');
    sized(value, "a value", out)
}

/// A value in binary form.
pub fn binary_value(value: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    out.push(b'b');
    sized(value, "a value", out)
}

/// A value in binary form, which `write` appends. When it fails, nothing was written.
pub fn binary_value_with<E>(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E>
where
    E: From<EncodeError>,
{
    let start = out.len();
    out.extend_from_slice(&[b'b', 0, 0, 0, 0]);
    let body = out.len();
    let written = write(out).and_then(|()| {
        let len = i32::try_from(out.len().saturating_sub(body));
        let len = len.map_err(|_| EncodeError::TooLarge("a value"))?;
        if let Some(place) = out.get_mut(start + 1..body) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// The letter of a message and, inside of a streamed transaction, its id.
pub(super) fn head(letter: u8, xid: Option<u32>, out: &mut Vec<u8>) {
    out.push(letter);
    if let Some(xid) = xid {
        out.extend_from_slice(&xid.to_be_bytes());
    }
}

pub(super) fn lsn(lsn: Lsn, out: &mut Vec<u8>) {
    out.extend_from_slice(&lsn.get().to_be_bytes());
}

pub(super) fn text(text: &str, what: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(EncodeError::Nul(what));
    }
    out.extend_from_slice(text.as_bytes());
    out.push(0);
    Ok(())
}

pub(super) fn count(
    count: usize,
    what: &'static str,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let count = i16::try_from(count).map_err(|_| EncodeError::TooLarge(what))?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

fn length(length: usize, what: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let length = i32::try_from(length).map_err(|_| EncodeError::TooLarge(what))?;
    out.extend_from_slice(&length.to_be_bytes());
    Ok(())
}

fn sized(bytes: &[u8], what: &'static str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    length(bytes.len(), what, out)?;
    out.extend_from_slice(bytes);
    Ok(())
}
