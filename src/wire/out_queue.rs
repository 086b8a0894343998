//! What waits to be written to a stream's socket, in order: bytes that other streams have too, and
//! the stream's own.
//!
//! Shared bytes are not copied: they go to the socket from where they lie. The stream's own words
//! (keepalives, descriptions) are few and stand in a buffer of its own.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// What waits to be written to a stream's socket.
#[derive(Debug, Default)]
pub struct OutQueue {
    /// Goes out first.
    front: VecDeque<Bytes>,
    front_bytes: usize,
    /// The stream's own words behind that.
    own: BytesMut,
}

impl OutQueue {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.front_bytes + self.own.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The room of the stream's own buffer.
    pub fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// Where the stream's own words are appended.
    pub(super) const fn own(&mut self) -> &mut BytesMut {
        &mut self.own
    }

    /// Appends bytes that are shared.
    pub(super) fn push_shared(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        if !self.own.is_empty() {
            let own = Bytes::copy_from_slice(&self.own);
            self.own.clear();
            self.push_front(own);
        }
        self.push_front(bytes);
    }

    fn push_front(&mut self, bytes: Bytes) {
        self.front_bytes += bytes.len();
        self.front.push_back(bytes);
    }
}

impl Buf for OutQueue {
    fn remaining(&self) -> usize {
        self.len()
    }

    fn chunk(&self) -> &[u8] {
        self.front
            .front()
            .map_or(&self.own[..], |shared| &shared[..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let own = [&self.own[..]].into_iter().filter(|own| !own.is_empty());
        let chunks = self.front.iter().map(|shared| &shared[..]).chain(own);
        let mut num_slices = 0;
        for (slice, chunk) in slices.iter_mut().zip(chunks) {
            *slice = IoSlice::new(chunk);
            num_slices += 1;
        }
        num_slices
    }

    fn advance(&mut self, num_bytes: usize) {
        let mut left = num_bytes;
        while let Some(first) = self.front.front_mut() {
            if left < first.len() {
                first.advance(left);
                self.front_bytes -= left;
                return;
            }
            left -= first.len();
            self.front_bytes -= first.len();
            self.front.pop_front();
        }
        self.own.advance(left);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn mixed() -> OutQueue {
        let mut queue = OutQueue::default();
        queue.own().put_slice(b"ab");
        queue.push_shared(Bytes::from_static(b"cdef"));
        queue.push_shared(Bytes::new());
        queue.push_shared(Bytes::from_static(b"g"));
        queue.own().put_slice(b"hi");
        queue
    }

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_were_put_in() {
        for step in 1..=9 {
            let mut queue = mixed();
            let mut seen = Vec::new();
            while !queue.is_empty() {
                let mut slices = [IoSlice::new(&[]); 4];
                let num_slices = queue.chunks_vectored(&mut slices);
                let flat: Vec<u8> = slices[..num_slices]
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect();
                assert_eq!(flat.len(), queue.len());
                let taken = step.min(flat.len());
                seen.extend_from_slice(&flat[..taken]);
                queue.advance(taken);
            }
            assert_eq!(seen, b"abcdefghi");
        }
        let mut queue = mixed();
        assert_eq!(&queue.copy_to_bytes(9)[..], b"abcdefghi");
    }
}
