//! Settings of what the server says of itself: metrics and logs.

use super::Setting;

pub(super) const SETTINGS: &[Setting] = &[];
