//! What names mean: the columns of the tables in FROM, of the queries around, and what grouping
//! leaves of them.

use std::cell::{Cell, RefCell};

use sqlparser::ast::{Expr, Ident, Spanned};
use sqlparser::tokenizer::Span;

use crate::catalog::Column;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::{Binder, Node, Typed};

/// The part of a query that an expression stands in; some parts may not hold aggregates and such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::catalog) enum Clause {
    /// The select list.
    #[default]
    Select,
    /// A function's arguments in FROM.
    From,
    /// ON
    On,
    /// WHERE
    Where,
    /// GROUP BY
    GroupBy,
    /// HAVING
    Having,
    /// ORDER BY and DISTINCT ON
    OrderBy,
    /// LIMIT
    Limit,
    /// OFFSET
    Offset,
    /// VALUES
    Values,
    /// SET of UPDATE
    Update,
    /// RETURNING
    Returning,
}

impl Clause {
    /// Checks that an aggregate may stand here (42803).
    fn allows_aggregates(self) -> Result<(), PgError> {
        let place = match self {
            Self::Select | Self::Having | Self::OrderBy => return Ok(()),
            Self::From => "functions in FROM",
            Self::On => "JOIN conditions",
            Self::Where => "WHERE",
            Self::GroupBy => "GROUP BY",
            Self::Limit => "LIMIT",
            Self::Offset => "OFFSET",
            Self::Values => "VALUES",
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
        };
        let message = format!("aggregate functions are not allowed in {place}");
        Err(PgError::error("42803", message))
    }

    /// Checks that a window function may stand here (42P20).
    fn allows_windows(self) -> Result<(), PgError> {
        let place = match self {
            Self::Select | Self::OrderBy => return Ok(()),
            Self::From => "functions in FROM",
            Self::On => "JOIN conditions",
            Self::Where => "WHERE",
            Self::GroupBy => "GROUP BY",
            Self::Having => "HAVING",
            Self::Limit => "LIMIT",
            Self::Offset => "OFFSET",
            Self::Values => "VALUES",
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
        };
        let message = format!("window functions are not allowed in {place}");
        Err(PgError::error("42P20", message))
    }

    /// What PostgreSQL says of a set-returning function here (0A000).
    pub(in crate::catalog) fn refuses_rows(self) -> PgError {
        let place = match self {
            Self::Select | Self::OrderBy | Self::GroupBy => {
                return PgError::unsupported(
                    "set-returning functions inside of expressions are not supported here",
                );
            }
            Self::From => "functions in FROM",
            Self::On => "JOIN conditions",
            Self::Where => "WHERE",
            Self::Having => "HAVING",
            Self::Limit => "LIMIT",
            Self::Offset => "OFFSET",
            Self::Values => "VALUES",
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
        };
        PgError::unsupported(format!(
            "set-returning functions are not allowed in {place}"
        ))
    }
}

/// What of a query's columns may be used once its rows are grouped.
#[derive(Debug, Default, Clone)]
pub(in crate::catalog) enum Grouping {
    /// Rows are not grouped, or it is not known yet.
    #[default]
    Off,
    /// Only these (SQLite text of plain columns in GROUP BY), and any inside an aggregate.
    Columns(Vec<String>),
}

/// The columns that names may mean, innermost query first.
#[derive(Debug, Default)]
pub(in crate::catalog) struct Scope<'s> {
    pub(in crate::catalog) outer: Option<&'s Self>,
    /// Tables in FROM, for `table.column`.
    pub(in crate::catalog) tables: Vec<ScopeTable>,
    /// Columns in the order of `*`, for bare names: those merged by USING once.
    pub(in crate::catalog) columns: Vec<ScopeColumn>,
    /// Common table expressions by name.
    pub(in crate::catalog) ctes: Vec<Cte>,
    /// What an expression was replaced with, by its text: expressions of GROUP BY.
    pub(in crate::catalog) replaced: RefCell<Vec<(String, Typed)>>,
    /// The part of the query that is being bound.
    pub(in crate::catalog) clause: Cell<Clause>,
    /// What grouping leaves of the columns.
    pub(in crate::catalog) grouping: RefCell<Grouping>,
    /// Whether an aggregate's argument is being bound.
    pub(in crate::catalog) in_aggregate: Cell<bool>,
    /// Aggregates met so far.
    pub(in crate::catalog) num_aggregates: Cell<usize>,
    /// Columns of its own met so far.
    pub(in crate::catalog) num_columns: Cell<usize>,
    /// Names of tables that are there and cannot be referred to.
    pub(in crate::catalog) concealed: Vec<String>,
    /// Window functions met so far.
    pub(in crate::catalog) num_windows: Cell<usize>,
    /// The first column outside of an aggregate, as the error that it is if rows are grouped.
    pub(in crate::catalog) loose: RefCell<Option<PgError>>,
    /// Windows by name (WINDOW).
    pub(in crate::catalog) windows: Vec<(String, sqlparser::ast::WindowSpec)>,
    /// Calls of the select list that return rows, to be joined to FROM; `None` where there is no
    /// such place.
    pub(in crate::catalog) lifted: RefCell<Option<Vec<Lifted>>>,
}

/// A call that returns rows, taken out of the select list.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Lifted {
    /// The call in SQLite's text.
    pub(in crate::catalog) call: String,
    /// Its name in FROM.
    pub(in crate::catalog) alias: String,
    /// What the expression becomes.
    pub(in crate::catalog) column: ScopeColumn,
    /// Whether it does something beside answering.
    pub(in crate::catalog) volatile: bool,
}

/// A table in FROM.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct ScopeTable {
    /// Alias or name.
    pub(in crate::catalog) name: String,
    /// Schema, when it was named without an alias.
    pub(in crate::catalog) schema: Option<String>,
    /// The table's own name, when an alias hides it.
    pub(in crate::catalog) hidden_name: Option<String>,
    pub(in crate::catalog) columns: Vec<ScopeColumn>,
}

/// A column of a table in FROM.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct ScopeColumn {
    pub(in crate::catalog) name: String,
    pub(in crate::catalog) value: Typed,
    /// Of a record whose fields are known: the fields.
    pub(in crate::catalog) fields: Vec<Self>,
    /// Found by its name, not part of `*` (`tableoid`).
    pub(in crate::catalog) system: bool,
}

impl ScopeColumn {
    /// A column that `sql` gives.
    pub(in crate::catalog) fn new(name: impl Into<String>, sql: String, ty: PgType) -> Self {
        Self {
            name: name.into(),
            value: Typed {
                node: Node::Sql(sql),
                ty,
                typmod: -1,
                origin: (0, 0),
            },
            fields: Vec::new(),
            system: false,
        }
    }
}

/// A common table expression.
#[derive(Debug, Clone)]
pub(in crate::catalog) struct Cte {
    pub(in crate::catalog) name: String,
    /// Its name in SQLite's text.
    pub(in crate::catalog) sql_name: String,
    pub(in crate::catalog) columns: Vec<Column>,
    /// For columns that are records with known fields: (column, its fields), see `BoundQuery`.
    pub(in crate::catalog) fields: Vec<(usize, Vec<Column>)>,
}

/// `name` as PostgreSQL reads it: folded to lower case unless it is quoted.
pub(in crate::catalog) fn folded(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// What a column name led to on one level.
enum Found<'s> {
    One(&'s ScopeColumn),
    Ambiguous,
    None,
}

impl<'s> Scope<'s> {
    /// A scope inside of `outer`.
    pub(in crate::catalog) fn inside(outer: &'s Self) -> Self {
        Self {
            outer: Some(outer),
            ..Self::default()
        }
    }

    /// Counts an aggregate and checks that it may stand here; nested ones are refused.
    pub(in crate::catalog) fn note_aggregate(&self) -> Result<(), PgError> {
        self.clause.get().allows_aggregates()?;
        if self.in_aggregate.get() {
            let message = "aggregate function calls cannot be nested";
            return Err(PgError::error("42803", message));
        }
        self.num_aggregates.set(self.num_aggregates.get() + 1);
        Ok(())
    }

    /// Checks that a window function may stand here.
    pub(in crate::catalog) fn note_window(&self) -> Result<(), PgError> {
        self.clause.get().allows_windows()?;
        if self.in_aggregate.get() {
            let message = "aggregate function calls cannot contain window function calls";
            return Err(PgError::error("42803", message));
        }
        self.num_windows.set(self.num_windows.get() + 1);
        Ok(())
    }

    /// How many columns were met of each query, this one first.
    pub(in crate::catalog) fn num_columns_by_level(&self) -> Vec<usize> {
        let levels = std::iter::successors(Some(self), |scope| scope.outer);
        levels.map(|scope| scope.num_columns.get()).collect()
    }

    /// Runs `bind` with columns free of the grouping check, as inside of an aggregate's arguments.
    pub(in crate::catalog) fn inside_aggregate<T>(&self, bind: impl FnOnce() -> T) -> T {
        let before = self.in_aggregate.replace(true);
        let result = bind();
        self.in_aggregate.set(before);
        result
    }

    /// What the expression with this text was replaced with.
    pub(in crate::catalog) fn replacement(&self, text: &str) -> Option<Typed> {
        let replaced = self.replaced.borrow();
        let found = replaced.iter().find(|(expr, _)| expr == text);
        found.map(|(_, value)| value.clone())
    }

    /// Whether anything was replaced: otherwise no text needs to be made.
    pub(in crate::catalog) fn has_replacements(&self) -> bool {
        !self.replaced.borrow().is_empty()
    }

    /// The common table expression `name`.
    pub(in crate::catalog) fn cte(&self, name: &str) -> Option<&Cte> {
        let here = self.ctes.iter().rev().find(|cte| cte.name == name);
        here.or_else(|| self.outer.and_then(|outer| outer.cte(name)))
    }

    /// The column `a`, `t.a`, `s.t.a` or `d.s.t.a`.
    pub(in crate::catalog) fn column(
        &self,
        binder: &Binder<'_>,
        idents: &[Ident],
    ) -> Result<Typed, PgError> {
        Ok(self.scope_column(binder, idents)?.value)
    }

    /// The field of a record: of a column or call whose fields are known.
    pub(in crate::catalog) fn field(
        &self,
        binder: &Binder<'_>,
        root: &Expr,
        field: &Ident,
    ) -> Result<Typed, PgError> {
        let record = self.record(binder, root)?;
        let Some(record) = record.filter(|record| !record.fields.is_empty()) else {
            let error = PgError::unsupported("a field of this expression cannot be selected");
            return Err(binder.at(root.span(), error));
        };
        let name = folded(field);
        let found = record.fields.iter().find(|column| column.name == name);
        found.map(|column| column.value.clone()).ok_or_else(|| {
            let message = format!("could not identify column \"{name}\" in record data type");
            binder.at(root.span(), PgError::error("42703", message))
        })
    }

    /// The record column that `root` means, if it means one.
    pub(in crate::catalog) fn record(
        &self,
        binder: &Binder<'_>,
        root: &Expr,
    ) -> Result<Option<ScopeColumn>, PgError> {
        if let Expr::Nested(inner) = root {
            return self.record(binder, inner);
        }
        if let Expr::Identifier(ident) = root {
            return self
                .scope_column(binder, std::slice::from_ref(ident))
                .map(Some);
        }
        if let Expr::CompoundIdentifier(idents) = root {
            return self.scope_column(binder, idents).map(Some);
        }
        // Binding a call that returns rows leaves it among the lifted ones.
        let bound = binder.expr(self, root)?;
        Ok(self.lifted_as(&bound))
    }

    /// The lifted call that `bound` stands for.
    pub(in crate::catalog) fn lifted_as(&self, bound: &Typed) -> Option<ScopeColumn> {
        let Node::Sql(sql) = &bound.node else {
            return None;
        };
        let lifted = self.lifted.borrow();
        let mut columns = lifted.iter().flatten().map(|lifted| &lifted.column);
        let found =
            columns.find(|column| matches!(&column.value.node, Node::Sql(text) if text == sql));
        found.cloned()
    }

    fn scope_column(&self, binder: &Binder<'_>, idents: &[Ident]) -> Result<ScopeColumn, PgError> {
        let span = Span::union_iter(idents.iter().map(|ident| ident.span));
        let names: Vec<String> = idents.iter().map(folded).collect();
        let found = match names.as_slice() {
            [column] => self.bare(column),
            [table, column] => self.qualified(None, table, column),
            [schema, table, column] => self.qualified(Some(schema), table, column),
            [database, schema, table, column]
                if *database == binder.context.host.session().database =>
            {
                self.qualified(Some(schema), table, column)
            }
            [_, _, _, _] => {
                let message = format!(
                    "cross-database references are not implemented: {}",
                    names.join(".")
                );
                Err(PgError::unsupported(message))
            }
            _ => {
                let message = format!(
                    "improper qualified name (too many dotted names): {}",
                    names.join(".")
                );
                Err(PgError::error("42601", message))
            }
        };
        self.place_loose(binder, span);
        found.map_err(|error| binder.at(span, error))
    }

    /// Gives the loose column met last its position, unless it has one.
    pub(super) fn place_loose(&self, binder: &Binder<'_>, span: Span) {
        let mut level = Some(self);
        while let Some(scope) = level {
            let mut loose = scope.loose.borrow_mut();
            if let Some(error) = loose.take() {
                *loose = Some(binder.at(span, error));
            }
            level = scope.outer;
        }
    }

    /// A column by its bare name, in this query or one around it.
    fn bare(&self, name: &str) -> Result<ScopeColumn, PgError> {
        let mut level = Some(self);
        while let Some(scope) = level {
            match scope.bare_here(name) {
                Found::One(column) => return scope.checked(column, None),
                Found::Ambiguous => {
                    let message = format!("column reference \"{name}\" is ambiguous");
                    return Err(PgError::error("42702", message));
                }
                Found::None => level = scope.outer,
            }
        }
        if self.table(None, name).is_some() {
            let message = format!("using a whole row of \"{name}\" as a value is not supported");
            return Err(PgError::unsupported(message));
        }
        let error = PgError::error("42703", format!("column \"{name}\" does not exist"));
        Err(self.with_column_hint(error, name))
    }

    /// Whether a column of FROM has this name.
    pub(super) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    fn bare_here(&self, name: &str) -> Found<'_> {
        let mut named = self.columns.iter().filter(|column| column.name == name);
        match (named.next(), named.next()) {
            (Some(column), None) => Found::One(column),
            (Some(_), Some(_)) => Found::Ambiguous,
            (None, _) => Found::None,
        }
    }

    /// A column by its table's name.
    fn qualified(
        &self,
        schema: Option<&String>,
        table: &str,
        name: &str,
    ) -> Result<ScopeColumn, PgError> {
        let Some((scope, found)) = self.table(schema, table) else {
            return Err(self.missing_table(table));
        };
        let mut named = found.columns.iter().filter(|column| column.name == name);
        match (named.next(), named.next()) {
            (Some(column), None) => scope.checked(column, Some(table)),
            (Some(_), Some(_)) => {
                let message = format!("column reference \"{name}\" is ambiguous");
                Err(PgError::error("42702", message))
            }
            (None, _) => {
                let message = format!("column {table}.{name} does not exist");
                Err(self.with_column_hint(PgError::error("42703", message), name))
            }
        }
    }

    /// The table that `name` means, and the scope that it is in.
    pub(in crate::catalog) fn table(
        &self,
        schema: Option<&String>,
        name: &str,
    ) -> Option<(&Self, &ScopeTable)> {
        let fits = |table: &&ScopeTable| {
            table.name == name && (schema.is_none() || table.schema.as_ref() == schema)
        };
        match self.tables.iter().find(fits) {
            Some(table) => Some((self, table)),
            None => self.outer.and_then(|outer| outer.table(schema, name)),
        }
    }

    pub(super) fn missing_table(&self, name: &str) -> PgError {
        let mut level = Some(self);
        while let Some(scope) = level {
            let hides = |table: &&ScopeTable| table.hidden_name.as_deref() == Some(name);
            if let Some(table) = scope.tables.iter().find(hides) {
                let message =
                    format!("invalid reference to FROM-clause entry for table \"{name}\"");
                let hint = format!(
                    "Perhaps you meant to reference the table alias \"{}\".",
                    table.name
                );
                return PgError::error("42P01", message).with_hint(hint);
            }
            let concealed = scope.concealed.iter().map(String::as_str);
            let mut names = concealed.chain(scope.tables.iter().map(|table| table.name.as_str()));
            if names.any(|other| other == name) {
                let message =
                    format!("invalid reference to FROM-clause entry for table \"{name}\"");
                let hint = format!(
                    "There is an entry for table \"{name}\", but it cannot be referenced from \
                     this part of the query."
                );
                return PgError::error("42P01", message).with_hint(hint);
            }
            level = scope.outer;
        }
        let message = format!("missing FROM-clause entry for table \"{name}\"");
        PgError::error("42P01", message)
    }

    /// `error` with PostgreSQL's hint, when some table has such a column after all.
    fn with_column_hint(&self, error: PgError, name: &str) -> PgError {
        let mut level = Some(self);
        while let Some(scope) = level {
            for table in &scope.tables {
                if let Some(column) = table.columns.iter().find(|column| column.name == name) {
                    let hint = format!(
                        "Perhaps you meant to reference the column \"{}.{}\".",
                        table.name, column.name
                    );
                    return error.with_hint(hint);
                }
            }
            level = scope.outer;
        }
        error
    }

    /// `column`, if grouping leaves it usable.
    pub(super) fn checked(
        &self,
        column: &ScopeColumn,
        table: Option<&str>,
    ) -> Result<ScopeColumn, PgError> {
        self.num_columns.set(self.num_columns.get() + 1);
        let grouping = self.grouping.borrow();
        let Node::Sql(sql) = &column.value.node else {
            return Ok(column.clone());
        };
        let is_grouped = match &*grouping {
            Grouping::Off => false,
            Grouping::Columns(grouped) => grouped.contains(sql),
        };
        let is_free = matches!(
            self.clause.get(),
            Clause::Select | Clause::Having | Clause::OrderBy
        );
        if self.in_aggregate.get() || is_grouped || !is_free {
            return Ok(column.clone());
        }
        let name = match table.or_else(|| self.owner(sql)) {
            Some(owner) => format!("{owner}.{}", column.name),
            None => column.name.clone(),
        };
        let message = format!(
            "column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate \
             function"
        );
        let error = PgError::error("42803", message);
        match &*grouping {
            Grouping::Columns(_) => Err(error),
            Grouping::Off => {
                self.loose.borrow_mut().get_or_insert(error);
                Ok(column.clone())
            }
        }
    }

    /// The table whose column has this SQLite text.
    fn owner(&self, sql: &str) -> Option<&str> {
        let has = |table: &&ScopeTable| {
            let mut columns = table.columns.iter();
            columns.any(|column| matches!(&column.value.node, Node::Sql(text) if text == sql))
        };
        self.tables
            .iter()
            .find(has)
            .map(|table| table.name.as_str())
    }
}
