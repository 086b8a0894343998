//! Functions that return rows: in FROM, and in the select list, from where they are lifted there.

use std::fmt::Write as _;

use sqlparser::tokenizer::Span;

use crate::catalog::functions;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::from::quoted;
use super::{Binder, FromCall, Lifted, Scope, ScopeColumn, Typed};

/// The columns of a function in FROM.
pub(super) struct CallColumns {
    pub(super) columns: Vec<CallColumn>,
    /// It returns values of one type, not records: an alias names the column, too.
    pub(super) scalar: bool,
}

/// A column of a function in FROM.
pub(super) struct CallColumn {
    name: &'static str,
    ty: PgType,
    /// Its type follows from the call's arguments, and it comes in its text form.
    as_text: bool,
}

/// The columns of the rows that `call` returns; `None` when it returns one value.
pub(super) fn columns_of(call: &FromCall) -> Option<CallColumns> {
    let columns = call.function.table_columns()?;
    let columns = columns.iter().map(|(name, ty)| {
        let as_text = matches!(*ty, PgType::ANYELEMENT | PgType::ANYNONARRAY);
        let element = call.element.unwrap_or(PgType::TEXT);
        CallColumn {
            name,
            ty: if as_text { element } else { *ty },
            as_text,
        }
    });
    Some(CallColumns {
        columns: columns.collect(),
        scalar: call.function.returns != PgType::RECORD,
    })
}

/// The call in SQLite's text.
pub(super) fn call_text(call: &FromCall) -> String {
    format!("\"{}\"({})", call.function.sql_name(), call.args.join(", "))
}

impl Binder<'_> {
    /// What stands for a call that returns rows inside of an expression: it is lifted into FROM.
    pub(in crate::catalog) fn rows_in_expr(
        &self,
        scope: &Scope<'_>,
        call: &FromCall,
        span: Span,
    ) -> Result<Typed, PgError> {
        let Some(shape) = columns_of(call) else {
            let name = call.function.name;
            let message = format!("function {name} returns no rows");
            return Err(PgError::error("XX000", message));
        };
        let mut lifted = scope.lifted.borrow_mut();
        let Some(lifted) = lifted.as_mut().filter(|_| !scope.in_aggregate.get()) else {
            return Err(self.at(span, scope.clause.get().refuses_rows()));
        };
        let text = call_text(call);
        // The same call twice advances together, so one will do.
        if let Some(same) = lifted
            .iter()
            .find(|other| other.call == text && !call.function.volatile)
        {
            return Ok(same.column.value.clone());
        }
        let alias = self.fresh("t");
        let fields = self.call_fields(&shape, &alias);
        let column = match fields.first() {
            Some(only) if shape.scalar => only.clone(),
            _ => {
                let values: Vec<Typed> = fields.iter().map(|field| field.value.clone()).collect();
                ScopeColumn {
                    name: call.function.name.to_owned(),
                    value: self.record_of(&values)?,
                    fields,
                    system: false,
                }
            }
        };
        let value = column.value.clone();
        lifted.push(Lifted {
            call: text,
            alias,
            column,
            volatile: call.function.volatile,
        });
        Ok(value)
    }

    /// The columns of a call that is named `alias` in FROM.
    pub(super) fn call_fields(&self, shape: &CallColumns, alias: &str) -> Vec<ScopeColumn> {
        let columns = shape.columns.iter().map(|column| {
            let sql = format!("{alias}.{}", quoted(column.name));
            let value = if column.as_text {
                self.read(&sql, column.ty).text().to_owned()
            } else {
                sql
            };
            ScopeColumn::new(column.name, value, column.ty)
        });
        columns.collect()
    }

    /// The lifted calls as items of FROM behind `from`.
    pub(super) fn join_lifted(&self, from: &str, lifted: &[Lifted]) -> Result<String, PgError> {
        let mut sql = from.to_owned();
        let several = lifted.len() > 1;
        if several && lifted.iter().any(|call| call.volatile) {
            return Err(super::unsupported(
                "several calls that return rows in one select list, if they do something,",
            ));
        }
        if several {
            return self.join_several(sql, lifted);
        }
        for call in lifted {
            // SQLite keeps the order of a CROSS JOIN: rows are called for, not multiplied.
            let join = if sql.is_empty() { "" } else { " CROSS JOIN " };
            let _ = write!(sql, "{join}{} AS {}", call.call, call.alias);
        }
        Ok(sql)
    }

    /// Several calls advance together; the shorter ones end in NULLs.
    fn join_several(&self, mut sql: String, lifted: &[Lifted]) -> Result<String, PgError> {
        let ty = PgType::INT8;
        let mut series = functions::find(None, "generate_series").iter();
        let Some(series) = series.find(|function| function.args == [ty, ty]) else {
            return Err(super::unsupported(
                "several calls that return rows in one select list",
            ));
        };
        let column = series.table_columns().and_then(|columns| columns.first());
        let column = column.map_or("generate_series", |(name, _)| name);
        let counts: Vec<String> = lifted
            .iter()
            .map(|call| format!("(SELECT count(*) FROM {})", call.call))
            .collect();
        let row = self.fresh("t");
        let join = if sql.is_empty() { "" } else { " CROSS JOIN " };
        let most = counts.join(", ");
        let _ = write!(
            sql,
            "{join}\"{}\"(1, max({most})) AS {row}",
            series.sql_name()
        );
        for call in lifted {
            let (text, alias) = (&call.call, &call.alias);
            let on = format!("{alias}.rowid = {row}.\"{column}\"");
            let _ = write!(sql, " LEFT JOIN {text} AS {alias} ON {on}");
        }
        Ok(sql)
    }
}
