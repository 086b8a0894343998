//! The sections `[capture.NAME]` of the configuration file: databases that follow an upstream, with
//! the options of CREATE DATABASE.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::captures::NewCapture;
use crate::datum::quote_ident;

/// What the table `capture` says: a table for each database.
pub(super) fn captures(sections: Value) -> Result<BTreeMap<String, NewCapture>, String> {
    let Value::Table(sections) = sections else {
        return Err("\"capture\" needs sections: [capture.NAME]".to_owned());
    };
    let read = |(name, section): (String, Value)| {
        let Value::Table(section) = section else {
            return Err(format!(
                "\"capture.{name}\" needs to be a section: [capture.NAME], with upstream and \
                 publication in it"
            ));
        };
        let capture = capture(&name, section).map_err(|why| format!("[capture.{name}]: {why}"));
        Ok((name, capture?))
    };
    sections.into_iter().map(read).collect()
}

fn capture(name: &str, section: Table) -> Result<NewCapture, String> {
    let mut options = Vec::new();
    for (option, value) in section {
        let text = match value.as_array() {
            Some(list) if option == "publication" => names(list),
            Some(_) | None => scalar(value),
        };
        let text = text.ok_or_else(|| format!("option \"{option}\" needs a string"))?;
        options.push((option, text));
    }
    let options = options
        .iter()
        .map(|(option, text)| (option.as_str(), text.as_str()));
    NewCapture::from_options(name, options).map_err(|error| error.to_string())
}

/// A list of names as one text.
fn names(list: &[Value]) -> Option<String> {
    let name = |value: &Value| Some(quote_ident(value.as_str()?));
    let names: Option<Vec<String>> = list.iter().map(name).collect();
    Some(names?.join(", "))
}

/// A value that is one, as text.
pub(super) fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, NewCapture>, String> {
        captures(toml::from_str(text).unwrap())
    }

    #[test]
    fn each_section_is_a_database() {
        let text = "[shop]\nupstream = 'host=a dbname=b'\npublication = ['p', 'My Q']\n\
                    heartbeat = '5s'\n[other]\nupstream = 'host=a dbname=c'\n\
                    publication = 'p'\nslot = 's'\ncreate_publication = true\n";
        let found = read(text).unwrap();
        let shop = &found["shop"].settings;
        assert_eq!(shop.publications, ["p", "My Q"]);
        assert_eq!(shop.slot, "pgspool_shop");
        let other = &found["other"].settings;
        assert!(other.create_publication && other.slot == "s");
    }

    #[test]
    fn a_mistake_names_its_section() {
        for (text, words) in [
            ("shop = 1", "\"capture.shop\" needs to be a section"),
            (
                "[shop]\nupstream = 'a'",
                "[capture.shop]: a captured database needs",
            ),
            (
                "[shop]\nupstreams = 'a'",
                "[capture.shop]: option \"upstreams\" not",
            ),
            (
                "[shop]\nslot = ['a']",
                "[capture.shop]: option \"slot\" needs a string",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
