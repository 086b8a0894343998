//! LIKE and regular expressions in a filter.

use std::sync::{Mutex, PoisonError};

use regex::Regex;

use crate::patterns::{self, Flags, PatternError};

/// One of the operators LIKE, ILIKE, `~` and `~*`, perhaps negated. It keeps the pattern of the
/// row before compiled: mostly it is a literal.
#[derive(Debug)]
pub(super) struct Matcher {
    is_like: bool,
    ignore_case: bool,
    negated: bool,
    kept: Mutex<Option<(String, Regex)>>,
}

impl Matcher {
    pub(super) fn parse(sign: &str) -> Option<Self> {
        let (negated, plain) = match sign.strip_prefix('!') {
            Some(plain) => (true, plain),
            None => (false, sign),
        };
        let (is_like, ignore_case) = match plain {
            "~~" => (true, false),
            "~~*" => (true, true),
            "~" => (false, false),
            "~*" => (false, true),
            _ => return None,
        };
        Some(Self {
            is_like,
            ignore_case,
            negated,
            kept: Mutex::default(),
        })
    }

    pub(super) fn matches(&self, text: &str, pattern: &str) -> Result<bool, PatternError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, regex)) = kept.as_ref().filter(|(known, _)| known == pattern) {
            return Ok(regex.is_match(text) != self.negated);
        }
        let regex = self.compiled(pattern)?;
        let found = regex.is_match(text) != self.negated;
        *kept = Some((pattern.to_owned(), regex));
        Ok(found)
    }

    fn compiled(&self, pattern: &str) -> Result<Regex, PatternError> {
        if self.is_like {
            return patterns::compile_like(&patterns::like(pattern, self.ignore_case)?);
        }
        let flags = Flags::parse(if self.ignore_case { "i" } else { "" })?;
        patterns::compile(&patterns::expression(pattern, &flags)?)
    }
}
