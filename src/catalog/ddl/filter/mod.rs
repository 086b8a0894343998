//! Row filters: expressions by precedence, as PostgreSQL's grammar has them.
//!
//! Lowest first: OR, AND, NOT, IS, comparisons (which do not chain), IN / LIKE / BETWEEN, other
//! operators, `+ -`, `* / %`, a sign, `::`.

mod operand;
#[allow(clippy::wildcard_enum_match_arm)] // the parser knows the tokens of many databases
mod signs;

use sqlparser::tokenizer::Token;

use crate::pgerror::PgError;
use crate::relations::{FilterError, FilterExpr, FilterNode};

use super::cursor::Cursor;

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
            if let FilterExpr::Logic {
                and: same,
                operands,
            } = &mut left.expr
                && *same == and
            {
                operands.push(right);
                left.position = position;
            } else {
                let operands = vec![left, right];
                left = node(FilterExpr::Logic { and, operands }, position);
            }
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
        let Some(sign) = signs::comparison(self.cursor.peek()) else {
            return Ok(left);
        };
        let position = self.cursor.position();
        self.cursor.advance();
        if let Some(word @ ("any" | "all" | "some")) = self.cursor.peek_word().as_deref() {
            return Err(self.unsupported(&word.to_uppercase()));
        }
        let right = self.range()?;
        if signs::comparison(self.cursor.peek()).is_some() {
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
        self.operators(signs::other, Self::sum)
    }

    fn sum(&mut self) -> Result<FilterNode, PgError> {
        self.operators(signs::sum, Self::product)
    }

    fn product(&mut self) -> Result<FilterNode, PgError> {
        self.operators(signs::product, Self::signed)
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

    fn unsupported(&self, what: &str) -> PgError {
        let position = self.cursor.position();
        let what = what.to_owned();
        FilterError::Unsupported { what, position }.into()
    }
}

fn not_simple(position: u32) -> PgError {
    FilterError::NotSimple { position }.into()
}

fn operator(sign: &str, left: Option<FilterNode>, right: FilterNode, position: u32) -> FilterNode {
    let expr = FilterExpr::Operator {
        sign: sign.to_owned(),
        left: left.map(Box::new),
        right: Box::new(right),
    };
    node(expr, position)
}
