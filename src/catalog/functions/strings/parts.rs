//! Lengths and parts of a text, and what stands around them.

use super::{MAX_LEN, too_long};
use crate::catalog::functions::args::{count_datum, int, text, text_datum};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(1317, "length", &[T::TEXT], T::INT4, Body::Scalar(length)),
    F::new(
        1381,
        "char_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        1369,
        "character_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(length),
    ),
    F::new(
        1374,
        "octet_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(octet_length),
    ),
    F::new(
        1811,
        "bit_length",
        &[T::TEXT],
        T::INT4,
        Body::Scalar(bit_length),
    ),
    F::new(
        883,
        "substr",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        877,
        "substr",
        &[T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        937,
        "substring",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        936,
        "substring",
        &[T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(substring),
    ),
    F::new(
        1405,
        "overlay",
        &[T::TEXT, T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(overlay),
    ),
    F::new(
        1404,
        "overlay",
        &[T::TEXT, T::TEXT, T::INT4, T::INT4],
        T::TEXT,
        Body::Scalar(overlay),
    ),
    F::new(
        868,
        "strpos",
        &[T::TEXT, T::TEXT],
        T::INT4,
        Body::Scalar(position),
    ),
    F::new(
        849,
        "position",
        &[T::TEXT, T::TEXT],
        T::INT4,
        Body::Scalar(position),
    ),
    F::new(885, "btrim", &[T::TEXT], T::TEXT, Body::Scalar(btrim)),
    F::new(
        884,
        "btrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(btrim),
    ),
    F::new(881, "ltrim", &[T::TEXT], T::TEXT, Body::Scalar(ltrim)),
    F::new(
        875,
        "ltrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(ltrim),
    ),
    F::new(882, "rtrim", &[T::TEXT], T::TEXT, Body::Scalar(rtrim)),
    F::new(
        876,
        "rtrim",
        &[T::TEXT, T::TEXT],
        T::TEXT,
        Body::Scalar(rtrim),
    ),
    F::new(
        879,
        "lpad",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(lpad),
    ),
    F::new(
        873,
        "lpad",
        &[T::TEXT, T::INT4, T::TEXT],
        T::TEXT,
        Body::Scalar(lpad),
    ),
    F::new(
        880,
        "rpad",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(rpad),
    ),
    F::new(
        874,
        "rpad",
        &[T::TEXT, T::INT4, T::TEXT],
        T::TEXT,
        Body::Scalar(rpad),
    ),
    F::new(
        3060,
        "left",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(left),
    ),
    F::new(
        3061,
        "right",
        &[T::TEXT, T::INT4],
        T::TEXT,
        Body::Scalar(right),
    ),
    F::new(
        3696,
        "starts_with",
        &[T::TEXT, T::TEXT],
        T::BOOL,
        Body::Scalar(starts_with),
    ),
];

fn length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.chars().count()))
}

fn octet_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.len()))
}

fn bit_length(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(count_datum(text(args, 0)?.len().saturating_mul(8)))
}

/// A part by its first position (from 1, maybe before the text) and its length.
pub(in crate::catalog::functions) fn part(
    start: i64,
    length: Option<i64>,
) -> Result<(usize, usize), PgError> {
    let end = match length {
        Some(length) if length < 0 => {
            return Err(PgError::error(
                "22011",
                "negative substring length not allowed",
            ));
        }
        Some(length) => start.saturating_add(length),
        None => i64::MAX,
    };
    let first = start.max(1);
    let skip = usize::try_from(first - 1).unwrap_or(0);
    Ok((
        skip,
        usize::try_from(end.saturating_sub(first)).unwrap_or(0),
    ))
}

fn substring(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let length = if args.len() > 2 {
        Some(int(args, 2)?)
    } else {
        None
    };
    let (skip, take) = part(int(args, 1)?, length)?;
    let found: String = text(args, 0)?.chars().skip(skip).take(take).collect();
    Ok(text_datum(found))
}

fn overlay(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (whole, new, start) = (text(args, 0)?, text(args, 1)?, int(args, 2)?);
    if start <= 0 {
        return Err(PgError::error(
            "22011",
            "negative substring length not allowed",
        ));
    }
    let length = if args.len() > 3 {
        int(args, 3)?
    } else {
        i64::try_from(new.chars().count()).unwrap_or(i64::MAX)
    };
    let before = usize::try_from(start - 1).unwrap_or(0);
    let after = usize::try_from(start.saturating_add(length) - 1).unwrap_or(0);
    let mut out: String = whole.chars().take(before).collect();
    out.push_str(new);
    out.extend(whole.chars().skip(after));
    Ok(text_datum(out))
}

fn position(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    Ok(match whole.split_once(text(args, 1)?) {
        Some((before, _)) => count_datum(before.chars().count() + 1),
        None => Datum::Int(0),
    })
}

fn trimmed(args: &[Datum], start: bool, end: bool) -> Result<Datum, PgError> {
    let set = if args.len() > 1 { text(args, 1)? } else { " " };
    let mut found = text(args, 0)?;
    if start {
        found = found.trim_start_matches(|c| set.contains(c));
    }
    if end {
        found = found.trim_end_matches(|c| set.contains(c));
    }
    Ok(text_datum(found))
}

fn btrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, true, true)
}

fn ltrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, true, false)
}

fn rtrim(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    trimmed(args, false, true)
}

/// What fills a text up to its length, and the text cut to it.
fn padded(args: &[Datum]) -> Result<(String, String), PgError> {
    let whole = text(args, 0)?;
    let wanted = usize::try_from(int(args, 1)?).unwrap_or(0);
    if wanted > MAX_LEN {
        return Err(too_long());
    }
    let fill = if args.len() > 2 { text(args, 2)? } else { " " };
    let kept: String = whole.chars().take(wanted).collect();
    let missing = wanted - kept.chars().count();
    let padding = if fill.is_empty() {
        String::new()
    } else {
        fill.chars().cycle().take(missing).collect()
    };
    Ok((padding, kept))
}

fn lpad(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (padding, kept) = padded(args)?;
    Ok(text_datum(padding + &kept))
}

fn rpad(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let (padding, kept) = padded(args)?;
    Ok(text_datum(kept + &padding))
}

/// How many characters `n` means: a negative one is so many fewer than there are.
fn count_of(whole: &str, n: i64) -> usize {
    if n >= 0 {
        return usize::try_from(n).unwrap_or(usize::MAX);
    }
    let less = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    whole.chars().count().saturating_sub(less)
}

fn left(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    let found: String = whole.chars().take(count_of(whole, int(args, 1)?)).collect();
    Ok(text_datum(found))
}

fn right(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let whole = text(args, 0)?;
    let all = whole.chars().count();
    let kept = count_of(whole, int(args, 1)?);
    let found: String = whole.chars().skip(all.saturating_sub(kept)).collect();
    Ok(text_datum(found))
}

fn starts_with(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(
        text(args, 0)?.starts_with(text(args, 1)?).into(),
    ))
}
