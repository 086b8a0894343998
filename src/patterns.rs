//! LIKE patterns and regular expressions: PostgreSQL's notation as the regex crate's.
//!
//! Text is UTF-8 and upper and lower case are Unicode's, as with `C.UTF-8`. References back and
//! looking around have no counterpart and are refused.

use regex::{Regex, RegexBuilder};

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
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// All matches rather than the first.
    pub(crate) global: bool,
    /// In the words of the regex crate.
    letters: String,
    literal: bool,
}

impl Flags {
    pub(crate) fn parse(text: &str) -> Result<Self, PatternError> {
        let mut flags = Self {
            letters: "s".to_owned(),
            ..Self::default()
        };
        for letter in text.chars() {
            match letter {
                'g' => flags.global = true,
                'i' => flags.letters.push('i'),
                'c' => flags.letters = flags.letters.replace('i', ""),
                // Newlines matter: they end a line, and `.` does not match them.
                'n' | 'm' => flags.letters = flags.letters.replace('s', "m"),
                'w' => flags.letters.push('m'),
                'p' => flags.letters = flags.letters.replace('s', ""),
                's' => {}
                'x' => flags.letters.push('x'),
                'q' => flags.literal = true,
                'e' | 't' => {}
                other => return Err(PatternError::Option(other)),
            }
        }
        Ok(flags)
    }
}

/// A regular expression in the words of the regex crate.
pub(crate) fn expression(pattern: &str, flags: &Flags) -> Result<String, PatternError> {
    let mut pattern = pattern;
    let mut letters = flags.letters.clone();
    let mut literal = flags.literal;
    // Directors of the whole expression.
    if let Some(rest) = pattern.strip_prefix("***=") {
        literal = true;
        pattern = rest;
    } else if let Some(rest) = pattern.strip_prefix("***:") {
        pattern = rest;
    }
    if let Some((options, rest)) = pattern
        .strip_prefix("(?")
        .and_then(|rest| rest.split_once(')'))
        && !options.is_empty()
        && options.bytes().all(|b| b.is_ascii_lowercase())
    {
        letters = Flags::parse(options)?.letters;
        pattern = rest;
    }
    let body = if literal {
        regex::escape(pattern)
    } else {
        translated(pattern)?
    };
    Ok(format!("(?{letters}){body}"))
}

/// Compiles what `expression` made.
pub(crate) fn compile(source: &str) -> Result<Regex, PatternError> {
    build(source).map_err(|error| {
        // The last line of the crate's report says what is wrong.
        let told = error.to_string();
        let what = told
            .lines()
            .last()
            .unwrap_or("")
            .trim_start_matches("error: ");
        let what = match what {
            "unclosed group" | "unopened group" => "parentheses () not balanced",
            "unclosed character class" => "brackets [] not balanced",
            "repetition operator missing expression" => "quantifier operand invalid",
            "unclosed counted repetition" => "braces {} not balanced",
            other => other,
        };
        PatternError::Regex(what.to_owned())
    })
}

/// Compiles what `like` made.
pub(crate) fn compile_like(source: &str) -> Result<Regex, PatternError> {
    build(source).map_err(|_| PatternError::LikeTooLong)
}

fn build(source: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(source).size_limit(MAX_SIZE).build()
}

/// PostgreSQL's notation where it differs from the crate's: word borders, and `[[:<:]]`.
/// References back and looking ahead have no counterpart.
fn translated(pattern: &str) -> Result<String, PatternError> {
    if ["(?=", "(?!", "(?<=", "(?<!"]
        .iter()
        .any(|ahead| pattern.contains(ahead))
    {
        return Err(PatternError::Unsupported("looking around"));
    }
    let pattern = pattern.replace("[[:<:]]", "\\m").replace("[[:>:]]", "\\M");
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            None => return Err(PatternError::Regex("invalid escape \\ sequence".to_owned())),
            Some('m') => out.push_str("\\b{start}"),
            Some('M') => out.push_str("\\b{end}"),
            Some('y') => out.push_str("\\b"),
            Some('Y') => out.push_str("\\B"),
            Some('Z') => out.push_str("\\z"),
            Some('1'..='9') => return Err(PatternError::Unsupported("a reference back")),
            Some('0') => out.push_str("\\x00"),
            Some(escaped) if escaped.is_ascii_alphabetic() => {
                out.push('\\');
                out.push(escaped);
            }
            Some(plain) => out.push_str(&regex::escape(plain.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(out)
}
