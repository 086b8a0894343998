//! `synchronous_standby_names`: which subscribers must confirm a commit, as PostgreSQL writes it.
//!
//! `FIRST n (a, b, ...)`, `ANY n (a, b, ...)`, `n (a, b, ...)` and `a, b` (both FIRST), where `*` is
//! everybody; and `REGIONS (eu, us)`, which PostgreSQL has not: one subscriber in each region. A
//! name is a subscriber's application_name or its slot, compared without case.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// How many of the listed must confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMethod {
    /// The first so many of the list that are connected.
    First(u32),
    /// Any so many of the list.
    Any(u32),
}

/// A parsed `synchronous_standby_names`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StandbyNames {
    /// Empty: nobody.
    #[default]
    Nobody,
    /// Subscribers by name.
    Named {
        /// How many.
        method: SyncMethod,
        /// In order of priority.
        names: Vec<String>,
    },
    /// A subscriber in each of these regions.
    Regions(BTreeSet<String>),
}

/// Not a list of standby names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseStandbyNamesError {
    /// Does not parse.
    #[error("syntax error at or near \"{0}\"")]
    Syntax(String),
    /// Does not parse, and ends too early.
    #[error("syntax error at end of input")]
    End,
    /// `FIRST 0 (...)`
    #[error("number of synchronous standbys (0) must be greater than zero")]
    NotPositive,
}

impl StandbyNames {
    /// The priority of a subscriber: 1 for the first of the list, `None` when it is not in it.
    pub fn priority(&self, slot: &str, application_name: &str) -> Option<usize> {
        let Self::Named { names, .. } = self else {
            return None;
        };
        let found = names.iter().position(|name| {
            name == "*"
                || name.eq_ignore_ascii_case(slot)
                || name.eq_ignore_ascii_case(application_name)
        });
        found.map(|index| index + 1)
    }
}

impl FromStr for StandbyNames {
    type Err = ParseStandbyNamesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tokens = tokens(text)?;
        let [first, rest @ ..] = tokens.as_slice() else {
            return Ok(Self::Nobody);
        };
        let (method, list) = match (first, rest) {
            (Token::Word(word), [Token::Open, ..]) if word.eq_ignore_ascii_case("regions") => {
                let regions = names(in_parentheses(rest)?)?;
                return Ok(Self::Regions(regions.into_iter().collect()));
            }
            (Token::Word(word), [Token::Word(count), list @ ..])
                if word.eq_ignore_ascii_case("first") =>
            {
                (SyncMethod::First(number(count)?), in_parentheses(list)?)
            }
            (Token::Word(word), [Token::Word(count), list @ ..])
                if word.eq_ignore_ascii_case("any") =>
            {
                (SyncMethod::Any(number(count)?), in_parentheses(list)?)
            }
            (Token::Word(count), [Token::Open, ..]) => {
                (SyncMethod::First(number(count)?), in_parentheses(rest)?)
            }
            _ => (SyncMethod::First(1), tokens.as_slice()),
        };
        Ok(Self::Named {
            method,
            names: names(list)?,
        })
    }
}

impl fmt::Display for StandbyNames {
    /// In a form that parses back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => Ok(()),
            Self::Named { method, names } => {
                match method {
                    SyncMethod::First(count) => write!(f, "FIRST {count} (")?,
                    SyncMethod::Any(count) => write!(f, "ANY {count} (")?,
                }
                write_names(f, names.iter())
            }
            Self::Regions(regions) => {
                f.write_str("REGIONS (")?;
                write_names(f, regions.iter())
            }
        }
    }
}

fn write_names<'a>(
    f: &mut fmt::Formatter<'_>,
    names: impl Iterator<Item = &'a String>,
) -> fmt::Result {
    for (index, name) in names.enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name == "*" || (name.chars().all(plain) && !name.starts_with(|c: char| c.is_numeric())) {
            f.write_str(name)?;
        } else {
            write!(f, "\"{}\"", name.replace('"', "\"\""))?;
        }
    }
    f.write_str(")")
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Comma,
    /// A bare name, number or `*`.
    Word(String),
    Quoted(String),
}

impl Token {
    fn refused(&self) -> ParseStandbyNamesError {
        let text = match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Word(text) | Self::Quoted(text) => text,
        };
        ParseStandbyNamesError::Syntax(text.to_owned())
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, ParseStandbyNamesError> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        let (token, left) = match first {
            '(' => (Token::Open, after),
            ')' => (Token::Close, after),
            ',' => (Token::Comma, after),
            '*' => (Token::Word("*".to_owned()), after),
            '"' => quoted(after)?,
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || "(),*\"".contains(c))
                    .unwrap_or(rest.len());
                let (word, left) = rest.split_at(end);
                let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
                if !word.chars().all(plain) {
                    return Err(ParseStandbyNamesError::Syntax(word.to_owned()));
                }
                (Token::Word(word.to_owned()), left)
            }
        };
        found.push(token);
        rest = left.trim_start();
    }
    Ok(found)
}

/// The rest of a quoted name, with `""` for a quote, and what stands behind it.
fn quoted(text: &str) -> Result<(Token, &str), ParseStandbyNamesError> {
    let mut name = String::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once('"') {
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Ok((Token::Quoted(name), after)),
        }
    }
    Err(ParseStandbyNamesError::End)
}

fn number(text: &str) -> Result<u32, ParseStandbyNamesError> {
    match text.parse() {
        Ok(0) => Err(ParseStandbyNamesError::NotPositive),
        Ok(number) => Ok(number),
        Err(_) => Err(ParseStandbyNamesError::Syntax(text.to_owned())),
    }
}

fn in_parentheses(tokens: &[Token]) -> Result<&[Token], ParseStandbyNamesError> {
    match tokens {
        [Token::Open, inner @ .., Token::Close] => Ok(inner),
        [Token::Open, ..] | [] => Err(ParseStandbyNamesError::End),
        [other, ..] => Err(other.refused()),
    }
}

fn names(tokens: &[Token]) -> Result<Vec<String>, ParseStandbyNamesError> {
    let mut found = Vec::new();
    for item in tokens.split(|token| *token == Token::Comma) {
        match item {
            [Token::Word(name) | Token::Quoted(name)] => found.push(name.clone()),
            [_, other, ..] | [other] => return Err(other.refused()),
            [] => return Err(ParseStandbyNamesError::End),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(method: SyncMethod, names: &[&str]) -> StandbyNames {
        StandbyNames::Named {
            method,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn every_form_of_postgresql_is_read_and_printed_back() {
        use SyncMethod::{Any, First};
        for (text, meaning) in [
            ("", StandbyNames::Nobody),
            ("  ", StandbyNames::Nobody),
            ("*", named(First(1), &["*"])),
            ("a, b", named(First(1), &["a", "b"])),
            ("2 (a, b)", named(First(2), &["a", "b"])),
            (
                "FIRST 2 (a, \"B c\", *)",
                named(First(2), &["a", "B c", "*"]),
            ),
            (
                "any 3(s1,s2,\"q\"\"s\")",
                named(Any(3), &["s1", "s2", "q\"s"]),
            ),
            ("first", named(First(1), &["first"])),
            (
                "regions (us, eu)",
                StandbyNames::Regions(["eu", "us"].map(str::to_owned).into()),
            ),
        ] {
            let parsed: StandbyNames = text.parse().unwrap();
            assert_eq!(parsed, meaning, "{text}");
            assert_eq!(parsed.to_string().parse(), Ok(meaning), "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "FIRST 0 (a)",
            "ANY x (a)",
            "FIRST 1",
            "FIRST 1 (a",
            "a b",
            "a,,b",
            ",",
            "(a)",
            "\"a",
            "ANY 1 ()",
            "a-b",
            "FIRST 1 (a) b",
            "REGIONS ()",
        ] {
            assert!(text.parse::<StandbyNames>().is_err(), "{text}");
        }
    }

    #[test]
    fn priority_is_the_place_in_the_list_by_slot_or_application_name() {
        let names: StandbyNames = "FIRST 1 (App, slot_b, *)".parse().unwrap();
        assert_eq!(names.priority("x", "app"), Some(1));
        assert_eq!(names.priority("slot_b", "y"), Some(2));
        assert_eq!(names.priority("other", "y"), Some(3));
        let names: StandbyNames = "a".parse().unwrap();
        assert_eq!(names.priority("other", "y"), None);
    }
}
