//! From a filter's text, as it is stored, to a tree.
//!
//! The text is PostgreSQL's form of an expression, which writes out all parentheses and casts: each
//! pair of parentheses holds one operation, and the types of its operands say which one it is.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer, Word};

use crate::datum::{PgType, info, parse_type_name};
use crate::relations::{MAX_FILTER_NESTING, Relation};

use super::arithmetic::{self, Sign};
use super::cast;
use super::expr::{Expr, Operator, Test};
use super::order::Order;
use super::pattern::Matcher;
use super::value::Value;

/// A part with its type.
struct Typed {
    expr: Expr,
    ty: PgType,
}

/// Reads the filter `text` of `table`; `None` if it is none that can be evaluated.
pub(super) fn parse(text: &str, table: &Relation) -> Option<Expr> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        .tokenize()
        .ok()?;
    let tokens: Vec<Token> = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .collect();
    let mut parser = Parser {
        table,
        rest: &tokens,
        depth: 0,
    };
    let found = parser.part()?;
    (parser.rest.is_empty() && found.ty == PgType::BOOL).then_some(found.expr)
}

struct Parser<'t> {
    table: &'t Relation,
    rest: &'t [Token],
    depth: usize,
}

impl Parser<'_> {
    /// A literal, a column or parentheses, with casts behind.
    fn part(&mut self) -> Option<Typed> {
        let mut part = self.primary()?;
        while self.take(&Token::DoubleColon) {
            let ty = self.type_name()?;
            if !cast::is_allowed(part.ty, ty) {
                return None;
            }
            let operator = Operator::Cast {
                from: part.ty,
                to: ty,
            };
            part = strict(operator, vec![part.expr], ty);
        }
        Some(part)
    }

    fn primary(&mut self) -> Option<Typed> {
        match self.rest.split_first()? {
            (Token::LParen, rest) => {
                self.rest = rest;
                self.depth += 1;
                if self.depth > MAX_FILTER_NESTING {
                    return None;
                }
                let inside = self.inside()?;
                self.depth -= 1;
                self.take(&Token::RParen).then_some(inside)
            }
            (Token::Number(digits, _), rest) => {
                self.rest = rest;
                let ty = if digits.parse::<i32>().is_ok() {
                    PgType::INT4
                } else {
                    PgType::NUMERIC
                };
                literal(ty, digits)
            }
            (Token::SingleQuotedString(text), rest) => {
                self.rest = rest;
                if !self.take(&Token::DoubleColon) {
                    return literal(PgType::UNKNOWN, text);
                }
                let ty = self.type_name()?;
                literal(ty, text)
            }
            (Token::Word(word), rest) => {
                self.rest = rest;
                self.word(word)
            }
            _ => None,
        }
    }

    /// TRUE, FALSE, NULL, or a column.
    fn word(&mut self, word: &Word) -> Option<Typed> {
        if word.quote_style.is_none() {
            match word.value.as_str() {
                "true" => return literal(PgType::BOOL, "t"),
                "false" => return literal(PgType::BOOL, "f"),
                "NULL" => {
                    let typed = self.take(&Token::DoubleColon);
                    let ty = if typed {
                        self.type_name()?
                    } else {
                        PgType::UNKNOWN
                    };
                    let expr = Expr::Literal(Value::Null);
                    return Some(Typed { expr, ty });
                }
                _ => {}
            }
        }
        let mut columns = self.table.live_columns().enumerate();
        let (place, column) = columns.find(|(_, column)| column.name == word.value)?;
        let ty = column.column_type;
        let expr = Expr::Column { place, ty };
        Some(Typed { expr, ty })
    }

    /// What stands between two parentheses.
    fn inside(&mut self) -> Option<Typed> {
        if self.take_word("NOT") {
            let operand = self.condition()?;
            return Some(boolean(Expr::Not(Box::new(operand))));
        }
        if let Some((sign @ (Token::Minus | Token::Plus), rest)) = self.rest.split_first() {
            self.rest = rest;
            let operand = self.part()?;
            if !arithmetic::is_number(operand.ty) {
                return None;
            }
            let operator = if *sign == Token::Minus {
                Operator::Negate(operand.ty)
            } else {
                Operator::Keep
            };
            return Some(strict(operator, vec![operand.expr], operand.ty));
        }
        let left = self.part()?;
        match self.rest.first()? {
            Token::RParen => Some(left),
            Token::Word(_) if self.take_word("IS") => self.is(left),
            Token::Word(_) => self.logic(left),
            token => {
                let sign = token.to_string();
                self.rest = self.rest.get(1..)?;
                if self.take_word("ANY") || self.take_word("ALL") {
                    return self.list(left, sign == "<>");
                }
                let right = self.part()?;
                operation(&sign, left, right)
            }
        }
    }

    fn condition(&mut self) -> Option<Expr> {
        let part = self.part()?;
        (part.ty == PgType::BOOL).then_some(part.expr)
    }

    fn logic(&mut self, left: Typed) -> Option<Typed> {
        if left.ty != PgType::BOOL {
            return None;
        }
        let and = self.is_word("AND");
        let word = if and { "AND" } else { "OR" };
        let mut operands = vec![left.expr];
        while self.take_word(word) {
            operands.push(self.condition()?);
        }
        Some(boolean(Expr::Logic { and, operands }))
    }

    /// Behind IS.
    fn is(&mut self, left: Typed) -> Option<Typed> {
        let negated = self.take_word("NOT");
        if self.take_word("NULL") {
            let operand = Box::new(left.expr);
            return Some(boolean(Expr::IsNull { operand, negated }));
        }
        if self.take_word("DISTINCT") && self.take_word("FROM") {
            let right = self.part()?;
            let order = Order::of(left.ty, right.ty)?;
            let operands = Box::new([left.expr, right.expr]);
            return Some(boolean(Expr::IsDistinct { order, operands }));
        }
        let tests = [
            ("TRUE", Some(true)),
            ("FALSE", Some(false)),
            ("UNKNOWN", None),
        ];
        for (word, wanted) in tests {
            if left.ty == PgType::BOOL && self.take_word(word) {
                return Some(boolean(Expr::IsBool {
                    operand: Box::new(left.expr),
                    wanted,
                    negated,
                }));
            }
        }
        None
    }

    /// Behind ANY or ALL: `(ARRAY[a, b])`.
    fn list(&mut self, operand: Typed, negated: bool) -> Option<Typed> {
        let begins = self.take(&Token::LParen) && self.take_word("ARRAY");
        if !begins || !self.take(&Token::LBracket) {
            return None;
        }
        let first = self.part()?;
        let order = Order::of(operand.ty, first.ty)?;
        let mut items = vec![first.expr];
        while self.take(&Token::Comma) {
            let item = self.part()?;
            if item.ty != first.ty {
                return None;
            }
            items.push(item.expr);
        }
        let ends = self.take(&Token::RBracket) && self.take(&Token::RParen);
        let operand = Box::new(operand.expr);
        ends.then(|| {
            boolean(Expr::In {
                order,
                operand,
                items,
                negated,
            })
        })
    }

    /// A type as `format_type` names it, without a modifier.
    fn type_name(&mut self) -> Option<PgType> {
        let (Token::Word(word), rest) = self.rest.split_first()? else {
            return None;
        };
        self.rest = rest;
        let mut name = word.to_string();
        let more: &[&str] = match name.as_str() {
            "double" => &["precision"],
            "character" | "bit" => &["varying"],
            "time" | "timestamp" => &["with", "without", "time", "zone"],
            _ => &[],
        };
        for word in more {
            if self.take_word(word) {
                name = format!("{name} {word}");
            }
        }
        while self.take(&Token::LBracket) {
            name.push_str("[]");
            if !self.take(&Token::RBracket) {
                return None;
            }
        }
        let (ty, typmod) = parse_type_name(&name).ok()?;
        (typmod == -1 && info(ty).is_some()).then_some(ty)
    }

    fn take(&mut self, token: &Token) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if first == token => {
                self.rest = rest;
                true
            }
            Some(_) | None => false,
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(
            self.rest.first(),
            Some(Token::Word(found)) if found.quote_style.is_none() && found.value == word
        )
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.rest = self.rest.get(1..).unwrap_or_default();
        }
        found
    }
}

/// `left sign right`
fn operation(sign: &str, left: Typed, right: Typed) -> Option<Typed> {
    let (operator, ty) = if let Some(test) = Test::parse(sign) {
        let order = Order::of(left.ty, right.ty)?;
        (Operator::Compare { order, test }, PgType::BOOL)
    } else if let Some(sign) = Sign::parse(sign) {
        let ty = arithmetic::result(sign, left.ty, right.ty)?;
        let is_date = (left.ty == PgType::DATE, right.ty == PgType::DATE);
        (Operator::Compute { sign, ty, is_date }, ty)
    } else if let Some(matcher) = Matcher::parse(sign) {
        let subjects = [PgType::TEXT, PgType::BPCHAR, PgType::NAME];
        if !subjects.contains(&left.ty) || right.ty != PgType::TEXT {
            return None;
        }
        (Operator::Match(matcher), PgType::BOOL)
    } else {
        let known = [PgType::TEXT, PgType::BYTEA].contains(&left.ty) && left.ty == right.ty;
        if sign != "||" || !known {
            return None;
        }
        (Operator::Concatenate, left.ty)
    };
    Some(strict(operator, vec![left.expr, right.expr], ty))
}

fn strict(operator: Operator, operands: Vec<Expr>, ty: PgType) -> Typed {
    let expr = Expr::Strict { operator, operands };
    Typed { expr, ty }
}

const fn boolean(expr: Expr) -> Typed {
    Typed {
        expr,
        ty: PgType::BOOL,
    }
}

fn literal(ty: PgType, text: &str) -> Option<Typed> {
    let expr = Expr::Literal(Value::read(ty, text).ok()?.into_owned());
    Some(Typed { expr, ty })
}
