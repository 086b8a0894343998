//! Subqueries and joins in FROM that have a name of their own.

use sqlparser::ast::{self, Spanned, TableAlias};

use crate::pgerror::PgError;

use super::from::Source;
use super::query::{column_value, fields_of};
use super::scope::folded;
use super::{Binder, BoundQuery, Scope, ScopeColumn, ScopeTable};

impl Binder<'_> {
    /// A subquery in FROM.
    pub(super) fn derived(
        &self,
        outer: &Scope<'_>,
        left: &Source,
        lateral: bool,
        subquery: &ast::Query,
        alias: Option<&TableAlias>,
    ) -> Result<Source, PgError> {
        let Some(alias) = alias else {
            let error = PgError::error("42601", "subquery in FROM must have an alias");
            let hint = "For example, FROM (SELECT ...) [AS] foo.";
            let mut span = subquery.span();
            // the parenthesis before it
            span.start.column = span.start.column.saturating_sub(1);
            return Err(self.at(span, error.with_hint(hint)));
        };
        let before = self.num_volatile.get();
        let mut around = Scope::inside(outer);
        let others = left.tables.iter().map(|table| table.name.clone());
        around.concealed.extend(others);
        let bound = self.query(&around, subquery);
        let mut query = match bound {
            Err(_) if lateral => return self.lateral(outer, left, subquery, alias),
            bound => bound?,
        };
        query.sql = if self.num_volatile.get() > before {
            self.once(&query.sql)
        } else {
            format!("({})", query.sql)
        };
        self.of_columns(&query, "", Some(alias))
    }

    /// A subquery that refers to its left: without a FROM of its own, its columns are what it
    /// says they are.
    fn lateral(
        &self,
        outer: &Scope<'_>,
        left: &Source,
        subquery: &ast::Query,
        alias: &TableAlias,
    ) -> Result<Source, PgError> {
        let scope = left.scope(outer);
        let before = self.num_volatile.get();
        let mut draft = self.draft(&scope, subquery)?;
        let volatile = self.num_volatile.get() > before;
        if !draft.tail.is_empty() || draft.head != "SELECT" || volatile {
            let message = "LATERAL subqueries that read rows are not supported";
            return Err(self.at(alias.name.span, PgError::unsupported(message)));
        }
        draft.settle(self)?;
        let sql_alias = self.fresh("t");
        // A LEFT JOIN that finds no partner makes its columns NULL.
        let columns = draft.targets.into_iter().map(|target| {
            let value = format!("iif({sql_alias}.c0, {}, NULL)", target.value.text());
            ScopeColumn::new(target.name, value, target.value.ty)
        });
        let mut columns: Vec<ScopeColumn> = columns.collect();
        let name = folded(&alias.name);
        self.rename(&mut columns, Some(alias))?;
        let table = ScopeTable {
            name,
            schema: None,
            hidden_name: None,
            columns,
        };
        let sql = format!("(SELECT 1 AS c0) AS {sql_alias}");
        Ok(Source::table(sql, table, sql_alias))
    }

    /// `sql` in FROM, run once however often its rows are asked for.
    pub(super) fn once(&self, sql: &str) -> String {
        let name = self.fresh("w");
        format!("(WITH {name} AS MATERIALIZED ({sql}) SELECT * FROM {name})")
    }

    /// A query's text in FROM under an alias.
    pub(super) fn of_columns(
        &self,
        query: &BoundQuery,
        name: &str,
        alias: Option<&TableAlias>,
    ) -> Result<Source, PgError> {
        let sql_alias = self.fresh("t");
        let prefix = format!("{sql_alias}.");
        let columns = query
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| ScopeColumn {
                name: column.name.clone(),
                value: column_value(&prefix, index, column),
                fields: fields_of(&prefix, index, &query.fields),
                system: false,
            });
        let mut columns: Vec<ScopeColumn> = columns.collect();
        let name = alias.map_or_else(|| name.to_owned(), |alias| folded(&alias.name));
        self.rename(&mut columns, alias)?;
        let table = ScopeTable {
            name,
            schema: None,
            hidden_name: None,
            columns,
        };
        let sql = format!("{} AS {sql_alias}", query.sql);
        Ok(Source::table(sql, table, sql_alias))
    }

    /// A parenthesised join with an alias, which hides the names inside.
    pub(super) fn aliased_join(
        &self,
        inner: Source,
        alias: &TableAlias,
    ) -> Result<Source, PgError> {
        let mut columns = inner.columns;
        columns.retain(|column| !column.system);
        let name = folded(&alias.name);
        self.rename(&mut columns, Some(alias))?;
        let table = ScopeTable {
            name,
            schema: None,
            hidden_name: None,
            columns,
        };
        Ok(Source {
            aliases: inner.aliases,
            concealed: inner.tables.into_iter().map(|table| table.name).collect(),
            ..Source::table(inner.sql, table, String::new())
        })
    }

    /// Gives `columns` the names of the alias's list.
    pub(super) fn rename(
        &self,
        columns: &mut [ScopeColumn],
        alias: Option<&TableAlias>,
    ) -> Result<(), PgError> {
        let Some(alias) = alias else {
            return Ok(());
        };
        if alias.columns.len() > columns.len() {
            let message = format!(
                "table \"{}\" has {} columns available but {} columns specified",
                folded(&alias.name),
                columns.len(),
                alias.columns.len()
            );
            return Err(PgError::error("42P10", message));
        }
        for (column, new) in columns.iter_mut().zip(&alias.columns) {
            if new.data_type.is_some() {
                let message = "a column definition list is only allowed for functions returning \
                               \"record\"";
                return Err(self.at(new.name.span, PgError::error("42601", message)));
            }
            column.name = folded(&new.name);
        }
        Ok(())
    }
}
