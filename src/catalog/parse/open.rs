//! Find what a text begins and does not end: a string, a quoted name, a comment.

use crate::pgerror::PgError;

/// What is open at the end of a text.
enum Open {
    Comment,
    String,
    Name,
    Dollar,
}

/// PostgreSQL's error for what `text` begins and does not end.
pub(super) fn unterminated(text: &str) -> Option<PgError> {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match skipped(
            rest,
            first,
            text.len() > rest.len() && is_word_before(text, rest),
        ) {
            Ok(after) => rest = after,
            Err(open) => {
                let what = match open {
                    Open::Comment => "unterminated /* comment",
                    Open::String => "unterminated quoted string",
                    Open::Name => "unterminated quoted identifier",
                    Open::Dollar => "unterminated dollar-quoted string",
                };
                let before = text.get(..text.len().saturating_sub(rest.len()))?;
                let position = u32::try_from(before.chars().count())
                    .ok()?
                    .saturating_add(1);
                let message = format!("{what} at or near \"{rest}\"");
                return Some(PgError::error("42601", message).at(position));
            }
        }
    }
    None
}

/// Whether a letter, digit or such stands before `rest`: then a dollar sign belongs to a name.
fn is_word_before(text: &str, rest: &str) -> bool {
    let before = text.get(..text.len().saturating_sub(rest.len()));
    let last = before.and_then(|before| before.chars().next_back());
    last.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
}

/// What is behind the token that `rest` begins with.
fn skipped(rest: &str, first: char, in_word: bool) -> Result<&str, Open> {
    match first {
        '\'' => quoted(rest, '\'', false).ok_or(Open::String),
        '"' => quoted(rest, '"', false).ok_or(Open::Name),
        'e' | 'E' if !in_word && rest.get(1..2) == Some("'") => {
            let behind = rest.get(1..).and_then(|rest| quoted(rest, '\'', true));
            behind.ok_or(Open::String)
        }
        '-' if rest.starts_with("--") => {
            let end = rest.find('\n').unwrap_or(rest.len());
            Ok(rest.get(end..).unwrap_or_default())
        }
        '/' if rest.starts_with("/*") => comment(rest).ok_or(Open::Comment),
        '$' if !in_word => dollar(rest),
        _ => Ok(rest.get(first.len_utf8()..).unwrap_or_default()),
    }
}

fn quoted(rest: &str, quote: char, escapes: bool) -> Option<&str> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
            } else {
                return rest.get(at.saturating_add(c.len_utf8())..);
            }
        }
    }
    None
}

/// Comments nest.
fn comment(rest: &str) -> Option<&str> {
    let mut depth = 0u32;
    let mut left = rest;
    loop {
        if let Some(behind) = left.strip_prefix("/*") {
            depth = depth.saturating_add(1);
            left = behind;
        } else if let Some(behind) = left.strip_prefix("*/") {
            depth = depth.saturating_sub(1);
            left = behind;
            if depth == 0 {
                return Some(left);
            }
        } else {
            let first = left.chars().next()?;
            left = left.get(first.len_utf8()..)?;
        }
    }
}

/// `$tag$ ... $tag$`, or a dollar sign by itself.
fn dollar(rest: &str) -> Result<&str, Open> {
    let alone = rest.get(1..).unwrap_or_default();
    let Some((tag, body)) = alone.split_once('$') else {
        return Ok(alone);
    };
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return Ok(alone);
    }
    let end = format!("${tag}$");
    match body.split_once(end.as_str()) {
        Some((_, behind)) => Ok(behind),
        None => Err(Open::Dollar),
    }
}
