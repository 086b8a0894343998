//! From nothing to a running stream: connect, look, decide, take over definitions, start.

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::assembler::{Assembler, AssemblerOptions};
use super::mirror::Seen;
use super::observer::Observer;
use super::receiver::Receiver;
use super::stream::{Ended, Stream};
use super::upstream::{Connection, Purpose, UpstreamError};
use super::worker::{Captured, Worker, tell_left_out};
use crate::captures::{
    CaptureSettings, CaptureState, Here, StartPlan, StopReason, There, plan_start,
};
use crate::engine::{Engine, PublishError};
use crate::lsn::Lsn;

/// Batches that wait for the worker.
const QUEUE: usize = 64;

/// The first version that leaves out the changes of a publication that is not there without an
/// error.
const SILENT_PUBLICATIONS: u32 = 180_000;

/// What may wait for the worker, in units of [`Stream::ROOM_UNIT`].
pub(super) const ROOM: usize = 8 << 10;

impl From<UpstreamError> for Ended {
    fn from(error: UpstreamError) -> Self {
        Self::Lost(error)
    }
}

impl From<PublishError> for Ended {
    fn from(error: PublishError) -> Self {
        match error.is_disk_full() {
            true => Self::DiskFull(UpstreamError::new(error.to_string())),
            false => Self::broken(error.to_string()),
        }
    }
}

/// Connects and starts the stream.
pub(super) async fn connect(receiver: &Receiver) -> Result<Stream, Ended> {
    let settings = receiver.settings();
    let engine = &receiver.engine;
    receiver.status().update(|status| {
        status.stop = None;
        if status.state != CaptureState::DiskFull {
            status.state = CaptureState::Connecting;
        }
    });
    let mut connection = Connection::connect(&settings, Purpose::Replication).await?;
    let host = connection.target().to_string();
    let there = connection.look(&settings.slot).await?;
    receiver.status().update(|status| {
        status.host = Some(host.clone());
        status.server_version = Some(version_name(connection.version()));
        status.system_id = Some(there.system_id);
        status.timeline = Some(there.timeline);
        status.upstream_lsn = there.end;
    });
    if engine.head() == Lsn::ZERO {
        // One that is made later does not give what was written without it.
        connection.have_publications(&settings).await?;
    }
    begin(receiver, &mut connection, &settings, &there).await?;
    let door = connection.door(&settings)?;
    let mut questions = door.open().await?;
    let seen = Seen::look(&mut questions, &settings.publications).await?;
    let publications = Captured {
        names: settings.publications.clone(),
        is_silent: connection.version() >= SILENT_PUBLICATIONS,
        ..Captured::default()
    };
    let worker = prepare(receiver, publications, seen).await?;
    let (slot, publications) = (&settings.slot, &settings.publications);
    let started = connection.start(slot, engine.head(), publications, receiver.streaming);
    started.await?;
    let sender_timeout = sender_timeout(&mut questions).await?;
    let (seen_sender, seen) = mpsc::channel(1);
    let look_now = Arc::new(Notify::new());
    let observer = Observer {
        database: engine.name().to_owned(),
        status: receiver.status().clone(),
        door,
        is_primary: !there.is_standby,
        interval: receiver.options.mirror_interval,
        look_now: Arc::clone(&look_now),
        seen: seen_sender,
        settings,
    };
    observer.watch_slot(&mut questions).await?;
    tokio::spawn(observer.run(questions));
    let (items, queue) = mpsc::channel(QUEUE);
    let progress = worker.progress.subscribe();
    Ok(Stream {
        host,
        connection,
        worker: super::stream::spawn(engine.name(), worker, queue)?,
        items,
        room: Arc::new(Semaphore::new(ROOM)),
        progress,
        seen,
        look_now,
        sender_timeout,
    })
}

/// Decides whether and from where to go on, makes the slot where that is to be done, and notes
/// durably who is followed.
async fn begin(
    receiver: &Receiver,
    connection: &mut Connection,
    settings: &CaptureSettings,
    there: &There,
) -> Result<(), Ended> {
    let engine = &receiver.engine;
    let head = engine.head();
    let here = Here {
        received_upto: head,
        is_new: head == Lsn::ZERO,
        system_id: engine.system_id(),
        timeline: engine.term(),
    };
    let from = match plan_start(&here, there, settings.create_slot) {
        StartPlan::Go { from } => from,
        StartPlan::CreateSlot => {
            let made = connection
                .create_slot(&settings.slot, there.is_standby)
                .await?;
            let (database, slot) = (engine.name(), &settings.slot);
            tracing::info!(database, slot, at = %made, "made a replication slot on the upstream");
            made
        }
        StartPlan::Wait => {
            let words = "the standby has not replayed yet what was received here";
            return Err(UpstreamError::new(words).into());
        }
        StartPlan::Stop(reason) => return Err(Ended::Stopped(*reason)),
    };
    let followed = Arc::clone(engine);
    let (system_id, timeline) = (there.system_id, there.timeline);
    let begin = here.is_new.then_some(from);
    blocking(move || follow(&followed, system_id, timeline, begin)).await
}

/// Notes durably who is followed, and where a new capture begins.
fn follow(engine: &Engine, system_id: u64, timeline: u64, begin: Option<Lsn>) -> Result<(), Ended> {
    if engine.system_id() != system_id || engine.term() != timeline {
        let followed = engine.follow(system_id, timeline);
        followed.map_err(PublishError::from)?;
    }
    if let Some(begin) = begin {
        engine.advance_received(begin)?;
    }
    Ok(())
}

/// Takes over what the upstream's catalogs say, unless a captured publication is not there any more
/// (then what was written before comes first), and makes what works on the stream. Whatever was
/// defined meanwhile comes again: a new connection is told of each table before its first row.
async fn prepare(
    receiver: &Receiver,
    mut publications: Captured,
    seen: Seen,
) -> Result<Worker, Ended> {
    let engine = Arc::clone(&receiver.engine);
    let status = receiver.status().clone();
    let work_mem = usize::try_from(receiver.options.work_mem).unwrap_or(usize::MAX);
    blocking(move || {
        let head = engine.head();
        // What was described of a transaction that was not stored comes again with it.
        engine.relations().forget_above(head);
        let is_taken = take_over(&engine, &mut publications, &seen)?;
        // What counts for all that ends above the head.
        let known = engine.relations().at(head.saturating_add(1));
        let options = AssemblerOptions {
            work_mem,
            scratch: engine.scratch(),
            large: work_mem,
        };
        let assembler = Assembler::new(options, &known, head);
        let mut worker = Worker::new(engine, status, assembler, publications);
        if !is_taken {
            worker.wait_for(seen);
        }
        Ok(worker)
    })
    .await
}

/// Makes what was seen the definitions above the head. `false` where the stream must pass it first:
/// what is behind is still to be shown by the definitions of its time, and where a captured
/// publication is missing the stream will say from where on. An upstream that would not say so is
/// not followed.
fn take_over(engine: &Engine, publications: &mut Captured, seen: &Seen) -> Result<bool, Ended> {
    let head = engine.head();
    let names = &publications.names;
    let missing = seen.missing(names);
    if publications.is_silent {
        let known = engine.relations().at(head.saturating_add(1));
        let known = known.publications.iter();
        let known: Vec<_> = known.map(|of| (of.name.clone(), of.oid)).collect();
        if let Some(name) = missing.or_else(|| seen.replaced(names, &known)) {
            let (name, end) = (name.to_owned(), seen.after.max(head));
            let since = head;
            return Err(Ended::Stopped(StopReason::PublicationMissing {
                name,
                since,
                end,
            }));
        }
        publications.known = seen.publication_oids();
    }
    if missing.is_some() {
        return Ok(false);
    }
    // A new capture has no definitions yet.
    let is_new = engine.relations().current().publications.is_empty();
    if !is_new && head < seen.after {
        return Ok(false);
    }
    let mirrored = engine.mirror(head, |set| {
        seen.apply(set, names);
    });
    mirrored.map_err(|error| Ended::broken(error.to_string()))?;
    publications.left_out = seen.left_out(names).join(", ");
    if !publications.left_out.is_empty() {
        tell_left_out(engine.name(), &publications.left_out);
    }
    Ok(true)
}

/// `wal_sender_timeout` of the upstream; `None` for none.
async fn sender_timeout(
    questions: &mut Connection,
) -> Result<Option<std::time::Duration>, UpstreamError> {
    let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
    let rows = questions.query(sql.to_owned()).await?;
    let ms = rows
        .first()
        .and_then(|row| row.first()?.as_deref()?.parse().ok());
    Ok(ms
        .filter(|ms| *ms > 0)
        .map(std::time::Duration::from_millis))
}

/// `15.4` of 150004.
fn version_name(number: u32) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Ended> + Send + 'static,
) -> Result<T, Ended> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Ended::broken(error.to_string())))
}
