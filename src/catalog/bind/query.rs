//! A query with all that may stand around a select: WITH, VALUES, set operations, ORDER BY, LIMIT.
//!
//! A query is bound in two steps: a [`Draft`] has its columns' types, and may still give literals
//! whose type is not known another one (in a UNION); rendering makes the text.

use std::fmt::Write as _;

use sqlparser::ast::{self, CteAsMaterialized, SetExpr, Spanned};
use sqlparser::tokenizer::Span;

use crate::catalog::Column;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::order::Tail;
use super::scope::folded;
use super::{Binder, BoundQuery, Clause, Coercion, Cte, Scope, ScopeColumn, Typed};

/// A column of a query's answer.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Target {
    pub(in crate::catalog) name: String,
    pub(in crate::catalog) value: Typed,
    /// Of a record whose fields are known.
    pub(in crate::catalog) fields: Vec<ScopeColumn>,
    /// Where it was written.
    pub(in crate::catalog) span: Span,
}

/// A bound query whose text is still to be made.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Draft {
    /// `SELECT`, `SELECT DISTINCT`, with what stands before it (WITH).
    pub(in crate::catalog) head: String,
    pub(in crate::catalog) targets: Vec<Target>,
    /// From FROM to LIMIT, with a blank before it.
    pub(in crate::catalog) tail: String,
    /// Whether it may stand in a compound as it is: no WITH, ORDER BY, LIMIT.
    pub(in crate::catalog) simple: bool,
    /// Collations are written into the select list: rows are compared as a whole.
    pub(in crate::catalog) compared: bool,
}

impl Draft {
    /// All columns of `query`, whose text is made already.
    pub(in crate::catalog) fn over(query: &BoundQuery) -> Self {
        let targets = query
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| Target {
                name: column.name.clone(),
                value: column_value("", index, column),
                fields: fields_of("", index, &query.fields),
                span: Span::empty(),
            });
        Self {
            head: "SELECT".to_owned(),
            targets: targets.collect(),
            tail: format!(" FROM ({})", query.sql),
            simple: true,
            compared: false,
        }
    }

    /// Gives each column the type that `types` names.
    pub(in crate::catalog) fn coerce(
        &mut self,
        binder: &Binder<'_>,
        types: &[PgType],
    ) -> Result<(), PgError> {
        for (target, ty) in self.targets.iter_mut().zip(types) {
            let value = target.value.clone();
            let coerced = binder.coerce(value, *ty, super::Coercion::Implicit);
            target.value = coerced.map_err(|error| binder.at(target.span, error))?;
        }
        Ok(())
    }

    /// What has no type yet becomes text.
    pub(in crate::catalog) fn settle(&mut self, binder: &Binder<'_>) -> Result<(), PgError> {
        for target in &mut self.targets {
            target.value = binder.settled(target.value.clone())?;
        }
        Ok(())
    }

    /// The text, with columns `c1`, `c2`, ...
    pub(in crate::catalog) fn render(mut self, binder: &Binder<'_>) -> Result<BoundQuery, PgError> {
        self.settle(binder)?;
        let mut sql = self.head;
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (index, target) in self.targets.into_iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let text = target.value.text();
            let collation = if self.compared {
                super::order::equality_collation(target.value.ty)?
            } else {
                ""
            };
            let number = index.saturating_add(1);
            let _ = write!(sql, "{separator} {text}{collation} AS c{number}");
            if !target.fields.is_empty() {
                fields.push((index, render_fields(&mut sql, number, &target.fields)));
            }
            columns.push(Column {
                name: target.name,
                column_type: target.value.ty,
                typmod: target.value.typmod,
                table_oid: target.value.origin.0,
                attnum: target.value.origin.1,
            });
        }
        if columns.is_empty() {
            sql.push_str(" NULL AS c0");
        }
        sql.push_str(&self.tail);
        Ok(BoundQuery {
            sql,
            columns,
            fields,
        })
    }
}

fn render_fields(sql: &mut String, number: usize, fields: &[ScopeColumn]) -> Vec<Column> {
    let mut columns = Vec::new();
    for (field_number, field) in (1u32..).zip(fields) {
        let _ = write!(sql, ", {} AS c{number}_{field_number}", field.value.text());
        columns.push(Column {
            name: field.name.clone(),
            column_type: field.value.ty,
            typmod: field.value.typmod,
            table_oid: 0,
            attnum: 0,
        });
    }
    columns
}

/// The value of the column at `index` of a query that is named `alias` in FROM (with a point).
pub(in crate::catalog) fn column_value(alias: &str, index: usize, column: &Column) -> Typed {
    Typed {
        typmod: column.typmod,
        origin: (column.table_oid, column.attnum),
        ..Typed::of(
            format!("{alias}c{}", index.saturating_add(1)),
            column.column_type,
        )
    }
}

/// The fields of the column at `index`, if it is a record whose fields are known.
pub(in crate::catalog) fn fields_of(
    alias: &str,
    index: usize,
    fields: &[(usize, Vec<Column>)],
) -> Vec<ScopeColumn> {
    let Some((_, fields)) = fields.iter().find(|(of, _)| *of == index) else {
        return Vec::new();
    };
    let number = index.saturating_add(1);
    let columns = (1u32..).zip(fields).map(|(field, column)| {
        let sql = format!("{alias}c{number}_{field}");
        ScopeColumn::new(&column.name, sql, column.column_type)
    });
    columns.collect()
}

impl Binder<'_> {
    /// A query inside of `outer`, its columns named `c1`, `c2`, ...
    pub(in crate::catalog) fn query(
        &self,
        outer: &Scope<'_>,
        query: &ast::Query,
    ) -> Result<BoundQuery, PgError> {
        self.draft(outer, query)?.render(self)
    }

    /// A query whose untyped literals are still open.
    pub(in crate::catalog) fn draft(
        &self,
        outer: &Scope<'_>,
        query: &ast::Query,
    ) -> Result<Draft, PgError> {
        stacker::maybe_grow(RED_ZONE, STACK, || self.draft_on_stack(outer, query))
    }

    fn draft_on_stack(&self, outer: &Scope<'_>, query: &ast::Query) -> Result<Draft, PgError> {
        refuse_foreign(query)?;
        let mut scope = Scope::inside(outer);
        let with = match &query.with {
            Some(with) => self.with(&mut scope, with)?,
            None => String::new(),
        };
        let tail = Tail::of(query)?;
        let mut draft = self.body(&scope, &query.body, &tail)?;
        if !with.is_empty() {
            draft.head = format!("{with} {}", draft.head);
            draft.simple = false;
        }
        Ok(draft)
    }

    /// What a query consists of, ordered and limited by `tail`.
    pub(in crate::catalog) fn body(
        &self,
        scope: &Scope<'_>,
        body: &SetExpr,
        tail: &Tail<'_>,
    ) -> Result<Draft, PgError> {
        match body {
            SetExpr::Select(select) => self.select(scope, select, tail),
            SetExpr::Query(query) if tail.is_empty() => self.draft(scope, query),
            SetExpr::Query(query) => {
                let inner = self.query(scope, query)?;
                self.order_result(scope, Draft::over(&inner), tail)
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let draft = self.set_operation(scope, left, *op, *set_quantifier, right)?;
                self.order_result(scope, draft, tail)
            }
            SetExpr::Values(values) => {
                let draft = self.values_clause(scope, values)?;
                self.order_result(scope, draft, tail)
            }
            SetExpr::Table(table) => {
                let name = [table.schema_name.as_ref(), table.table_name.as_ref()];
                let idents = name.into_iter().flatten().map(ast::Ident::new);
                let source = self.relation(scope, &idents.collect::<Vec<_>>(), None)?;
                let draft = Draft {
                    head: "SELECT".to_owned(),
                    targets: source.columns.iter().map(target_of).collect(),
                    tail: format!(" FROM {}", source.sql),
                    simple: true,
                    compared: false,
                };
                self.order_result(scope, draft, tail)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(super::unsupported("a data-modifying statement in WITH"))
            }
        }
    }

    /// WITH: adds its queries to `scope` and gives their text.
    fn with(&self, scope: &mut Scope<'_>, with: &ast::With) -> Result<String, PgError> {
        let mut items = Vec::new();
        let mut recursive = false;
        for cte in &with.cte_tables {
            let name = folded(&cte.alias.name);
            if scope.ctes.iter().any(|other| other.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.at(cte.alias.name.span, PgError::error("42712", message)));
            }
            let sql_name = self.fresh("w");
            let before = self.num_volatile.get();
            let (query, is_recursive) = if with.recursive {
                self.recursive(scope, &name, &sql_name, cte)?
            } else {
                (self.query(scope, &cte.query)?, false)
            };
            recursive |= is_recursive;
            let volatile = self.num_volatile.get() > before;
            let mut hint = match cte.materialized {
                Some(CteAsMaterialized::Materialized) => "MATERIALIZED ",
                Some(CteAsMaterialized::NotMaterialized) => "NOT MATERIALIZED ",
                None => "",
            };
            if volatile {
                hint = "MATERIALIZED ";
            }
            items.push(format!("{sql_name} AS {hint}({})", query.sql));
            let columns = self.renamed(query.columns, &cte.alias)?;
            scope.ctes.push(Cte {
                name,
                sql_name,
                columns,
                fields: query.fields,
            });
        }
        let keyword = if recursive { "WITH RECURSIVE" } else { "WITH" };
        Ok(format!("{keyword} {}", items.join(", ")))
    }

    /// `columns` under the names that an alias gives them.
    pub(in crate::catalog) fn renamed(
        &self,
        mut columns: Vec<Column>,
        alias: &ast::TableAlias,
    ) -> Result<Vec<Column>, PgError> {
        if alias.columns.len() > columns.len() {
            let message = format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                folded(&alias.name),
                columns.len(),
                alias.columns.len()
            );
            return Err(self.at(alias.name.span, PgError::error("42P10", message)));
        }
        for (column, new) in columns.iter_mut().zip(&alias.columns) {
            column.name = folded(&new.name);
        }
        Ok(columns)
    }

    /// VALUES
    fn values_clause(&self, scope: &Scope<'_>, values: &ast::Values) -> Result<Draft, PgError> {
        let inner = Scope::inside(scope);
        inner.clause.set(Clause::Values);
        let mut columns: Vec<Vec<Typed>> = Vec::new();
        for (row_number, row) in values.rows.iter().enumerate() {
            let row = &row.content;
            if row_number > 0 && row.len() != columns.len() {
                let error = PgError::error("42601", "VALUES lists must all be the same length");
                return Err(match row.first() {
                    Some(first) => self.at(first.span(), error),
                    None => error,
                });
            }
            if row_number == 0 {
                columns.resize_with(row.len(), Vec::new);
            }
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(self.expr(&inner, value)?);
            }
        }
        let mut rows = vec![Vec::new(); values.rows.len()];
        let mut targets = Vec::new();
        for (index, column) in columns.into_iter().enumerate() {
            let number = index.saturating_add(1);
            let (ty, column) = if let [only] = column.as_slice() {
                let only = self.settled(only.clone())?;
                (only.ty, vec![only])
            } else {
                self.unify("VALUES", column.clone())
                    .map_err(|error| self.at_odd_one(values, index, &column, error))?
            };
            for (row, value) in rows.iter_mut().zip(&column) {
                row.push(value.text().to_owned());
            }
            let mut typmods = column.iter().map(|value| value.typmod);
            let first = typmods.next().unwrap_or(-1);
            let typmod = if typmods.all(|typmod| typmod == first) {
                first
            } else {
                -1
            };
            targets.push(Target {
                name: format!("column{number}"),
                value: Typed {
                    typmod,
                    ..Typed::of(format!("column{number}"), ty)
                },
                fields: Vec::new(),
                span: Span::empty(),
            });
        }
        let rows: Vec<String> = rows
            .iter()
            .map(|row| format!("({})", row.join(", ")))
            .collect();
        Ok(Draft {
            head: "SELECT".to_owned(),
            targets,
            tail: format!(" FROM (VALUES {})", rows.join(", ")),
            simple: true,
            compared: false,
        })
    }
}

impl Binder<'_> {
    /// `error` at the first value of a VALUES column that does not go with those above it.
    fn at_odd_one(
        &self,
        values: &ast::Values,
        index: usize,
        column: &[Typed],
        error: PgError,
    ) -> PgError {
        let fits = |count: usize| {
            let above = column.iter().take(count).map(|value| value.ty);
            self.common_type("VALUES", above).is_ok()
        };
        let odd = (1..column.len()).find(|row| !fits(row.saturating_add(1)));
        let odd = odd.or_else(|| self.no_value_of(column));
        let value = odd
            .and_then(|row| values.rows.get(row))
            .and_then(|row| row.content.get(index));
        match value {
            Some(value) => self.at(value.span(), error),
            None => error,
        }
    }

    /// The first of `column` that is no value of the type that they have in common.
    fn no_value_of(&self, column: &[Typed]) -> Option<usize> {
        let types = column.iter().map(|value| value.ty);
        let common = self.common_type("VALUES", types).ok()?;
        let is_none = |value: &Typed| {
            let value = self.coerce(value.clone(), common, Coercion::Implicit);
            value.is_err()
        };
        column.iter().position(is_none)
    }
}

/// Left on the stack before more is made, and how much that is: queries nest deep.
const RED_ZONE: usize = 256 << 10;
const STACK: usize = 4 << 20;

/// `column` as it is.
pub(in crate::catalog) fn target_of(column: &ScopeColumn) -> Target {
    Target {
        name: column.name.clone(),
        value: column.value.clone(),
        fields: column.fields.clone(),
        span: Span::empty(),
    }
}

/// What the parser knows of other databases, and what we do not do.
fn refuse_foreign(query: &ast::Query) -> Result<(), PgError> {
    if !query.locks.is_empty() {
        return Err(PgError::unsupported(
            "row locks (FOR UPDATE, FOR SHARE) are not supported: there are no rows to lock",
        ));
    }
    if query.for_clause.is_some() {
        return Err(PgError::syntax("FOR"));
    }
    if query.settings.is_some() {
        return Err(PgError::syntax("SETTINGS"));
    }
    if query.format_clause.is_some() {
        return Err(PgError::syntax("FORMAT"));
    }
    if !query.pipe_operators.is_empty() {
        return Err(PgError::syntax("|>"));
    }
    Ok(())
}
