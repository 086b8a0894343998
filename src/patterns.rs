//! LIKE patterns and regular expressions: PostgreSQL's notation as the regex crate's.
//!
//! Text is UTF-8 and upper and lower case are Unicode's, as with `C.UTF-8`. References back and
//! looking around have no counterpart and are refused.

mod translate;

use regex::{Regex, RegexBuilder};

use translate::{Mode, translated, wrong};

/// What a compiled expression may take, bytes.
const MAX_SIZE: usize = 4 << 20;

/// Why a pattern is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The backslash at its end escapes nothing (22025).
    #[error("LIKE pattern must not end with escape character")]
    LikeEscape,
    /// Compiled it would take more than `MAX_SIZE` (54000).
    #[error("LIKE pattern is too long")]
    LikeTooLong,
    /// It cannot be read, or takes more than `MAX_SIZE` compiled (2201B).
    #[error("invalid regular expression: {0}")]
    Regex(String),
    /// A letter that is no option (22023).
    #[error("invalid regular expression option: \"{0}\"")]
    Option(char),
    /// What PostgreSQL has and the regex crate has not (0A000).
    #[error("{0} in regular expressions is not supported")]
    Unsupported(&'static str),
}

/// A LIKE pattern in the words of the regex crate.
pub(crate) fn like(pattern: &str, ignore_case: bool) -> Result<String, PatternError> {
    let mut source = if ignore_case {
        "(?si)^".to_owned()
    } else {
        "(?s)^".to_owned()
    };
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '%' => source.push_str(".*"),
            '_' => source.push('.'),
            '\\' => {
                let escaped = characters.next().ok_or(PatternError::LikeEscape)?;
                source.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            plain => source.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
        }
    }
    source.push('$');
    Ok(source)
}

/// How an expression is to be used, from the letters of its flags.
#[derive(Debug, Clone)]
pub(crate) struct Flags {
    /// All matches rather than the first.
    pub(crate) global: bool,
    /// In the words of the regex crate.
    letters: String,
    literal: bool,
    expanded: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            global: false,
            letters: "s".to_owned(),
            literal: false,
            expanded: false,
        }
    }
}

impl Flags {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut flags = Self::default();
        for letter in text.chars() {
            match letter {
                'g' => flags.global = true,
                other => flags.apply(other)?,
            }
        }
        Ok(flags)
    }

    fn apply(&mut self, letter: char) -> Result<(), PatternError> {
        let mut set = |with: &str| {
            let others = self.letters.chars().filter(|c| !matches!(c, 's' | 'm'));
            self.letters = others.chain(with.chars()).collect();
        };
        match letter {
            // Newlines matter: they end a line, and `.` does not match them.
            'n' | 'm' => set("m"),
            'p' => set(""),
            's' => set("s"),
            'w' => set("sm"),
            'i' if !self.letters.contains('i') => self.letters.push('i'),
            'i' => {}
            'c' => self.letters.retain(|c| c != 'i'),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.literal = true,
            'b' => return Err(PatternError::Unsupported("the basic form")),
            'e' => {}
            other => return Err(PatternError::Option(other)),
        }
        Ok(())
    }

    /// Takes the options at the beginning of an expression; returns what is behind them.
    fn embedded<'p>(&mut self, text: &'p str) -> Result<&'p str, PatternError> {
        let end = text.find(|c: char| !c.is_ascii_alphabetic());
        let (letters, rest) = text.split_at(end.unwrap_or(text.len()));
        for letter in letters.chars() {
            match self.apply(letter) {
                Err(PatternError::Option(_)) => return wrong("invalid embedded option"),
                done => done?,
            }
        }
        match rest.strip_prefix(')') {
            Some(rest) => Ok(rest),
            None => wrong("invalid embedded option"),
        }
    }
}

/// A regular expression in the words of the regex crate.
pub(crate) fn expression(pattern: &str, flags: &Flags) -> Result<String, PatternError> {
    let mut pattern = pattern;
    let mut flags = flags.clone();
    // Directors of the whole expression.
    if let Some(rest) = pattern.strip_prefix("***=") {
        flags.literal = true;
        pattern = rest;
    } else if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest;
    }
    let options = pattern.strip_prefix("(?").filter(|_| !flags.literal);
    if let Some(rest) = options
        && rest.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        pattern = flags.embedded(rest)?;
    }
    let body = if flags.literal {
        regex::escape(pattern)
    } else {
        let mode = Mode {
            expanded: flags.expanded,
            by_lines: !flags.letters.contains('s'),
        };
        translated(pattern, mode)?
    };
    if flags.letters.is_empty() {
        return Ok(body);
    }
    Ok(format!("(?{}){body}", flags.letters))
}

/// Compiles what `expression` made: it is well formed, so that only its size can be too much.
pub(crate) fn compile(source: &str) -> Result<Regex, PatternError> {
    build(source).map_err(|_| PatternError::Unsupported("so much repetition or nesting"))
}

/// Compiles what `like` made.
pub(crate) fn compile_like(source: &str) -> Result<Regex, PatternError> {
    build(source).map_err(|_| PatternError::LikeTooLong)
}

fn build(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).size_limit(MAX_SIZE).build()
}

#[cfg(test)]
mod tests;
