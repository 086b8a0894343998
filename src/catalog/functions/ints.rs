//! Arithmetic of integers and of positions in the log.

use super::args::{
    division_by_zero, int, invalid, numeric, numeric_datum, out_of_range, text_datum,
};
use super::{Body, Call, Function as F};
use crate::datum::{Datum, Numeric, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(super) const FUNCTIONS: &[F] = &[
    F::new(
        176,
        "int2pl",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(int2pl),
    ),
    F::new(
        180,
        "int2mi",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(int2mi),
    ),
    F::new(
        152,
        "int2mul",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(int2mul),
    ),
    F::new(
        153,
        "int2div",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(int2div),
    ),
    F::new(
        155,
        "int2mod",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(modulo),
    ),
    F::new(213, "int2um", &[T::INT2], T::INT2, Body::Scalar(int2um)),
    F::new(1253, "int2abs", &[T::INT2], T::INT2, Body::Scalar(int2abs)),
    F::new(1398, "abs", &[T::INT2], T::INT2, Body::Scalar(int2abs)),
    F::new(
        940,
        "mod",
        &[T::INT2, T::INT2],
        T::INT2,
        Body::Scalar(modulo),
    ),
    F::new(
        1896,
        "int2shl",
        &[T::INT2, T::INT4],
        T::INT2,
        Body::Scalar(int2shl),
    ),
    F::new(
        1897,
        "int2shr",
        &[T::INT2, T::INT4],
        T::INT2,
        Body::Scalar(int2shr),
    ),
    F::new(
        177,
        "int4pl",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4pl),
    ),
    F::new(
        181,
        "int4mi",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4mi),
    ),
    F::new(
        141,
        "int4mul",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4mul),
    ),
    F::new(
        154,
        "int4div",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4div),
    ),
    F::new(
        156,
        "int4mod",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(modulo),
    ),
    F::new(212, "int4um", &[T::INT4], T::INT4, Body::Scalar(int4um)),
    F::new(1251, "int4abs", &[T::INT4], T::INT4, Body::Scalar(int4abs)),
    F::new(1397, "abs", &[T::INT4], T::INT4, Body::Scalar(int4abs)),
    F::new(
        941,
        "mod",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(modulo),
    ),
    F::new(
        1902,
        "int4shl",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4shl),
    ),
    F::new(
        1903,
        "int4shr",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4shr),
    ),
    F::new(
        463,
        "int8pl",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(int8pl),
    ),
    F::new(
        464,
        "int8mi",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(int8mi),
    ),
    F::new(
        465,
        "int8mul",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(int8mul),
    ),
    F::new(
        466,
        "int8div",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(int8div),
    ),
    F::new(
        945,
        "int8mod",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(modulo),
    ),
    F::new(462, "int8um", &[T::INT8], T::INT8, Body::Scalar(int8um)),
    F::new(1230, "int8abs", &[T::INT8], T::INT8, Body::Scalar(int8abs)),
    F::new(1396, "abs", &[T::INT8], T::INT8, Body::Scalar(int8abs)),
    F::new(
        947,
        "mod",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(modulo),
    ),
    F::new(
        1908,
        "int8shl",
        &[T::INT8, T::INT4],
        T::INT8,
        Body::Scalar(int8shl),
    ),
    F::new(
        1909,
        "int8shr",
        &[T::INT8, T::INT4],
        T::INT8,
        Body::Scalar(int8shr),
    ),
    F::new(
        5044,
        "gcd",
        &[T::INT4, T::INT4],
        T::INT4,
        Body::Scalar(int4gcd),
    ),
    F::new(
        5045,
        "gcd",
        &[T::INT8, T::INT8],
        T::INT8,
        Body::Scalar(int8gcd),
    ),
    F::new(
        2089,
        "to_hex",
        &[T::INT4],
        T::TEXT,
        Body::Scalar(int4_to_hex),
    ),
    F::new(
        2090,
        "to_hex",
        &[T::INT8],
        T::TEXT,
        Body::Scalar(int8_to_hex),
    ),
    F::new(
        3237,
        "pg_lsn_mi",
        &[T::PG_LSN, T::PG_LSN],
        T::NUMERIC,
        Body::Scalar(pg_lsn_mi),
    ),
    F::new(
        5022,
        "pg_lsn_pli",
        &[T::PG_LSN, T::NUMERIC],
        T::PG_LSN,
        Body::Scalar(pg_lsn_pli),
    ),
    F::new(
        5024,
        "pg_lsn_mii",
        &[T::PG_LSN, T::NUMERIC],
        T::PG_LSN,
        Body::Scalar(pg_lsn_mii),
    ),
    F::new(
        5023,
        "numeric_pl_pg_lsn",
        &[T::NUMERIC, T::PG_LSN],
        T::PG_LSN,
        Body::Scalar(numeric_pl_pg_lsn),
    ),
];

/// A size of integer.
#[derive(Clone, Copy)]
struct Size {
    name: &'static str,
    min: i64,
    max: i64,
    bits: u32,
}

const INT2: Size = Size {
    name: "smallint",
    min: -0x8000,
    max: 0x7FFF,
    bits: 16,
};
const INT4: Size = Size {
    name: "integer",
    min: -0x8000_0000,
    max: 0x7FFF_FFFF,
    bits: 32,
};
const INT8: Size = Size {
    name: "bigint",
    min: i64::MIN,
    max: i64::MAX,
    bits: 64,
};

impl Size {
    fn fit(self, value: Option<i64>) -> Result<Datum, PgError> {
        value
            .filter(|value| (self.min..=self.max).contains(value))
            .map(Datum::Int)
            .ok_or_else(|| out_of_range(self.name))
    }

    fn apply(self, args: &[Datum], apply: fn(i64, i64) -> Option<i64>) -> Result<Datum, PgError> {
        self.fit(apply(int(args, 0)?, int(args, 1)?))
    }

    fn divide(self, args: &[Datum]) -> Result<Datum, PgError> {
        if int(args, 1)? == 0 {
            return Err(division_by_zero());
        }
        self.apply(args, i64::checked_div)
    }

    fn negate(self, args: &[Datum]) -> Result<Datum, PgError> {
        self.fit(int(args, 0)?.checked_neg())
    }

    fn absolute(self, args: &[Datum]) -> Result<Datum, PgError> {
        self.fit(int(args, 0)?.checked_abs())
    }

    /// The processor's shift: by the distance modulo the width (of 32 bits at least).
    fn shift(self, args: &[Datum], left: bool) -> Result<Datum, PgError> {
        let value = int(args, 0)?;
        let width = i64::from(self.bits.max(32));
        let distance = u32::try_from(int(args, 1)?.rem_euclid(width)).unwrap_or(0);
        if !left {
            return Ok(Datum::Int(value >> distance));
        }
        let unused = 64 - self.bits;
        Ok(Datum::Int((value << distance << unused) >> unused))
    }

    fn gcd(self, args: &[Datum]) -> Result<Datum, PgError> {
        let (mut a, mut b) = (int(args, 0)?.unsigned_abs(), int(args, 1)?.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.fit(i64::try_from(a).ok())
    }
}

/// Functions over one size of integer each.
macro_rules! sized {
    ($($name:ident = $size:ident . $method:ident ( $($with:expr),* );)*) => {
        $(fn $name(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            $size.$method(args $(, $with)*)
        })*
    };
}

sized! {
    int2pl = INT2.apply(i64::checked_add);
    int2mi = INT2.apply(i64::checked_sub);
    int2mul = INT2.apply(i64::checked_mul);
    int2div = INT2.divide();
    int2um = INT2.negate();
    int2abs = INT2.absolute();
    int2shl = INT2.shift(true);
    int2shr = INT2.shift(false);
    int4pl = INT4.apply(i64::checked_add);
    int4mi = INT4.apply(i64::checked_sub);
    int4mul = INT4.apply(i64::checked_mul);
    int4div = INT4.divide();
    int4um = INT4.negate();
    int4abs = INT4.absolute();
    int4shl = INT4.shift(true);
    int4shr = INT4.shift(false);
    int4gcd = INT4.gcd();
    int8pl = INT8.apply(i64::checked_add);
    int8mi = INT8.apply(i64::checked_sub);
    int8mul = INT8.apply(i64::checked_mul);
    int8div = INT8.divide();
    int8um = INT8.negate();
    int8abs = INT8.absolute();
    int8shl = INT8.shift(true);
    int8shr = INT8.shift(false);
    int8gcd = INT8.gcd();
}

fn modulo(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    match int(args, 1)? {
        0 => Err(division_by_zero()),
        by => Ok(Datum::Int(int(args, 0)?.checked_rem(by).unwrap_or(0))),
    }
}

fn int4_to_hex(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{:x}", int(args, 0)? & 0xFFFF_FFFF)))
}

fn int8_to_hex(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(text_datum(format!("{:x}", int(args, 0)?)))
}

/// A position as a number: it has 64 bits and no sign.
fn position(args: &[Datum], at: usize) -> Result<Numeric, PgError> {
    Ok(Numeric::parse(&int(args, at)?.cast_unsigned().to_string())?)
}

fn position_datum(number: &Numeric) -> Result<Datum, PgError> {
    let rounded = number
        .round(0, bigdecimal::RoundingMode::HalfUp)
        .to_string();
    let value: u64 = rounded
        .parse()
        .map_err(|_| invalid("pg_lsn out of range"))?;
    Ok(Datum::Int(value.cast_signed()))
}

fn pg_lsn_mi(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(numeric_datum(
        &position(args, 0)?.subtract(&position(args, 1)?)?,
    ))
}

/// Bytes to move a position by.
fn distance(args: &[Datum], at: usize, verb: &str) -> Result<Numeric, PgError> {
    match numeric(args, at)? {
        Numeric::NaN => Err(PgError::unsupported(format!("cannot {verb} pg_lsn"))),
        found @ (Numeric::Finite(_) | Numeric::Infinity | Numeric::NegativeInfinity) => Ok(found),
    }
}

fn pg_lsn_pli(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let by = distance(args, 1, "add NaN to")?;
    position_datum(&position(args, 0)?.add(&by)?)
}

fn pg_lsn_mii(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let by = distance(args, 1, "subtract NaN from")?;
    position_datum(&position(args, 0)?.subtract(&by)?)
}

fn numeric_pl_pg_lsn(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    let by = distance(args, 0, "add NaN to")?;
    position_datum(&position(args, 1)?.add(&by)?)
}
