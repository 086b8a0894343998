//! INSERT, UPDATE, DELETE and TRUNCATE: run on a blocking thread, their records go to the buffer
//! of the transaction, whose end publishes them.

use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::extended::Format;
use super::host::SessionState;
use super::rows::{RowEncoder, describe};
use super::session::{MUCH, Session, SessionEnd, Stop};
use super::sql;
use crate::catalog::Context;
use crate::catalog::dml::{ChangeSink, PreparedChange};
use crate::change::ChangeRecord;
use crate::datum::{Datum, Names, PgType};
use crate::pgerror::PgError;

/// Most bytes of rows that RETURNING of one statement gives.
const MAX_RETURNED: usize = 64 << 20;

/// What is to be run.
#[derive(Debug)]
pub(super) struct ChangeRun {
    /// The statement's text.
    pub(super) text: String,
    /// It as it was prepared before; else it has no parameters.
    pub(super) prepared: Option<Arc<PreparedChange>>,
    /// Its parameters.
    pub(super) params: Vec<Datum>,
    /// How columns of RETURNING are written.
    pub(super) formats: Vec<Format>,
    /// Whether rows come behind a description.
    pub(super) described: bool,
}

impl ChangeRun {
    /// A statement of the simple protocol.
    pub(super) const fn of_text(text: String) -> Self {
        Self {
            text,
            prepared: None,
            params: vec![],
            formats: vec![],
            described: true,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a statement that changes tables; returns its tag.
    pub(super) async fn change(&mut self, run: ChangeRun) -> Result<String, Stop> {
        let state = Arc::clone(&self.state);
        let (described, formats) = (run.described, run.formats.clone());
        let done = self.on_thread(move |context| carry_out(&state, context, run));
        let (change, tag, rows) = done.await?;
        self.send_warnings();
        if let (Some(columns), true) = (change.columns(), described) {
            describe(columns, &formats, &mut self.conn.out);
        }
        self.conn.out.extend_from_slice(&rows);
        if self.conn.out.len() >= MUCH {
            let signal = self.signal();
            tokio::select! {
                written = self.conn.flush() => {
                    written.map_err(|error| Stop::Session(SessionEnd::Io(error)))?;
                }
                signal = signal => return Err(signal.into()),
            }
        }
        Ok(tag)
    }
}

/// Blocking.
fn carry_out(
    state: &Arc<SessionState>,
    context: Context,
    run: ChangeRun,
) -> Result<(Arc<PreparedChange>, String, BytesMut), PgError> {
    let context = Arc::new(context);
    let change = current(&context, &run)?;
    state.check_takes_records(change.name())?;
    check_unnumbered(state)?;
    // The records of one statement count together, also where it is alone.
    state.work(|work| work.begin(&state.engine));
    let names = sql::names(&context);
    let mut changes = Changes {
        state,
        context: &context,
        names: &names,
        encoder: change
            .returning
            .as_ref()
            .map(|returning| RowEncoder::new(returning, &run.formats)),
        rows: BytesMut::new(),
    };
    let queries = &state.shared.queries;
    let num_rows = queries.change(&context, &change, &run.params, &mut changes)?;
    let rows = changes.rows;
    let tag = change.tag(num_rows);
    Ok((change, tag, rows))
}

/// The statement as it is bound now.
fn current(context: &Arc<Context>, run: &ChangeRun) -> Result<Arc<PreparedChange>, PgError> {
    let Some(prepared) = &run.prepared else {
        return Ok(Arc::new(sql::prepare_change(context, &run.text, None)?));
    };
    if prepared.is_current(context) {
        return Ok(Arc::clone(prepared));
    }
    let types: Vec<Option<PgType>> = prepared.params.iter().copied().map(Some).collect();
    let again = sql::prepare_change(context, &run.text, Some(&types))?;
    if again.columns() != prepared.columns() {
        return Err(PgError::unsupported(
            "cached plan must not change result type",
        ));
    }
    Ok(Arc::new(again))
}

/// SQL has no place for a number: what it published would look like nobody's.
pub(super) fn check_unnumbered(state: &SessionState) -> Result<(), PgError> {
    let Some(producer) = state.settings(|settings| settings.producer()) else {
        return Ok(());
    };
    let message = format!("record has no seq, but pgspool.producer is \"{producer}\"");
    let hint = "Statements of SQL cannot number records: RESET pgspool.producer before them.";
    Err(PgError::error("22023", message).with_hint(hint))
}

/// Takes records and rows of RETURNING.
struct Changes<'a> {
    state: &'a SessionState,
    context: &'a Context,
    names: &'a dyn Names,
    encoder: Option<RowEncoder>,
    rows: BytesMut,
}

impl ChangeSink for Changes<'_> {
    fn record(&mut self, record: &ChangeRecord) -> Result<(), PgError> {
        let records = std::slice::from_ref(record);
        self.state.work(|work| work.publish(records))
    }

    fn returned(&mut self, row: &[Datum]) -> Result<(), PgError> {
        let style = self.context.style();
        if let Some(encoder) = &mut self.encoder {
            encoder.encode(row, self.names, style, &mut self.rows)?;
        }
        if self.rows.len() > MAX_RETURNED {
            let message = format!("RETURNING gives more than {} MiB", MAX_RETURNED >> 20);
            return Err(PgError::error("54000", message));
        }
        Ok(())
    }
}
