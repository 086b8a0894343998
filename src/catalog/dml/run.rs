//! A bound change run: its queries make values, which become records.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::exec::{Executor, Sink};
use super::records::{Printer, Recorder};
use super::target::column_at;
use super::{Action, KeyColumn, PreparedChange};
use crate::catalog::{Context, Prepared};
use crate::change::ChangeRecord;
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;
use crate::publications::{RowOperation, check_publishable, distinct};
use crate::relations::{Relation, ReplicaIdentity};
use crate::rows::{Cell, Row};

/// Takes what a change makes.
pub(crate) trait ChangeSink {
    /// The next record.
    fn record(&mut self, record: &ChangeRecord) -> Result<(), PgError>;

    /// The next row of RETURNING.
    fn returned(&mut self, row: &[Datum]) -> Result<(), PgError>;
}

impl PreparedChange {
    /// Makes the records and hands them to `sink`; returns how many rows they change. Blocking.
    pub(crate) fn run(
        &self,
        context: &Arc<Context>,
        executor: &Executor,
        params: &[Datum],
        sink: &mut dyn ChangeSink,
    ) -> Result<u64, PgError> {
        let caller = context.host.caller();
        for table in &self.tables {
            caller.check_publish(&format!("table {}", table.name))?;
        }
        let set = context.host.relations_seen();
        let recorders: Vec<_> = self
            .tables
            .iter()
            .map(|table| Recorder::new(&set, table))
            .collect::<Result<_, _>>()?;
        let Some(recorder) = recorders.first() else {
            return Ok(0);
        };
        if let Some(operation) = self.operation() {
            check_publishable(&set, recorder.table(), operation)?;
        }
        let query = QueryRun {
            context,
            executor,
            params,
        };
        match &self.action {
            Action::Insert { columns, rows } => {
                let returns = self.returning.is_some();
                let mut inserting = Inserting::new(recorder, columns, returns, sink)?;
                query.each(rows, &mut inserting)
            }
            Action::Update {
                columns,
                values,
                key,
            } => {
                let key = query.key(recorder.table(), key)?;
                let values = query.values(values)?;
                update(recorder, (columns, &values), &key, query.context, sink)
            }
            Action::Delete { key } => delete(
                recorder,
                &query.key(recorder.table(), key)?,
                query.context,
                sink,
            ),
            Action::Truncate => {
                for recorder in &recorders {
                    sink.record(&recorder.truncate())?;
                }
                Ok(0)
            }
        }
    }
}

impl PreparedChange {
    /// What it does to rows that are there.
    const fn operation(&self) -> Option<RowOperation> {
        match self.action {
            Action::Update { .. } => Some(RowOperation::Update),
            Action::Delete { .. } => Some(RowOperation::Delete),
            Action::Insert { .. } | Action::Truncate => None,
        }
    }
}

/// What queries are run with.
struct QueryRun<'a> {
    context: &'a Arc<Context>,
    executor: &'a Executor,
    params: &'a [Datum],
}

impl QueryRun<'_> {
    fn each(&self, query: &Prepared, sink: &mut dyn Sink) -> Result<u64, PgError> {
        self.executor
            .run_into(self.context, query, self.params, sink)
    }

    /// The one row of a query; `None` where it is NULL.
    fn values(&self, query: &Prepared) -> Result<Vec<Option<String>>, PgError> {
        let mut rows = Vec::new();
        self.each(query, &mut Printed::new(query, &mut rows))?;
        Ok(rows)
    }

    /// The values of the key's columns, each once.
    fn key(&self, table: &Relation, columns: &[KeyColumn]) -> Result<Key, PgError> {
        let mut key = Key::default();
        for column in columns {
            let mut found = Vec::new();
            self.each(
                &column.values,
                &mut Printed::new(&column.values, &mut found),
            )?;
            let mut values = Vec::new();
            for value in found.into_iter().flatten() {
                if column.is_array {
                    let ty = column.values.columns.first();
                    values.extend(elements(ty.map(|ty| ty.column_type), &value)?);
                } else {
                    values.push(value);
                }
            }
            let ty = column_at(table, column.place)?.column_type;
            let values = distinct(ty, values)?;
            key.columns.push((column.place, values));
        }
        Ok(key)
    }
}

/// The elements of an array that are not NULL.
fn elements(ty: Option<PgType>, array: &str) -> Result<Vec<String>, PgError> {
    let delim = ty.and_then(datum::info).map_or(',', |info| info.delim);
    let array = datum::parse_array(array, delim)?;
    Ok(array.elements.into_iter().flatten().collect())
}

/// The keys that a WHERE names: each combination of these values.
#[derive(Debug, Default)]
struct Key {
    /// Places of columns, and their values.
    columns: Vec<(usize, Vec<String>)>,
}

impl Key {
    /// Calls `change` with which value of each column; returns how often.
    fn each(
        &self,
        context: &Context,
        change: &mut dyn FnMut(&[usize]) -> Result<(), PgError>,
    ) -> Result<u64, PgError> {
        if self.columns.iter().any(|(_, values)| values.is_empty()) {
            return Ok(0);
        }
        let mut at = vec![0; self.columns.len()];
        let mut num_keys = 0;
        loop {
            context.check_cancelled()?;
            change(&at)?;
            num_keys += 1;
            let mut is_over = true;
            for (index, (_, values)) in at.iter_mut().zip(&self.columns).rev() {
                *index += 1;
                if *index < values.len() {
                    is_over = false;
                    break;
                }
                *index = 0;
            }
            if is_over {
                return Ok(num_keys);
            }
        }
    }

    /// The value of the column at `place` in the key that [`Key::each`] named.
    fn value(&self, at: &[usize], place: usize) -> Option<&str> {
        let mut columns = self.columns.iter().zip(at);
        let ((_, values), index) = columns.find(|((known, _), _)| *known == place)?;
        values.get(*index).map(String::as_str)
    }
}

fn update(
    recorder: &Recorder,
    (columns, values): (&[usize], &[Option<String>]),
    key: &Key,
    context: &Context,
    sink: &mut dyn ChangeSink,
) -> Result<u64, PgError> {
    let table = recorder.table();
    let names: Vec<&str> = columns
        .iter()
        .map(|place| column_at(table, *place).map(|column| column.name.as_str()))
        .collect::<Result<_, _>>()?;
    key.each(context, &mut |found| {
        let (mut old, mut new) = (Row::default(), Row::default());
        for place in 0..table.live_columns().count() {
            let before = key.value(found, place);
            match before {
                Some(value) => old.push_text(value),
                None => old.push_unchanged(),
            }
            let mut set = columns.iter().zip(values);
            match set.find(|(set, _)| **set == place) {
                Some((_, Some(value))) => new.push_text(value),
                Some((_, None)) => new.push_null(),
                None => match before {
                    Some(value) => new.push_text(value),
                    None => new.push_unchanged(),
                },
            }
        }
        let is_same =
            |(before, after): (Cell<'_>, Cell<'_>)| before == Cell::Unchanged || before == after;
        let key_stays = old.cells().zip(new.cells()).all(is_same);
        let tells_old = !key_stays || table.replica_identity == ReplicaIdentity::Full;
        let old = tells_old.then_some(&old);
        sink.record(&recorder.update(old, &new, &names)?)
    })
}

fn delete(
    recorder: &Recorder,
    key: &Key,
    context: &Context,
    sink: &mut dyn ChangeSink,
) -> Result<u64, PgError> {
    let num_columns = recorder.table().live_columns().count();
    key.each(context, &mut |found| {
        let mut old = Row::default();
        for place in 0..num_columns {
            match key.value(found, place) {
                Some(value) => old.push_text(value),
                None => old.push_unchanged(),
            }
        }
        sink.record(&recorder.delete(&old)?)
    })
}

/// Makes records of an INSERT's rows.
struct Inserting<'a> {
    recorder: &'a Recorder,
    /// For each column: where its value is, and its type.
    places: Vec<Option<(usize, PgType)>>,
    num_values: usize,
    returns: bool,
    printer: Printer,
    row: Row,
    sink: &'a mut dyn ChangeSink,
}

impl<'a> Inserting<'a> {
    /// For values of the columns at these places.
    fn new(
        recorder: &'a Recorder,
        columns: &[usize],
        returns: bool,
        sink: &'a mut dyn ChangeSink,
    ) -> Result<Self, PgError> {
        let table = recorder.table();
        let mut places = vec![None; table.live_columns().count()];
        for (index, place) in columns.iter().enumerate() {
            if let Some(slot) = places.get_mut(*place) {
                let column = column_at(table, *place)?;
                *slot = Some((index, column.column_type));
            }
        }
        Ok(Self {
            recorder,
            places,
            num_values: columns.len(),
            returns,
            printer: Printer::new(),
            row: Row::default(),
            sink,
        })
    }

    fn insert(&mut self, values: &[Datum]) -> Result<(), PgError> {
        self.row.clear();
        for place in &self.places {
            let value = place.and_then(|(index, ty)| Some((values.get(index)?, ty)));
            match value {
                Some((value, ty)) => self.printer.push(ty, value, &mut self.row)?,
                None => self.row.push_null(),
            }
        }
        self.sink.record(&self.recorder.insert(&self.row)?)?;
        if self.returns {
            let returned = values.get(self.num_values..).unwrap_or_default();
            self.sink.returned(returned)?;
        }
        Ok(())
    }
}

impl Sink for Inserting<'_> {
    fn row(&mut self, row: &[Datum]) -> ControlFlow<Result<(), PgError>> {
        match self.insert(row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(Err(error)),
        }
    }

    fn end(&mut self) -> Result<(), PgError> {
        Ok(())
    }
}

/// Keeps the printed values of all rows, one behind the other.
struct Printed<'a> {
    types: Vec<PgType>,
    printer: Printer,
    found: &'a mut Vec<Option<String>>,
}

impl<'a> Printed<'a> {
    fn new(query: &Prepared, found: &'a mut Vec<Option<String>>) -> Self {
        Self {
            types: query
                .columns
                .iter()
                .map(|column| column.column_type)
                .collect(),
            printer: Printer::new(),
            found,
        }
    }
}

impl Sink for Printed<'_> {
    fn row(&mut self, row: &[Datum]) -> ControlFlow<Result<(), PgError>> {
        for (value, ty) in row.iter().zip(&self.types) {
            if *value == Datum::Null {
                self.found.push(None);
                continue;
            }
            match self.printer.text(*ty, value) {
                Ok(text) => self.found.push(Some(text.to_owned())),
                Err(error) => return ControlFlow::Break(Err(error)),
            }
        }
        ControlFlow::Continue(())
    }

    fn end(&mut self) -> Result<(), PgError> {
        Ok(())
    }
}
