//! Decide where a subscriber may start. Pure.
