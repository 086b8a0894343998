//! `COPY table FROM STDIN`: what its options mean, and its data as records of the table.
//!
//! All rows of a COPY are one transaction, also outside of blocks: a line that is none stores
//! nothing.

use std::sync::Arc;

use pgwire::messages::copy::CopyInResponse;
use tokio::io::{AsyncRead, AsyncWrite};

use super::copy_in::{self, Target};
use super::copy_options;
use super::dml::check_unnumbered;
use super::session::{Session, Stop};
use super::statements::CopyRows;
use crate::catalog::Context;
use crate::catalog::dml::{self, BadRow, CopiedRows, shown};
use crate::change::ChangeRecord;
use crate::pgerror::PgError;
use crate::sources::copy_rows::{CopyFormat, Fields, RowDecoder};

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<S> {
    /// Carries out a COPY of rows; returns its tag.
    pub(super) async fn copy_rows(&mut self, copy: &CopyRows) -> Result<String, Stop> {
        let context = Arc::new(self.context());
        let source = self.row_source(copy, context)?;
        let state = Arc::clone(&self.state);
        state.check_takes_records("COPY FROM")?;
        check_unnumbered(&state)?;
        state.work(|work| {
            work.check_without_roles()?;
            work.begin(&state.engine);
            Ok::<_, PgError>(())
        })?;
        let mut target = Target {
            producer: None,
            block: state.work(|work| work.take_buffer()),
            rows: Some(Box::new(source)),
        };
        let copied = copy_in::run(self, &mut target).await;
        state.work(|work| work.return_buffer(target.block));
        copied
    }

    fn row_source(&self, copy: &CopyRows, context: Arc<Context>) -> Result<RowSource, PgError> {
        let table = dml::copied_table(&context, &copy.table)?;
        let caller = self.state.caller();
        caller.check_publish(&format!("table {}", table.name))?;
        let columns = dml::copied_columns(&table, copy.columns.as_deref())?;
        let live: Vec<_> = table.live_columns().collect();
        let named = columns.iter().filter_map(|place| live.get(*place));
        let names: Vec<String> = named.map(|column| column.name.clone()).collect();
        let all: Vec<&str> = live.iter().map(|column| column.name.as_str()).collect();
        let options = copy_options::checked(&copy.options, &table.name, &all, &names)?;
        let is_binary = options.format == CopyFormat::Binary;
        let max_line = self.state.shared.options.limits.max_copy_line;
        Ok(RowSource {
            num_columns: columns.len(),
            is_binary,
            decoder: RowDecoder::new(options, names, max_line),
            rows: CopiedRows::new(&context.host.relations_seen(), &table, &columns, is_binary)?,
            fields: Fields::default(),
            context,
        })
    }
}

/// Reads data of a COPY as records of a table.
pub(super) struct RowSource {
    context: Arc<Context>,
    decoder: RowDecoder,
    rows: CopiedRows,
    fields: Fields,
    num_columns: usize,
    is_binary: bool,
}

impl std::fmt::Debug for RowSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowSource")
            .field("table", &self.rows.table_name())
            .finish_non_exhaustive()
    }
}

impl RowSource {
    /// What the client is told before it sends.
    pub(super) fn response(&self) -> CopyInResponse {
        let code = i16::from(self.is_binary);
        let count = i16::try_from(self.num_columns).unwrap_or(i16::MAX);
        let format = i8::from(self.is_binary);
        CopyInResponse::new(format, count, vec![code; self.num_columns])
    }

    /// Name of the table.
    pub(super) fn table_name(&self) -> &str {
        self.rows.table_name()
    }

    /// Takes more data and gives `push` the records of the rows that are whole. Blocking.
    pub(super) fn each(
        &mut self,
        chunk: &[u8],
        last: bool,
        mut push: impl FnMut(&ChangeRecord) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        self.decoder.feed(chunk);
        loop {
            match self.decoder.next(last, &mut self.fields) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if self.decoder.place().line == 0 => return Err(error.into()),
                Err(error) => return Err(PgError::from(error).with_context(self.place())),
            }
            let record = self.rows.record(&self.context, self.fields.iter());
            let record = record.map_err(|bad| self.at_place(bad))?;
            push(&record).map_err(|error| error.with_context(self.place()))?;
        }
    }

    fn place(&self) -> String {
        let place = self.decoder.place();
        let line = format!("COPY {}, line {}", self.rows.table_name(), place.line);
        match place.text {
            Some(text) => format!("{line}: \"{}\"", shown(&text)),
            None => line,
        }
    }

    fn at_place(&self, bad: BadRow) -> PgError {
        match bad {
            BadRow::Row(error) => error.with_context(self.place()),
            BadRow::Field(error, field) => {
                let (name, line) = (self.rows.table_name(), self.decoder.place().line);
                error.with_context(format!("COPY {name}, line {line}, {field}"))
            }
        }
    }
}
