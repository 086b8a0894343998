//! The log: text or JSON on standard error, with levels by target.
//!
//! An event is one line, whatever names and statements of users are in it: in text, characters
//! that would end the line, steer a terminal or turn text around are written as escapes; JSON
//! escapes them anyway.

use std::fmt::{self, Write};
use std::io;
use std::net::SocketAddr;

use tracing::field::Field;
use tracing_subscriber::fmt::format::{FmtSpan, Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Settings of what the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchingOptions {
    /// `admin_listen`
    pub(super) admin_listen: Option<SocketAddr>,
    /// `log_format`
    pub(super) log_format: LogFormat,
    /// `log_level`
    pub(super) log_level: String,
}

impl Default for WatchingOptions {
    fn default() -> Self {
        Self {
            admin_listen: None,
            log_format: LogFormat::Text,
            log_level: "info".to_owned(),
        }
    }
}

/// How an event is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(super) const NAMES: &'static [&'static str] = &["text", "json"];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let formats = [Self::Text, Self::Json].into_iter();
        let mut named = formats.filter(|format| format.as_str().eq_ignore_ascii_case(text));
        named.next()
    }
}

/// What `text` says, as the filter reads it: `info`, `info,pgspool::server=debug`.
///
/// `None` where anything in it is no level, so that a misspelt one does not switch the log off. A
/// level without a target is added where there is none. `debug` and `trace` without a target mean
/// ours: what libraries say at these levels is much, and statements are in it.
fn directives(text: &str) -> Option<String> {
    let mut bare = None;
    let mut by_target = Vec::new();
    for part in text.split(',').map(str::trim) {
        match part.rsplit_once('=') {
            Some((target, word)) if !target.trim().is_empty() => {
                by_target.push(format!("{}={}", target.trim(), level(word)?));
            }
            Some(_) => return None,
            None if bare.is_some() => return None,
            None => bare = Some(level(part)?),
        }
    }
    let bare = bare.unwrap_or("info");
    let mut all = match bare {
        "debug" | "trace" => vec!["info".to_owned(), format!("pgspool={bare}")],
        other => vec![other.to_owned()],
    };
    all.append(&mut by_target);
    let all = all.join(",");
    EnvFilter::builder().parse(&all).is_ok().then_some(all)
}

/// The level that a word means; PostgreSQL's words do too.
fn level(word: &str) -> Option<&'static str> {
    let word = word.trim().to_ascii_lowercase();
    Some(match word.as_str() {
        "off" => "off",
        "error" => "error",
        "warn" | "warning" => "warn",
        "info" | "notice" | "log" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

/// Whether `text` says levels.
pub(super) fn is_level(text: &str) -> bool {
    directives(text).is_some()
}

/// The running log.
#[derive(Debug, Clone)]
pub(super) struct Log {
    /// `None`: `RUST_LOG` says what is in it.
    levels: Option<Handle<EnvFilter, Registry>>,
}

impl Log {
    /// Starts it, once a process. `RUST_LOG`, where it says levels, wins over `log_level`.
    pub(super) fn start(options: &WatchingOptions) -> Self {
        let environment = std::env::var(EnvFilter::DEFAULT_ENV).ok();
        let environment = environment.filter(|text| !text.trim().is_empty());
        let from_environment = environment.as_deref().and_then(directives);
        let is_fixed = from_environment.is_some();
        let levels = from_environment
            .as_deref()
            .map_or_else(|| levels(&options.log_level), filter);
        let (filter, handle) = reload::Layer::new(levels);
        let registry = tracing_subscriber::registry().with(filter);
        match options.log_format {
            LogFormat::Text => registry.with(text(io::stderr)).init(),
            LogFormat::Json => registry.with(json(io::stderr)).init(),
        }
        if let Some(text) = environment.filter(|_| !is_fixed) {
            tracing::warn!("RUST_LOG=\"{text}\" says no levels; log_level counts");
        }
        Self {
            levels: (!is_fixed).then_some(handle),
        }
    }

    /// Takes other levels from now on.
    pub(super) fn set_levels(&self, options: &WatchingOptions) {
        if let Some(handle) = &self.levels
            && let Err(error) = handle.reload(levels(&options.log_level))
        {
            tracing::error!(%error, "log_level not changed");
        }
    }
}

/// The levels that were checked when the setting was read.
fn levels(text: &str) -> EnvFilter {
    filter(directives(text).as_deref().unwrap_or("info"))
}

/// The client crate for upstreams tells of each of its steps; what matters of them is told by us.
/// Who names it hears it.
fn filter(directives: &str) -> EnvFilter {
    EnvFilter::new(format!("pg_walstream=off,{directives}"))
}

/// Where the log is written.
trait Out: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static {}

impl<W> Out for W where W: for<'w> tracing_subscriber::fmt::MakeWriter<'w> + Send + Sync + 'static {}

fn text<S, W: Out>(out: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    let layer = tracing_subscriber::fmt::layer();
    let layer = layer.with_span_events(FmtSpan::NONE).with_ansi(colours);
    let fields = debug_fn(write_field);
    let fields = tracing_subscriber::field::MakeExt::delimited(fields, " ");
    layer.fmt_fields(fields).with_writer(out).boxed()
}

fn json<S, W: Out>(out: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s>,
{
    let layer = tracing_subscriber::fmt::layer().json();
    let layer = layer.flatten_event(true).with_span_list(false);
    layer.with_current_span(false).with_writer(out).boxed()
}

/// `name=value`; of the message only the value.
fn write_field(out: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(out, "{}=", field.name())?;
    }
    write!(OneLine(out), "{value:?}")
}

/// Writes on, with escapes for what is not to be seen raw in a log.
struct OneLine<'a, W: Write>(&'a mut W);

impl<W: Write> Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let breaks = matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}');
            let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if character.is_control() || breaks || turns {
                write!(self.0, "{}", character.escape_default())?;
            } else {
                self.0.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const FORGED: &str = "ann\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}\r";

    fn log_of(layer: impl FnOnce(Kept) -> Box<dyn Layer<Registry> + Send + Sync>) -> String {
        let kept = Kept::default();
        let subscriber = tracing_subscriber::registry().with(layer(kept.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let error = format!("no entry for user \"{FORGED}\"");
            tracing::info!(user = FORGED, peer = %FORGED, slots = 3, "refused: {error}");
        });
        kept.text()
    }

    #[test]
    fn a_name_cannot_begin_a_line_of_the_log() {
        let log = log_of(|kept| text(move || kept.clone()));
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.ends_with('\n'));
        let inside = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!log.trim_end_matches('\n').contains(inside), "{log:?}");
        assert!(
            log.contains(r#"refused: no entry for user "ann\n2026"#),
            "{log}"
        );
        assert!(log.contains(" slots=3"), "{log}");
    }

    #[test]
    fn json_is_one_object_a_line_with_stable_keys() {
        let log = log_of(|kept| json(move || kept.clone()));
        assert_eq!(log.lines().count(), 1, "{log}");
        let event: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["user"], FORGED);
        assert_eq!(event["slots"], 3);
        assert_eq!(event["target"], "pgspool::cli::log::tests");
        assert!(event["timestamp"].is_string());
        assert_eq!(
            event["message"],
            format!("refused: no entry for user \"{FORGED}\"")
        );
    }

    #[test]
    fn a_misspelt_level_does_not_switch_the_log_off() {
        for text in [
            "loud",
            "warnin",
            "pgspool",
            "inof,pgspool=debug",
            "info,warn",
        ] {
            assert_eq!(directives(text), None, "{text}");
        }
        for text in ["", " ", "pgspool=loud", "info,=,=", "info,", "=info"] {
            assert!(!is_level(text), "{text}");
        }
    }

    #[test]
    fn a_level_without_a_target_is_always_there() {
        for (text, read) in [
            ("info", "info"),
            ("off", "off"),
            ("WARNING", "warn"),
            ("notice", "info"),
            ("log", "info"),
            ("pgspool::server=debug", "info,pgspool::server=debug"),
            ("warn, rustls=trace", "warn,rustls=trace"),
        ] {
            assert_eq!(directives(text).as_deref(), Some(read), "{text}");
        }
    }

    #[test]
    fn debug_means_ours_unless_another_target_is_named() {
        assert_eq!(directives("debug").as_deref(), Some("info,pgspool=debug"));
        assert_eq!(
            directives("trace,sqlparser=debug").as_deref(),
            Some("info,pgspool=trace,sqlparser=debug")
        );
    }
}
