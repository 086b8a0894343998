//! What a stream with certain publications shows of a change: whether, which columns, and as
//! what, by PostgreSQL's rules.
//!
//! It knows no plugin and no stream.
