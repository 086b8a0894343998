//! LIKE and regular expressions.

use std::cell::RefCell;
use std::rc::Rc;

use regex::{Captures, Regex};

use super::args::{array_of, bool_datum, count_datum, invalid, or_null, text, text_datum};
use super::{Body, Call, Function as F, Row};
use crate::datum::{Datum, PgType as T};
use crate::patterns::{self, Flags, PatternError};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        1637,
        "like_escape",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(like_escape),
    ),
    F::new(
        850,
        "textlike",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(like),
    ),
    F::new(
        1633,
        "texticlike",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(ilike),
    ),
    F::new(
        1569,
        "like",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(like),
    ),
    F::new(
        1570,
        "notlike",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(not_like),
    ),
    F::new(
        1254,
        "textregexeq",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(matches),
    ),
    F::new(
        1238,
        "texticregexeq",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(imatches),
    ),
    F::new(
        2073,
        "substring",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        2284,
        "regexp_replace",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(replace),
    ),
    F::new(
        2285,
        "regexp_replace",
        &[T::TEXT, T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(replace),
    ),
    F::new(
        3396,
        "regexp_match",
        &[T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(first_match),
    ),
    F::new(
        3397,
        "regexp_match",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(first_match),
    ),
    F::new(
        2763,
        "regexp_matches",
        &[T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Table {
            columns: &[("regexp_matches", T::TEXT_ARRAY)],
            rows: all_matches,
        },
    ),
    F::new(
        2764,
        "regexp_matches",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Table {
            columns: &[("regexp_matches", T::TEXT_ARRAY)],
            rows: all_matches,
        },
    ),
    F::new(
        6263,
        "regexp_like",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(regexp_like),
    ),
    F::new(
        6264,
        "regexp_like",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(regexp_like),
    ),
    F::new(
        6254,
        "regexp_count",
        &[T::TEXT, T::TEXT],
        T::INT4,
        Body::Scalar(count),
    ),
    F::new(
        2767,
        "regexp_split_to_array",
        &[T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(split_to_array),
    ),
    F::new(
        2768,
        "regexp_split_to_array",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT_ARRAY,
        Body::Scalar(split_to_array),
    ),
    F::new(
        2765,
        "regexp_split_to_table",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Table {
            columns: &[("regexp_split_to_table", T::TEXT)],
            rows: split_to_table,
        },
    ),
    F::new(
        2766,
        "regexp_split_to_table",
        &[T::TEXT, T::TEXT, T::TEXT],
        T::TEXT,
        Body::Table {
            columns: &[("regexp_split_to_table", T::TEXT)],
            rows: split_to_table,
        },
    ),
];

/// How many compiled expressions a thread keeps.
const NUM_KEPT: usize = 32;

thread_local! {
    static KEPT: RefCell<Vec<(String, Rc<Regex>)>> = const { RefCell::new(Vec::new()) };
}

/// A compiled expression of our own making, kept for the next row.
fn compiled(
    source: String,
    compile: fn(&str) -> Result<Regex, PatternError>,
) -> Result<Rc<Regex>, PgError> {
    KEPT.with_borrow_mut(|kept| {
        if let Some(at) = kept.iter().position(|(known, _)| *known == source) {
            let found = kept.remove(at);
            let regex = Rc::clone(&found.1);
            kept.push(found);
            return Ok(regex);
        }
        let regex = Rc::new(compile(&source)?);
        if kept.len() >= NUM_KEPT {
            kept.remove(0);
        }
        kept.push((source, Rc::clone(&regex)));
        Ok(regex)
    })
}

fn is_like(args: &[Datum], ignore_case: bool) -> Result<bool, PgError> {
    let source = patterns::like(text(args, 1)?, ignore_case)?;
    let regex = compiled(source, patterns::compile_like)?;
    Ok(regex.is_match(text(args, 0)?))
}

fn like(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    is_like(args, false).map(bool_datum)
}

fn not_like(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    is_like(args, false).map(|found| bool_datum(!found))
}

fn ilike(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    is_like(args, true).map(bool_datum)
}

/// A pattern whose escape character is not the backslash, as one whose is.
fn like_escape(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let mut escape = text(args, 1)?.chars();
    let character = escape.next();
    if escape.next().is_some() {
        return Err(PgError::error("22025", "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::new();
    let mut after_escape = false;
    for c in text(args, 0)?.chars() {
        if Some(c) == character && !after_escape {
            out.push('\\');
            after_escape = true;
            continue;
        }
        // A backslash that escapes nothing stands for itself.
        if c == '\\' && (!after_escape || character != Some('\\')) && character != Some('\\') {
            if after_escape {
                out.push('\\');
            } else {
                out.push_str("\\\\");
            }
            after_escape = false;
            continue;
        }
        out.push(c);
        after_escape = false;
    }
    Ok(text_datum(out))
}

fn expression(pattern: &str, flags: &Flags) -> Result<Rc<Regex>, PgError> {
    compiled(patterns::expression(pattern, flags)?, patterns::compile)
}

/// The expression of the second argument with flags of the argument at `flags_at`.
fn given(args: &[Datum], flags_at: usize) -> Result<(Rc<Regex>, Flags), PgError> {
    let flags = Flags::parse(if args.len() > flags_at {
        text(args, flags_at)?
    } else {
        ""
    })?;
    Ok((expression(text(args, 1)?, &flags)?, flags))
}

fn matches(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, _) = given(args, 2)?;
    Ok(bool_datum(regex.is_match(text(args, 0)?)))
}

fn imatches(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let regex = expression(text(args, 1)?, &Flags::parse("i")?)?;
    Ok(bool_datum(regex.is_match(text(args, 0)?)))
}

fn regexp_like(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, flags) = given(args, 2)?;
    refuse_global(&flags, "regexp_like")?;
    Ok(bool_datum(regex.is_match(text(args, 0)?)))
}

fn refuse_global(flags: &Flags, name: &str) -> Result<(), PgError> {
    if flags.global {
        return Err(invalid(format!(
            "{name}() does not support the \"global\" option"
        )));
    }
    Ok(())
}

/// What the first parentheses match, or without any the whole expression.
fn substring(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, _) = given(args, 2)?;
    let found = regex.captures(text(args, 0)?).and_then(|captures| {
        let group = usize::from(captures.len() > 1);
        captures.get(group).map(|part| part.as_str().to_owned())
    });
    Ok(or_null(found))
}

fn replace(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, flags) = given(args, 3)?;
    let template = text(args, 2)?;
    let limit = usize::from(!flags.global);
    let found = regex.replacen(text(args, 0)?, limit, |captures: &Captures<'_>| {
        filled(template, captures)
    });
    Ok(text_datum(found))
}

/// `\1` is what the first parentheses matched, `\&` the whole match.
fn filled(template: &str, captures: &Captures<'_>) -> String {
    let group = |at: usize| captures.get(at).map_or("", |part| part.as_str());
    let mut out = String::new();
    let mut characters = template.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('&') => out.push_str(group(0)),
            Some(digit @ '1'..='9') => {
                let at = digit
                    .to_digit(10)
                    .and_then(|d| usize::try_from(d).ok())
                    .unwrap_or(0);
                out.push_str(group(at));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out
}

fn groups(captures: &Captures<'_>) -> Datum {
    let from = usize::from(captures.len() > 1);
    let parts = captures.iter().skip(from);
    array_of(
        parts
            .map(|part| part.map(|part| part.as_str().to_owned()))
            .collect(),
    )
}

fn first_match(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, flags) = given(args, 2)?;
    if flags.global {
        return Err(
            invalid("regexp_match() does not support the \"global\" option")
                .with_hint("Use the regexp_matches function instead."),
        );
    }
    let found = regex.captures(text(args, 0)?);
    Ok(found.map_or(Datum::Null, |captures| groups(&captures)))
}

fn all_matches(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let (regex, flags) = given(args, 2)?;
    let limit = if flags.global { usize::MAX } else { 1 };
    let found = regex.captures_iter(text(args, 0)?).take(limit);
    Ok(found.map(|captures| vec![groups(&captures)]).collect())
}

fn count(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (regex, _) = given(args, 3)?;
    Ok(count_datum(regex.find_iter(text(args, 0)?).count()))
}

fn parts(args: &[Datum], name: &str) -> Result<Vec<Option<String>>, PgError> {
    let (regex, flags) = given(args, 2)?;
    refuse_global(&flags, name)?;
    let whole = text(args, 0)?;
    let mut parts = Vec::new();
    let mut from = 0;
    for found in regex.find_iter(whole) {
        // An empty match splits between characters, not at the ends.
        if found.is_empty() && (found.start() == 0 || found.start() == whole.len()) {
            continue;
        }
        parts.push(whole.get(from..found.start()).map(str::to_owned));
        from = found.end();
    }
    parts.push(whole.get(from..).map(str::to_owned));
    Ok(parts)
}

fn split_to_array(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(array_of(parts(args, "regexp_split_to_array")?))
}

fn split_to_table(_: &Call<'_>, args: &[Datum]) -> Result<Vec<Row>, PgError> {
    let parts = parts(args, "regexp_split_to_table")?;
    Ok(parts.into_iter().map(|part| vec![or_null(part)]).collect())
}
