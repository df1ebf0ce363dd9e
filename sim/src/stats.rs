use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

/// What happened in a run, in numbers: how much was asked, and how often each fault struck.
#[derive(Debug, Default)]
pub struct Stats {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    progress: AtomicU64,
}

impl Stats {
    /// One more of `what`.
    pub fn count(&self, what: &'static str) {
        *self.counts.lock().entry(what).or_default() += 1;
    }

    /// One more of `what`, which is something that a working broker does.
    pub fn progress(&self, what: &'static str) {
        self.progress.fetch_add(1, Ordering::Relaxed);
        self.count(what);
    }

    /// All counts, by name.
    pub fn all(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().clone()
    }

    /// How often this was counted.
    pub fn of(&self, what: &str) -> u64 {
        self.counts.lock().get(what).copied().unwrap_or(0)
    }
}

/// Counts as one line per name.
pub struct Table<'a>(pub &'a BTreeMap<&'static str, u64>);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in self.0 {
            writeln!(f, "  {name:<36} {count:>12}")?;
        }
        Ok(())
    }
}
