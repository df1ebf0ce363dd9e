//! A bar while something happens, a line when it has.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const REFRESH_HZ: u8 = 15;

/// What the person in front of the screen sees. Bars go to standard error and only to a terminal, lines to standard
/// output.
pub(super) struct Progress;

/// A bar.
#[derive(Clone)]
pub(super) struct Bar(ProgressBar);

impl Progress {
    pub(super) const fn new() -> Progress {
        Progress
    }

    /// A line that stays. No bar is shown meanwhile.
    pub(super) fn say(&self, line: &str) {
        println!("  {line}");
    }

    /// A bar for something that is done `total` times, if that is known.
    pub(super) fn stage(&self, name: &'static str, total: Option<u64>) -> Bar {
        let target = ProgressDrawTarget::stderr_with_hz(REFRESH_HZ);
        let template = match total {
            Some(_) => {
                "  {prefix:>13} {bar:40} {percent:>3}% {human_pos} of {human_len} records, {per_sec:.0}/s"
            }
            None => "  {prefix:>13} {spinner} {human_pos} records, {per_sec:.0}/s",
        };
        let bar = ProgressBar::with_draw_target(total, target).with_prefix(name);
        // A template that does not parse would be noticed by the test below; the plain bar does as well.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Bar(bar)
    }
}

impl Bar {
    pub(super) fn add(&self, records: u64) {
        self.0.inc(records);
    }

    pub(super) fn set(&self, records: u64) {
        self.0.set_position(records);
    }

    /// Takes the bar off the screen.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
