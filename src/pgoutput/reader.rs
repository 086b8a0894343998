//! Reads the fields of a message one after the other.

use super::{DecodeError, DecodeFault};
use crate::lsn::Lsn;

/// What is left of a message.
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..).unwrap_or_default()
    }

    /// Where the next field begins.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The error `fault` at the place that is read next.
    pub(super) fn fault(&self, fault: DecodeFault) -> DecodeError {
        self.fault_at(self.at, fault)
    }

    fn fault_at(&self, offset: usize, fault: DecodeFault) -> DecodeError {
        DecodeError {
            tag: self.whole.first().copied(),
            offset,
            fault,
        }
    }

    pub(super) fn bytes(
        &mut self,
        len: usize,
        what: &'static str,
    ) -> Result<&'a [u8], DecodeError> {
        let found = self
            .rest()
            .get(..len)
            .ok_or_else(|| self.fault(DecodeFault::Short(what)))?;
        self.at += len;
        Ok(found)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (found, _) = self
            .rest()
            .split_first_chunk()
            .ok_or_else(|| self.fault(DecodeFault::Short(what)))?;
        self.at += N;
        Ok(*found)
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array(what).map(|[byte]| byte)
    }

    /// A byte that `read` gives a meaning.
    pub(super) fn letter<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(u8) -> Option<T>,
    ) -> Result<T, DecodeError> {
        let start = self.at;
        let byte = self.byte(what)?;
        read(byte).ok_or_else(|| self.fault_at(start, DecodeFault::Value(what)))
    }

    /// A byte that must be 0: flags of which there are none yet.
    pub(super) fn no_flags(&mut self) -> Result<(), DecodeError> {
        self.letter("flags", |byte| (byte == 0).then_some(()))
    }

    /// A byte that is 0 or 1.
    pub(super) fn flag(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        self.letter(what, |byte| match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.array(what).map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.array(what).map(i64::from_be_bytes)
    }

    pub(super) fn lsn(&mut self, what: &'static str) -> Result<Lsn, DecodeError> {
        self.array(what)
            .map(|bytes| Lsn::new(u64::from_be_bytes(bytes)))
    }

    /// A count of 32 bits.
    pub(super) fn length(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let start = self.at;
        let length = self.i32(what)?;
        usize::try_from(length).map_err(|_| self.fault_at(start, DecodeFault::Negative(what)))
    }

    /// A count of 16 bits of things that take at least `each` bytes: no more than there can be.
    pub(super) fn short_count(
        &mut self,
        each: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        let start = self.at;
        let count = self.array(what).map(i16::from_be_bytes)?;
        let count = usize::try_from(count)
            .map_err(|_| self.fault_at(start, DecodeFault::Negative(what)))?;
        self.justified(start, count, each, what)
    }

    /// `count`, read at `start`, of things that take at least `each` bytes.
    pub(super) fn justified(
        &self,
        start: usize,
        count: usize,
        each: usize,
        what: &'static str,
    ) -> Result<usize, DecodeError> {
        if count > self.rest().len() / each {
            return Err(self.fault_at(start, DecodeFault::Short(what)));
        }
        Ok(count)
    }

    /// Text that ends with a NUL.
    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let rest = self.rest();
        let len = memchr::memchr(0, rest).ok_or_else(|| self.fault(DecodeFault::Short(what)))?;
        let start = self.at;
        let bytes = self.bytes(len, what)?;
        self.at += 1;
        std::str::from_utf8(bytes)
            .map_err(|error| self.fault_at(start + error.valid_up_to(), DecodeFault::NotUtf8(what)))
    }

    pub(super) fn end(&self) -> Result<(), DecodeError> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.fault(DecodeFault::Trailing))
        }
    }
}
