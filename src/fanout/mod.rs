//! Render a transaction once for all streams that asked for the same.
