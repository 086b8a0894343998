//! Functions in FROM.

use sqlparser::ast::{FunctionArg, ObjectName, Spanned, TableAlias};

use crate::datum::PgType;
use crate::pgerror::PgError;

use super::from::Source;
use super::rows::{call_text, columns_of};
use super::scope::folded;
use super::{Binder, Clause, FromCall, Scope, ScopeColumn, ScopeTable};

impl Binder<'_> {
    /// A function in FROM; it may refer to what stands to its left.
    pub(super) fn function(
        &self,
        outer: &Scope<'_>,
        left: &Source,
        (name, args, with_ordinality): (&ObjectName, &[FunctionArg], bool),
        alias: Option<&TableAlias>,
    ) -> Result<Source, PgError> {
        let scope = left.scope(outer);
        scope.clause.set(Clause::From);
        let call = self.call_in_from(&scope, name, args, name.span())?;
        let sql_alias = self.fresh("t");
        let (mut columns, scalar, text) = match columns_of(&call) {
            Some(shape) => (
                self.call_fields(&shape, &sql_alias),
                shape.scalar,
                call_text(&call),
            ),
            None => {
                let value = self.call_value(&call)?;
                let column =
                    ScopeColumn::new(call.function.name, format!("{sql_alias}.c1"), call.returns);
                (
                    vec![column],
                    true,
                    format!("(SELECT {} AS c1)", value.text()),
                )
            }
        };
        let is_table = columns_of(&call).is_some();
        let function_name = call.function.name;
        if let (Some(alias), true, [only]) = (alias, scalar, columns.as_mut_slice()) {
            only.name = folded(&alias.name);
        }
        let text = self.function_text(&call, left, is_table, text, with_ordinality)?;
        if with_ordinality {
            let sql = if is_table && !call.function.volatile {
                format!("{sql_alias}.rowid")
            } else {
                format!("{sql_alias}.ordinality")
            };
            columns.push(ScopeColumn::new("ordinality", sql, PgType::INT8));
        }
        let shown = alias.map_or_else(|| function_name.to_owned(), |alias| folded(&alias.name));
        self.rename(&mut columns, alias)?;
        let table = ScopeTable {
            name: shown,
            schema: None,
            hidden_name: None,
            columns,
        };
        let sql = format!("{text} AS {sql_alias}");
        Ok(Source::table(sql, table, sql_alias))
    }

    /// What stands in FROM for a call: one that does something is run once.
    fn function_text(
        &self,
        call: &FromCall,
        left: &Source,
        is_table: bool,
        text: String,
        with_ordinality: bool,
    ) -> Result<String, PgError> {
        let refers = left.refers(&call.args);
        if !is_table && refers {
            let message = format!(
                "function {} in FROM cannot refer to other items of FROM",
                call.function.name
            );
            return Err(PgError::unsupported(message));
        }
        let ordinality = match (with_ordinality, is_table) {
            (true, true) => ", rowid AS ordinality",
            (true, false) => ", 1 AS ordinality",
            (false, _) => "",
        };
        if call.function.volatile && !refers {
            return Ok(self.once(&format!("SELECT *{ordinality} FROM {text}")));
        }
        if !is_table && with_ordinality {
            return Ok(format!("(SELECT *{ordinality} FROM {text})"));
        }
        Ok(text)
    }
}
