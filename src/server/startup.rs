//! The startup packet: what a client asks for, and what is wrong with how it asks.

use std::time::Duration;

use pgwire::messages::startup::NegotiateProtocolVersion;
use tokio::io::{AsyncRead, AsyncWrite};

use super::conn::Conn;
use super::settings::Settings;
use crate::pgerror::PgError;
use crate::plugins::parse_bool;

/// The one protocol version that is spoken: 3.0.
const PROTOCOL: u32 = 3 << 16;

/// Most bytes of a name.
const MAX_NAME: usize = 63;

/// Most bytes of an error before login: it may repeat what was sent, and goes to the log.
const MAX_MESSAGE: usize = 250;

/// What kind of connection the client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replication {
    /// A normal one.
    No,
    /// `replication=database`: replication commands and SQL.
    Logical,
    /// `replication=true`: replication commands only, no database.
    Physical,
}

/// What a startup packet asks for.
#[derive(Debug)]
pub(super) struct Startup {
    /// User.
    pub(super) user: String,
    /// Database; the user's name when the packet names none.
    pub(super) database: String,
    /// Kind of connection.
    pub(super) replication: Replication,
    /// Settings; those that the packet sets are in it after [`Startup::apply_settings`].
    pub(super) settings: Settings,
    /// `options`, as it came.
    options: String,
    /// The names that are settings, if they are any, with their values.
    asked: Vec<(String, String)>,
}

impl Startup {
    /// Sets what the packet asks to set. Which settings there are, and with what values, is for
    /// those only who may have a session: this comes behind the proof.
    pub(super) fn apply_settings(&mut self) -> Result<(), PgError> {
        let of_options = parse_options(&self.options)?;
        for (name, value) in of_options.iter().chain(&self.asked) {
            self.settings.set_at_start(name, value)?;
        }
        Ok(())
    }
}

/// The error for a protocol version that is not spoken.
pub(super) fn unsupported_protocol(code: u32) -> PgError {
    let (major, minor) = (code >> 16, code & 0xFFFF);
    PgError::fatal(
        "0A000",
        format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
    )
}

/// Parses the startup packet at the front. Puts a NegotiateProtocolVersion into the out-buffer
/// when the client asked for more than 3.0.
pub(super) fn parse_packet<S: AsyncRead + AsyncWrite + Unpin>(
    conn: &mut Conn<S>,
    code: u32,
    len: usize,
    wal_sender_timeout: Option<Duration>,
) -> Result<Startup, PgError> {
    if code >> 16 != PROTOCOL >> 16 {
        return Err(unsupported_protocol(code));
    }
    let parameters = parse_parameters(conn.buffered().get(8..len).unwrap_or_default())?;
    let extensions: Vec<String> = parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.clone())
        .collect();
    if code > PROTOCOL || !extensions.is_empty() {
        // PostgreSQL 15 puts its whole version number there, not only the minor part.
        let newest = i32::try_from(PROTOCOL).unwrap_or_default();
        conn.send(&NegotiateProtocolVersion::new(newest, extensions));
    }
    build(&parameters, wal_sender_timeout)
}

fn parse_parameters(body: &[u8]) -> Result<Vec<(String, String)>, PgError> {
    let invalid = |message: &str| {
        let message = format!("invalid startup packet layout: {message}");
        PgError::fatal("08P01", message)
    };
    let Some((0, pairs)) = body.split_last() else {
        return Err(invalid("expected terminator as last byte"));
    };
    let mut parameters = vec![];
    let mut rest = pairs;
    while !rest.is_empty() {
        let (name, behind) = cstring(rest).ok_or_else(|| invalid("unterminated name"))?;
        let (value, behind) = cstring(behind).ok_or_else(|| invalid("expected a value"))?;
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).ok().map(str::to_owned);
            text.ok_or_else(|| {
                PgError::fatal("22021", "invalid byte sequence for encoding \"UTF8\"")
            })
        };
        parameters.push((text(name)?, text(value)?));
        rest = behind;
    }
    Ok(parameters)
}

fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (text, rest) = bytes.split_at_checked(memchr::memchr(0, bytes)?)?;
    Some((text, rest.get(1..)?))
}

fn build(
    parameters: &[(String, String)],
    wal_sender_timeout: Option<Duration>,
) -> Result<Startup, PgError> {
    let built = build_whole(parameters, wal_sender_timeout);
    built.map_err(|error| error.into_fatal().shortened(MAX_MESSAGE))
}

fn build_whole(
    parameters: &[(String, String)],
    wal_sender_timeout: Option<Duration>,
) -> Result<Startup, PgError> {
    let value_of = |wanted: &str| {
        let mut found = parameters.iter().filter(|(name, _)| name == wanted);
        found
            .next_back()
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let user = value_of("user").ok_or_else(|| {
        PgError::error(
            "28000",
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    let user = name_of(user);
    let replication = parse_replication(value_of("replication"))?;
    let is_setting = |name: &str| {
        !matches!(name, "user" | "database" | "replication" | "options")
            && !name.starts_with("_pq_.")
    };
    let asked = parameters.iter().filter(|(name, _)| is_setting(name));
    Ok(Startup {
        user: user.to_owned(),
        database: name_of(value_of("database").unwrap_or(user)).to_owned(),
        replication,
        settings: Settings::new(user, wal_sender_timeout),
        options: value_of("options").unwrap_or_default().to_owned(),
        asked: asked.cloned().collect(),
    })
}

/// A name as far as names go, cut at a whole character: nothing longer is compared, shown or
/// written to the log.
fn name_of(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_NAME);
    text.get(..end).unwrap_or_default()
}

fn parse_replication(value: Option<&str>) -> Result<Replication, PgError> {
    let Some(value) = value else {
        return Ok(Replication::No);
    };
    if value == "database" {
        return Ok(Replication::Logical);
    }
    match parse_bool(value) {
        Some(true) => Ok(Replication::Physical),
        Some(false) => Ok(Replication::No),
        None => Err(PgError::error(
            "22023",
            format!("invalid value for parameter \"replication\": \"{value}\""),
        )
        .with_hint("Valid values are: \"false\", 0, \"true\", 1, \"database\".")),
    }
}

/// The settings in `options`: `-c name=value`, `-cname=value`, `--name=value`; a backslash takes
/// the next character as it is.
fn parse_options(options: &str) -> Result<Vec<(String, String)>, PgError> {
    let mut settings = vec![];
    let mut words = option_words(options).into_iter();
    while let Some(word) = words.next() {
        let invalid = || {
            PgError::error(
                "42601",
                format!("invalid command-line argument for server process: {word}"),
            )
        };
        let assignment = if word == "-c" {
            words.next().ok_or_else(invalid)?
        } else if let Some(long) = word.strip_prefix("--") {
            long.to_owned()
        } else if let Some(short) = word.strip_prefix("-c") {
            short.to_owned()
        } else {
            return Err(invalid());
        };
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| PgError::error("42601", format!("-c {assignment} requires a value")))?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn option_words(options: &str) -> Vec<String> {
    let mut words = vec![];
    let mut word = String::new();
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            word.extend(chars.next());
        } else if !c.is_ascii_whitespace() {
            word.push(c);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(parameters: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        parameters.iter().map(owned).collect()
    }

    #[test]
    fn options_are_split_as_postgresql_does() {
        let options = " -c datestyle=ISO -cintervalstyle=postgres --wal-sender-timeout=5s \
                       -c my.x=a\\ b\\\\";
        let parsed = parse_options(options).unwrap();
        assert_eq!(
            parsed,
            packet(&[
                ("datestyle", "ISO"),
                ("intervalstyle", "postgres"),
                ("wal_sender_timeout", "5s"),
                ("my.x", "a b\\"),
            ])
        );
        for bad in ["x", "-c", "-c a", "--a", "-x 1"] {
            assert!(parse_options(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn packet_defaults_are_postgresqls() {
        let startup = build(&packet(&[("user", "ann")]), None).unwrap();
        assert_eq!(startup.database, "ann");
        assert_eq!(startup.replication, Replication::No);
        assert!(build(&packet(&[("database", "x")]), None).is_err());
        for wrong in [
            ("nosuch", "1"),
            ("options", "-x"),
            ("options", "-cnosuch=1"),
        ] {
            let mut startup = build(&packet(&[("user", "x"), wrong]), None).unwrap();
            assert!(startup.apply_settings().is_err(), "{wrong:?}");
        }
        for (value, replication) in [
            ("database", Some(Replication::Logical)),
            ("true", Some(Replication::Physical)),
            ("on", Some(Replication::Physical)),
            ("0", Some(Replication::No)),
            ("Database", None),
        ] {
            assert_eq!(parse_replication(Some(value)).ok(), replication, "{value}");
        }
    }

    #[test]
    fn names_longer_than_names_can_be_are_cut() {
        let (long, wide) = ("x".repeat(9000), format!("x{}", "\u{e4}".repeat(60)));
        let startup = build(&packet(&[("user", &long), ("database", &wide)]), None).unwrap();
        assert_eq!(startup.user, "x".repeat(63));
        assert_eq!(startup.database, format!("x{}", "\u{e4}".repeat(31)));
        assert_eq!(
            startup.settings.value("session_authorization"),
            startup.user
        );
        let startup = build(&packet(&[("user", &long)]), None).unwrap();
        assert_eq!(startup.database, startup.user);
    }

    #[test]
    fn errors_before_login_are_short_whatever_was_sent() {
        let long = "\u{e4}".repeat(4000);
        let packet = packet(&[("user", "ann"), ("replication", &long)]);
        let refused = build(&packet, None).unwrap_err();
        let length = refused.to_string().len();
        assert!(length <= 300, "{length}");
    }

    #[test]
    fn malformed_parameter_lists_are_refused() {
        let good: &[u8] = b"user\0ann\0\0";
        assert_eq!(parse_parameters(good).unwrap(), packet(&[("user", "ann")]));
        for cut in 0..good.len() - 1 {
            let part = good.get(..cut).unwrap();
            let _never_panics = parse_parameters(part);
        }
        for bad in [
            &b""[..],
            b"user",
            b"user\0",
            b"user\0\0ann\0",
            b"\xff\0a\0\0",
        ] {
            assert!(parse_parameters(bad).is_err(), "{bad:?}");
        }
    }
}
