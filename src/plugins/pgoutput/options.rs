//! The options, with the checks, words and order of PostgreSQL 15, and of 16 where that has more.

use crate::datum::split_names;
use crate::pgoutput::Protocol;
use crate::plugins::PluginError;
use crate::plugins::options::PluginOption;

/// What a stream asked for.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) publication_names: Vec<String>,
    /// Values come in binary form where they have one.
    pub(super) binary: bool,
    /// Logical messages come too.
    pub(super) messages: bool,
    /// Large transactions come in pieces.
    pub(super) streaming: bool,
    /// Only what comes from nowhere else is shown.
    pub(super) only_local: bool,
}

/// `streaming`
#[derive(Clone, Copy, PartialEq, Eq)]
enum Streaming {
    Off,
    On,
    Parallel,
}

/// What was given so far.
#[derive(Default)]
struct Given {
    proto_version: Option<u32>,
    publication_names: Option<Vec<String>>,
    binary: Option<bool>,
    messages: Option<bool>,
    streaming: Option<Streaming>,
    two_phase: Option<bool>,
    /// True for `none`.
    origin: Option<bool>,
}

impl Options {
    pub(super) fn parse(options: &[PluginOption]) -> Result<Self, PluginError> {
        let mut given = Given::default();
        for option in options {
            given.take(option)?;
        }
        let version = given.proto_version.unwrap_or(0);
        let protocol = protocol(version)?;
        let publication_names = given.publication_names.unwrap_or_default();
        if publication_names.is_empty() {
            return Err(invalid("publication_names parameter missing".to_owned()));
        }
        let needs = |what: &str, least: Protocol| {
            if protocol >= least {
                return Ok(());
            }
            Err(invalid(format!(
                "requested proto_version={version} does not support {what}, need {} or higher",
                least.number()
            )))
        };
        let streaming = given.streaming.unwrap_or(Streaming::Off);
        match streaming {
            Streaming::Off => {}
            Streaming::On => needs("streaming", Protocol::V2)?,
            Streaming::Parallel => needs("parallel streaming", Protocol::V4)?,
        }
        if given.two_phase == Some(true) {
            needs("two-phase commit", Protocol::V3)?;
        }
        Ok(Self {
            publication_names,
            binary: given.binary.unwrap_or(false),
            messages: given.messages.unwrap_or(false),
            streaming: streaming != Streaming::Off,
            only_local: given.origin.unwrap_or(false),
        })
    }
}

impl Given {
    fn take(&mut self, option: &PluginOption) -> Result<(), PluginError> {
        match option.0.as_str() {
            "proto_version" => once(&mut self.proto_version, || number(option)),
            "publication_names" => once(&mut self.publication_names, || {
                split_names(required(option)?).ok_or_else(|| {
                    PluginError::InvalidName("invalid publication_names syntax".to_owned())
                })
            }),
            "binary" => once(&mut self.binary, || boolean(option)),
            "messages" => once(&mut self.messages, || boolean(option)),
            "streaming" => once(&mut self.streaming, || streaming(option)),
            "two_phase" => once(&mut self.two_phase, || boolean(option)),
            "origin" => once(&mut self.origin, || origin(option)),
            other => Err(PluginError::UnknownOption(format!(
                "unrecognized pgoutput option: {other}"
            ))),
        }
    }
}

/// An option that is given twice is refused before its value is looked at.
fn once<T>(
    place: &mut Option<T>,
    read: impl FnOnce() -> Result<T, PluginError>,
) -> Result<(), PluginError> {
    if place.is_some() {
        let words = "conflicting or redundant options".to_owned();
        return Err(PluginError::Syntax(words));
    }
    *place = Some(read()?);
    Ok(())
}

fn invalid(words: String) -> PluginError {
    PluginError::InvalidOption(words)
}

fn required((name, value): &PluginOption) -> Result<&str, PluginError> {
    let missing = || PluginError::Syntax(format!("{name} requires a parameter"));
    value.as_deref().ok_or_else(missing)
}

fn boolean((name, value): &PluginOption) -> Result<bool, PluginError> {
    let Some(value) = value else {
        return Ok(true);
    };
    word(value).ok_or_else(|| PluginError::Syntax(format!("{name} requires a Boolean value")))
}

fn word(value: &str) -> Option<bool> {
    let is = |word: &str| value.eq_ignore_ascii_case(word);
    if is("true") || is("on") {
        Some(true)
    } else if is("false") || is("off") {
        Some(false)
    } else {
        None
    }
}

fn streaming(option: &PluginOption) -> Result<Streaming, PluginError> {
    let Some(value) = &option.1 else {
        return Ok(Streaming::On);
    };
    if value.eq_ignore_ascii_case("parallel") {
        return Ok(Streaming::Parallel);
    }
    match word(value) {
        Some(true) => Ok(Streaming::On),
        Some(false) => Ok(Streaming::Off),
        None => Err(PluginError::Syntax(
            "streaming requires a Boolean value or \"parallel\"".to_owned(),
        )),
    }
}

/// Whose changes: with `none`, only those that come from nowhere else.
fn origin(option: &PluginOption) -> Result<bool, PluginError> {
    let value = required(option)?;
    if value.eq_ignore_ascii_case("none") {
        return Ok(true);
    }
    if value.eq_ignore_ascii_case("any") {
        return Ok(false);
    }
    Err(invalid(format!("unrecognized origin value: \"{value}\"")))
}

/// A number as C's `strtoul` reads it: nothing at all is 0, and one below 0 is a very large one.
fn number(option: &PluginOption) -> Result<u32, PluginError> {
    let value = required(option)?;
    if value.is_empty() {
        return Ok(0);
    }
    let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
    let digits = value.trim_start_matches(is_space);
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let parsed: Option<u64> = digits.parse().ok().filter(|_| only_digits);
    let Some(parsed) = parsed else {
        return Err(invalid("invalid proto_version".to_owned()));
    };
    let parsed = if negative {
        parsed.wrapping_neg()
    } else {
        parsed
    };
    u32::try_from(parsed).map_err(|_| invalid(format!("proto_version \"{value}\" out of range")))
}

fn protocol(version: u32) -> Result<Protocol, PluginError> {
    let shown = version.cast_signed();
    let newest = Protocol::NEWEST.number();
    if version > newest {
        return Err(PluginError::Unsupported(format!(
            "client sent proto_version={shown} but we only support protocol {newest} or lower"
        )));
    }
    Protocol::from_number(version).ok_or_else(|| {
        PluginError::Unsupported(format!(
            "client sent proto_version={shown} but we only support protocol 1 or higher"
        ))
    })
}
