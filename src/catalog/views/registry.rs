//! Which views there are: PostgreSQL's by a recorded list of their columns, and our own.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::datum::PgType;

use super::{Attribute, Source, View, own, rows};

/// Recorded from PostgreSQL 15: a line for each relation (schema, name, relkind, OIDs of the
/// relation, its row type and that type's array), then one for each column (name, type, base
/// type where the type is a domain, type modifier, NOT NULL, collation).
const POSTGRES: &str = include_str!("postgres.tsv");

struct Registry {
    views: Vec<View>,
    by_name: HashMap<(&'static str, &'static str), usize>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut views = recorded();
    views.extend(own::views());
    let names = views.iter().map(|view| (view.schema, view.name));
    let by_name = names.enumerate().map(|(at, name)| (name, at)).collect();
    Registry { views, by_name }
});

/// All views.
pub(in crate::catalog) fn all() -> &'static [View] {
    &REGISTRY.views
}

/// One view by its schema and name.
pub(in crate::catalog) fn find(schema: &str, name: &str) -> Option<&'static View> {
    let at = *REGISTRY.by_name.get(&(schema, name))?;
    REGISTRY.views.get(at)
}

/// PostgreSQL's relations, with the columns of later versions behind its own.
fn recorded() -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    for line in POSTGRES.lines() {
        let mut fields = line.split('\t');
        match fields.next() {
            Some("relation") => views.extend(relation(&mut fields)),
            Some(_) => {
                if let (Some(view), Some((column, attribute))) =
                    (views.last_mut(), column(&mut fields))
                {
                    view.columns.push(column);
                    view.attributes.push(attribute);
                }
            }
            None => {}
        }
    }
    for view in &mut views {
        for (name, column_type) in rows::later_columns(view.schema, view.name) {
            view.push(name, *column_type, None);
        }
    }
    views
}

fn relation(fields: &mut std::str::Split<'static, char>) -> Option<View> {
    let schema = fields.next()?;
    let name = fields.next()?;
    Some(View {
        schema,
        name,
        kind: fields.next()?.chars().next()?,
        oid: number(fields)?,
        row_type_oid: number(fields)?,
        array_type_oid: number(fields)?,
        columns: Vec::new(),
        attributes: Vec::new(),
        description: None,
        source: Source::Rows(rows::maker(schema, name)),
    })
}

fn column(
    fields: &mut std::str::Split<'static, char>,
) -> Option<((&'static str, PgType), Attribute)> {
    let name = fields.next()?;
    let declared = PgType(number(fields)?);
    let base = PgType(number(fields)?);
    let attribute = Attribute {
        declared,
        typmod: fields.next()?.parse().ok()?,
        not_null: fields.next()? == "t",
        collation: number(fields)?,
        description: None,
    };
    Some(((name, base), attribute))
}

fn number(fields: &mut std::str::Split<'static, char>) -> Option<u32> {
    fields.next()?.parse().ok()
}
