//! The options of wal2json 2.5, with its words for bad ones.

use super::super::PluginError;
use super::super::options::{PluginOption, bad_value, boolean, unknown};
use super::filters::{PrefixFilter, TableFilter, parse_tables, split_list};

/// `format-version`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormatVersion {
    /// A JSON text a transaction.
    One,
    /// A JSON text a change.
    Two,
}

/// What `actions` can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Action {
    const ALL: [Self; 4] = [Self::Insert, Self::Update, Self::Delete, Self::Truncate];

    /// As `actions` and format 1 call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }

    /// As format 2 calls it.
    pub(super) const fn letter(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
            Self::Truncate => "T",
        }
    }
}

/// The options of one stream.
#[derive(Debug, Clone)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the options are independent switches, as clients name them"
)]
pub(super) struct Options {
    pub(super) format: FormatVersion,
    pub(super) include_xids: bool,
    pub(super) include_timestamp: bool,
    pub(super) include_origin: bool,
    pub(super) include_lsn: bool,
    pub(super) include_schemas: bool,
    pub(super) include_types: bool,
    pub(super) include_type_oids: bool,
    pub(super) include_typmod: bool,
    pub(super) include_column_positions: bool,
    pub(super) include_not_null: bool,
    pub(super) include_default: bool,
    pub(super) include_pk: bool,
    pub(super) include_transaction: bool,
    pub(super) pretty_print: bool,
    pub(super) write_in_chunks: bool,
    pub(super) actions: Vec<Action>,
    pub(super) tables: TableFilter,
    pub(super) messages: PrefixFilter,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: FormatVersion::One,
            include_xids: false,
            include_timestamp: false,
            include_origin: false,
            include_lsn: false,
            include_schemas: true,
            include_types: true,
            include_type_oids: false,
            include_typmod: true,
            include_column_positions: false,
            include_not_null: false,
            include_default: false,
            include_pk: false,
            include_transaction: true,
            pretty_print: false,
            write_in_chunks: false,
            actions: Action::ALL.to_vec(),
            tables: TableFilter::default(),
            messages: PrefixFilter::default(),
        }
    }
}

impl Options {
    /// Reads the options in their order; the last of a name counts.
    pub(super) fn parse(options: &[PluginOption]) -> Result<Self, PluginError> {
        let mut parsed = Self::default();
        for option in options {
            if let Some(switch) = parsed.switch(&option.0) {
                *switch = boolean(option)?;
            } else {
                parsed.take(option)?;
            }
        }
        Ok(parsed)
    }

    /// The option of that name which is on or off.
    fn switch(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "include-xids" => &mut self.include_xids,
            "include-timestamp" => &mut self.include_timestamp,
            "include-origin" => &mut self.include_origin,
            "include-lsn" => &mut self.include_lsn,
            "include-schemas" => &mut self.include_schemas,
            "include-types" => &mut self.include_types,
            "include-type-oids" => &mut self.include_type_oids,
            "include-typmod" => &mut self.include_typmod,
            "include-column-positions" => &mut self.include_column_positions,
            "include-not-null" => &mut self.include_not_null,
            "include-default" => &mut self.include_default,
            "include-pk" => &mut self.include_pk,
            "include-transaction" => &mut self.include_transaction,
            "pretty-print" => &mut self.pretty_print,
            "write-in-chunks" => &mut self.write_in_chunks,
            _ => return None,
        })
    }

    /// An option that is more than a switch.
    fn take(&mut self, option: &PluginOption) -> Result<(), PluginError> {
        let value = option.1.as_deref();
        match option.0.as_str() {
            // There are no domains here, so the type below one is always the type itself.
            "include-domain-data-type" => {
                boolean(option)?;
            }
            // Every change has the origin 0, which is none and cannot be filtered out.
            "filter-origins" => {}
            "include-unchanged-toast" => {
                let message = format!("parameter \"{}\" was deprecated", option.0);
                return Err(PluginError::InvalidName(message));
            }
            "format-version" => self.format = format_version(option)?,
            "actions" => self.actions = actions(option)?,
            "filter-tables" => {
                self.tables.hidden = parse_tables(value.unwrap_or_default(), option)?;
            }
            "add-tables" => {
                self.tables.shown = Some(parse_tables(value.unwrap_or_default(), option)?);
            }
            "filter-msg-prefixes" => self.messages.hidden = list(option)?,
            "add-msg-prefixes" => self.messages.shown = list(option)?,
            _ => return Err(unknown(option)),
        }
        Ok(())
    }
}

/// The items of an option's value; none where it has no value.
fn list(option: &PluginOption) -> Result<Vec<String>, PluginError> {
    let value = option.1.as_deref().unwrap_or_default();
    split_list(value).ok_or_else(|| PluginError::InvalidName(bad_value(option)))
}

fn actions(option: &PluginOption) -> Result<Vec<Action>, PluginError> {
    if option.1.is_none() {
        return Ok(Action::ALL.to_vec());
    }
    let named = |name: &String| Action::ALL.into_iter().find(|action| action.name() == name);
    let bad = |name: String| PluginError::InvalidOption(bad_value(&(option.0.clone(), Some(name))));
    let names = list(option)?.into_iter();
    names
        .map(|name| named(&name).ok_or_else(|| bad(name)))
        .collect()
}

/// Without a value it is the newest, as in the original.
fn format_version(option: &PluginOption) -> Result<FormatVersion, PluginError> {
    let Some(value) = option.1.as_deref() else {
        return Ok(FormatVersion::Two);
    };
    let refused = |version, bound| {
        PluginError::Unsupported(format!(
            "client sent format_version={version} but we only support format {bound}"
        ))
    };
    match parse_int(value) {
        Some(1) => Ok(FormatVersion::One),
        Some(2) => Ok(FormatVersion::Two),
        Some(version) if version > 2 => Err(refused(version, "2 or lower")),
        Some(version) => Err(refused(version, "1 or higher")),
        None => Err(PluginError::InvalidOption(bad_value(option))),
    }
}

/// A whole number as PostgreSQL's settings take one: decimal, hexadecimal or octal, with blanks
/// around it, and rounded.
fn parse_int(value: &str) -> Option<i32> {
    let value = value.trim_matches(|c: char| c.is_ascii_whitespace());
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let signed = |number: i64| if negative { -number } else { number };
    let lower = digits.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        let number = u32::from_str_radix(hex, 16).ok()?;
        return i32::try_from(signed(number.into())).ok();
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        let number = u32::from_str_radix(digits, 8).ok()?;
        return i32::try_from(signed(number.into())).ok();
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let rounded = lower.parse::<f64>().ok()?.round_ties_even();
    let number: i64 = format!("{rounded:.0}").parse().ok()?;
    i32::try_from(signed(number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, value: Option<&str>) -> Result<Options, PluginError> {
        Options::parse(&[(name.to_owned(), value.map(str::to_owned))])
    }

    /// The answers are wal2json 2.5's.
    #[test]
    fn a_format_version_is_read_as_the_original_does() {
        use FormatVersion::{One, Two};
        for (value, wanted) in [
            ("1", One),
            ("2", Two),
            (" 2", Two),
            ("2 ", Two),
            ("0x2", Two),
            ("1.5", Two),
            ("1e0", One),
            ("01", One),
            ("+1", One),
        ] {
            assert_eq!(parse("format-version", Some(value)).unwrap().format, wanted);
        }
        assert_eq!(parse("format-version", None).unwrap().format, Two);
        let unsupported = |version, bound| {
            PluginError::Unsupported(format!(
                "client sent format_version={version} but we only support format {bound}"
            ))
        };
        for (value, wanted) in [
            ("0", unsupported(0, "1 or higher")),
            ("-1", unsupported(-1, "1 or higher")),
            ("3", unsupported(3, "2 or lower")),
        ] {
            assert_eq!(parse("format-version", Some(value)).unwrap_err(), wanted);
        }
        for value in ["", "abc", "inf", "99999999999999999999", "0x", "1 x", "--1"] {
            let wanted =
                format!("could not parse value \"{value}\" for parameter \"format-version\"");
            let error = parse("format-version", Some(value)).unwrap_err();
            assert_eq!(error, PluginError::InvalidOption(wanted), "{value}");
        }
    }

    #[test]
    fn actions_are_read_as_the_original_does() {
        use Action::{Insert, Update};
        let actions = |value| parse("actions", value).map(|options| options.actions);
        assert_eq!(actions(None).unwrap(), Action::ALL);
        for (value, wanted) in [
            ("insert", vec![Insert]),
            (" insert , update", vec![Insert, Update]),
            ("", vec![]),
            (" ", vec![]),
        ] {
            assert_eq!(actions(Some(value)).unwrap(), wanted);
        }
        let text = |value| format!("could not parse value \"{value}\" for parameter \"actions\"");
        for value in ["INSERT", "foo", "message"] {
            let wanted = PluginError::InvalidOption(text(value));
            assert_eq!(actions(Some(value)).unwrap_err(), wanted);
        }
        for value in ["insert,", "insert,,", ",insert", "insert insert"] {
            let wanted = PluginError::InvalidName(text(value));
            assert_eq!(actions(Some(value)).unwrap_err(), wanted);
        }
    }

    #[test]
    fn an_option_without_a_value_is_on_and_the_last_one_counts() {
        let given = |value: &str| ("include-pk".to_owned(), Some(value.to_owned()));
        assert!(parse("include-lsn", None).unwrap().include_lsn);
        let options = Options::parse(&[given("on"), given("off")]).unwrap();
        assert!(!options.include_pk);
    }
}
