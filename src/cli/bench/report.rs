//! Rows of the table that `pgspool bench` prints: always a ratio of two things measured in one
//! run, with the figure the project asks of itself beside it.

use std::fmt;
use std::time::Duration;

/// Which side of the target is good.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// For information.
    None,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    /// What was measured.
    pub(super) what: String,
    /// Ours, with its unit.
    pub(super) ours: String,
    /// What it is held against, with its unit.
    pub(super) reference: String,
    /// Ours over the reference (or the figure itself).
    pub(super) figure: f64,
    /// What is asked for.
    pub(super) target: Target,
}

impl Row {
    fn verdict(&self) -> &'static str {
        match self.target {
            Target::AtLeast(least) if self.figure >= least => "ok",
            Target::AtMost(most) if self.figure <= most => "ok",
            Target::None => "",
            Target::AtLeast(_) | Target::AtMost(_) => "MISSED",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match self.target {
            Target::AtLeast(least) => format!(">= {least}"),
            Target::AtMost(most) => format!("<= {most}"),
            Target::None => String::new(),
        };
        let Self {
            what,
            ours,
            reference,
            figure,
            ..
        } = self;
        let verdict = self.verdict();
        write!(
            f,
            "| {what} | {ours} | {reference} | {figure:.2} | {target} | {verdict} |"
        )
    }
}

/// Prints the heading of the table.
pub(super) fn print_heading() {
    println!("| measurement | pgspool | beside it | ratio | target | |");
    println!("|---|---|---|---|---|---|");
}

/// The median of what was measured; zero of nothing.
pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// `count` per second.
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    real(count) / time.as_secs_f64().max(1e-9)
}

/// A count as a real number; exact as far as the benchmarks count.
#[expect(
    clippy::as_conversions,
    reason = "no lossless conversion exists; counts are below 2^53"
)]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// `1234567.8` as `1.23 M`.
pub(super) fn human(figure: f64) -> String {
    match figure {
        f if f >= 1e9 => format!("{:.2} G", f / 1e9),
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e3 => format!("{:.1} k", f / 1e3),
        f => format!("{f:.1} "),
    }
}
