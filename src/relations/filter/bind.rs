//! Checks a filter against its table, decides the types, and prints it as PostgreSQL does.

use crate::datum::{PgType, format_type, quote_ident};

use crate::relations::Relation;
use crate::relations::draft::is_system_column;

use super::operators::{self, Resolved};
use super::print::literal;
use super::{FilterError, FilterExpr, FilterNode, casts, lists};

/// A filter that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::relations) struct BoundFilter {
    /// As PostgreSQL prints it.
    pub(in crate::relations) text: Option<String>,
    /// Numbers of the columns that it reads, in order.
    pub(in crate::relations) columns: Vec<i16>,
}

/// How many parentheses may stand in one another in a filter's text: who evaluates it walks that
/// deep for each row.
pub const MAX_NESTING: usize = 250;

/// How many parentheses of a filter's text stand in one another, outside of quotes.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let mut quote = None;
    for character in text.chars() {
        match (character, quote) {
            ('\'' | '"', None) => quote = Some(character),
            (_, Some(open)) if character == open => quote = None,
            ('(', None) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (')', None) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Checks `filter` against the table that it is for.
pub(in crate::relations) fn bind(
    filter: &FilterNode,
    relation: &Relation,
) -> Result<BoundFilter, FilterError> {
    let mut binder = Binder {
        relation,
        columns: Vec::new(),
    };
    let bound = binder.bind(filter)?;
    let bound = boolean(bound, "PUBLICATION WHERE")?;
    if nesting(&bound.text) > MAX_NESTING {
        let what = format!("more than {MAX_NESTING} parentheses in one another");
        return Err(unsupported(what, filter.position));
    }
    let mut columns = binder.columns;
    columns.sort_unstable();
    columns.dedup();
    Ok(BoundFilter {
        text: Some(bound.text),
        columns,
    })
}

/// A part that was checked, with its type.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// As PostgreSQL prints it; a literal without a type as it was written.
    pub(super) text: String,
    pub(super) ty: PgType,
    pub(super) form: Form,
    pub(super) position: u32,
}

/// What a part is, as far as that changes how others treat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Reads a column somewhere.
    Variable,
    /// Reads none.
    Constant,
    /// A string whose type is not known yet.
    UntypedText,
    /// NULL whose type is not known yet.
    UntypedNull,
}

impl Bound {
    pub(super) fn is_untyped(&self) -> bool {
        matches!(self.form, Form::UntypedText | Form::UntypedNull)
    }

    /// The same as a value of `ty`, which a literal without a type becomes.
    pub(super) fn typed(self, ty: PgType) -> Result<Self, FilterError> {
        let value = match self.form {
            Form::UntypedText => Some(self.text.as_str()),
            Form::UntypedNull => None,
            Form::Variable | Form::Constant => return Ok(self),
        };
        let position = self.position;
        let text =
            literal(ty, value).map_err(|source| FilterError::Literal { source, position })?;
        Ok(Self {
            text,
            ty,
            form: Form::Constant,
            position,
        })
    }

    /// The same cast to `ty`: a literal is read as one, anything else gets a cast.
    pub(super) fn cast(self, ty: PgType) -> Result<Self, FilterError> {
        if self.is_untyped() {
            return self.typed(ty);
        }
        if self.ty == ty {
            return Ok(self);
        }
        Ok(Self {
            text: format!("({})::{}", self.text, format_type(ty, -1)),
            ty,
            ..self
        })
    }
}

/// Either reads a column when one of its parts does.
pub(super) fn joined(left: Form, right: Form) -> Form {
    if left == Form::Variable || right == Form::Variable {
        Form::Variable
    } else {
        Form::Constant
    }
}

/// `part` as a boolean.
fn boolean(part: Bound, of: &str) -> Result<Bound, FilterError> {
    let position = part.position;
    let part = part.typed(PgType::BOOL)?;
    if part.ty == PgType::BOOL {
        return Ok(part);
    }
    Err(FilterError::NotBoolean {
        of: of.to_owned(),
        type_name: format_type(part.ty, -1),
        position,
    })
}

pub(super) fn unsupported(what: impl Into<String>, position: u32) -> FilterError {
    let what = what.into();
    FilterError::Unsupported { what, position }
}

struct Binder<'r> {
    relation: &'r Relation,
    columns: Vec<i16>,
}

impl Binder<'_> {
    fn bind(&mut self, node: &FilterNode) -> Result<Bound, FilterError> {
        let position = node.position;
        let constant = |text: String, ty, form| Bound {
            text,
            ty,
            form,
            position,
        };
        match &node.expr {
            FilterExpr::Column { table, name } => self.column(table.as_deref(), name, position),
            FilterExpr::Number(digits) => number(digits, position),
            FilterExpr::Text(text) => {
                Ok(constant(text.clone(), PgType::UNKNOWN, Form::UntypedText))
            }
            FilterExpr::Null => {
                let text = "NULL::unknown".to_owned();
                Ok(constant(text, PgType::UNKNOWN, Form::UntypedNull))
            }
            FilterExpr::Bool(value) => {
                Ok(constant(value.to_string(), PgType::BOOL, Form::Constant))
            }
            FilterExpr::Logic { and, operands } => self.logic(*and, operands, position),
            FilterExpr::Not(operand) => {
                let operand = boolean(self.bind(operand)?, "NOT")?;
                Ok(condition(
                    format!("(NOT {})", operand.text),
                    operand.form,
                    position,
                ))
            }
            FilterExpr::Operator { sign, left, right } => {
                let left = left.as_ref().map(|left| self.bind(left)).transpose()?;
                let right = self.bind(right)?;
                operators::resolve(sign, left, right, position).map(Resolved::print)
            }
            FilterExpr::IsNull { .. }
            | FilterExpr::IsBool { .. }
            | FilterExpr::IsDistinct { .. }
            | FilterExpr::In { .. }
            | FilterExpr::Between { .. } => self.test(&node.expr, position),
            FilterExpr::Cast {
                operand,
                target,
                typmod,
            } => casts::explicit(self.bind(operand)?, *target, *typmod, position),
        }
    }

    /// The tests that have words for operators.
    fn test(&mut self, expr: &FilterExpr, position: u32) -> Result<Bound, FilterError> {
        match expr {
            FilterExpr::IsNull { operand, negated } => {
                let operand = self.bind(operand)?;
                let text = match operand.form {
                    Form::UntypedText => super::print::quoted(&operand.text),
                    Form::Variable | Form::Constant | Form::UntypedNull => operand.text,
                };
                let test = if *negated { "IS NOT NULL" } else { "IS NULL" };
                Ok(condition(
                    format!("({text} {test})"),
                    operand.form,
                    position,
                ))
            }
            FilterExpr::IsBool { operand, test } => {
                let operand = boolean(self.bind(operand)?, &format!("IS {test}"))?;
                let text = format!("({} IS {test})", operand.text);
                Ok(condition(text, operand.form, position))
            }
            FilterExpr::IsDistinct {
                left,
                right,
                negated,
            } => {
                let (left, right) = (self.bind(left)?, self.bind(right)?);
                distinct(left, right, *negated, position)
            }
            FilterExpr::In {
                operand,
                list,
                negated,
            } => {
                let operand = self.bind(operand)?;
                let list: Result<Vec<Bound>, _> = list.iter().map(|item| self.bind(item)).collect();
                lists::bind(&operand, list?, *negated, position)
            }
            FilterExpr::Between {
                operand,
                low,
                high,
                negated,
            } => {
                let operand = self.bind(operand)?;
                let (low, high) = (self.bind(low)?, self.bind(high)?);
                between(&operand, low, high, *negated, position)
            }
            FilterExpr::Column { .. }
            | FilterExpr::Number(_)
            | FilterExpr::Text(_)
            | FilterExpr::Bool(_)
            | FilterExpr::Null
            | FilterExpr::Logic { .. }
            | FilterExpr::Not(_)
            | FilterExpr::Operator { .. }
            | FilterExpr::Cast { .. } => Err(unsupported("this", position)),
        }
    }

    fn column(
        &mut self,
        table: Option<&str>,
        name: &str,
        position: u32,
    ) -> Result<Bound, FilterError> {
        if let Some(table) = table.filter(|table| *table != self.relation.name) {
            let table = table.to_owned();
            return Err(FilterError::NoTable { table, position });
        }
        let Some(column) = self.relation.column(name) else {
            if is_system_column(name) {
                return Err(FilterError::SystemColumn { position });
            }
            let name = match table {
                Some(table) => format!("{table}.{name}"),
                None => name.to_owned(),
            };
            return Err(FilterError::NoColumn { name, position });
        };
        self.columns.push(column.attnum);
        Ok(Bound {
            text: quote_ident(&column.name),
            ty: column.column_type,
            form: Form::Variable,
            position,
        })
    }

    fn logic(
        &mut self,
        and: bool,
        operands: &[FilterNode],
        position: u32,
    ) -> Result<Bound, FilterError> {
        let word = if and { "AND" } else { "OR" };
        let mut texts = Vec::with_capacity(operands.len());
        let mut form = Form::Constant;
        for operand in operands {
            let operand = boolean(self.bind(operand)?, word)?;
            form = joined(form, operand.form);
            texts.push(operand.text);
        }
        let text = format!("({})", texts.join(&format!(" {word} ")));
        Ok(condition(text, form, position))
    }
}

/// A boolean.
pub(super) fn condition(text: String, form: Form, position: u32) -> Bound {
    Bound {
        text,
        ty: PgType::BOOL,
        form: joined(form, Form::Constant),
        position,
    }
}

/// A number has the smallest of the types int4, int8 and numeric that holds it.
fn number(digits: &str, position: u32) -> Result<Bound, FilterError> {
    let ty = if digits.parse::<i32>().is_ok() {
        PgType::INT4
    } else if digits.parse::<i64>().is_ok() {
        PgType::INT8
    } else {
        PgType::NUMERIC
    };
    let text =
        literal(ty, Some(digits)).map_err(|source| FilterError::Literal { source, position })?;
    Ok(Bound {
        text,
        ty,
        form: Form::Constant,
        position,
    })
}

fn distinct(left: Bound, right: Bound, negated: bool, position: u32) -> Result<Bound, FilterError> {
    // With a bare NULL it is another test.
    let null_test = |other: Bound| {
        let test = if negated { "IS NULL" } else { "IS NOT NULL" };
        Ok(condition(
            format!("({} {test})", other.text),
            other.form,
            position,
        ))
    };
    if right.form == Form::UntypedNull && left.form != Form::UntypedText {
        return null_test(left);
    }
    if left.form == Form::UntypedNull && right.form != Form::UntypedText {
        return null_test(right);
    }
    let resolved = operators::resolve("=", Some(left), right, position)?;
    let form = resolved.form();
    let text = resolved.print_with("IS DISTINCT FROM");
    let text = if negated {
        format!("(NOT {text})")
    } else {
        text
    };
    Ok(condition(text, form, position))
}

fn between(
    operand: &Bound,
    low: Bound,
    high: Bound,
    negated: bool,
    position: u32,
) -> Result<Bound, FilterError> {
    let (from, to, word) = if negated {
        ("<", ">", "OR")
    } else {
        (">=", "<=", "AND")
    };
    let low = operators::resolve(from, Some(operand.clone()), low, position)?.print();
    let high = operators::resolve(to, Some(operand.clone()), high, position)?.print();
    let form = joined(low.form, high.form);
    Ok(condition(
        format!("({} {word} {})", low.text, high.text),
        form,
        position,
    ))
}
