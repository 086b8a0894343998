//! The functions that SQL may call, with their types.

mod aggregates;
mod args;
mod arrays;
mod decoding;
mod definitions;
mod fields;
mod floats;
mod given;
mod ints;
mod json_build;
mod jsons;
mod matching;
mod names;
mod numerics;
mod ours;
mod privileges;
mod quoting;
mod registry;
mod series;
mod session;
mod slots;
mod strings;
mod times;
mod to_char;
mod wal;

use std::sync::Arc;

use crate::datum::{Datum, PgType, Style};
use crate::pgerror::PgError;

use super::Context;
use super::rights::Needs;

pub(super) use names::CatalogNames;
pub(super) use registry::{all, by_oid, find};

/// The statement that calls.
pub(super) struct Call<'a> {
    /// Its surroundings.
    pub(super) context: &'a Arc<Context>,
}

impl Call<'_> {
    /// How the session wants values read and printed.
    pub(super) fn style(&self) -> &Style {
        self.context.style()
    }

    /// The names behind OIDs.
    pub(super) fn names(&self) -> CatalogNames<'_> {
        CatalogNames::new(self.context)
    }
}

/// A function of SQL.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) schema: &'static str,
    /// PostgreSQL's own OID, or one of ours from 9000 up.
    pub(super) oid: u32,
    pub(super) args: &'static [PgType],
    /// Names of the arguments, for `name => value`; empty when they have none.
    pub(super) arg_names: &'static [&'static str],
    /// Defaults of the last arguments, as SQL literals.
    pub(super) defaults: &'static [&'static str],
    /// The last argument is an array that collects the rest.
    pub(super) variadic: bool,
    /// May be a pseudo-type (ANYELEMENT, ANYARRAY), resolved from the arguments.
    pub(super) returns: PgType,
    /// NULL in, NULL out, without a call.
    pub(super) strict: bool,
    /// Does something beside answering: called once for each row, never moved or folded.
    pub(super) volatile: bool,
    /// Changes something that others see or the session keeps: a query with it must not run ahead
    /// of who takes its rows.
    pub(super) acts: bool,
    /// The right that is looked for before each call.
    pub(super) needs: Needs,
    pub(super) body: Body,
}

/// A row of stored forms.
pub(super) type Row = Vec<Datum>;

/// What a function does.
pub(super) enum Body {
    /// Our code.
    Scalar(fn(&Call<'_>, &[Datum]) -> Result<Datum, PgError>),
    /// An aggregate: our code over all (argument lists of) rows of a group, in order.
    Aggregate(fn(&Call<'_>, &mut dyn Iterator<Item = &[Datum]>) -> Result<Datum, PgError>),
    /// An aggregate or window function that SQLite has under this name.
    Native(&'static str),
    /// A function in FROM: its columns and rows.
    Table {
        columns: &'static [(&'static str, PgType)],
        rows: fn(&Call<'_>, &[Datum]) -> Result<Vec<Row>, PgError>,
    },
    /// The same, its rows made while they are asked for and never all in memory.
    Stream {
        columns: &'static [(&'static str, PgType)],
        rows: fn(&Call<'_>, &[Datum]) -> Result<RowStream, PgError>,
    },
}

impl Function {
    /// The name under which SQLite knows it.
    pub(super) fn sql_name(&self) -> String {
        format!("f_{}", self.oid)
    }

    /// One of `pg_catalog` that answers NULL to NULL.
    pub(super) const fn new(
        oid: u32,
        name: &'static str,
        args: &'static [PgType],
        returns: PgType,
        body: Body,
    ) -> Self {
        Self {
            name,
            schema: "pg_catalog",
            oid,
            args,
            arg_names: &[],
            defaults: &[],
            variadic: false,
            returns,
            strict: true,
            volatile: false,
            acts: false,
            needs: Needs::Nothing,
            body,
        }
    }

    /// The same, called with NULL too.
    pub(super) const fn lax(mut self) -> Self {
        self.strict = false;
        self
    }

    /// The same, called once for each row.
    pub(super) const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// The same, as one that acts: called once for each row, by who has the right.
    pub(super) const fn acts(mut self, needs: Needs) -> Self {
        self.volatile = true;
        self.acts = true;
        self.needs(needs)
    }

    /// The same, called by who has the right.
    pub(super) const fn needs(mut self, needs: Needs) -> Self {
        self.needs = needs;
        self
    }

    /// The error for a caller without the right that it needs.
    pub(super) fn check_right(&self, context: &Context) -> Result<(), PgError> {
        if self.needs == Needs::Nothing {
            return Ok(());
        }
        context.host.caller().check_call(self.name, self.needs)
    }

    /// The same, with its last argument collecting the rest.
    pub(super) const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }

    /// The same in another schema.
    pub(super) const fn schema(mut self, schema: &'static str) -> Self {
        self.schema = schema;
        self
    }

    /// The same with names for its arguments.
    pub(super) const fn named(mut self, names: &'static [&'static str]) -> Self {
        self.arg_names = names;
        self
    }

    /// The same with defaults for its last arguments.
    pub(super) const fn defaults(mut self, defaults: &'static [&'static str]) -> Self {
        self.defaults = defaults;
        self
    }

    /// The columns of the rows that it returns; `None` when it returns one value.
    pub(super) fn table_columns(&self) -> Option<&'static [(&'static str, PgType)]> {
        match self.body {
            Body::Table { columns, .. } | Body::Stream { columns, .. } => Some(columns),
            Body::Scalar(_) | Body::Aggregate(_) | Body::Native(_) => None,
        }
    }

    /// Whether it is an aggregate.
    pub(super) fn is_aggregate(&self) -> bool {
        matches!(self.body, Body::Aggregate(_)) || self.kind() == 'a'
    }

    /// `pg_proc.prokind`: `f`unction, `a`ggregate, `w`indow function.
    pub(super) fn kind(&self) -> char {
        match self.body {
            Body::Aggregate(_) => 'a',
            // Native ones that only make sense over a window have these OIDs.
            Body::Native(_) if (3100..=3114).contains(&self.oid) => 'w',
            Body::Native(_) => 'a',
            Body::Scalar(_) | Body::Table { .. } | Body::Stream { .. } => 'f',
        }
    }
}

/// Rows that are made while they are asked for.
pub(super) type RowStream = Box<dyn Iterator<Item = Result<Row, PgError>> + Send>;

#[cfg(test)]
mod slot_tests;
#[cfg(test)]
mod tests;
