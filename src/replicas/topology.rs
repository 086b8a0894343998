//! The topology that is shown to clients: primary, replicas, their health and lag.
