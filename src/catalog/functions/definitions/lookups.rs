//! OIDs of names: `to_regclass` and the others, NULL for what there is not.

use crate::catalog::functions::args::text;
use crate::catalog::functions::{Body, Call, Function as F};
use crate::datum::{Datum, Names, PgType as T};
use crate::pgerror::PgError;

/// The functions of this module.
pub(in crate::catalog::functions) const FUNCTIONS: &[F] = &[
    F::new(
        3495,
        "to_regclass",
        &[T::TEXT],
        T::REGCLASS,
        Body::Scalar(to_regclass),
    ),
    F::new(
        3493,
        "to_regtype",
        &[T::TEXT],
        T::REGTYPE,
        Body::Scalar(to_regtype),
    ),
    F::new(
        3494,
        "to_regproc",
        &[T::TEXT],
        T::REGPROC,
        Body::Scalar(to_regproc),
    ),
    F::new(
        3479,
        "to_regprocedure",
        &[T::TEXT],
        T::REGPROCEDURE,
        Body::Scalar(to_regprocedure),
    ),
    F::new(
        4086,
        "to_regnamespace",
        &[T::TEXT],
        T::REGNAMESPACE,
        Body::Scalar(to_regnamespace),
    ),
    F::new(
        4093,
        "to_regrole",
        &[T::TEXT],
        T::REGROLE,
        Body::Scalar(to_regrole),
    ),
];

fn registered(call: &Call<'_>, args: &[Datum], ty: T) -> Result<Datum, PgError> {
    let oid = call.names().oid_of(ty, text(args, 0)?);
    Ok(oid.map_or(Datum::Null, |oid| Datum::Int(oid.into())))
}

macro_rules! to_reg {
    ($($name:ident = $ty:ident;)*) => {
        $(fn $name(call: &Call<'_>, args: &[Datum]) -> Result<Datum, PgError> {
            registered(call, args, T::$ty)
        })*
    };
}

to_reg! {
    to_regclass = REGCLASS;
    to_regtype = REGTYPE;
    to_regproc = REGPROC;
    to_regprocedure = REGPROCEDURE;
    to_regnamespace = REGNAMESPACE;
    to_regrole = REGROLE;
}
