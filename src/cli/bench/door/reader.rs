//! A reader that reads the same backlog again and again, as fast as it comes, and says now and
//! then where it is.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cli::bench::BenchError;
use crate::cli::bench::client::Client;
use crate::cli::bench::server::ServerProcess;
use crate::cli::bench::stream::{RECORDS, header, start};

/// How often it says where it is. It confirms nothing, so that the backlog stays.
const STATUS_EVERY: Duration = Duration::from_millis(100);

/// What is known of a reader while it reads.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Messages since it began.
    pub(super) num_read: AtomicU64,
    /// It is to end.
    pub(super) over: AtomicBool,
}

impl Reading {
    /// Reads on `slot` until it is over.
    pub(super) fn run(&self, server: &ServerProcess, slot: &str) -> Result<(), BenchError> {
        while !self.over.load(Ordering::Relaxed) {
            let mut client = server.connect_replication()?;
            start(&mut client, slot)?;
            self.read_once(&mut client)?;
        }
        Ok(())
    }

    /// Reads the backlog once.
    fn read_once(&self, client: &mut Client) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        let (mut filled, mut left) = (0, RECORDS);
        let (mut told, mut lsn) = (Instant::now(), [0; 8]);
        while left > 0 && !self.over.load(Ordering::Relaxed) {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            let read = client.stream().read(room)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += read;
            let (mut at, mut seen, mut last) = (0, 0, None);
            while let Some((length, kind)) = header(&buffer, at, filled) {
                if kind == b'w' {
                    (seen, last) = (seen + 1, Some(at));
                }
                at += length;
            }
            if let Some(found) = last.and_then(|at| buffer.get(at + 6..)?.first_chunk()) {
                lsn = *found;
            }
            buffer.copy_within(at..filled, 0);
            filled -= at;
            left = left.saturating_sub(seen);
            self.num_read.fetch_add(seen, Ordering::Relaxed);
            if told.elapsed() >= STATUS_EVERY {
                told = Instant::now();
                client.send(b'd', &status(lsn, false))?;
            }
        }
        Ok(())
    }
}

/// A status update: written up to there, nothing flushed.
pub(super) fn status(written: [u8; 8], asks_for_reply: bool) -> Vec<u8> {
    let mut body = vec![b'r'];
    body.extend_from_slice(&written);
    body.extend_from_slice(&[0; 24]);
    body.push(u8::from(asks_for_reply));
    body
}
