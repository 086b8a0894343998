//! Row filters: expressions by precedence, as PostgreSQL's grammar has them.
//!
//! Lowest first: OR, AND, NOT, IS, comparisons (which do not chain), IN / LIKE / BETWEEN, other
//! operators, `+ -`, `* / %`, a sign, `::`.

use sqlparser::tokenizer::Token;

use crate::datum::PgType;
use crate::pgerror::PgError;
use crate::relations::{FilterExpr, FilterNode};

use super::cursor::Cursor;
use super::types;

/// How many parentheses and prefixes may stand in one another.
const MAX_DEPTH: u32 = 100;

/// The expression between the parentheses of WHERE.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<FilterNode, PgError> {
    Filter { cursor, depth: 0 }.or()
}

struct Filter<'c, 't> {
    cursor: &'c mut Cursor<'t>,
    depth: u32,
}

fn node(expr: FilterExpr, position: u32) -> FilterNode {
    FilterNode { expr, position }
}

impl Filter<'_, '_> {
    fn or(&mut self) -> Result<FilterNode, PgError> {
        self.chain("or", false, Self::and)
    }

    fn and(&mut self) -> Result<FilterNode, PgError> {
        self.chain("and", true, Self::not)
    }

    /// Operands with a word between them. A chain on the left joins in, one in parentheses too.
    fn chain(
        &mut self,
        word: &str,
        and: bool,
        next: fn(&mut Self) -> Result<FilterNode, PgError>,
    ) -> Result<FilterNode, PgError> {
        let mut left = next(self)?;
        loop {
            let position = self.cursor.position();
            if !self.cursor.take(word) {
                return Ok(left);
            }
            let right = next(self)?;
            let position = left.position.min(position);
            left = match left.expr {
                FilterExpr::Logic {
                    and: same,
                    mut operands,
                } if same == and => {
                    operands.push(right);
                    node(FilterExpr::Logic { and, operands }, position)
                }
                expr => {
                    let operands = vec![node(expr, left.position), right];
                    node(FilterExpr::Logic { and, operands }, position)
                }
            };
        }
    }

    fn not(&mut self) -> Result<FilterNode, PgError> {
        let position = self.cursor.position();
        if !self.cursor.take("not") {
            return self.is();
        }
        let operand = self.deeper(Self::not)?;
        Ok(node(FilterExpr::Not(Box::new(operand)), position))
    }

    /// Goes on one level deeper.
    fn deeper(
        &mut self,
        next: fn(&mut Self) -> Result<FilterNode, PgError>,
    ) -> Result<FilterNode, PgError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PgError::error("54001", "stack depth limit exceeded"));
        }
        let found = next(self);
        self.depth -= 1;
        found
    }

    fn is(&mut self) -> Result<FilterNode, PgError> {
        let mut operand = self.comparison()?;
        loop {
            let position = operand.position;
            let negated = if self.cursor.take("isnull") {
                false
            } else if self.cursor.take("notnull") {
                true
            } else if self.cursor.take("is") {
                operand = self.test(operand)?;
                continue;
            } else {
                return Ok(operand);
            };
            let operand_box = Box::new(operand);
            let expr = FilterExpr::IsNull {
                operand: operand_box,
                negated,
            };
            operand = node(expr, position);
        }
    }

    /// Behind IS.
    fn test(&mut self, operand: FilterNode) -> Result<FilterNode, PgError> {
        let position = operand.position;
        let operand = Box::new(operand);
        let negated = self.cursor.take("not");
        if self.cursor.take("null") {
            return Ok(node(FilterExpr::IsNull { operand, negated }, position));
        }
        for (word, is, is_not) in [
            ("true", "TRUE", "NOT TRUE"),
            ("false", "FALSE", "NOT FALSE"),
            ("unknown", "UNKNOWN", "NOT UNKNOWN"),
        ] {
            if self.cursor.take(word) {
                let test = if negated { is_not } else { is };
                return Ok(node(FilterExpr::IsBool { operand, test }, position));
            }
        }
        let sign = self.cursor.position();
        if self.cursor.take_all(&["distinct", "from"]) {
            let right = Box::new(self.comparison()?);
            let expr = FilterExpr::IsDistinct {
                left: operand,
                right,
                negated,
            };
            return Ok(node(expr, sign));
        }
        match self.cursor.peek_word().as_deref() {
            Some("document" | "normalized" | "nfc" | "nfd" | "nfkc" | "nfkd" | "of" | "json") => {
                Err(self.unsupported("this IS test"))
            }
            Some(_) | None => Err(self.cursor.error()),
        }
    }

    fn comparison(&mut self) -> Result<FilterNode, PgError> {
        let left = self.range()?;
        let Some(sign) = comparison_sign(self.cursor.peek()) else {
            return Ok(left);
        };
        let position = self.cursor.position();
        self.cursor.advance();
        if let Some(word @ ("any" | "all" | "some")) = self.cursor.peek_word().as_deref() {
            return Err(self.unsupported(&word.to_uppercase()));
        }
        let right = self.range()?;
        if comparison_sign(self.cursor.peek()).is_some() {
            return Err(self.cursor.error());
        }
        Ok(operator(sign, Some(left), right, position))
    }

    /// IN, BETWEEN, LIKE
    fn range(&mut self) -> Result<FilterNode, PgError> {
        let operand = self.other()?;
        let position = self.cursor.position();
        let before_not = self.cursor.place();
        let negated = self.cursor.take("not");
        if self.cursor.take("in") {
            return self.list(operand, negated, position);
        }
        if self.cursor.take("between") {
            if self.cursor.peek_word().as_deref() == Some("symmetric") {
                return Err(self.unsupported("BETWEEN SYMMETRIC"));
            }
            self.cursor.take("asymmetric");
            let low = Box::new(self.other()?);
            self.cursor.expect("and")?;
            let high = Box::new(self.other()?);
            let operand = Box::new(operand);
            let expr = FilterExpr::Between {
                operand,
                low,
                high,
                negated,
            };
            return Ok(node(expr, position));
        }
        for (word, sign) in [("like", "~~"), ("ilike", "~~*")] {
            if self.cursor.take(word) {
                let pattern = self.other()?;
                if self.cursor.peek_word().as_deref() == Some("escape") {
                    return Err(self.unsupported("ESCAPE"));
                }
                let sign = if negated {
                    format!("!{sign}")
                } else {
                    sign.to_owned()
                };
                return Ok(operator(&sign, Some(operand), pattern, position));
            }
        }
        if self.cursor.peek_word().as_deref() == Some("similar") {
            return Err(self.unsupported("SIMILAR TO"));
        }
        if negated {
            self.cursor.go_back(before_not);
        }
        Ok(operand)
    }

    fn list(
        &mut self,
        operand: FilterNode,
        negated: bool,
        position: u32,
    ) -> Result<FilterNode, PgError> {
        if self.cursor.peek_second_word().as_deref() == Some("select") {
            return Err(not_simple(operand.position));
        }
        self.cursor.expect_token(&Token::LParen)?;
        let mut list = vec![self.deeper(Self::or)?];
        while self.cursor.take_token(&Token::Comma) {
            list.push(self.deeper(Self::or)?);
        }
        self.cursor.expect_token(&Token::RParen)?;
        let operand = Box::new(operand);
        let expr = FilterExpr::In {
            operand,
            list,
            negated,
        };
        Ok(node(expr, position))
    }

    /// `||` and other operators of equal rank.
    fn other(&mut self) -> Result<FilterNode, PgError> {
        self.operators(other_sign, Self::sum)
    }

    fn sum(&mut self) -> Result<FilterNode, PgError> {
        let sign = |token: &Token| match token {
            Token::Plus => Some("+"),
            Token::Minus => Some("-"),
            _ => None,
        };
        self.operators(sign, Self::product)
    }

    fn product(&mut self) -> Result<FilterNode, PgError> {
        let sign = |token: &Token| match token {
            Token::Mul => Some("*"),
            Token::Div => Some("/"),
            Token::Mod => Some("%"),
            _ => None,
        };
        self.operators(sign, Self::signed)
    }

    /// Operands with signs between them, from the left.
    fn operators(
        &mut self,
        sign: impl Fn(&Token) -> Option<&'static str>,
        next: fn(&mut Self) -> Result<FilterNode, PgError>,
    ) -> Result<FilterNode, PgError> {
        let mut left = next(self)?;
        while let Some(found) = self.cursor.peek().and_then(&sign) {
            let position = self.cursor.position();
            self.cursor.advance();
            let right = next(self)?;
            left = operator(found, Some(left), right, position);
        }
        Ok(left)
    }

    fn signed(&mut self) -> Result<FilterNode, PgError> {
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
            return crate::relations::FilterError::Mutable { position }.into();
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

    fn unsupported(&self, what: &str) -> PgError {
        let position = self.cursor.position();
        let what = what.to_owned();
        crate::relations::FilterError::Unsupported { what, position }.into()
    }
}

fn not_simple(position: u32) -> PgError {
    crate::relations::FilterError::NotSimple { position }.into()
}

fn operator(sign: &str, left: Option<FilterNode>, right: FilterNode, position: u32) -> FilterNode {
    let expr = FilterExpr::Operator {
        sign: sign.to_owned(),
        left: left.map(Box::new),
        right: Box::new(right),
    };
    node(expr, position)
}

fn cast(operand: FilterNode, (target, typmod): (PgType, i32), position: u32) -> FilterNode {
    let expr = FilterExpr::Cast {
        operand: Box::new(operand),
        target,
        typmod,
    };
    node(expr, position)
}

fn comparison_sign(token: Option<&Token>) -> Option<&'static str> {
    match token? {
        Token::Eq => Some("="),
        Token::Neq => Some("<>"),
        Token::Lt => Some("<"),
        Token::LtEq => Some("<="),
        Token::Gt => Some(">"),
        Token::GtEq => Some(">="),
        _ => None,
    }
}

/// Operators that PostgreSQL ranks below `+` and above LIKE.
fn other_sign(token: &Token) -> Option<&'static str> {
    Some(match token {
        Token::StringConcat => "||",
        Token::Tilde => "~",
        Token::TildeAsterisk => "~*",
        Token::ExclamationMarkTilde => "!~",
        Token::ExclamationMarkTildeAsterisk => "!~*",
        Token::DoubleTilde => "~~",
        Token::DoubleTildeAsterisk => "~~*",
        Token::ExclamationMarkDoubleTilde => "!~~",
        Token::ExclamationMarkDoubleTildeAsterisk => "!~~*",
        Token::Ampersand => "&",
        Token::Pipe => "|",
        Token::Sharp => "#",
        Token::ShiftLeft => "<<",
        Token::ShiftRight => ">>",
        Token::Arrow => "->",
        Token::LongArrow => "->>",
        Token::HashArrow => "#>",
        Token::HashLongArrow => "#>>",
        Token::AtArrow => "@>",
        Token::ArrowAt => "<@",
        Token::Overlap => "&&",
        _ => return None,
    })
}
