//! The fields of a line of CSV, by PostgreSQL's rules: NULL is told from an empty text by quotes.

use super::{CopyError, CopyOptions, Fields};

/// Cuts `line` into fields; `forced`: the options that name columns count.
pub(super) fn split(
    options: &CopyOptions,
    line: &str,
    forced: bool,
    fields: &mut Fields,
) -> Result<(), CopyError> {
    let mut rest = line.as_bytes();
    let is_forced = |list: &[bool], place: usize| forced && list.get(place) == Some(&true);
    loop {
        let mut was_quoted = false;
        let mut is_over = true;
        while let [c, behind @ ..] = rest {
            rest = behind;
            if *c == options.delimiter {
                is_over = false;
                break;
            }
            if *c == options.quote {
                was_quoted = true;
                rest = quoted(options, rest, fields)?;
            } else {
                fields.write(&[*c]);
            }
        }
        let place = fields.len();
        let is_null = fields.written() == options.null.as_bytes()
            && if was_quoted {
                is_forced(&options.force_null, place)
            } else {
                !is_forced(&options.force_not_null, place) || is_forced(&options.force_null, place)
            };
        fields.end(is_null);
        if is_over {
            return Ok(());
        }
    }
}

/// Writes what stands in quotes; returns what is behind them.
fn quoted<'a>(
    options: &CopyOptions,
    mut rest: &'a [u8],
    fields: &mut Fields,
) -> Result<&'a [u8], CopyError> {
    while let [c, behind @ ..] = rest {
        if *c == options.escape
            && let [next, after @ ..] = behind
            && (*next == options.escape || *next == options.quote)
        {
            fields.write(&[*next]);
            rest = after;
            continue;
        }
        rest = behind;
        if *c == options.quote {
            return Ok(rest);
        }
        fields.write(&[*c]);
    }
    Err(CopyError::UnterminatedQuote)
}
