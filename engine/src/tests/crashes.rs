//! How every crash of a workload is enumerated: the power fails at each change of the disk, whole or within the write; what was
//! not synced is lost, kept and shuffled; and the recovery is interrupted too.

use std::{cell::Cell, collections::BTreeSet, fmt::Debug};

use crate::disk::memory::{Loss, MemoryDisk};

/// A workload, and what must hold after each of its crashes.
pub(super) struct Crashes<'a, W, C> {
    /// Of what, for the line that is printed.
    pub(super) what: &'a str,
    /// How many shuffles of what was not synced are tried, besides all and nothing of it.
    pub(super) seeds: u64,
    /// How many changes the workload makes before the first that is interrupted.
    pub(super) from: u64,
    /// Recovery is interrupted after every so many changes of the workload.
    pub(super) interrupted_every: u64,
    /// Works until the disk stops, and writes down what was promised by then; `None` if it did not come to its end.
    pub(super) workload: W,
    /// Recovers and compares with the promise: what is there now, or `None` if the disk has stopped again.
    pub(super) check: C,
}

impl<W, C> Crashes<'_, W, C> {
    /// Counts the crash states that it looks at.
    ///
    /// # Panics
    /// Where something else came back than was promised.
    pub(super) fn enumerate<P, R>(&self, states: &Cell<u64>)
    where
        P: Default,
        R: PartialEq + Debug,
        W: Fn(&MemoryDisk, &mut P) -> Option<()>,
        C: Fn(&MemoryDisk, &P, &str) -> Option<R>,
    {
        let mut distinct = BTreeSet::new();
        let mut changes = self.from;
        loop {
            let mut finished = false;
            for tear in [false, true] {
                let disk = MemoryDisk::new();
                disk.stop_after(changes, tear);
                let mut promise = P::default();
                let done = (self.workload)(&disk, &mut promise).is_some();
                assert!(done || disk.stopped(), "the workload broke off without a power cut");
                finished |= done && !disk.stopped();
                let losses = [Loss::Everything, Loss::Nothing].into_iter();
                for loss in losses.chain((0..self.seeds).map(Loss::Seeded)) {
                    let crashed = disk.fork();
                    crashed.crash_with(loss);
                    let context = format!("stopped after {changes} changes (torn: {tear}), {loss:?}");
                    states.set(states.get() + 1);
                    // Always compared, since the same files may stand against a larger promise than before.
                    let recovered = (self.check)(&crashed.fork(), &promise, &context).unwrap();
                    // A recovery of files that were seen before is interrupted as it was.
                    if distinct.insert(fingerprint(&crashed))
                        && changes.is_multiple_of(self.interrupted_every)
                        && matches!(loss, Loss::Everything | Loss::Seeded(0))
                    {
                        self.interrupt(&crashed, &promise, &recovered, &context, states);
                    }
                }
            }
            if finished {
                break;
            }
            changes += 1;
        }
        println!(
            "{} crash states of {}, {} of them distinct before recovery, over {} changes",
            states.get(),
            self.what,
            distinct.len(),
            changes - self.from
        );
    }

    /// The power fails at each change of a recovery; the recovery after it finds the same.
    fn interrupt<P, R>(
        &self,
        crashed: &MemoryDisk,
        promise: &P,
        recovered: &R,
        context: &str,
        states: &Cell<u64>,
    ) where
        R: PartialEq + Debug,
        C: Fn(&MemoryDisk, &P, &str) -> Option<R>,
    {
        for changes in 0.. {
            let disk = crashed.fork();
            disk.stop_after(changes, changes % 2 == 1);
            let done = (self.check)(&disk, promise, context).is_some() && !disk.stopped();
            disk.crash(changes);
            let context = format!("{context}, again after {changes} changes of recovery");
            let again = (self.check)(&disk, promise, &context).unwrap();
            assert_eq!(again, *recovered, "{context}");
            states.set(states.get() + 1);
            if done {
                break;
            }
        }
    }
}

/// What the disk has, for telling states apart.
fn fingerprint(disk: &MemoryDisk) -> u64 {
    let mut crc = 0;
    let mut length = 0u64;
    for file in disk.files() {
        let bytes = disk.contents(&file).unwrap();
        crc = crc32c::crc32c_append(crc, file.to_string_lossy().as_bytes());
        crc = crc32c::crc32c_append(crc, &bytes);
        length = length.wrapping_mul(31).wrapping_add(bytes.len() as u64);
    }
    u64::from(crc) | length << 32
}

/// How many ways to lose what was not synced are tried for each crash. The long run has more: `.ci/full engine`.
#[expect(clippy::disallowed_methods, reason = "how long a test runs is no configuration")]
pub(super) fn seeds(usually: u64) -> u64 {
    std::env::var("HIGHWATER_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usually)
}
