//! What is made of comparisons: BETWEEN, IN, IS DISTINCT FROM, rows, LIKE, and tests of NULL and
//! truth.

use sqlparser::ast::{Expr, Query, Spanned, UnaryOperator};

use super::super::{Binder, Node, Scope, Typed, unsupported};
use super::apply::Applied;
use super::coerce::Coercion;
use crate::datum::PgType;
use crate::pgerror::PgError;

/// A test behind IS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Is {
    /// What stands behind IS in SQLite's text.
    pub(super) sql: &'static str,
    /// The same as PostgreSQL's errors say it; `None` if any type will do.
    pub(super) boolean: Option<&'static str>,
}

impl Binder<'_> {
    /// `e IS [NOT] NULL`, `TRUE`, `FALSE`, `UNKNOWN`
    pub(super) fn is(&self, scope: &Scope<'_>, e: &Expr, test: Is) -> Result<Typed, PgError> {
        if let Some(fields) = row_of(e) {
            return self.is_row(scope, &fields, test);
        }
        let value = match test.boolean {
            Some(words) => self.condition(scope, e, words)?,
            None => match self.expr(scope, e)? {
                // This tells nothing of its type: it must be known from elsewhere.
                Typed {
                    node: Node::Param(number),
                    ..
                } => format!("?{number}"),
                value => self.settled(value)?.text().to_owned(),
            },
        };
        Ok(Typed::of(format!("({value} {})", test.sql), PgType::BOOL))
    }

    /// `(a, b) IS [NOT] NULL`: of every field.
    fn is_row(&self, scope: &Scope<'_>, fields: &[&Expr], test: Is) -> Result<Typed, PgError> {
        if test.boolean.is_some() {
            return Err(unsupported("a row tested with IS"));
        }
        let mut tests = Vec::with_capacity(fields.len());
        for field in fields {
            tests.push(self.is(scope, field, test)?.text().to_owned());
        }
        Ok(Typed::of(
            format!("({})", tests.join(" AND ")),
            PgType::BOOL,
        ))
    }

    /// `left IS [NOT] DISTINCT FROM right`
    pub(super) fn distinct_from(
        &self,
        scope: &Scope<'_>,
        left: &Expr,
        right: &Expr,
        negated: bool,
    ) -> Result<Typed, PgError> {
        let one = self.expr(scope, left)?;
        let other = self.expr(scope, right)?;
        let applied = self.operator("=", Some(one), other);
        let applied = applied.map_err(|error| self.at_operator(left, "is", right, error))?;
        let right_text = applied.right.text();
        let sql = if applied.native.is_some() {
            let word = if negated { "IS" } else { "IS NOT" };
            format!("({} {word} {right_text})", applied.left_key())
        } else {
            let left_text = applied.left.as_ref().map_or("NULL", Typed::text);
            let not = if negated { "" } else { "NOT " };
            // Where one is NULL, so is the comparison.
            format!(
                "({not}coalesce({}, {left_text} IS NULL AND {right_text} IS NULL))",
                applied.sql
            )
        };
        Ok(Typed::of(sql, PgType::BOOL))
    }

    /// `e [NOT] BETWEEN low AND high`
    pub(super) fn between(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        bounds: (&Expr, &Expr),
        negated: bool,
    ) -> Result<Typed, PgError> {
        let volatile = self.num_volatile.get();
        let value = self.expr(scope, e)?;
        let repeated = self.num_volatile.get() > volatile;
        let compare = |symbol: &str, bound: &Expr| {
            let bound_value = self.expr(scope, bound)?;
            let applied = self.operator(symbol, Some(value.clone()), bound_value);
            applied.map_err(|error| self.at_operator(e, "between", bound, error))
        };
        if let Some(low) = symmetric_bound(bounds.0) {
            if repeated {
                return Err(unsupported("BETWEEN SYMMETRIC over a volatile function"));
            }
            let between = |low: &Expr, high: &Expr| {
                let (low, high) = (compare(">=", low)?, compare("<=", high)?);
                Ok::<_, PgError>(format!("({} AND {})", low.sql, high.sql))
            };
            let (rising, falling) = (between(&low, bounds.1)?, between(bounds.1, &low)?);
            let not = if negated { "NOT " } else { "" };
            return Ok(Typed::of(
                format!("({not}({rising} OR {falling}))"),
                PgType::BOOL,
            ));
        }
        let low = compare(">=", bounds.0)?;
        let high = compare("<=", bounds.1)?;
        let not = if negated { "NOT " } else { "" };
        let once =
            low.native.is_some() && low.native == high.native && low.left_key() == high.left_key();
        let sql = if once {
            format!(
                "({} {not}BETWEEN {} AND {})",
                low.left_key(),
                low.right.text(),
                high.right.text()
            )
        } else if repeated {
            return Err(unsupported(
                "BETWEEN over a volatile function and mixed types",
            ));
        } else {
            format!("({not}({} AND {}))", low.sql, high.sql)
        };
        Ok(Typed::of(sql, PgType::BOOL))
    }

    /// `e [NOT] IN (list)`
    pub(super) fn in_list(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Typed, PgError> {
        let not = if negated { "NOT " } else { "" };
        if matches!(e, Expr::Tuple(_)) {
            let mut texts = Vec::with_capacity(list.len());
            for row in list {
                let equal = self
                    .compared_rows(scope, e, "=", row)?
                    .ok_or_else(|| unsupported("a row compared to something else"))?;
                texts.push(equal.text().to_owned());
            }
            return Ok(Typed::of(
                format!("({not}({}))", texts.join(" OR ")),
                PgType::BOOL,
            ));
        }
        let volatile = self.num_volatile.get();
        let value = self.expr(scope, e)?;
        let repeated = self.num_volatile.get() > volatile;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.expr(scope, item)?);
        }
        let value = self.typed_by(value, &items)?;
        let mut equals: Vec<Applied> = Vec::with_capacity(items.len());
        for (item, expr) in items.into_iter().zip(list) {
            let equal = self.operator("=", Some(value.clone()), item);
            equals.push(equal.map_err(|error| self.at_operator(e, "in", expr, error))?);
        }
        self.any_equal(&equals, repeated, not)
    }

    /// An untyped value among typed ones has their common type.
    fn typed_by(&self, value: Typed, items: &[Typed]) -> Result<Typed, PgError> {
        if !value.is_unknown() {
            return Ok(value);
        }
        let ty = self.common_type("IN", items.iter().map(|item| item.ty))?;
        self.coerce(value, ty, Coercion::Implicit)
    }

    fn any_equal(&self, equals: &[Applied], repeated: bool, not: &str) -> Result<Typed, PgError> {
        let key = equals.first().map(Applied::left_key).unwrap_or_default();
        let once = equals
            .iter()
            .all(|equal| equal.native.is_some() && equal.left_key() == key);
        let sql = if once {
            let texts: Vec<&str> = equals.iter().map(|equal| equal.right.text()).collect();
            format!("({key} {not}IN ({}))", texts.join(", "))
        } else if repeated {
            return Err(unsupported("IN over a volatile function and mixed types"));
        } else {
            let texts: Vec<&str> = equals.iter().map(|equal| equal.sql.as_str()).collect();
            format!("({not}({}))", texts.join(" OR "))
        };
        Ok(Typed::of(sql, PgType::BOOL))
    }

    /// A comparison between rows; `None` if neither is one.
    pub(super) fn compared_rows(
        &self,
        scope: &Scope<'_>,
        left: &Expr,
        symbol: &str,
        right: &Expr,
    ) -> Result<Option<Typed>, PgError> {
        let (Some(one), Some(other)) = (row_of(left), row_of(right)) else {
            return Ok(None);
        };
        if one.len() != other.len() {
            let message = "unequal number of entries in row expressions";
            return Err(self.at_operator(left, symbol, right, PgError::error("42601", message)));
        }
        let strict = match symbol {
            "=" | "<>" => symbol,
            "<" | "<=" => "<",
            ">" | ">=" => ">",
            _ => {
                let message = format!(
                    "could not determine interpretation of row comparison operator {symbol}"
                );
                return Err(PgError::unsupported(message).with_hint(
                    "Row comparison operators must be associated with btree operator families.",
                ));
            }
        };
        let mut pairs = Vec::with_capacity(one.len());
        for (a, b) in one.iter().zip(other) {
            pairs.push((self.expr(scope, a)?, self.expr(scope, b)?));
        }
        let compare = |symbol: &str, (a, b): &(Typed, Typed)| {
            Ok::<String, PgError>(self.operator(symbol, Some(a.clone()), b.clone())?.sql)
        };
        let mut sql = String::new();
        for (index, pair) in pairs.iter().enumerate().rev() {
            let last = index.saturating_add(1) == pairs.len();
            sql = match symbol {
                "=" if last => compare("=", pair)?,
                "=" => format!("({} AND {sql})", compare("=", pair)?),
                "<>" if last => compare("<>", pair)?,
                "<>" => format!("({} OR {sql})", compare("<>", pair)?),
                _ if last => compare(symbol, pair)?,
                // The first pair that is not equal decides; NULL there is NULL.
                _ => format!(
                    "CASE WHEN {} THEN {sql} ELSE {} END",
                    compare("=", pair)?,
                    compare(strict, pair)?
                ),
            };
        }
        Ok(Some(Typed::of(sql, PgType::BOOL)))
    }

    /// `e [NOT] IN (SELECT ...)`
    pub(super) fn in_subquery(
        &self,
        scope: &Scope<'_>,
        e: &Expr,
        query: &Query,
        negated: bool,
    ) -> Result<Typed, PgError> {
        let values: Vec<Typed> = match row_of(e) {
            Some(items) => {
                let items: Result<_, _> = items.iter().map(|item| self.expr(scope, item)).collect();
                items?
            }
            None => vec![self.expr(scope, e)?],
        };
        let found = self.query(scope, query)?;
        if found.columns.len() != values.len() {
            let message = if found.columns.len() > values.len() {
                "subquery has too many columns"
            } else {
                "subquery has too few columns"
            };
            return Err(self.at(e.span(), PgError::error("42601", message)));
        }
        let table = self.fresh("q");
        let mut keys = Vec::new();
        let mut columns = Vec::new();
        for ((value, column), number) in values.into_iter().zip(&found.columns).zip(1..) {
            let item = Typed::of(format!("{table}.c{number}"), column.column_type);
            let equal = self.operator("=", Some(value), item);
            let equal = equal.map_err(|error| self.at_word_behind(e, "in", error))?;
            if equal.native.is_none() {
                return Err(unsupported("IN over a subquery of this type"));
            }
            keys.push(equal.left_key());
            columns.push(equal.right.text().to_owned());
        }
        let not = if negated { "NOT " } else { "" };
        let left = match keys.as_slice() {
            [one] => one.clone(),
            _ => format!("({})", keys.join(", ")),
        };
        let sql = format!(
            "({left} {not}IN (SELECT {} FROM ({}) AS {table}))",
            columns.join(", "),
            found.sql
        );
        Ok(Typed::of(sql, PgType::BOOL))
    }

    /// `e [NOT] LIKE pattern [ESCAPE c]`, ILIKE, and both with ANY.
    #[allow(clippy::wildcard_enum_match_arm)] // only these two come here
    pub(super) fn like(&self, scope: &Scope<'_>, like: &Expr) -> Result<Typed, PgError> {
        let (negated, any, e, pattern, escape, case) = match like {
            Expr::Like {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => (*negated, *any, expr, pattern, escape_char, ""),
            Expr::ILike {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => (*negated, *any, expr, pattern, escape_char, "*"),
            _ => return Err(unsupported("this LIKE")),
        };
        let not = if negated { "!" } else { "" };
        let symbol = format!("{not}~~{case}");
        if any && escape.is_none() {
            return self.quantified(scope, e, &symbol, pattern, false);
        }
        if any {
            return Err(unsupported("LIKE ANY with ESCAPE"));
        }
        let value = self.expr(scope, e)?;
        let mut pattern_value = self.expr(scope, pattern)?;
        if let Some(escape) = escape {
            let escape = self.literal(&escape.value)?;
            let text = PgType::TEXT;
            let what = self.coerce(pattern_value, text, Coercion::Implicit)?;
            let escape = self.coerce(escape, text, Coercion::Implicit)?;
            let args = [what.text(), escape.text()];
            pattern_value = Typed::of(self.internal("like_escape", &[text, text], &args)?, text);
        }
        let applied = self.operator(&symbol, Some(value), pattern_value);
        Ok(applied
            .map_err(|error| self.at_operator(e, "like", pattern, error))?
            .typed())
    }
}

/// The fields of `(a, b)` and `ROW(a, b)`.
pub(super) fn row_of(e: &Expr) -> Option<Vec<&Expr>> {
    if let Expr::Tuple(items) = e {
        return Some(items.iter().collect());
    }
    let Expr::Function(function) = e else {
        return None;
    };
    if !function.name.to_string().eq_ignore_ascii_case("row") {
        return None;
    }
    super::arguments::plain_arguments(&function.args)
}

/// The low bound of a BETWEEN SYMMETRIC, which the parser was given with a mark in front.
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows expressions of many databases
fn symmetric_bound(low: &Expr) -> Option<Expr> {
    let mut bound = low.clone();
    let mut first = &mut bound;
    loop {
        match first {
            Expr::UnaryOp {
                op: UnaryOperator::PGPrefixFactorial,
                expr,
            } => {
                *first = std::mem::replace(expr, Expr::Tuple(Vec::new()));
                return Some(bound);
            }
            Expr::BinaryOp { left, .. } => first = left,
            Expr::Cast { expr, .. }
            | Expr::AtTimeZone {
                timestamp: expr, ..
            }
            | Expr::Collate { expr, .. } => first = expr,
            Expr::CompoundFieldAccess { root, .. } => first = root,
            _ => return None,
        }
    }
}
