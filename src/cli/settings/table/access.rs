//! Settings of who may come in how: rules, certificates, sockets.

use super::Setting;

pub(super) const SETTINGS: &[Setting] = &[];
