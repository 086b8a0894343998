//! `pgspool inspect`: the frames of a segment, a database folder or a RedDB file, as they are.
//!
//! Reads files only, without a lock and without the manifest, so that it works where a database
//! does not open. What follows the valid frames of a file is reported, not interpreted.

use std::ffi::OsStr;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::change;
use crate::disk::{Disk, OpenMode, RealDisk};
use crate::spool::reddb_file::{RedDbEnd, RedDbFrame, RedDbNames, RedDbReader};
use crate::spool::scan::is_zero;

use super::InspectArgs;

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum InspectError {
    #[error("{} is no segment, database folder or RedDB file", .0.display())]
    Nothing(PathBuf),
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
}

/// Runs the command.
pub(super) fn run(args: &InspectArgs) -> Result<ExitCode, InspectError> {
    let files = files(&args.path)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut whole = true;
    for file in &files {
        match show(file, args, &mut out) {
            Ok(clean) => whole &= clean,
            Err(InspectError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The files with frames that `path` stands for, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>, InspectError> {
    if path.is_dir() {
        let spool = path.join("spool");
        let folder = if spool.is_dir() { spool } else { path.into() };
        let names = RealDisk
            .list(&folder)
            .map_err(|source| InspectError::Read {
                path: folder.clone(),
                source,
            })?;
        let segments = names.iter().filter(|name| name.ends_with(".rdlw"));
        let segments: Vec<_> = segments.map(|name| folder.join(name)).collect();
        return if segments.is_empty() {
            Err(InspectError::Nothing(path.to_owned()))
        } else {
            Ok(segments)
        };
    }
    let beside = RedDbNames::of(path).spool;
    [beside, path.to_owned()]
        .into_iter()
        .find(|file| file.is_file())
        .map(|file| vec![file])
        .ok_or_else(|| InspectError::Nothing(path.to_owned()))
}

/// Shows one file; false when it holds more than frames and a torn end.
fn show(file: &Path, args: &InspectArgs, out: &mut impl Write) -> Result<bool, InspectError> {
    let failed = |source| InspectError::Read {
        path: file.to_owned(),
        source,
    };
    let mut reader = RedDbReader::open(&RealDisk, file).map_err(failed)?;
    while let Some(frame) = reader.next_frame().map_err(failed)? {
        let view = FrameView::new(&frame, args.payload);
        let written = if args.json {
            view.write_json(out)
        } else {
            view.write_text(out)
        };
        written.map_err(InspectError::Write)?;
    }
    out.flush().map_err(InspectError::Write)?;
    if is_active(file) && ends_in_zeros(file, reader.end()).map_err(failed)? {
        return Ok(true);
    }
    Ok(report_end(file, reader.end()))
}

/// Whether the file is the newest segment of its folder: its writer puts zeros down ahead.
fn is_active(file: &Path) -> bool {
    let is_segment = |path: &Path| path.extension().is_some_and(|ext| ext == "rdlw");
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let names = RealDisk.list(folder).unwrap_or_default();
    let newest = names.iter().rfind(|name| is_segment(Path::new(name)));
    is_segment(file) && newest.map(OsStr::new) == file.file_name()
}

fn ends_in_zeros(file: &Path, end: Option<&RedDbEnd>) -> io::Result<bool> {
    let Some(RedDbEnd::Torn { offset, bytes, .. }) = end else {
        return Ok(false);
    };
    let file = RealDisk.open(file, OpenMode::Read)?;
    is_zero(&*file, *offset, offset.saturating_add(*bytes))
}

fn report_end(file: &Path, end: Option<&RedDbEnd>) -> bool {
    let (word, offset, bytes, reason) = match end {
        None | Some(RedDbEnd::Clean) => return true,
        Some(RedDbEnd::Torn {
            offset,
            bytes,
            reason,
        }) => ("torn end", offset, bytes, reason),
        Some(RedDbEnd::Corrupt {
            offset,
            bytes,
            reason,
        }) => ("damage", offset, bytes, reason),
    };
    eprintln!(
        "pgspool: {}: {word} at offset {offset}, {bytes} bytes from there: {reason}",
        file.display()
    );
    word != "damage"
}

/// One frame as it is shown.
#[derive(Debug, Serialize)]
struct FrameView<'a> {
    version: u8,
    term: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ownership_epoch: Option<u64>,
    lsn: u64,
    timestamp_ms: u64,
    payload_len: usize,
    payload_crc32: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hex: Option<String>,
}

impl<'a> FrameView<'a> {
    fn new(frame: &'a RedDbFrame, with_payload: bool) -> Self {
        let text = std::str::from_utf8(&frame.payload);
        Self {
            version: frame.version.number(),
            term: frame.term_or(|payload| Some(change::payload_term(payload))),
            ownership_epoch: frame.epoch,
            lsn: frame.lsn.get(),
            timestamp_ms: frame.timestamp_ms,
            payload_len: frame.payload.len(),
            payload_crc32: format!("{:08x}", crc32fast::hash(&frame.payload)),
            payload: text.ok().filter(|_| with_payload),
            payload_hex: (with_payload && text.is_err()).then(|| hex::encode(&frame.payload)),
        }
    }

    fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }

    fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        let lsn = crate::lsn::Lsn::new(self.lsn);
        write!(
            out,
            "{lsn} ({}) v{} term {} time {} payload {} bytes, crc {}",
            self.lsn,
            self.version,
            self.term,
            self.timestamp_ms,
            self.payload_len,
            self.payload_crc32
        )?;
        if let Some(payload) = self.payload.or(self.payload_hex.as_deref()) {
            write!(out, " {payload}")?;
        }
        out.write_all(b"\n")
    }
}
