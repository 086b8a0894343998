//! Plugin options as START_REPLICATION gives them, with PostgreSQL's words for bad ones.

use super::PluginError;

/// One option: its name and its value, if it has one.
pub(super) type PluginOption = (String, Option<String>);

/// A boolean option; without a value it is on.
pub(super) fn boolean(option: &PluginOption) -> Result<bool, PluginError> {
    let Some(value) = &option.1 else {
        return Ok(true);
    };
    parse_bool(value).ok_or_else(|| PluginError::InvalidOption(bad_value(option)))
}

/// The words for a value that cannot be read.
pub(super) fn bad_value((name, value): &PluginOption) -> String {
    let value = value.as_deref().unwrap_or("(null)");
    format!("could not parse value \"{value}\" for parameter \"{name}\"")
}

/// The error for an option that a plugin does not know.
pub(super) fn unknown((name, value): &PluginOption) -> PluginError {
    let value = value.as_deref().unwrap_or("(null)");
    PluginError::InvalidOption(format!("option \"{name}\" = \"{value}\" is unknown"))
}

/// Reads a boolean as PostgreSQL does: any unambiguous beginning of a word, in either case.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    let value = value.to_ascii_lowercase();
    let begins = |word: &str, at_least: usize| value.len() >= at_least && word.starts_with(&value);
    if begins("true", 1) || begins("yes", 1) || begins("on", 2) || value == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || value == "0" {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_postgresql_does() {
        for word in ["t", "tr", "TRUE", "y", "Yes", "on", "ON", "1"] {
            assert_eq!(parse_bool(word), Some(true), "{word}");
        }
        for word in ["f", "fals", "FALSE", "n", "No", "of", "off", "0"] {
            assert_eq!(parse_bool(word), Some(false), "{word}");
        }
        for word in ["", "o", "maybe", "01", "truee", " true", "2"] {
            assert_eq!(parse_bool(word), None, "{word}");
        }
    }
}
