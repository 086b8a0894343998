//! `pg_proc`: the functions that SQL may call.

use std::sync::{Arc, LazyLock};

use crate::catalog::Context;
use crate::catalog::functions::{self, Body, Function, Row};
use crate::datum::{Datum, PgType, info};

use super::Rows;
use super::cell::{NULL, array, row, vector};
use super::roles::BOOTSTRAP_ROLE;
use super::schemas::fixed_schema;

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    functions::all()
        .iter()
        .map(|function| proc_row(function))
        .collect()
});

/// `pg_proc`
pub(super) fn procs(_context: &Arc<Context>) -> Rows {
    Rows::joined(&ROWS, Vec::new())
}

/// The columns of a function in FROM; they are its output arguments.
fn outputs(function: &Function) -> &'static [(&'static str, PgType)] {
    match function.body {
        Body::Table { columns, .. } | Body::Stream { columns, .. } => columns,
        Body::Scalar(_) | Body::Aggregate(_) | Body::Native(_) => &[],
    }
}

/// Several columns are output arguments; a single one is the result itself.
fn named_outputs(function: &Function) -> &'static [(&'static str, PgType)] {
    match outputs(function) {
        [_single] => &[],
        several => several,
    }
}

fn proc_row(function: &Function) -> Row {
    const INTERNAL: u32 = 12;
    let args = function.args;
    let is_table = !outputs(function).is_empty();
    let last = args.last().copied().filter(|_| function.variadic);
    let element = last.and_then(info).map_or(0, |array| array.elem.0);
    row![
        function.oid,
        function.name,
        fixed_schema(function.schema),
        BOOTSTRAP_ROLE,
        INTERNAL,
        // procost, prorows
        1.0,
        if is_table { 1000.0 } else { 0.0 },
        element,
        // prosupport
        0,
        function.kind(),
        // prosecdef, proleakproof
        false,
        false,
        function.strict,
        is_table,
        if function.volatile { 'v' } else { 's' },
        // proparallel
        if function.volatile { 'u' } else { 's' },
        args.len(),
        function.defaults.len(),
        function.returns,
        vector(args.iter().map(|ty| ty.0)),
        all_types(function),
        modes(function),
        names(function),
        // proargdefaults: kept as the text that pg_get_expr prints
        (!function.defaults.is_empty()).then(|| function.defaults.join(", ")),
        NULL,
        // prosrc
        function.name,
        NULL,
        NULL,
        NULL,
        NULL,
    ]
}

fn all_types(function: &Function) -> Option<Datum> {
    let outputs = named_outputs(function);
    let args = function.args.iter().chain(outputs.iter().map(|(_, ty)| ty));
    (!outputs.is_empty()).then(|| array(args.map(|ty| ty.0.to_string())))
}

fn modes(function: &Function) -> Option<Datum> {
    let outputs = named_outputs(function);
    if outputs.is_empty() && !function.variadic {
        return None;
    }
    let mut modes = vec!["i"; function.args.len()];
    if let Some(last) = modes.last_mut().filter(|_| function.variadic) {
        *last = "v";
    }
    modes.extend(outputs.iter().map(|_| "o"));
    Some(array(modes))
}

fn names(function: &Function) -> Option<Datum> {
    let outputs = named_outputs(function);
    if outputs.is_empty() && function.arg_names.is_empty() {
        return None;
    }
    let missing = function.args.len().saturating_sub(function.arg_names.len());
    let args = function.arg_names.iter().copied();
    let args = args.chain(std::iter::repeat_n("", missing));
    Some(array(args.chain(outputs.iter().map(|(name, _)| *name))))
}
