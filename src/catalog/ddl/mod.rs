//! Statements that define tables and publications.
