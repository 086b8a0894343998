//! Constants: PostgreSQL's literals, and values written into SQLite's text.

use sqlparser::ast::Value;

use super::super::{Binder, Node, Typed, unsupported};
use crate::datum::{self, Datum, PgType};
use crate::pgerror::PgError;

impl Typed {
    /// SQLite text of type `ty`.
    pub(in crate::catalog) fn of(sql: impl Into<String>, ty: PgType) -> Self {
        Self::with(Node::Sql(sql.into()), ty)
    }

    pub(super) fn with(node: Node, ty: PgType) -> Self {
        Self {
            node,
            ty,
            typmod: -1,
            origin: (0, 0),
        }
    }

    /// Its SQLite text; NULL for what has no type yet.
    pub(in crate::catalog) fn text(&self) -> &str {
        match &self.node {
            Node::Sql(sql) => sql,
            Node::Literal(_) | Node::Null | Node::Param(_) => "NULL",
        }
    }

    /// Whether its type is still open.
    pub(in crate::catalog) fn is_unknown(&self) -> bool {
        self.ty == PgType::UNKNOWN
    }
}

impl Binder<'_> {
    /// A literal or a parameter.
    #[allow(clippy::wildcard_enum_match_arm)] // the parser knows the literals of many databases
    pub(super) fn literal(&self, value: &Value) -> Result<Typed, PgError> {
        match value {
            Value::Number(text, false) => self.number(text),
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => string(text),
            Value::DollarQuotedString(quoted) => string(&quoted.value),
            Value::Boolean(true) => Ok(Typed::of("1", PgType::BOOL)),
            Value::Boolean(false) => Ok(Typed::of("0", PgType::BOOL)),
            Value::Null => Ok(Typed::with(Node::Null, PgType::UNKNOWN)),
            Value::Placeholder(name) => self.parameter(name),
            Value::HexStringLiteral(_) | Value::SingleQuotedByteStringLiteral(_) => {
                Err(unsupported("a bit string"))
            }
            other => Err(PgError::syntax(&other.to_string())),
        }
    }

    /// A number: of the smallest of int4, int8 and numeric that holds it.
    pub(super) fn number(&self, text: &str) -> Result<Typed, PgError> {
        let Ok(number) = text.parse::<i64>() else {
            return self.constant(PgType::NUMERIC, text);
        };
        let small = i32::try_from(number).is_ok();
        let ty = if small { PgType::INT4 } else { PgType::INT8 };
        Ok(Typed::of(sql_of(&Datum::Int(number)), ty))
    }

    fn parameter(&self, name: &str) -> Result<Typed, PgError> {
        let missing = || PgError::error("42P02", format!("there is no parameter {name}"));
        let number: usize = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| PgError::syntax(name))?;
        if number == 0 || number > usize::from(u16::MAX) {
            return Err(missing());
        }
        let mut params = self.params.borrow_mut();
        if number > params.len() && self.params_are_known.get() {
            return Err(missing());
        }
        if params.len() < number {
            params.resize(number, None);
        }
        Ok(
            match params.get(number.saturating_sub(1)).copied().flatten() {
                Some(ty) => Typed::of(format!("?{number}"), ty),
                None => Typed::with(Node::Param(number), PgType::UNKNOWN),
            },
        )
    }

    /// `text` as a constant of type `ty`.
    pub(super) fn constant(&self, ty: PgType, text: &str) -> Result<Typed, PgError> {
        let names = crate::catalog::functions::CatalogNames::new(self.context);
        let value = datum::text_in(ty, text, &names, self.context.style())?;
        Ok(Typed::of(sql_of(&value), ty))
    }
}

fn string(text: &str) -> Result<Typed, PgError> {
    if text.contains('\0') {
        let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
        return Err(PgError::error("22021", message));
    }
    Ok(Typed::with(Node::Literal(text.to_owned()), PgType::UNKNOWN))
}

/// A value as SQLite's text has it.
pub(in crate::catalog) fn sql_of(value: &Datum) -> String {
    match value {
        Datum::Null => "NULL".to_owned(),
        // Its digits alone would be read as a float.
        Datum::Int(i64::MIN) => "(-9223372036854775807-1)".to_owned(),
        Datum::Int(number) if *number < 0 => format!("({number})"),
        Datum::Int(number) => number.to_string(),
        // SQLite has no NaN; as a text it is above every number.
        Datum::Float(number) if number.is_nan() => "'NaN'".to_owned(),
        Datum::Float(number) if *number == f64::INFINITY => "9e999".to_owned(),
        Datum::Float(number) if *number == f64::NEG_INFINITY => "(-9e999)".to_owned(),
        Datum::Float(number) if number.is_sign_negative() => format!("({number:e})"),
        Datum::Float(number) => format!("{number:e}"),
        Datum::Text(text) => quoted(text),
        Datum::Bytes(bytes) => format!("X'{}'", hex::encode(bytes)),
    }
}

/// `text` as a string of SQLite.
pub(in crate::catalog) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
