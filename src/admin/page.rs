//! The status page: what is wrong first, then numbers, then tables. Plain HTML without scripts.

mod rates;
mod tables;

use std::fmt::{self, Write};

use super::escape::Escaped;
use super::problems::{Problem, Severity};
use super::snapshot::{Snapshot, least_free};
use super::units::{bytes, grouped, span};

pub(super) use rates::Rates;

/// How often a browser asks again.
const REFRESH_SECONDS: u32 = 5;

const STYLE: &str = include_str!("style.css");

/// The page for what was seen, or for a server that is not up.
pub(super) fn render(
    snapshot: Option<&Snapshot>,
    problems: &[Problem],
    rates: &mut Rates,
) -> String {
    let mut out = String::new();
    // A String takes all that is written to it.
    let _written = write_page(&mut out, snapshot, problems, rates);
    out
}

fn write_page(
    out: &mut String,
    snapshot: Option<&Snapshot>,
    problems: &[Problem],
    rates: &mut Rates,
) -> fmt::Result {
    let (class, state) = verdict(problems);
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\n\
         <title>pgspool: {state}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>pgspool</h1><span class=\"state {class}\">{state}</span>\
         <span class=\"soft\">version {}",
        env!("CARGO_PKG_VERSION")
    )?;
    if let Some(snapshot) = snapshot {
        let up = snapshot.now.unix_ms;
        let up = up.saturating_sub(snapshot.server.started_unix_ms);
        write!(out, ", up {}", span(up))?;
    }
    out.write_str("</span></header>\n")?;
    write_problems(out, problems)?;
    if let Some(snapshot) = snapshot {
        write_tiles(out, snapshot, rates)?;
        tables::write_all(out, snapshot)?;
    }
    out.write_str(
        "<footer class=\"soft\">For machines: <a href=\"/metrics\">/metrics</a>, \
         <a href=\"/readyz\">/readyz</a>, <a href=\"/healthz\">/healthz</a></footer>\n\
         </body>\n</html>\n",
    )
}

/// The page in two words.
fn verdict(problems: &[Problem]) -> (&'static str, &'static str) {
    let worst = problems.iter().map(|problem| problem.severity).min();
    match worst {
        None => ("good", "all well"),
        Some(Severity::NotReady) => ("bad", "not ready"),
        Some(Severity::Alarm) => ("bad", "ready, with an alarm"),
        Some(Severity::Notice) => ("warn", "ready, with a notice"),
    }
}

fn write_problems(out: &mut String, problems: &[Problem]) -> fmt::Result {
    if problems.is_empty() {
        return Ok(());
    }
    out.write_str("<ul class=\"problems\">\n")?;
    for problem in problems {
        let class = match problem.severity {
            Severity::NotReady | Severity::Alarm => "bad",
            Severity::Notice => "warn",
        };
        let words = Escaped(&problem.words);
        writeln!(out, "<li class=\"{class}\">{words}</li>")?;
    }
    out.write_str("</ul>\n")
}

fn write_tiles(out: &mut String, snapshot: &Snapshot, rates: &mut Rates) -> fmt::Result {
    let databases = &snapshot.databases;
    let rate = rates.since_last(snapshot);
    out.write_str("<div class=\"tiles\">\n")?;
    let mut tile = |class: &str, name: &str, value: &str, more: &str| {
        writeln!(
            out,
            "<div class=\"tile {class}\"><span class=\"soft\">{name}</span><b>{value}</b>\
             <span class=\"soft\">{more}</span></div>"
        )
    };
    let per_second = format!("{} / s", grouped(rate.records));
    let more = format!("{} / s, {}", bytes(rate.bytes), rate.over);
    tile("", "records published", &per_second, &more)?;
    let sync = rate.sync_micros.map_or_else(|| "none".to_owned(), millis);
    tile("", "a sync takes", &sync, &format!("mean, {}", rate.over))?;
    let full = databases.iter().any(|database| database.disk_full);
    let free = least_free(databases).map_or_else(|| "unknown".to_owned(), bytes);
    let used: u64 = databases.iter().map(|database| database.spool.bytes).sum();
    let class = if full { "bad" } else { "" };
    tile(class, "disk free", &free, &format!("{} used", bytes(used)))?;
    let slots = databases.iter().map(|database| database.slots.len());
    let streams: usize = databases
        .iter()
        .map(|database| database.streams.len())
        .sum();
    let worst = databases.iter().flat_map(|database| &database.slots);
    let worst = worst.filter_map(|slot| slot.lag_ms).max().unwrap_or(0);
    let furthest = format!("furthest behind {}", span(worst));
    tile("", "slots", &slots.sum::<usize>().to_string(), &furthest)?;
    let server = &snapshot.server;
    let (sessions, walsenders) = server.counts();
    let more = format!(
        "of {}, and {walsenders} of {} for replication, {streams} streams",
        server.max_connections, server.max_wal_senders
    );
    tile("", "connections", &sessions.to_string(), &more)?;
    let waiting: usize = databases.iter().map(|database| database.num_waiting).sum();
    let late: u64 = databases
        .iter()
        .map(|database| database.waits.timed_out)
        .sum();
    let more = format!("{} timed out", grouped(late));
    tile("", "commits waiting", &waiting.to_string(), &more)?;
    out.write_str("</div>\n")
}

fn millis(micros: u64) -> String {
    if micros < 1000 {
        return format!("{micros} µs");
    }
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}
