//! Changes of a slot in the rows of a query, rendered by its plugin as a stream would.
//!
//! Rows are made while they are asked for. What was handed out is confirmed when the statement
//! has succeeded, durably, up to the last transaction that was handed out whole; until then, and
//! when it fails, the slot stays where it was.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::given::{int, lsn, position, slot, stored, text};
use super::{Body, Call, Function, Row, RowStream};
use crate::catalog::Context;
use crate::catalog::rights::Needs;
use crate::change::{final_lsn, xid};
use crate::datum::{Datum, PgType, parse_array};
use crate::engine::SlotReader;
use crate::lsn::Lsn;
use crate::pgerror::PgError;
use crate::plugins::{FrameView, Messages, Plugin, Renderer, Told, parse_bool};
use crate::spool::{Cursor, Frame, MemoryRead};

/// Frames are read in blocks of about this many bytes.
const READ_BYTES: usize = 256 << 10;

const ARGS: &[PgType] = &[
    PgType::NAME,
    PgType::PG_LSN,
    PgType::INT4,
    PgType::TEXT_ARRAY,
];

const TEXT: &[(&str, PgType)] = &[
    ("lsn", PgType::PG_LSN),
    ("xid", PgType::XID),
    ("data", PgType::TEXT),
];

const BINARY: &[(&str, PgType)] = &[
    ("lsn", PgType::PG_LSN),
    ("xid", PgType::XID),
    ("data", PgType::BYTEA),
];

/// The functions of this module.
pub(super) const ALL: &[Function] = &[
    decoding(3782, "pg_logical_slot_get_changes", TEXT, |call, args| {
        changes(
            call,
            args,
            Wanted::new(true, Some("pg_logical_slot_get_changes")),
        )
    })
    .acts(Needs::Replication),
    decoding(3784, "pg_logical_slot_peek_changes", TEXT, |call, args| {
        changes(
            call,
            args,
            Wanted::new(false, Some("pg_logical_slot_peek_changes")),
        )
    }),
    decoding(
        3783,
        "pg_logical_slot_get_binary_changes",
        BINARY,
        |call, args| changes(call, args, Wanted::new(true, None)),
    )
    .acts(Needs::Replication),
    decoding(
        3785,
        "pg_logical_slot_peek_binary_changes",
        BINARY,
        |call, args| changes(call, args, Wanted::new(false, None)),
    ),
];

const fn decoding(
    oid: u32,
    name: &'static str,
    columns: &'static [(&'static str, PgType)],
    rows: fn(&Call<'_>, &[Datum]) -> Result<RowStream, PgError>,
) -> Function {
    let body = Body::Stream { columns, rows };
    Function::new(oid, name, ARGS, PgType::RECORD, body)
        .named(&["slot_name", "upto_lsn", "upto_nchanges", "options"])
        .defaults(&["'{}'"])
        .variadic()
        .lax()
        .volatile()
        .needs(Needs::Replication)
}

/// Which of the four functions it is.
#[derive(Clone, Copy)]
struct Wanted {
    /// What was handed out is confirmed.
    confirm: bool,
    /// The function's name, when its rows are text.
    text: Option<&'static str>,
}

impl Wanted {
    const fn new(confirm: bool, text: Option<&'static str>) -> Self {
        Self { confirm, text }
    }
}

fn changes(call: &Call<'_>, args: &[Datum], wanted: Wanted) -> Result<RowStream, PgError> {
    let context = call.context;
    let name = slot(args, 0)?;
    let options = options(text(args, 3))?;
    let user = context.host.slot_user();
    let engine = context.host.engine();
    let (reader, cursor) = engine.read_slot(&name, user, context.now)?;
    let plugin = Plugin::parse(&reader.slot().plugin)?;
    let binary = |(name, value): &(String, Option<String>)| {
        name == "force-binary" && value.as_deref().is_none_or(|v| parse_bool(v) == Some(true))
    };
    let renderer =
        Renderer::start(plugin, &options, engine.relations().clone()).map_err(|error| {
            PgError::from(error).with_context(format!(
                "slot \"{name}\", output plugin \"{}\", in the startup callback",
                plugin.name()
            ))
        })?;
    let forced = plugin == Plugin::TestDecoding && options.iter().any(binary);
    if let Some(function) = wanted.text
        && (plugin.is_binary() || forced)
    {
        return Err(PgError::unsupported(format!(
            "logical decoding output plugin \"{}\" produces binary output, but function \
             \"{function}(name,pg_lsn,integer,text[])\" expects textual data",
            plugin.name()
        )));
    }
    let upto_changes = int(args, 2).filter(|count| *count != 0);
    let done = Arc::new(Done {
        reader,
        upto: Mutex::new(Lsn::ZERO),
    });
    if wanted.confirm {
        let (context, done) = (Arc::downgrade(context), Arc::clone(&done));
        let finish = move || match context.upgrade() {
            Some(context) => done.confirm(&context),
            None => Ok(()),
        };
        call.context.at_success(Box::new(finish));
    }
    Ok(Box::new(Changes {
        context: Arc::clone(context),
        head: engine.head(),
        upto_lsn: lsn(args, 1),
        upto_changes,
        text: wanted.text.is_some(),
        cursor,
        renderer,
        messages: Messages::default(),
        told: Told::default(),
        frames: VecDeque::new(),
        rows: VecDeque::new(),
        num_rows: 0,
        finished: None,
        // As PostgreSQL does, which looks at the limit after every record of its log.
        over: upto_changes.is_some_and(|count| count < 0),
        done,
    }))
}

/// Names and values by turns.
fn options(array: Option<&str>) -> Result<Vec<(String, Option<String>)>, PgError> {
    let Some(array) = array else {
        return Err(PgError::error("22004", "options array must not be null"));
    };
    let array = parse_array(array, ',')?;
    let elements: Option<Vec<String>> = array.elements.into_iter().collect();
    let Some(elements) = elements else {
        return Err(PgError::unsupported("array must not contain nulls"));
    };
    if !elements.len().is_multiple_of(2) {
        let message = "array must have even number of elements";
        return Err(PgError::unsupported(message));
    }
    let mut elements = elements.into_iter();
    let mut options = Vec::new();
    while let (Some(name), value @ Some(_)) = (elements.next(), elements.next()) {
        options.push((name, value));
    }
    Ok(options)
}

/// The slot, and how far it was handed out.
struct Done {
    reader: SlotReader,
    upto: Mutex<Lsn>,
}

impl Done {
    fn note(&self, upto: Lsn) {
        *self.upto.lock().unwrap_or_else(PoisonError::into_inner) = upto;
    }

    fn confirm(&self, context: &Context) -> Result<(), PgError> {
        let upto = *self.upto.lock().unwrap_or_else(PoisonError::into_inner);
        if upto > Lsn::ZERO {
            let engine = context.host.engine();
            engine.confirm_read(&self.reader, upto, context.now)?;
        }
        Ok(())
    }
}

/// The rows of one call.
struct Changes {
    context: Arc<Context>,
    /// Where the statement's reading ends.
    head: Lsn,
    upto_lsn: Option<Lsn>,
    upto_changes: Option<i64>,
    /// Rows are text, not bytes.
    text: bool,
    cursor: Cursor,
    renderer: Renderer,
    messages: Messages,
    /// The tables that were described in this call.
    told: Told,
    frames: VecDeque<Frame>,
    /// Rows of the last frame.
    rows: VecDeque<Row>,
    num_rows: i64,
    /// The transaction that ends with the last of `rows`.
    finished: Option<Lsn>,
    over: bool,
    done: Arc<Done>,
}

impl Iterator for Changes {
    type Item = Result<Row, PgError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                self.num_rows = self.num_rows.saturating_add(1);
                if self.rows.is_empty() {
                    self.transaction_done();
                }
                return Some(Ok(row));
            }
            self.transaction_done();
            if self.over {
                return None;
            }
            if let Err(error) = self.render_next() {
                self.over = true;
                return Some(Err(error));
            }
        }
    }
}

impl Changes {
    /// Notes a transaction whose rows are all handed out, and looks at the limits.
    fn transaction_done(&mut self) {
        if let Some(end) = self.finished.take() {
            self.done.note(end);
            let enough = |most: i64| self.num_rows >= most;
            self.over |= self.upto_changes.is_some_and(enough);
        }
    }

    /// Renders the next frame into rows.
    fn render_next(&mut self) -> Result<(), PgError> {
        let Some(frame) = self.next_frame()? else {
            self.over = true;
            // Everything there was is handed out: the slot follows the head.
            if self.upto_lsn.is_none_or(|upto| upto >= self.head) {
                self.done.note(self.head);
            }
            return Ok(());
        };
        let beyond = self
            .upto_lsn
            .is_some_and(|upto| final_lsn(frame.lsn) >= upto);
        if frame.lsn > self.head || (frame.boundary.first && beyond) {
            self.over = true;
            return Ok(());
        }
        self.messages.clear();
        let view = FrameView {
            end_lsn: frame.lsn,
            term: frame.term,
            timestamp_ms: frame.timestamp_ms,
            payload: &frame.payload,
        };
        let rendered = self.renderer.frame(view, &mut self.messages);
        self.finished = rendered.map_err(|error| {
            let slot = self.done.reader.slot();
            PgError::not_rendered(error, slot.name.as_str(), &slot.plugin)
        })?;
        let xid = Datum::Int(i64::from(xid(frame.lsn)));
        // A description comes at the position of the message that it is for.
        let mut all = Ok(());
        let mut waiting = Vec::new();
        let (rows, text) = (&mut self.rows, self.text);
        self.messages
            .each_with_descriptions(&mut self.told, |lsn, message| {
                match (data(message, text), lsn) {
                    (Err(error), _) => all = Err(error),
                    (Ok(data), None) => waiting.push(data),
                    (Ok(data), Some(lsn)) => {
                        for data in waiting.drain(..).chain([data]) {
                            rows.push_back(vec![position(lsn), xid.clone(), data]);
                        }
                    }
                }
            });
        all
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, PgError> {
        if self.frames.is_empty() {
            self.context.check_cancelled()?;
            let frames = match self.cursor.read_memory(READ_BYTES)? {
                MemoryRead::Frames(frames) => frames,
                MemoryRead::AtHead => Vec::new(),
                MemoryRead::NeedsDisk => self.cursor.read_disk(READ_BYTES)?,
            };
            self.frames.extend(frames);
        }
        Ok(self.frames.pop_front())
    }
}

fn data(message: &[u8], text: bool) -> Result<Datum, PgError> {
    if !text {
        return Ok(Datum::Bytes(message.to_vec()));
    }
    match std::str::from_utf8(message) {
        Ok(text) if !text.contains('\0') => Ok(stored(text)),
        _ => Err(PgError::error(
            "22021",
            "the slot's next change is not text of encoding \"UTF8\"",
        )
        .with_hint("Use the binary form of the function.")),
    }
}
