//! What stands between the operators of a row filter: signed and cast literals and columns.

use sqlparser::tokenizer::Token;

use crate::datum::PgType;
use crate::pgerror::PgError;
use crate::relations::{FilterError, FilterExpr, FilterNode};

use super::super::types;
use super::{Filter, node, not_simple, operator};

impl Filter<'_, '_> {
    pub(super) fn signed(&mut self) -> Result<FilterNode, PgError> {
        let position = self.cursor.position();
        let sign = match self.cursor.peek() {
            Some(Token::Minus) => "-",
            Some(Token::Plus) => "+",
            _ => return self.cast(),
        };
        self.cursor.advance();
        let operand = self.deeper(Self::signed)?;
        // A sign before a number is part of it.
        if let (FilterExpr::Number(digits), "-") = (&operand.expr, sign) {
            let negative = match digits.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{digits}"),
            };
            return Ok(node(FilterExpr::Number(negative), position));
        }
        Ok(operator(sign, None, operand, position))
    }

    fn cast(&mut self) -> Result<FilterNode, PgError> {
        let mut operand = self.primary()?;
        loop {
            let position = operand.position;
            if self.cursor.take_token(&Token::DoubleColon) {
                let typed = types::parse(self.cursor)?;
                operand = cast(operand, typed, position);
            } else if self.cursor.peek() == Some(&Token::LBracket) {
                return Err(not_simple(position));
            } else if self.cursor.peek() == Some(&Token::Caret) {
                return Err(self.unsupported("operator ^"));
            } else if self.cursor.peek_word().as_deref() == Some("collate") {
                return Err(self.unsupported("COLLATE"));
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Result<FilterNode, PgError> {
        let position = self.cursor.position();
        let expr = match self.cursor.peek() {
            Some(Token::Number(digits, _)) if digits.contains('_') => {
                let junk = format!("trailing junk after numeric literal at or near \"{digits}\"");
                return Err(PgError::error("42601", junk).at(position));
            }
            Some(Token::Number(digits, _)) => FilterExpr::Number(digits.clone()),
            Some(Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)) => {
                FilterExpr::Text(text.clone())
            }
            Some(Token::UnicodeStringLiteral(text)) => FilterExpr::Text(text.clone()),
            Some(Token::DollarQuotedString(quoted)) => FilterExpr::Text(quoted.value.clone()),
            Some(Token::Placeholder(name)) => {
                let message = format!("there is no parameter {name}");
                return Err(PgError::error("42P02", message).at(position));
            }
            Some(Token::LParen) => return self.parentheses(),
            Some(Token::Tilde) => return Err(self.unsupported("operator ~")),
            Some(Token::Word(_)) => return self.word(position),
            Some(_) | None => return Err(self.cursor.error()),
        };
        self.cursor.advance();
        Ok(node(expr, position))
    }

    fn parentheses(&mut self) -> Result<FilterNode, PgError> {
        let position = self.cursor.position();
        self.cursor.advance();
        if self.cursor.peek_word().as_deref() == Some("select") {
            return Err(not_simple(position));
        }
        let inner = self.deeper(Self::or)?;
        if self.cursor.peek() == Some(&Token::Comma) {
            return Err(self.unsupported("a row"));
        }
        self.cursor.expect_token(&Token::RParen)?;
        Ok(inner)
    }

    /// A column, TRUE, NULL, CAST, or a type before a literal.
    fn word(&mut self, position: u32) -> Result<FilterNode, PgError> {
        let second = self.cursor.peek_second();
        let word = self.cursor.peek_word().unwrap_or_default();
        let constant = match word.as_str() {
            "true" => Some(FilterExpr::Bool(true)),
            "false" => Some(FilterExpr::Bool(false)),
            "null" => Some(FilterExpr::Null),
            _ => None,
        };
        if let Some(expr) = constant {
            self.cursor.advance();
            return Ok(node(expr, position));
        }
        match word.as_str() {
            "cast" => return self.written_cast(position),
            "case" | "row" => return Err(self.unsupported(&word.to_uppercase())),
            "array" if second == Some(&Token::LBracket) => {
                return Err(self.unsupported("ARRAY"));
            }
            "exists" | "current_date" | "current_time" | "current_timestamp" | "current_user"
            | "current_role" | "session_user" | "user" | "localtime" | "localtimestamp"
            | "current_catalog" | "current_schema" => return Err(not_simple(position)),
            _ => {}
        }
        if second == Some(&Token::LParen) {
            return Err(self.function(&word, position));
        }
        if matches!(
            second,
            Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
        ) || matches!(word.as_str(), "double" | "timestamp" | "time" | "character")
            && matches!(second, Some(Token::Word(_)))
        {
            let typed = types::parse(self.cursor)?;
            let literal = self.primary()?;
            return Ok(cast(literal, typed, position));
        }
        self.column(position)
    }

    /// A function is nothing for a filter here; PostgreSQL allows those that depend on nothing.
    fn function(&mut self, name: &str, position: u32) -> PgError {
        const MUTABLE: &[&str] = &[
            "now",
            "random",
            "clock_timestamp",
            "statement_timestamp",
            "transaction_timestamp",
            "timeofday",
            "nextval",
            "currval",
            "setval",
            "lastval",
            "txid_current",
            "pg_current_xact_id",
            "pg_backend_pid",
            "inet_client_addr",
            "version",
            "age",
            "to_char",
            "to_date",
            "to_timestamp",
            "gen_random_uuid",
            "current_setting",
            "set_config",
            "pg_sleep",
        ];
        const AGGREGATES: &[&str] = &["count", "sum", "avg", "min", "max", "array_agg"];
        if AGGREGATES.contains(&name) {
            let message = "aggregate functions are not allowed in WHERE";
            return PgError::error("42803", message).at(position);
        }
        if MUTABLE.contains(&name) {
            return FilterError::Mutable { position }.into();
        }
        self.unsupported(&format!("function {name}()"))
    }

    fn written_cast(&mut self, position: u32) -> Result<FilterNode, PgError> {
        self.cursor.advance();
        self.cursor.expect_token(&Token::LParen)?;
        let operand = self.deeper(Self::or)?;
        self.cursor.expect("as")?;
        let typed = types::parse(self.cursor)?;
        self.cursor.expect_token(&Token::RParen)?;
        Ok(cast(operand, typed, position))
    }

    /// `column`, `table.column`, `schema.table.column`
    fn column(&mut self, position: u32) -> Result<FilterNode, PgError> {
        let mut name = self.cursor.name()?;
        let mut table = None;
        while self.cursor.take_token(&Token::Period) {
            if self.cursor.peek() == Some(&Token::Mul) {
                return Err(self.unsupported("a row"));
            }
            table = Some(std::mem::replace(&mut name, self.cursor.label()?));
        }
        Ok(node(FilterExpr::Column { table, name }, position))
    }
}

fn cast(operand: FilterNode, (target, typmod): (PgType, i32), position: u32) -> FilterNode {
    let expr = FilterExpr::Cast {
        operand: Box::new(operand),
        target,
        typmod,
    };
    node(expr, position)
}
