//! The options of `COPY table FROM STDIN`, checked in PostgreSQL's order and words.

use super::statements::{CopyOption, CopyValue};
use crate::pgerror::PgError;
use crate::sources::copy_rows::{CopyFormat, CopyHeader, CopyOptions};

/// What was said, before it is known whether it goes together.
#[derive(Debug, Default)]
struct Said {
    format: Option<CopyFormat>,
    freeze: bool,
    delimiter: Option<String>,
    null: Option<String>,
    header: Option<CopyHeader>,
    quote: Option<String>,
    escape: Option<String>,
    force_quote: bool,
    force_not_null: Option<Vec<String>>,
    force_null: Option<Vec<String>>,
    encoding: bool,
}

/// What the options mean for a table with the columns `all`, of which `columns` are copied.
pub(super) fn checked(
    options: &[CopyOption],
    table: &str,
    all: &[&str],
    columns: &[String],
) -> Result<CopyOptions, PgError> {
    let mut said = Said::default();
    for option in options {
        said.take(option)?;
    }
    said.check_binary()?;
    let mut made = CopyOptions::of(said.format.unwrap_or_default());
    said.check_characters(&mut made)?;
    said.check_csv(&mut made)?;
    let forced = |what: &str, names: Option<&Vec<String>>| {
        let names = names.map(Vec::as_slice).unwrap_or_default();
        for name in names {
            if !all.contains(&name.as_str()) {
                let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
                return Err(PgError::error("42703", message));
            }
            if !columns.contains(name) {
                let message = format!("{what} column \"{name}\" not referenced by COPY");
                return Err(PgError::error("42P10", message));
            }
        }
        Ok(columns
            .iter()
            .map(|column| names.contains(column))
            .collect())
    };
    made.force_not_null = forced("FORCE_NOT_NULL", said.force_not_null.as_ref())?;
    made.force_null = forced("FORCE_NULL", said.force_null.as_ref())?;
    Ok(made)
}

impl Said {
    fn take(&mut self, option: &CopyOption) -> Result<(), PgError> {
        let at = |error: PgError| error.at(option.at);
        let is_repeated = match option.name.as_str() {
            "format" => self.format.replace(format(option)?).is_some(),
            "freeze" => {
                let freeze = boolean(option)?;
                std::mem::replace(&mut self.freeze, freeze)
            }
            "delimiter" => self.delimiter.replace(text(option)?).is_some(),
            "null" => self.null.replace(text(option)?).is_some(),
            "header" => self.header.replace(header(option)?).is_some(),
            "quote" => self.quote.replace(text(option)?).is_some(),
            "escape" => self.escape.replace(text(option)?).is_some(),
            "force_quote" => std::mem::replace(&mut self.force_quote, true),
            "force_not_null" => self.force_not_null.replace(names(option)?).is_some(),
            "force_null" => self.force_null.replace(names(option)?).is_some(),
            "encoding" => {
                check_encoding(option)?;
                std::mem::replace(&mut self.encoding, true)
            }
            other => {
                let message = format!("option \"{other}\" not recognized");
                return Err(at(PgError::error("42601", message)));
            }
        };
        if is_repeated {
            let message = "conflicting or redundant options";
            return Err(at(PgError::error("42601", message)));
        }
        Ok(())
    }

    fn check_binary(&self) -> Result<(), PgError> {
        if self.format != Some(CopyFormat::Binary) {
            return Ok(());
        }
        let refused = |what: &str| {
            let message = format!("cannot specify {what} in BINARY mode");
            Err(PgError::error("42601", message))
        };
        if self.delimiter.is_some() {
            return refused("DELIMITER");
        }
        if self.null.is_some() {
            return refused("NULL");
        }
        Ok(())
    }

    /// Delimiter, NULL and header.
    fn check_characters(&self, made: &mut CopyOptions) -> Result<(), PgError> {
        if let Some(delimiter) = &self.delimiter {
            made.delimiter = one_byte(delimiter, "delimiter")?;
        }
        if let Some(null) = &self.null {
            made.null.clone_from(null);
        }
        let invalid = |message: &str| Err(PgError::error("22023", message));
        if matches!(made.delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if made.null.contains(['\n', '\r']) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        let confusing = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
        if made.format != CopyFormat::Csv && confusing.contains(&made.delimiter) {
            let delimiter = char::from(made.delimiter);
            return invalid(&format!("COPY delimiter cannot be \"{delimiter}\""));
        }
        made.header = self.header.unwrap_or_default();
        if made.format == CopyFormat::Binary && made.header != CopyHeader::None {
            return Err(PgError::unsupported("cannot specify HEADER in BINARY mode"));
        }
        Ok(())
    }

    fn check_csv(&self, made: &mut CopyOptions) -> Result<(), PgError> {
        let is_csv = made.format == CopyFormat::Csv;
        let only = |said: bool, what: &str| {
            if said && !is_csv {
                let message = format!("COPY {what} available only in CSV mode");
                return Err(PgError::unsupported(message));
            }
            Ok(())
        };
        let invalid = |message: &str| Err(PgError::error("22023", message));
        only(self.quote.is_some(), "quote")?;
        if let Some(quote) = &self.quote {
            made.quote = one_byte(quote, "quote")?;
        }
        if is_csv && made.delimiter == made.quote {
            return invalid("COPY delimiter and quote must be different");
        }
        only(self.escape.is_some(), "escape")?;
        made.escape = match &self.escape {
            Some(escape) => one_byte(escape, "escape")?,
            None => made.quote,
        };
        only(self.force_quote, "force quote")?;
        if self.force_quote {
            let message = "COPY force quote only available using COPY TO";
            return Err(PgError::unsupported(message));
        }
        only(self.force_not_null.is_some(), "force not null")?;
        only(self.force_null.is_some(), "force null")?;
        if made.null.as_bytes().contains(&made.delimiter) {
            let message = "COPY delimiter must not appear in the NULL specification";
            return Err(PgError::unsupported(message));
        }
        if is_csv && made.null.as_bytes().contains(&made.quote) {
            let message = "CSV quote character must not appear in the NULL specification";
            return Err(PgError::unsupported(message));
        }
        Ok(())
    }
}

fn one_byte(text: &str, what: &str) -> Result<u8, PgError> {
    match text.as_bytes() {
        [byte] => Ok(*byte),
        _ => {
            let message = format!("COPY {what} must be a single one-byte character");
            Err(PgError::unsupported(message))
        }
    }
}

fn text(option: &CopyOption) -> Result<String, PgError> {
    match &option.value {
        CopyValue::Text(text) | CopyValue::Number(text) => Ok(text.clone()),
        CopyValue::None => {
            let message = format!("{} requires a parameter", option.name);
            Err(PgError::error("42601", message))
        }
        CopyValue::Star => Ok("*".to_owned()),
        CopyValue::Names(names) => Ok(names.join(",")),
    }
}

fn format(option: &CopyOption) -> Result<CopyFormat, PgError> {
    match text(option)?.as_str() {
        "text" => Ok(CopyFormat::Text),
        "csv" => Ok(CopyFormat::Csv),
        "binary" => Ok(CopyFormat::Binary),
        other => {
            let message = format!("COPY format \"{other}\" not recognized");
            Err(PgError::error("22023", message).at(option.at))
        }
    }
}

fn boolean_word(option: &CopyOption) -> Option<bool> {
    match &option.value {
        CopyValue::None => Some(true),
        CopyValue::Number(number) if number == "0" => Some(false),
        CopyValue::Number(number) if number == "1" => Some(true),
        CopyValue::Text(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
        CopyValue::Number(_) | CopyValue::Star | CopyValue::Names(_) => None,
    }
}

fn boolean(option: &CopyOption) -> Result<bool, PgError> {
    boolean_word(option).ok_or_else(|| {
        let message = format!("{} requires a Boolean value", option.name);
        PgError::error("42601", message)
    })
}

fn header(option: &CopyOption) -> Result<CopyHeader, PgError> {
    if let CopyValue::Text(word) = &option.value
        && word.eq_ignore_ascii_case("match")
    {
        return Ok(CopyHeader::Matched);
    }
    match boolean_word(option) {
        Some(true) => Ok(CopyHeader::Skipped),
        Some(false) => Ok(CopyHeader::None),
        None => {
            let message = "header requires a Boolean value or \"match\"";
            Err(PgError::error("42601", message))
        }
    }
}

fn names(option: &CopyOption) -> Result<Vec<String>, PgError> {
    match &option.value {
        CopyValue::Names(names) => Ok(names.clone()),
        CopyValue::None | CopyValue::Text(_) | CopyValue::Number(_) | CopyValue::Star => {
            let message = format!(
                "argument to option \"{}\" must be a list of column names",
                option.name
            );
            Err(PgError::error("22023", message).at(option.at))
        }
    }
}

/// Data comes in UTF-8, as everything else does.
fn check_encoding(option: &CopyOption) -> Result<(), PgError> {
    let name = text(option)?;
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if matches!(plain.as_str(), "utf8" | "unicode") {
        return Ok(());
    }
    if is_encoding(&plain) {
        let message = format!("COPY with ENCODING \"{name}\" is not supported");
        let hint = "Send the data in UTF8.";
        return Err(PgError::unsupported(message).with_hint(hint));
    }
    let message = "argument to option \"encoding\" must be a valid encoding name";
    Err(PgError::error("22023", message).at(option.at))
}

/// Whether PostgreSQL has an encoding of that name.
fn is_encoding(plain: &str) -> bool {
    let families = [
        "latin", "iso8859", "win", "windows", "koi8", "euc", "mule", "sjis", "shiftjis", "big5",
        "gbk", "gb18030", "uhc", "johab", "sqlascii", "alt", "tcvn", "mskanji", "vscii",
    ];
    families.iter().any(|family| plain.starts_with(family))
}
