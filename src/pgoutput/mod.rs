//! PostgreSQL's logical replication messages, both directions, protocol versions 1 to 4.
//!
//! It knows no record, no table and no stream.
