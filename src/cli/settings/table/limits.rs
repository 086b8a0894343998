//! Settings of how much there may be at once, and for how long.

use super::Setting;

pub(super) const SETTINGS: &[Setting] = &[];
