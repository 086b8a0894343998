//! PostgreSQL's rule for the name of a column that was given none.

use sqlparser::ast::{AccessExpr, Expr, SelectItem, SetExpr};

use super::types;

/// The name of the column that `e` makes.
pub(in crate::catalog) fn heading(e: &Expr) -> String {
    named(e).0.unwrap_or_else(|| "?column?".to_owned())
}

/// A name, and whether it is a strong one: a cast's type is weak, it gives way to what is inside.
#[allow(clippy::wildcard_enum_match_arm)] // what is not named has no name
fn named(e: &Expr) -> (Option<String>, bool) {
    let strong = |name: &str| (Some(name.to_owned()), true);
    match e {
        Expr::Identifier(ident) => (Some(types::folded(ident)), true),
        Expr::CompoundIdentifier(idents) => (idents.last().map(types::folded), true),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some(types::folded(ident)),
                AccessExpr::Dot(_) | AccessExpr::Subscript(_) => None,
            });
            match field {
                Some(field) => (Some(field), true),
                None => named(root),
            }
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => named(inner),
        Expr::Function(function) => called(function),
        Expr::Cast {
            expr, data_type, ..
        } => {
            let inner = named(expr);
            if inner.0.is_some() && inner.1 {
                return inner;
            }
            (type_name(data_type), false)
        }
        Expr::TypedString(typed) => (type_name(&typed.data_type), false),
        Expr::Interval(_) => (Some("interval".to_owned()), false),
        Expr::Case { else_result, .. } => {
            let inner = else_result.as_deref().map_or((None, false), named);
            if inner.0.is_some() && inner.1 {
                return inner;
            }
            (Some("case".to_owned()), false)
        }
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Subquery(query) => match query.body.as_ref() {
            SetExpr::Select(select) => match select.projection.first() {
                Some(SelectItem::UnnamedExpr(e)) => named(e),
                Some(SelectItem::ExprWithAlias { alias, .. }) => (Some(types::folded(alias)), true),
                _ => (None, false),
            },
            _ => (None, false),
        },
        Expr::Extract { .. } => strong("extract"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Position { .. } => strong("position"),
        Expr::Substring {
            shorthand: false, ..
        } => strong("substring"),
        Expr::Substring { .. } => strong("substr"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            None | Some(sqlparser::ast::TrimWhereField::Both) => "btrim",
            Some(sqlparser::ast::TrimWhereField::Leading) => "ltrim",
            Some(sqlparser::ast::TrimWhereField::Trailing) => "rtrim",
        }),
        _ => (None, false),
    }
}

fn called(function: &sqlparser::ast::Function) -> (Option<String>, bool) {
    let name = function
        .name
        .0
        .last()
        .and_then(|part| part.as_ident())
        .map(types::folded);
    let Some(name) = name else {
        return (None, false);
    };
    // A keyword's name is PostgreSQL's for the function behind it.
    (Some(name), true)
}

fn type_name(data_type: &sqlparser::ast::DataType) -> Option<String> {
    let (ty, _) = types::named(data_type).ok()?;
    // An array's cast is named by its element.
    let ty = match types::element_of(ty) {
        Some(element)
            if !matches!(
                ty,
                crate::datum::PgType::INT2VECTOR | crate::datum::PgType::OIDVECTOR
            ) =>
        {
            element
        }
        Some(_) | None => ty,
    };
    Some(types::short_name(ty).to_owned())
}
