//! Random workloads, both ways.
