//! Rows: a change record as the change of a row of its table, and what a producer's document must
//! be to become one.
//!
//! A collection that nobody declared has the columns `rid`, `kind`, `entity`, `document` and
//! `metadata`; a declared table takes its columns from the document by name. Values are in
//! PostgreSQL's text form. It knows no publication, plugin or stream.

mod canonical;
mod captured;
mod change;
mod collection;
mod columns;
mod declared;
mod document;
mod error;
mod flat;
mod json;
mod jsonb;
mod record;
mod row;
mod tables;
mod upstream;
mod value;

#[cfg(test)]
mod tests;

pub use captured::CapturedError;
pub(crate) use captured::{Captured, CapturedReader, CapturedUnit};
pub use change::{Action, Change, OldRow};
pub(crate) use document::captured_records;
pub use document::{delete_record, insert_record, update_record};
pub use error::{RowError, RowFault};
pub(crate) use jsonb::printed as printed_jsonb;
pub use record::RecordReader;
pub use row::{Cell, Row};
pub(crate) use upstream::relation_message;
pub use upstream::{DescriptionError, described_table};
