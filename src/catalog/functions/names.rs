//! The names behind OIDs: relations, types, functions, schemas and roles.

use std::sync::Arc;

use crate::catalog::Context;
use crate::catalog::views::{self, PUBLIC, fixed_schema, oid_of_schema, roles_by_oid};
use crate::datum::{
    Names, PgType, ProcRef, all_types, format_type, info, parse_type_name, quote_ident,
};

use super::{Function, all, by_oid, find};

/// The names that a statement may use.
pub(in crate::catalog) struct CatalogNames<'a> {
    context: &'a Arc<Context>,
}

/// A relation, index or view by name.
struct Found {
    schema: String,
    name: String,
}

impl<'a> CatalogNames<'a> {
    /// Those of `context`.
    pub(in crate::catalog) const fn new(context: &'a Arc<Context>) -> Self {
        Self { context }
    }

    /// The OID of a schema.
    pub(in crate::catalog) fn schema_oid(&self, name: &str) -> Option<u32> {
        let oid = match fixed_schema(name) {
            0 => oid_of_schema(&self.context.relations(), name),
            oid => oid,
        };
        (oid != 0).then_some(oid)
    }

    fn schema_name(&self, oid: u32) -> Option<String> {
        if oid == PUBLIC {
            return Some("public".to_owned());
        }
        let fixed = ["pg_catalog", "pg_toast", "pgspool", "information_schema"];
        if let Some(name) = fixed.into_iter().find(|name| fixed_schema(name) == oid) {
            return Some(name.to_owned());
        }
        let set = self.context.relations();
        let found = set.schemas.iter().find(|schema| schema.oid == oid);
        found.map(|schema| schema.name.clone())
    }

    /// Schemas that are searched for a name without one, in order.
    fn searched(&self) -> &[String] {
        self.context.search_path()
    }

    fn relation_in(&self, schema: &str, name: &str) -> Option<u32> {
        if let Some(view) = views::find(schema, name) {
            return Some(view.oid);
        }
        let set = self.context.relations();
        for relation in set
            .relations
            .iter()
            .filter(|relation| relation.schema == schema)
        {
            if relation.name == name {
                return Some(relation.oid);
            }
            if let Some(key) = relation.keys.iter().find(|key| key.name == name) {
                return Some(key.index_oid);
            }
        }
        None
    }

    fn relation_named(&self, oid: u32) -> Option<Found> {
        if let Some(view) = views::all().iter().find(|view| view.oid == oid) {
            return Some(Found {
                schema: view.schema.to_owned(),
                name: view.name.to_owned(),
            });
        }
        let set = self.context.relations();
        for relation in &set.relations {
            let key = relation.keys.iter().find(|key| key.index_oid == oid);
            let name = match key {
                Some(key) => &key.name,
                None if relation.oid == oid => &relation.name,
                None => continue,
            };
            return Some(Found {
                schema: relation.schema.clone(),
                name: name.clone(),
            });
        }
        None
    }

    /// Whether a relation is what its name means without a schema; `None` if there is none.
    pub(in crate::catalog) fn relation_is_visible(&self, oid: u32) -> Option<bool> {
        let found = self.relation_named(oid)?;
        Some(self.relation_of(None, &found.name) == Some(oid))
    }

    fn relation_of(&self, schema: Option<&str>, name: &str) -> Option<u32> {
        match schema {
            Some(schema) => self.relation_in(schema, name),
            None => self
                .searched()
                .iter()
                .find_map(|schema| self.relation_in(schema, name)),
        }
    }

    fn relation_text(&self, oid: u32) -> Option<String> {
        let found = self.relation_named(oid)?;
        let name = quote_ident(&found.name);
        if self.relation_of(None, &found.name) == Some(oid) {
            return Some(name);
        }
        Some(format!("{}.{name}", quote_ident(&found.schema)))
    }

    fn role_oid(&self, name: &str) -> Option<u32> {
        let roles = roles_by_oid(self.context);
        roles
            .into_iter()
            .find(|(_, role)| role == name)
            .map(|(oid, _)| oid)
    }

    /// The name of a role.
    pub(in crate::catalog) fn role_name(&self, oid: u32) -> Option<String> {
        let roles = roles_by_oid(self.context);
        roles
            .into_iter()
            .find(|(known, _)| *known == oid)
            .map(|(_, name)| name)
    }

    /// A type's name as `format_type` prints it, those of tables' rows too.
    pub(in crate::catalog) fn type_name(&self, ty: PgType, typmod: i32) -> Option<String> {
        if info(ty).is_some() {
            return Some(format_type(ty, typmod));
        }
        views::name_of_made_type(self.context, ty)
    }
}

/// The input and output functions that types name, which SQL may not call here.
fn type_functions() -> impl Iterator<Item = ProcRef> {
    all_types()
        .iter()
        .flat_map(|ty| {
            [
                ty.input,
                ty.output,
                ty.receive,
                ty.send,
                ty.modin,
                ty.modout,
                ty.analyze,
                ty.subscript,
            ]
        })
        .filter(|function| function.oid != 0)
}

fn function_name(oid: u32) -> Option<String> {
    if let Some(function) = by_oid(oid) {
        return Some(match function.schema {
            "pg_catalog" => quote_ident(function.name),
            schema => format!("{}.{}", quote_ident(schema), quote_ident(function.name)),
        });
    }
    type_functions()
        .find(|function| function.oid == oid)
        .map(|found| found.name.to_owned())
}

/// The only function of that name.
fn function_oid(schema: Option<&str>, name: &str) -> Option<u32> {
    match find(schema, name) {
        [only] => Some(only.oid),
        [] if schema.is_none_or(|schema| schema == "pg_catalog") => type_functions()
            .find(|function| function.name == name)
            .map(|found| found.oid),
        _ => None,
    }
}

/// `lower(text)`
pub(super) fn signature(function: &Function) -> String {
    let args: Vec<String> = function
        .args
        .iter()
        .map(|ty| format_type(*ty, -1))
        .collect();
    format!(
        "{}({})",
        function_name(function.oid).unwrap_or_default(),
        args.join(",")
    )
}

fn procedure_oid(text: &str) -> Option<u32> {
    let (name, args) = text.strip_suffix(')')?.split_once('(')?;
    let (schema, name) = split_name(name)?;
    let args: Option<Vec<PgType>> = args
        .split(',')
        .filter(|arg| !arg.trim().is_empty())
        .map(|arg| parse_type_name(arg).ok().map(|(ty, _)| ty))
        .collect();
    let args = args?;
    let schema = schema.as_deref();
    let found = all().iter().find(|function| {
        function.name == name
            && function.schema == schema.unwrap_or("pg_catalog")
            && function.args == args.as_slice()
    });
    found.map(|function| function.oid)
}

/// A name with its schema, quotes taken off and case folded.
pub(super) fn split_name(text: &str) -> Option<(Option<String>, String)> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.trim();
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut characters = quoted.chars();
            loop {
                match characters.next()? {
                    '"' if characters.as_str().starts_with('"') => {
                        characters.next();
                        part.push('"');
                    }
                    '"' => break,
                    plain => part.push(plain),
                }
            }
            parts.push(part);
            rest = characters.as_str();
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if part.is_empty() {
                return None;
            }
            parts.push(part.to_lowercase());
            rest = after;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => break,
            None => return None,
        }
    }
    let name = parts.pop()?;
    let schema = parts.pop();
    parts.is_empty().then_some((schema, name))
}

impl Names for CatalogNames<'_> {
    fn name_of(&self, ty: PgType, oid: u32) -> Option<String> {
        match ty {
            PgType::REGCLASS => self.relation_text(oid),
            PgType::REGTYPE => self.type_name(PgType(oid), -1),
            PgType::REGPROC => function_name(oid),
            PgType::REGPROCEDURE => by_oid(oid).map(signature),
            PgType::REGNAMESPACE => self.schema_name(oid).map(|name| quote_ident(&name)),
            PgType::REGROLE => self.role_name(oid).map(|name| quote_ident(&name)),
            _ => None,
        }
    }

    fn oid_of(&self, ty: PgType, name: &str) -> Option<u32> {
        match ty {
            PgType::REGTYPE => return parse_type_name(name).ok().map(|(ty, _)| ty.0),
            PgType::REGPROCEDURE => return procedure_oid(name),
            _ => {}
        }
        let (schema, name) = split_name(name)?;
        match ty {
            PgType::REGCLASS => self.relation_of(schema.as_deref(), &name),
            PgType::REGPROC => function_oid(schema.as_deref(), &name),
            PgType::REGNAMESPACE if schema.is_none() => self.schema_oid(&name),
            PgType::REGROLE if schema.is_none() => self.role_oid(&name),
            _ => None,
        }
    }
}
