//! Run rewritten queries in an embedded SQLite.
