//! What time it is, and waiting for it to pass.

use crate::catalog::functions::args::{float, int};
use crate::catalog::functions::{Body, Call, Function as F};
use crate::clock::Moment;
use crate::datum::{Datum, PgType as T, is_infinite};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(1299, "now", &[], T::TIMESTAMPTZ, Body::Scalar(now)),
    F::new(
        2647,
        "transaction_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(now),
    ),
    F::new(
        2648,
        "statement_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(statement_timestamp),
    ),
    F::new(
        2649,
        "clock_timestamp",
        &[],
        T::TIMESTAMPTZ,
        Body::Scalar(clock_timestamp),
    )
    .volatile(),
    F::new(
        1373,
        "isfinite",
        &[T::DATE],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(
        2048,
        "isfinite",
        &[T::TIMESTAMP],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(
        1389,
        "isfinite",
        &[T::TIMESTAMPTZ],
        T::BOOL,
        Body::Scalar(isfinite),
    ),
    F::new(2626, "pg_sleep", &[T::FLOAT8], T::VOID, Body::Scalar(sleep)).volatile(),
];

fn now(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(call.context.transaction_unix_us))
}

fn unix_us(moment: Moment) -> i64 {
    i64::try_from(moment.unix_ms)
        .unwrap_or(0)
        .saturating_mul(1_000)
}

fn statement_timestamp(call: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int(
        unix_us(call.context.now).max(call.context.transaction_unix_us),
    ))
}

fn clock_timestamp(_: &Call<'_>, _: &[Datum]) -> Result<Datum, PgError> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Ok(Datum::Int(
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    ))
}

fn isfinite(_: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    Ok(Datum::Int((!is_infinite(int(args, 0)?)).into()))
}

/// Sleeps, and wakes when the statement is to stop.
fn sleep(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
    const STEP: std::time::Duration = std::time::Duration::from_millis(20);

    let seconds = float(args, 0)?.clamp(0.0, 1e9);
    let start = std::time::Instant::now();
    let whole = std::time::Duration::from_secs_f64(if seconds.is_nan() { 0.0 } else { seconds });
    loop {
        call.context.check_cancelled()?;
        let left = whole.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Ok(Datum::Text(String::new()));
        }
        std::thread::sleep(left.min(STEP));
    }
}
