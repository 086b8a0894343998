//! FROM: views, common table expressions, derived tables and functions, with their aliases.

use std::collections::BTreeSet;

use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart, Spanned, TableAlias,
    TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use crate::catalog::views;
use crate::datum::PgType;
use crate::pgerror::PgError;

use super::scope::folded;
use super::{Binder, BoundQuery, Scope, ScopeColumn, ScopeTable};

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
    pub(super) fn table(sql: String, table: ScopeTable, alias: String) -> Self {
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
pub(in crate::catalog) fn idents_of(name: &ObjectName) -> Result<Vec<Ident>, PgError> {
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
                ..
            } => {
                self.refuse_foreign_table(factor)?;
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

    /// What the parser knows of other databases behind a table's name.
    fn refuse_foreign_table(&self, factor: &TableFactor) -> Result<(), PgError> {
        let TableFactor::Table {
            sample,
            version,
            json_path,
            with_hints,
            partitions,
            index_hints,
            ..
        } = factor
        else {
            return Ok(());
        };
        if sample.is_some() {
            return Err(super::unsupported("TABLESAMPLE"));
        }
        if version.is_some()
            || json_path.is_some()
            || !(with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty())
        {
            return Err(self.at(factor.span(), PgError::syntax("(")));
        }
        Ok(())
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
        let searched = match schema {
            Some(schema) => std::slice::from_ref(schema),
            None => self.context.search_path(),
        };
        for schema in searched {
            if let Some(view) = views::find(schema, name) {
                return self.view(view, alias);
            }
            if self.table_is_known(schema, name) {
                return Err(self.at(span, no_rows_of(name)));
            }
        }
        let full = match schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        };
        let message = format!("relation \"{full}\" does not exist");
        Err(self.at(span, PgError::error("42P01", message)))
    }

    fn view(&self, view: &views::View, alias: Option<&TableAlias>) -> Result<Source, PgError> {
        // Also where not a row of it is read.
        if matches!(view.source, views::Source::Changes) {
            self.context.host.caller().check_read_changes()?;
        }
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

    /// Whether there is a declared table or collection of this name.
    fn table_is_known(&self, schema: &str, name: &str) -> bool {
        let relations = self.context.relations();
        let mut relations = relations.relations.iter();
        relations.any(|relation| relation.schema == schema && relation.name == name)
    }
}

impl Source {
    /// Whether one of `texts` refers to one of these tables.
    pub(super) fn refers(&self, texts: &[String]) -> bool {
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

/// What to say of a table: it has no rows to read.
fn no_rows_of(name: &str) -> PgError {
    let message = format!("table \"{name}\" keeps no rows for reading");
    let hint = "pgspool keeps changes, not rows. Read them from pgspool.changes, or \
                through a replication slot.";
    PgError::unsupported(message).with_hint(hint)
}

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
