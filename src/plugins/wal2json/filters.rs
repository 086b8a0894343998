//! Which tables and which messages a stream wants: the lists of `filter-tables`, `add-tables`,
//! `filter-msg-prefixes` and `add-msg-prefixes`.

use crate::relations::Relation;

use super::super::PluginError;
use super::super::options::{PluginOption, bad_value};

/// What PostgreSQL takes for a blank between items.
const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\x0c'];

/// Which tables are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct TableFilter {
    /// `add-tables`: only these; all without.
    pub(super) shown: Option<Vec<TablePattern>>,
    /// `filter-tables`: these not, whatever else is said.
    pub(super) hidden: Vec<TablePattern>,
}

impl TableFilter {
    pub(super) fn show(&self, table: &Relation) -> bool {
        let named = |patterns: &[TablePattern]| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.matches(table))
        };
        !named(&self.hidden) && self.shown.as_deref().is_none_or(named)
    }
}

/// `schema.table`, of which each part may be `*`: any (`None`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TablePattern {
    schema: Option<String>,
    table: Option<String>,
}

impl TablePattern {
    fn matches(&self, table: &Relation) -> bool {
        let same = |pattern: &Option<String>, name: &String| {
            pattern.as_ref().is_none_or(|pattern| pattern == name)
        };
        same(&self.schema, &table.schema) && same(&self.table, &table.name)
    }

    /// Reads one item without the blanks around it. A backslash takes away the meaning of the
    /// character behind it; without one a blank may not stand inside.
    fn parse(item: &str) -> Option<Self> {
        let mut schema = None;
        let mut part = Part::default();
        let mut characters = item.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => part.push(characters.next(), true),
                '.' if schema.is_none() => schema = Some(std::mem::take(&mut part)),
                blank if BLANKS.contains(&blank) => return None,
                plain => part.push(Some(plain), false),
            }
        }
        Some(Self {
            schema: schema?.pattern(),
            table: part.pattern(),
        })
    }
}

/// A part of a pattern as it is read.
#[derive(Default)]
struct Part {
    text: String,
    escaped: bool,
}

impl Part {
    fn push(&mut self, character: Option<char>, escaped: bool) {
        self.text.extend(character);
        self.escaped |= escaped;
    }

    fn pattern(self) -> Option<String> {
        (self.escaped || self.text != "*").then_some(self.text)
    }
}

/// Reads a list of tables; a blank text is an empty list.
pub(super) fn parse_tables(
    value: &str,
    option: &PluginOption,
) -> Result<Vec<TablePattern>, PluginError> {
    if value.trim_matches(BLANKS).is_empty() {
        return Ok(Vec::new());
    }
    let patterns = split_unescaped(value).into_iter().map(TablePattern::parse);
    let patterns: Option<Vec<_>> = patterns.collect();
    patterns.ok_or_else(|| PluginError::InvalidName(bad_value(option)))
}

/// The items between commas that no backslash stands before, without the blanks around them.
fn split_unescaped(value: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, character) in value.char_indices() {
        if character == ',' && !escaped {
            items.push(value.get(start..at).unwrap_or_default());
            start = at + 1;
        }
        escaped = character == '\\' && !escaped;
    }
    items.push(value.get(start..).unwrap_or_default());
    items.into_iter().map(trim_unescaped).collect()
}

/// Without the blanks around it, but for one behind a backslash.
fn trim_unescaped(item: &str) -> &str {
    let item = item.trim_start_matches(BLANKS);
    let trimmed = item.trim_end_matches(BLANKS);
    let backslashes = trimmed.bytes().rev().take_while(|b| *b == b'\\').count();
    if backslashes % 2 == 1 && trimmed.len() < item.len() {
        item.get(..trimmed.len() + 1).unwrap_or(item)
    } else {
        trimmed
    }
}

/// Which messages are shown, by their prefix.
#[derive(Debug, Clone, Default)]
pub(super) struct PrefixFilter {
    /// `add-msg-prefixes`: only these, unless it is empty.
    pub(super) shown: Vec<String>,
    /// `filter-msg-prefixes`: these not, whatever else is said.
    pub(super) hidden: Vec<String>,
}

impl PrefixFilter {
    pub(super) fn show(&self, prefix: &str) -> bool {
        let named = |prefixes: &[String]| prefixes.iter().any(|named| named == prefix);
        !named(&self.hidden) && (self.shown.is_empty() || named(&self.shown))
    }
}

/// Items between commas, without the blanks around them; a blank text is an empty list. None may
/// be empty or have a blank inside.
pub(super) fn split_list(value: &str) -> Option<Vec<String>> {
    if value.trim_matches(BLANKS).is_empty() {
        return Some(Vec::new());
    }
    let items = value.split(',').map(|item| {
        let item = item.trim_matches(BLANKS);
        (!item.is_empty() && !item.contains(BLANKS)).then(|| item.to_owned())
    });
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> Option<Vec<(String, String)>> {
        let part = |part: Option<String>| part.unwrap_or_else(|| "<any>".to_owned());
        let option = ("filter-tables".to_owned(), Some(value.to_owned()));
        let patterns = parse_tables(value, &option).ok()?;
        let patterns = patterns.into_iter();
        Some(patterns.map(|p| (part(p.schema), part(p.table))).collect())
    }

    /// What wal2json 2.5 shows of tables with such names.
    #[test]
    fn tables_are_named_as_for_the_original() {
        for (value, wanted) in [
            ("a.b", &[("a", "b")][..]),
            (" a.b ,\tc.d\n", &[("a", "b"), ("c", "d")]),
            ("*.b,a.*", &[("<any>", "b"), ("a", "<any>")]),
            (r"\*.b,a.\*", &[("*", "b"), ("a", "*")]),
            ("a.b.c", &[("a", "b.c")]),
            (r"a\.b.c", &[("a.b", "c")]),
            (r"a.x\ y,a.x\,y", &[("a", "x y"), ("a", "x,y")]),
            (r"a.x\\y", &[("a", r"x\y")]),
            (r"a.x\ ", &[("a", "x ")]),
            (r"\a.b,a.b\", &[("a", "b"), ("a", "b")]),
            ("\"a\".B", &[("\"a\"", "B")]),
            (".b,a.", &[("", "b"), ("a", "")]),
            ("", &[]),
            (" ", &[]),
        ] {
            let wanted = wanted
                .iter()
                .map(|(s, t)| ((*s).to_owned(), (*t).to_owned()));
            assert_eq!(parse(value), Some(wanted.collect()), "{value}");
        }
        for value in [
            "a", "a.b,", ",a.b", "a.b,,c.d", "a .b", "a. b", "a.b,c", ", ",
        ] {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    #[test]
    fn prefixes_are_listed_as_for_the_original() {
        let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect());
        for (value, wanted) in [
            ("p", list(&["p"])),
            (" p , q", list(&["p", "q"])),
            (r"a\,b", list(&[r"a\", "b"])),
            ("", list(&[])),
            (" ", list(&[])),
            (",", None),
            ("p,", None),
            ("p q", None),
        ] {
            assert_eq!(split_list(value), wanted, "{value}");
        }
    }

    #[test]
    fn what_is_hidden_is_hidden_whatever_is_shown() {
        let filter = PrefixFilter {
            shown: vec!["p".to_owned(), "q".to_owned()],
            hidden: vec!["p".to_owned()],
        };
        assert!(filter.show("q") && !filter.show("p") && !filter.show("r"));
        assert!(PrefixFilter::default().show("r"));
    }
}
