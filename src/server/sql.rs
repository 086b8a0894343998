//! The few doors through which the server uses the catalog.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::catalog::{self, Context, Executor, Prepared};
use crate::datum::{Datum, Names, PgType};
use crate::pgerror::PgError;

/// What runs queries.
pub(super) struct Queries {
    executor: Executor,
}

impl Queries {
    /// At most `num_at_once` run at a time; others wait.
    pub(super) fn new(num_at_once: usize) -> Self {
        Self {
            executor: Executor::new(num_at_once),
        }
    }

    /// Runs a prepared query. Blocking.
    pub(super) fn run(
        &self,
        context: &Arc<Context>,
        prepared: &Prepared,
        params: &[Datum],
        sink: &mut dyn FnMut(Vec<Datum>) -> ControlFlow<()>,
    ) -> Result<u64, PgError> {
        if let Some((name, value)) = interim::setting(prepared) {
            let value = context.host.set_config(&name, &value, false)?;
            let _one_row = sink(vec![Datum::Text(value)]);
            return Ok(1);
        }
        self.executor.run(context, prepared, params, sink)
    }
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").finish_non_exhaustive()
    }
}

/// Parses and binds one query. Blocking.
pub(super) fn prepare(
    context: &Arc<Context>,
    text: &str,
    declared: &[Option<PgType>],
) -> Result<Prepared, PgError> {
    catalog::prepare(context, text, declared)
        .or_else(|error| interim::prepare(text).map_err(|_| error))
}

/// The names that values of `context` print as.
pub(super) fn names(context: &Arc<Context>) -> impl Names + use<'_> {
    catalog::names(context)
}

/// Two calls that every client makes; answered here for as long as the catalog lacks the functions.
mod interim {
    use super::super::lexer::{self, Token};
    use crate::catalog::{Column, Prepared};
    use crate::datum::PgType;
    use crate::pgerror::PgError;

    pub(super) fn prepare(text: &str) -> Result<Prepared, PgError> {
        use Token::{Literal, Symbol};
        let tokens: Vec<Token> = lexer::statements(text)?
            .concat()
            .into_iter()
            .map(|found| found.token)
            .filter(|token| !token.is_word("pg_catalog") && *token != Symbol('.'))
            .collect();
        let (name, column_type, params, sql) = match tokens.as_slice() {
            [_, f, Symbol('('), Symbol(')')] if f.is_word("version") => {
                let version = super::super::settings::version_text();
                (
                    "version",
                    PgType::TEXT,
                    vec![],
                    format!("SELECT '{version}'"),
                )
            }
            [
                _,
                f,
                Symbol('('),
                Literal(name),
                Symbol(','),
                Literal(value),
                ..,
            ] if f.is_word("set_config") => (
                "set_config",
                PgType::TEXT,
                vec![],
                format!("SET {name}={value}"),
            ),
            _ => return Err(PgError::unsupported("this SELECT is not supported yet")),
        };
        let column = Column {
            name: name.to_owned(),
            column_type,
            typmod: -1,
            table_oid: 0,
            attnum: 0,
        };
        Ok(Prepared::interim(params, vec![column], sql))
    }

    pub(super) fn setting(prepared: &Prepared) -> Option<(String, String)> {
        let (name, value) = prepared
            .interim_sql()
            .strip_prefix("SET ")?
            .split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    }
}
