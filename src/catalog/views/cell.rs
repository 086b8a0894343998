//! Values of Rust as stored forms, so that a row reads like the list of its columns.

use crate::datum::{Datum, PgType};
use crate::lsn::Lsn;

/// Becomes a stored form.
pub(super) trait Cell {
    /// The stored form.
    fn cell(self) -> Datum;
}

/// A row of the given values.
macro_rules! row {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::catalog::views::cell::Cell::cell($value)),*]
    };
}
pub(super) use row;

/// NULL.
pub(super) const NULL: Datum = Datum::Null;

/// A time in unix milliseconds as timestamptz.
pub(super) fn time_ms(unix_ms: u64) -> Datum {
    Datum::Int(i64::try_from(unix_ms.saturating_mul(1000)).unwrap_or(i64::MAX))
}

/// A span of microseconds as interval.
pub(super) fn interval(microseconds: i64) -> Datum {
    Datum::Text(format!("0 0 {microseconds}"))
}

/// A one-dimensional array in PostgreSQL's text form.
pub(super) fn array<S: AsRef<str>>(elements: impl IntoIterator<Item = S>) -> Datum {
    let mut text = String::from("{");
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        push_element(&mut text, element.as_ref());
    }
    text.push('}');
    Datum::Text(text)
}

fn push_element(text: &mut String, element: &str) {
    let plain = !element.is_empty()
        && !element.eq_ignore_ascii_case("null")
        && !element.contains(|c: char| c.is_ascii_whitespace() || "{},\"\\".contains(c));
    if plain {
        text.push_str(element);
        return;
    }
    text.push('"');
    for c in element.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

/// int2vector and oidvector: `1 2`.
pub(super) fn vector<N: ToString>(numbers: impl IntoIterator<Item = N>) -> Datum {
    let numbers: Vec<String> = numbers.into_iter().map(|n| n.to_string()).collect();
    Datum::Text(numbers.join(" "))
}

/// The collation of a column of this type: `C` for names, the default for texts, else none.
pub(super) fn collation_of(column_type: PgType) -> u32 {
    const DEFAULT: u32 = 100;
    const C: u32 = 950;
    match column_type {
        PgType::NAME | PgType::NAME_ARRAY => C,
        PgType::TEXT | PgType::TEXT_ARRAY | PgType::VARCHAR | PgType::VARCHAR_ARRAY => DEFAULT,
        PgType::BPCHAR | PgType::PG_NODE_TREE => DEFAULT,
        _other => 0,
    }
}

impl Cell for Datum {
    fn cell(self) -> Datum {
        self
    }
}

impl Cell for &str {
    fn cell(self) -> Datum {
        Datum::Text(self.to_owned())
    }
}

impl Cell for String {
    fn cell(self) -> Datum {
        Datum::Text(self)
    }
}

impl Cell for char {
    fn cell(self) -> Datum {
        Datum::Text(self.to_string())
    }
}

impl Cell for bool {
    fn cell(self) -> Datum {
        Datum::Int(self.into())
    }
}

impl Cell for f64 {
    fn cell(self) -> Datum {
        Datum::Float(self)
    }
}

impl Cell for Lsn {
    fn cell(self) -> Datum {
        Datum::Int(self.get().cast_signed())
    }
}

impl Cell for PgType {
    fn cell(self) -> Datum {
        Datum::Int(self.0.into())
    }
}

macro_rules! small_integers {
    ($($name:ty),*) => {$(
        impl Cell for $name {
            fn cell(self) -> Datum {
                Datum::Int(self.into())
            }
        }
    )*};
}
small_integers!(i16, i32, i64, u16, u32);

impl Cell for u64 {
    fn cell(self) -> Datum {
        Datum::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Cell for usize {
    fn cell(self) -> Datum {
        Datum::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl<C: Cell> Cell for Option<C> {
    fn cell(self) -> Datum {
        self.map_or(Datum::Null, Cell::cell)
    }
}
