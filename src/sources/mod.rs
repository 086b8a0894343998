//! Get changes in.
