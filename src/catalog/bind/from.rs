//! FROM: views, common table expressions, derived tables and functions, with their aliases.

use std::collections::BTreeSet;

use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Spanned, TableAlias,
    TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use crate::catalog::views;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::query::{column_value, fields_of};
use super::rows::{call_text, columns_of};
use super::scope::folded;
use super::{Binder, BoundQuery, Clause, FromCall, Scope, ScopeColumn, ScopeTable};

/// What an item of FROM, or all of FROM, gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) sql: String,
    pub(super) tables: Vec<ScopeTable>,
    /// The columns of `*`.
    pub(super) columns: Vec<ScopeColumn>,
    /// The names of its tables in SQLite's text.
    pub(super) aliases: Vec<String>,
    /// Names of tables that an alias of their join hides.
    pub(super) concealed: Vec<String>,
}

impl Source {
    /// One table; `*` shows all but its system columns.
    fn table(sql: String, table: ScopeTable, alias: String) -> Self {
        Self {
            sql,
            columns: table.columns.clone(),
            tables: vec![table],
            aliases: vec![alias],
            concealed: Vec::new(),
        }
    }

    /// This and `other` side by side; a table's name may stand for one only.
    pub(super) fn beside(&mut self, other: Self) -> Result<(), PgError> {
        let names: BTreeSet<&str> = self
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .collect();
        let twice = |table: &&ScopeTable| names.contains(table.name.as_str());
        if let Some(table) = other.tables.iter().find(twice) {
            let message = format!("table name \"{}\" specified more than once", table.name);
            return Err(PgError::error("42712", message));
        }
        self.tables.extend(other.tables);
        self.columns.extend(other.columns);
        self.aliases.extend(other.aliases);
        self.concealed.extend(other.concealed);
        Ok(())
    }

    /// A scope in which this is what names mean.
    pub(super) fn scope<'s>(&self, outer: &'s Scope<'s>) -> Scope<'s> {
        let mut scope = Scope::inside(outer);
        scope.tables.clone_from(&self.tables);
        scope.columns.clone_from(&self.columns);
        scope.concealed.clone_from(&self.concealed);
        scope
    }
}

/// The names of an object's name.
pub(super) fn idents_of(name: &ObjectName) -> Result<Vec<Ident>, PgError> {
    let parts = name.0.iter().map(|part| match part {
        ObjectNamePart::Identifier(ident) => Ok(ident.clone()),
        ObjectNamePart::Function(_) => Err(PgError::syntax("(")),
    });
    parts.collect()
}

impl Binder<'_> {
    /// All of FROM.
    pub(super) fn from(
        &self,
        outer: &Scope<'_>,
        from: &[TableWithJoins],
    ) -> Result<Source, PgError> {
        let mut all = Source::default();
        for (index, item) in from.iter().enumerate() {
            let right = self.joined(outer, &all, item)?;
            // SQLite reads a comma as a join: what keeps unmatched rows of its right side is put
            // in parentheses.
            let separated = if index == 0 {
                right.sql.clone()
            } else if super::joins::keeps_right(item) {
                format!("{}, ({})", all.sql, right.sql)
            } else {
                format!("{}, {}", all.sql, right.sql)
            };
            all.beside(right)?;
            all.sql = separated;
        }
        Ok(all)
    }

    #[allow(clippy::too_many_lines)] // one arm for each kind of item
    /// One item of FROM; `left` is what stands to its left, for functions that refer to it.
    pub(super) fn factor(
        &self,
        outer: &Scope<'_>,
        left: &Source,
        factor: &TableFactor,
    ) -> Result<Source, PgError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_ordinality,
                sample,
                version,
                json_path,
                with_hints,
                partitions,
                index_hints,
            } => {
                if sample.is_some() {
                    return Err(super::unsupported("TABLESAMPLE"));
                }
                if version.is_some()
                    || json_path.is_some()
                    || !(with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty())
                {
                    return Err(self.at(factor.span(), PgError::syntax("(")));
                }
                match args {
                    Some(args) => {
                        let call = (name, args.args.as_slice(), *with_ordinality);
                        self.function(outer, left, call, alias.as_ref())
                    }
                    None => self.relation(outer, &idents_of(name)?, alias.as_ref()),
                }
            }
            TableFactor::Function {
                name,
                args,
                with_ordinality,
                alias,
                ..
            } => {
                let call = (name, args.as_slice(), *with_ordinality);
                self.function(outer, left, call, alias.as_ref())
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_ordinality,
                ..
            } => {
                let args: Vec<FunctionArg> = array_exprs
                    .iter()
                    .map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr.clone())))
                    .collect();
                let name = ObjectName::from(Ident::with_span(factor.span(), "unnest"));
                let call = (&name, args.as_slice(), *with_ordinality);
                self.function(outer, left, call, alias.as_ref())
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample: None,
            } => self.derived(outer, left, *lateral, subquery, alias.as_ref()),
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let mut inner = self.joined(outer, left, table_with_joins)?;
                inner.sql = format!("({})", inner.sql);
                match alias {
                    Some(alias) => self.aliased_join(inner, alias),
                    None => Ok(inner),
                }
            }
            _ => Err(self.at(
                factor.span(),
                super::unsupported("this kind of item in FROM"),
            )),
        }
    }

    /// A view, a common table expression, or one of the tables that keep no rows.
    pub(super) fn relation(
        &self,
        scope: &Scope<'_>,
        idents: &[Ident],
        alias: Option<&TableAlias>,
    ) -> Result<Source, PgError> {
        let span = Span::union_iter(idents.iter().map(|ident| ident.span));
        if let [ident] = idents
            && is_reserved(ident)
        {
            return Err(self.at(span, PgError::syntax(&ident.value)));
        }
        let names: Vec<String> = idents.iter().map(folded).collect();
        let (schema, name) = match names.as_slice() {
            [name] => (None, name),
            [schema, name] => (Some(schema), name),
            [database, schema, name] if *database == self.context.host.session().database => {
                (Some(schema), name)
            }
            [_, _, _] => {
                let message = format!(
                    "cross-database references are not implemented: \"{}\"",
                    names.join(".")
                );
                return Err(self.at(span, PgError::unsupported(message)));
            }
            _ => {
                let message = format!(
                    "improper qualified name (too many dotted names): {}",
                    names.join(".")
                );
                return Err(self.at(span, PgError::error("42601", message)));
            }
        };
        if schema.is_none()
            && let Some(cte) = scope.cte(name)
        {
            let query = BoundQuery {
                sql: cte.sql_name.clone(),
                columns: cte.columns.clone(),
                fields: cte.fields.clone(),
            };
            return self.of_columns(&query, name, alias);
        }
        let view = match schema {
            Some(schema) => views::find(schema, name),
            None => SEARCHED.iter().find_map(|schema| views::find(schema, name)),
        };
        match view {
            Some(view) => self.view(view, alias),
            None => Err(self.at(span, self.no_rows_of(schema, name))),
        }
    }

    fn view(&self, view: &views::View, alias: Option<&TableAlias>) -> Result<Source, PgError> {
        let sql_alias = self.fresh("t");
        let columns = (1i16..).zip(&view.columns).map(|(attnum, (name, ty))| {
            let mut column = ScopeColumn::new(*name, format!("{sql_alias}.{}", quoted(name)), *ty);
            column.value.origin = (view.oid, attnum);
            column
        });
        let mut columns: Vec<ScopeColumn> = columns.collect();
        for (column, attribute) in columns.iter_mut().zip(&view.attributes) {
            column.value.typmod = attribute.typmod;
        }
        self.rename(&mut columns, alias)?;
        if view.kind == 'r' && !columns.iter().any(|column| column.name == "tableoid") {
            let mut column = ScopeColumn::new("tableoid", view.oid.to_string(), PgType::OID);
            column.system = true;
            columns.push(column);
        }
        let table = ScopeTable {
            name: alias.map_or_else(|| view.name.to_owned(), |alias| folded(&alias.name)),
            schema: alias.is_none().then(|| view.schema.to_owned()),
            hidden_name: alias.is_some().then(|| view.name.to_owned()),
            columns,
        };
        let sql = format!("{} AS {sql_alias}", quoted(&view.sql_name()));
        Ok(Source::table(sql, table, sql_alias))
    }

    /// What to say of a relation that has no rows to read.
    fn no_rows_of(&self, schema: Option<&String>, name: &str) -> PgError {
        let in_schema = schema.map_or("public", String::as_str);
        if self.table_is_known(in_schema, name) {
            let message = format!("table \"{name}\" keeps no rows for reading");
            let hint = "pgspool keeps changes, not rows. Read them from pgspool.changes, or \
                        through a replication slot.";
            return PgError::unsupported(message).with_hint(hint);
        }
        let full = match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        };
        PgError::error("42P01", format!("relation \"{full}\" does not exist"))
    }

    /// Whether there is a declared table or collection of this name.
    fn table_is_known(&self, schema: &str, name: &str) -> bool {
        let relations = self.context.relations();
        let mut relations = relations.relations.iter();
        relations.any(|relation| relation.schema == schema && relation.name == name)
    }

    /// A subquery in FROM.
    fn derived(
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
    fn once(&self, sql: &str) -> String {
        let name = self.fresh("w");
        format!("(WITH {name} AS MATERIALIZED ({sql}) SELECT * FROM {name})")
    }

    /// A query's text in FROM under an alias.
    fn of_columns(
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
    fn aliased_join(&self, inner: Source, alias: &TableAlias) -> Result<Source, PgError> {
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
    fn rename(
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

    /// A function in FROM; it may refer to what stands to its left.
    fn function(
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

impl Source {
    /// Whether one of `texts` refers to one of these tables.
    fn refers(&self, texts: &[String]) -> bool {
        self.aliases.iter().any(|alias| {
            let point = format!("{alias}.");
            texts.iter().any(|text| {
                text.match_indices(&point).any(|(at, _)| {
                    let before = text.get(..at).and_then(|before| before.chars().next_back());
                    !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
                })
            })
        })
    }
}

/// Where a name without a schema is looked for.
const SEARCHED: [&str; 2] = ["pg_catalog", "public"];

/// Words that name no table unless they are quoted: those that the parser takes for one.
fn is_reserved(ident: &Ident) -> bool {
    const RESERVED: [&str; 28] = [
        "all",
        "and",
        "as",
        "asc",
        "case",
        "check",
        "constraint",
        "create",
        "default",
        "desc",
        "distinct",
        "else",
        "end",
        "except",
        "for",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "intersect",
        "limit",
        "not",
        "null",
        "or",
        "select",
        "union",
        "where",
    ];
    ident.quote_style.is_none()
        && RESERVED
            .iter()
            .any(|word| ident.value.eq_ignore_ascii_case(word))
}

/// `name` as an identifier of SQLite.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
