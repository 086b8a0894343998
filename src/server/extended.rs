//! The bodies of the extended query protocol's messages.
//!
//! Counts and lengths are held against what is there before anything is allocated: whatever the
//! bytes, the answer is a value or an error of 08P01.

use bytes::Bytes;

use crate::datum::PgType;
use crate::pgerror::PgError;

/// `Parse`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parse {
    /// Name of the statement; empty for the unnamed one.
    pub(super) name: String,
    /// Its text.
    pub(super) query: String,
    /// Types that the client declares; `None` where it leaves that to the server.
    pub(super) types: Vec<Option<PgType>>,
}

/// `Bind`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    /// Name of the portal; empty for the unnamed one.
    pub(super) portal: String,
    /// Name of the statement.
    pub(super) statement: String,
    /// Format codes of the parameters: none, one for all, or one each.
    pub(super) formats: Vec<Format>,
    /// Values; `None` is NULL.
    pub(super) values: Vec<Option<Bytes>>,
    /// Format codes of the result's columns: none, one for all, or one each.
    pub(super) result_formats: Vec<Format>,
}

/// `Execute`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Execute {
    /// Name of the portal.
    pub(super) portal: String,
    /// Most rows; `None` is all.
    pub(super) num_rows: Option<u64>,
}

/// What `Describe` and `Close` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A prepared statement.
    Statement(String),
    /// A portal.
    Portal(String),
}

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As text.
    Text,
    /// As the type's binary form.
    Binary,
}

impl Format {
    /// The code on the wire.
    pub(super) const fn code(self) -> i16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }

    /// The format of column `index` of `num_columns` under the codes of a Bind.
    pub(super) fn of(formats: &[Self], index: usize) -> Self {
        match formats {
            [] => Self::Text,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(Self::Text),
        }
    }
}

/// Reads a Parse.
pub(super) fn parse(body: Bytes) -> Result<Parse, PgError> {
    let mut body = Body(body);
    let name = body.text()?;
    let query = body.text()?;
    let num_types = body.count(4)?;
    let mut types = Vec::with_capacity(num_types);
    for _ in 0..num_types {
        let oid = body.u32()?;
        // An OID of 705, unknown, leaves it to the server as 0 does.
        types.push((oid != 0 && oid != PgType::UNKNOWN.0).then_some(PgType(oid)));
    }
    body.end()?;
    Ok(Parse { name, query, types })
}

/// Reads a Bind.
pub(super) fn bind(body: Bytes) -> Result<Bind, PgError> {
    let mut body = Body(body);
    let portal = body.text()?;
    let statement = body.text()?;
    let formats = body.formats()?;
    let num_values = body.count(4)?;
    if formats.len() > 1 && formats.len() != num_values {
        let message = format!(
            "bind message has {} parameter formats but {num_values} parameters",
            formats.len()
        );
        return Err(PgError::error("08P01", message));
    }
    let mut values = Vec::with_capacity(num_values);
    for _ in 0..num_values {
        values.push(body.value()?);
    }
    let result_formats = body.formats()?;
    body.end()?;
    Ok(Bind {
        portal,
        statement,
        formats,
        values,
        result_formats,
    })
}

/// Reads an Execute.
pub(super) fn execute(body: Bytes) -> Result<Execute, PgError> {
    let mut body = Body(body);
    let portal = body.text()?;
    // Zero and, as PostgreSQL takes it, anything below are no limit.
    let limit = body.i32()?;
    body.end()?;
    let num_rows = u64::try_from(limit).ok().filter(|&limit| limit > 0);
    Ok(Execute { portal, num_rows })
}

/// Reads a Describe or a Close, `what` for the error.
pub(super) fn target(body: Bytes, what: &str) -> Result<Target, PgError> {
    let mut body = Body(body);
    let kind = body.u8()?;
    let name = body.text()?;
    body.end()?;
    match kind {
        b'S' => Ok(Target::Statement(name)),
        b'P' => Ok(Target::Portal(name)),
        other => {
            let message = format!("invalid {what} message subtype {other}");
            Err(PgError::error("08P01", message))
        }
    }
}

/// What is left of a body.
struct Body(Bytes);

fn too_short() -> PgError {
    PgError::error("08P01", "insufficient data left in message")
}

impl Body {
    fn take(&mut self, num_bytes: usize) -> Result<Bytes, PgError> {
        if num_bytes > self.0.len() {
            return Err(too_short());
        }
        Ok(self.0.split_to(num_bytes))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PgError> {
        let bytes = self.take(N)?;
        bytes.first_chunk::<N>().copied().ok_or_else(too_short)
    }

    fn u8(&mut self) -> Result<u8, PgError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, PgError> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, PgError> {
        self.array().map(u32::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, PgError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A zero-terminated text.
    fn text(&mut self) -> Result<String, PgError> {
        let end = memchr::memchr(0, &self.0)
            .ok_or_else(|| PgError::error("08P01", "invalid string in message"))?;
        let bytes = self.take(end)?;
        self.take(1)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| PgError::error("22021", "invalid byte sequence for encoding \"UTF8\""))?;
        Ok(text.to_owned())
    }

    /// A count of things of at least `size` bytes each, all of which are there.
    fn count(&mut self, size: usize) -> Result<usize, PgError> {
        let count = usize::from(self.u16()?);
        if count.saturating_mul(size) > self.0.len() {
            return Err(too_short());
        }
        Ok(count)
    }

    fn formats(&mut self) -> Result<Vec<Format>, PgError> {
        let count = self.count(2)?;
        let mut formats = Vec::with_capacity(count);
        for _ in 0..count {
            formats.push(match self.u16()? {
                0 => Format::Text,
                1 => Format::Binary,
                other => {
                    let message = format!("unsupported format code: {other}");
                    return Err(PgError::error("22023", message));
                }
            });
        }
        Ok(formats)
    }

    /// A length and as many bytes; -1 is NULL.
    fn value(&mut self) -> Result<Option<Bytes>, PgError> {
        let len = self.i32()?;
        if len == -1 {
            return Ok(None);
        }
        let len = usize::try_from(len).map_err(|_| too_short())?;
        self.take(len).map(Some)
    }

    fn end(&self) -> Result<(), PgError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(PgError::error("08P01", "invalid message format"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSE: &[u8] = b"s1\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0";
    const BIND: &[u8] =
        b"p\0s1\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x02\0\0\0\x01";

    #[test]
    fn whole_messages_are_read() {
        let parsed = parse(Bytes::from_static(PARSE)).unwrap();
        assert_eq!(
            (parsed.name.as_str(), parsed.query.as_str()),
            ("s1", "SELECT $1")
        );
        assert_eq!(parsed.types, [Some(PgType::INT4), None]);
        let bound = bind(Bytes::from_static(BIND)).unwrap();
        assert_eq!(
            (bound.portal.as_str(), bound.statement.as_str()),
            ("p", "s1")
        );
        assert_eq!(bound.formats, [Format::Binary]);
        assert_eq!(
            bound.values,
            [Some(Bytes::from_static(b"\0\0\0\x07")), None]
        );
        assert_eq!(bound.result_formats, [Format::Text, Format::Binary]);
        let executed = execute(Bytes::from_static(b"p\0\0\0\0\x05")).unwrap();
        assert_eq!(executed.num_rows, Some(5));
        assert_eq!(
            execute(Bytes::from_static(b"\0\0\0\0\0")).unwrap().num_rows,
            None
        );
        let target = target(Bytes::from_static(b"Sx\0"), "DESCRIBE").unwrap();
        assert_eq!(target, Target::Statement("x".to_owned()));
    }

    #[test]
    fn every_prefix_and_every_longer_message_is_refused() {
        for len in 0..PARSE.len() {
            assert!(
                parse(Bytes::from_static(PARSE).slice(..len)).is_err(),
                "{len}"
            );
        }
        for len in 0..BIND.len() {
            assert!(
                bind(Bytes::from_static(BIND).slice(..len)).is_err(),
                "{len}"
            );
        }
        for len in 0..6 {
            assert!(
                execute(Bytes::from_static(b"p\0\0\0\0\x05").slice(..len)).is_err(),
                "{len}"
            );
        }
        for len in 0..3 {
            assert!(
                target(Bytes::from_static(b"Px\0").slice(..len), "CLOSE").is_err(),
                "{len}"
            );
        }
        let longer = |bytes: &[u8]| Bytes::from([bytes, b"x"].concat());
        assert!(parse(longer(PARSE)).is_err() && bind(longer(BIND)).is_err());
        assert!(execute(longer(b"\0\0\0\0\0")).is_err() && target(longer(b"S\0"), "").is_err());
    }

    #[test]
    fn counts_that_are_not_there_allocate_nothing() {
        for body in [
            &b"\0\0\xff\xff"[..],
            b"\0\0\0\0\xff\xff",
            b"\0\0\0\0\0\x01\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\xff\xff\xff\xfe",
            b"\0\0\0\x01\0\x02\0\0\0\0",
        ] {
            assert!(bind(Bytes::copy_from_slice(body)).is_err(), "{body:?}");
        }
        assert!(parse(Bytes::from_static(b"\0\0\xff\xff")).is_err());
        assert!(parse(Bytes::from_static(b"\xff\0\0\0\0")).is_err());
        assert!(target(Bytes::from_static(b"X\0"), "CLOSE").is_err());
    }
}
