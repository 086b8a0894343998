//! The table that a statement changes, and its columns.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, Spanned};
use sqlparser::tokenizer::Span;

use super::super::bind::{Binder, Scope, ScopeColumn, ScopeTable, folded, idents_of};
use super::super::{Context, views};
use crate::pgerror::PgError;
use crate::relations::{Relation, RelationColumn, RelationSet};

/// What is asked of a table: PostgreSQL's words for those that cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
    Delete,
    Truncate,
    Copy,
}

/// How changes are published otherwise.
const COPY_HINT: &str = "Declare its columns with CREATE TABLE, or publish with \
                         COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).";

/// The declared table of that name.
pub(super) fn table(
    binder: &Binder<'_>,
    name: &ObjectName,
    verb: Verb,
) -> Result<Arc<Relation>, PgError> {
    let idents = idents_of(name)?;
    let names: Vec<String> = idents.iter().map(folded).collect();
    let found = find(binder.context, &names, verb);
    found.map_err(|error| {
        // PostgreSQL has no position for what the table cannot do.
        if error.code() == "42P01" && verb != Verb::Truncate {
            let span = Span::union_iter(idents.iter().map(|ident| ident.span));
            return binder.at(span, error);
        }
        error
    })
}

/// The declared table that COPY names.
pub(crate) fn copied_table(context: &Context, names: &[String]) -> Result<Arc<Relation>, PgError> {
    find(context, names, Verb::Copy)
}

/// The places of the columns that COPY names; all of them where it names none.
pub(crate) fn copied_columns(
    table: &Relation,
    names: Option<&[String]>,
) -> Result<Vec<usize>, PgError> {
    let Some(names) = names else {
        return Ok((0..table.live_columns().count()).collect());
    };
    let mut places = Vec::new();
    for name in names {
        let place = place_of(table, name)?;
        if places.contains(&place) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(PgError::error("42701", message));
        }
        places.push(place);
    }
    Ok(places)
}

fn find(context: &Context, names: &[String], verb: Verb) -> Result<Arc<Relation>, PgError> {
    let (schema, name) = split(context, names)?;
    let set = context.host.relations_seen();
    let searched = match &schema {
        Some(schema) => std::slice::from_ref(schema),
        None => context.search_path(),
    };
    for schema in searched {
        if let Some(view) = views::find(schema, name) {
            return Err(refused_view(view, verb));
        }
        if let Some(found) = found_in(&set, schema, name)? {
            return Ok(found);
        }
    }
    let message = format!("relation \"{}\" does not exist", names.join("."));
    Err(PgError::error("42P01", message).with_hint(COPY_HINT))
}

fn split<'n>(
    context: &Context,
    names: &'n [String],
) -> Result<(Option<String>, &'n String), PgError> {
    match names {
        [name] => Ok((None, name)),
        [schema, name] => Ok((Some(schema.clone()), name)),
        [database, schema, name] if *database == context.host.session().database => {
            Ok((Some(schema.clone()), name))
        }
        [_, _, _] => {
            let full = names.join(".");
            let message = format!("cross-database references are not implemented: \"{full}\"");
            Err(PgError::unsupported(message))
        }
        _ => {
            let full = names.join(".");
            let message = format!("improper qualified name (too many dotted names): {full}");
            Err(PgError::error("42601", message))
        }
    }
}

fn found_in(set: &RelationSet, schema: &str, name: &str) -> Result<Option<Arc<Relation>>, PgError> {
    let Some(found) = set.relation(schema, name) else {
        return Ok(None);
    };
    if !found.declared {
        let message = format!("\"{name}\" is a collection without declared columns");
        return Err(PgError::error("42809", message).with_hint(COPY_HINT));
    }
    Ok(Some(Arc::new(found.clone())))
}

fn refused_view(view: &views::View, verb: Verb) -> PgError {
    let name = view.name;
    if view.kind == 'r' {
        let message = format!("permission denied: \"{name}\" is a system catalog");
        return PgError::error("42501", message);
    }
    let (what, adverb) = match verb {
        Verb::Insert => ("insert into", "inserting into"),
        Verb::Update => ("update", "updating"),
        Verb::Delete => ("delete from", "deleting from"),
        Verb::Truncate => {
            return PgError::error("42809", format!("\"{name}\" is not a table"));
        }
        Verb::Copy => {
            let message = format!("cannot copy to view \"{name}\"");
            return PgError::error("42809", message);
        }
    };
    let message = format!("cannot {what} view \"{name}\"");
    let detail = "Views that do not select from a single table or view are not automatically \
                  updatable.";
    let hint = if matches!(view.source, views::Source::Changes) {
        "Publish with COPY pgspool.changes FROM STDIN WITH (FORMAT ndjson).".to_owned()
    } else {
        format!("There is no way of {adverb} what the server shows of itself.")
    };
    PgError::error("55000", message)
        .with_detail(detail)
        .with_hint(hint)
}

fn place_of(table: &Relation, name: &str) -> Result<usize, PgError> {
    let place = table.live_columns().position(|column| column.name == name);
    place.ok_or_else(|| {
        let message = format!(
            "column \"{name}\" of relation \"{}\" does not exist",
            table.name
        );
        PgError::error("42703", message)
    })
}

/// The place of a column that is to get a value, among those that are not dropped.
pub(super) fn target_column(
    binder: &Binder<'_>,
    table: &Relation,
    name: &ObjectName,
) -> Result<usize, PgError> {
    let idents = idents_of(name)?;
    let span = name.span();
    let [ident] = idents.as_slice() else {
        let first = idents.first().map(folded).unwrap_or_default();
        return Err(match place_of(table, &first) {
            Ok(_) => binder.at(
                span,
                PgError::unsupported("assigning to a field of a column is not supported"),
            ),
            Err(error) => binder.at(span, error),
        });
    };
    place_of(table, &folded(ident)).map_err(|error| binder.at(span, error))
}

/// The column at a place.
pub(super) fn column_at(table: &Relation, place: usize) -> Result<&RelationColumn, PgError> {
    let column = table.live_columns().nth(place);
    column.ok_or_else(|| PgError::error("XX000", format!("no column at place {place}")))
}

/// The table as names in expressions find it: with `values` for its columns.
pub(super) fn scope_of<'s>(
    table: &Relation,
    alias: Option<&Ident>,
    values: impl Fn(usize, &RelationColumn) -> String,
    outer: &'s Scope<'s>,
) -> Scope<'s> {
    let columns = table.live_columns().enumerate().map(|(place, column)| {
        let sql = values(place, column);
        let mut found = ScopeColumn::new(&column.name, sql, column.column_type);
        found.value.typmod = column.typmod;
        found.value.origin = (table.oid, column.attnum);
        found
    });
    let columns: Vec<ScopeColumn> = columns.collect();
    let mut scope = Scope::inside(outer);
    scope.columns.clone_from(&columns);
    scope.tables.push(ScopeTable {
        name: alias.map_or_else(|| table.name.clone(), folded),
        schema: alias.is_none().then(|| table.schema.clone()),
        hidden_name: alias.is_some().then(|| table.name.clone()),
        columns,
    });
    scope
}
