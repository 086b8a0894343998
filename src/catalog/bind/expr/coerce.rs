//! Give an expression the type that its surroundings ask for.

use sqlparser::ast::{CastKind, DataType, Expr, Spanned};

use super::super::{Binder, Node, Scope, Typed};
use super::casts::{self, Method};
use super::{runtime, types};
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;

/// What asks for a coercion: more is allowed from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::catalog) enum Coercion {
    /// An operator, a function, a condition.
    Implicit,
    /// A value for a column.
    Assignment,
    /// A cast that was written.
    Explicit,
}

impl Binder<'_> {
    /// `value` as one of type `to`.
    pub(in crate::catalog) fn coerce(
        &self,
        value: Typed,
        to: PgType,
        how: Coercion,
    ) -> Result<Typed, PgError> {
        let to = match to {
            PgType::UNKNOWN | PgType::ANY | PgType::ANYELEMENT | PgType::ANYNONARRAY => {
                if !value.is_unknown() {
                    return Ok(value);
                }
                PgType::TEXT
            }
            _ => to,
        };
        match value.node {
            Node::Literal(text) => self.constant(to, &text),
            Node::Null => Ok(Typed::of("NULL", to)),
            Node::Param(number) => self.fix_parameter(number, to),
            Node::Sql(_) if value.ty == to => Ok(value),
            Node::Sql(_) if value.ty == PgType::UNKNOWN => {
                let text = Typed {
                    ty: PgType::TEXT,
                    ..value
                };
                self.coerce(text, to, Coercion::Explicit)
            }
            Node::Sql(ref sql) => {
                let method =
                    casts::find(value.ty, to, how).ok_or_else(|| cannot_cast(value.ty, to))?;
                Ok(Typed::of(self.cast_text(sql, value.ty, to, method)?, to))
            }
        }
    }

    /// `value` with a type: what has none is text.
    pub(in crate::catalog) fn settled(&self, value: Typed) -> Result<Typed, PgError> {
        if value.is_unknown() {
            return self.coerce(value, PgType::TEXT, Coercion::Implicit);
        }
        Ok(value)
    }

    fn fix_parameter(&self, number: usize, ty: PgType) -> Result<Typed, PgError> {
        let mut params = self.params.borrow_mut();
        let index = number.saturating_sub(1);
        if params.len() < number {
            params.resize(number, None);
        }
        let slot = params.get_mut(index);
        let Some(slot) = slot else {
            return Err(PgError::error(
                "42P02",
                format!("there is no parameter ${number}"),
            ));
        };
        let known = *slot.get_or_insert(ty);
        if known != ty {
            let message = format!("inconsistent types deduced for parameter ${number}");
            let detail = format!("{} versus {}", types::display(known), types::display(ty));
            return Err(PgError::error("42P08", message).with_detail(detail));
        }
        Ok(Typed::of(format!("?{number}"), ty))
    }

    /// What stands for the cast of `sql` from `from` to `to`.
    fn cast_text(
        &self,
        sql: &str,
        from: PgType,
        to: PgType,
        method: Method,
    ) -> Result<String, PgError> {
        Ok(match method {
            Method::Same => sql.to_owned(),
            Method::Template(template) => filled(template, &[sql]),
            Method::Code => format!("{}({}, {}, {sql})", runtime::CAST, from.0, to.0),
            Method::Function(name) => self.internal(name, &[from], &[sql])?,
            Method::Text => text_cast(sql, from, to),
            Method::Elements => format!("{}({}, {}, {sql})", runtime::CAST_ARRAY, from.0, to.0),
        })
    }

    /// `CAST(e AS t)` and `e::t`.
    pub(super) fn cast(
        &self,
        scope: &Scope<'_>,
        kind: &CastKind,
        e: &Expr,
        data_type: &DataType,
    ) -> Result<Typed, PgError> {
        let colons = *kind == CastKind::DoubleColon;
        let word = if colons { "::" } else { "as" };
        let named = types::named(data_type);
        let (to, typmod) = named.map_err(|error| self.at_cast_type(e, word, error))?;
        if let Expr::Array(array) = e
            && let Some(element) = types::element_of(to)
        {
            return self.array_of_type(scope, &array.elem, element);
        }
        let value = self.expr(scope, e)?;
        self.cast_to(value, to, typmod).map_err(|error| {
            if error.code() != "42846" {
                return self.at(e.span(), error);
            }
            if colons {
                self.at_word_behind(e, "::", error)
            } else {
                self.at_prefix("cast", e, error)
            }
        })
    }

    /// An explicit cast to a type with its modifier.
    pub(in crate::catalog) fn cast_to(
        &self,
        value: Typed,
        to: PgType,
        typmod: i32,
    ) -> Result<Typed, PgError> {
        let literal = matches!(value.node, Node::Literal(_));
        let value = self.coerce(value, to, Coercion::Explicit)?;
        if typmod < 0 {
            return Ok(value);
        }
        self.fit(value, typmod, literal)
    }

    /// `value` as an assignment to a column of that type and modifier takes it.
    pub(in crate::catalog) fn assign(
        &self,
        value: Typed,
        to: PgType,
        typmod: i32,
    ) -> Result<Typed, PgError> {
        let fits = value.ty == to && value.typmod == typmod;
        let value = self.coerce(value, to, Coercion::Assignment)?;
        if fits || typmod < 0 {
            return Ok(value);
        }
        let sql = format!(
            "{}({}, {typmod}, 0, {})",
            runtime::TYPMOD,
            to.0,
            value.text()
        );
        Ok(Typed {
            typmod,
            ..Typed::of(sql, to)
        })
    }

    /// Whether values of `from` become values of `to` by themselves.
    pub(in crate::catalog) fn is_implicit(from: PgType, to: PgType) -> bool {
        casts::find(from, to, Coercion::Implicit).is_some()
    }

    /// `value` fitted to its type's modifier.
    fn fit(&self, value: Typed, typmod: i32, literal: bool) -> Result<Typed, PgError> {
        let sql = if literal && let Some(constant) = constant_of(value.text()) {
            super::constants::sql_of(&datum::apply_typmod(value.ty, typmod, constant, true)?)
        } else {
            format!(
                "{}({}, {typmod}, 1, {})",
                runtime::TYPMOD,
                value.ty.0,
                value.text()
            )
        };
        Ok(Typed {
            typmod,
            ..Typed::of(sql, value.ty)
        })
    }

    /// A value of type `ty` from its text form, which some function of ours wrote.
    pub(in crate::catalog) fn read(&self, text: &str, ty: PgType) -> Typed {
        let sql = if prints_as_stored(ty) {
            text.to_owned()
        } else if is_plain_integer(ty) {
            format!("CAST({text} AS INTEGER)")
        } else {
            format!("{}({}, {text})", runtime::IN, ty.0)
        };
        Typed::of(sql, ty)
    }

    /// `value` in its type's text form.
    pub(super) fn as_text(&self, value: &Typed) -> String {
        text_cast(value.text(), value.ty, PgType::TEXT)
    }

    /// The type that all of `types` become: PostgreSQL's rule for UNION, CASE, VALUES and such;
    /// `what` names the construct in the error.
    pub(in crate::catalog) fn common_type(
        &self,
        what: &str,
        types: impl IntoIterator<Item = PgType>,
    ) -> Result<PgType, PgError> {
        let mut chosen = PgType::UNKNOWN;
        for ty in types {
            if ty == PgType::UNKNOWN || ty == chosen {
                continue;
            }
            if chosen == PgType::UNKNOWN {
                chosen = ty;
                continue;
            }
            if types::category(ty) != types::category(chosen) {
                let message = format!(
                    "{what} types {} and {} cannot be matched",
                    types::display(chosen),
                    types::display(ty)
                );
                return Err(PgError::error("42804", message));
            }
            let there = casts::find(chosen, ty, Coercion::Implicit).is_some();
            let back = casts::find(ty, chosen, Coercion::Implicit).is_some();
            if !types::is_preferred(chosen) && there && !back {
                chosen = ty;
            }
        }
        Ok(if chosen == PgType::UNKNOWN {
            PgType::TEXT
        } else {
            chosen
        })
    }

    /// The values as ones of their common type.
    pub(in crate::catalog) fn unify(
        &self,
        what: &str,
        values: Vec<Typed>,
    ) -> Result<(PgType, Vec<Typed>), PgError> {
        self.unify_at(what, values, &[])
    }
}

fn cannot_cast(from: PgType, to: PgType) -> PgError {
    let message = format!(
        "cannot cast type {} to {}",
        types::display(from),
        types::display(to)
    );
    PgError::error("42846", message)
}

/// Out as text, in as `to`.
fn text_cast(sql: &str, from: PgType, to: PgType) -> String {
    let out = if prints_as_stored(from) {
        sql.to_owned()
    } else if is_plain_integer(from) {
        format!("CAST({sql} AS TEXT)")
    } else {
        format!("{}({}, {sql})", runtime::OUT, from.0)
    };
    match to {
        PgType::TEXT | PgType::VARCHAR | PgType::BPCHAR => out,
        _ => format!("{}({}, {out})", runtime::IN, to.0),
    }
}

/// Types that print as the integers that they are kept as.
fn is_plain_integer(ty: PgType) -> bool {
    matches!(
        ty,
        PgType::INT2 | PgType::INT4 | PgType::INT8 | PgType::OID | PgType::XID | PgType::CID
    )
}

/// Types whose stored form is their text form.
fn prints_as_stored(ty: PgType) -> bool {
    types::is_string(ty)
        || types::element_of(ty).is_some()
        || matches!(
            ty,
            PgType::NUMERIC
                | PgType::JSON
                | PgType::JSONB
                | PgType::UUID
                | PgType::INET
                | PgType::PG_NODE_TREE
                | PgType::RECORD
                | PgType::UNKNOWN
        )
}

/// A constant's value, read back from its SQLite text.
fn constant_of(sql: &str) -> Option<Datum> {
    if let Some(inner) = sql
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return Some(Datum::Text(inner.replace("''", "'")));
    }
    let bare = sql.trim_start_matches('(').trim_end_matches(')');
    bare.parse().ok().map(Datum::Int)
}

/// `template` with `{0}`, `{1}`, ... replaced by `args`.
pub(super) fn filled(template: &str, args: &[&str]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let argument = from.find('}').and_then(|close| {
            let index: usize = from.get(1..close)?.parse().ok()?;
            Some((*args.get(index)?, from.get(close.saturating_add(1)..)?))
        });
        let Some((argument, after)) = argument else {
            out.push_str(from);
            return out;
        };
        out.push_str(argument);
        rest = after;
    }
    out.push_str(rest);
    out
}
