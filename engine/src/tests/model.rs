//! What a log is, without files: a list of batches and a few numbers.

use highwater_records::Offset;

use crate::{Positions, testing::offset};

/// A batch as the model remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModelBatch {
    pub(super) base: u64,
    pub(super) next: u64,
    pub(super) crc: u32,
    pub(super) epoch: u32,
    /// If the idempotent producer wrote it.
    pub(super) produced: Option<Produced>,
    pub(super) role: Role,
}

/// How the idempotent producer numbered a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Produced {
    pub(super) epoch: u16,
    pub(super) sequence: i32,
    pub(super) count: u32,
}

impl Produced {
    /// The sequence that comes after it; they wrap.
    pub(super) fn next_sequence(self) -> i32 {
        ((i64::from(self.sequence) + i64::from(self.count)) % (1 << 31)) as i32
    }
}

/// What a batch is to transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// Records of this producer's transaction.
    Part(u64),
    /// The marker that ends it.
    End {
        producer: u64,
        committed: bool,
    },
}

/// What transactions mean for readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) first_unstable: Option<u64>,
    /// Producer, first record, marker; by marker.
    pub(super) aborted: Vec<(u64, u64, u64)>,
    /// First records and producers.
    pub(super) open: Vec<(u64, u64)>,
}

/// What batches with these first offsets come to under this watermark.
pub(super) fn outcome(batches: impl IntoIterator<Item = (u64, Role)>, high_watermark: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut unsettled = Vec::new();
    for (base, role) in batches {
        match role {
            Role::Plain => {}
            Role::Part(producer) => {
                if !outcome.open.iter().any(|(_, open)| *open == producer) {
                    outcome.open.push((base, producer));
                }
            }
            Role::End { producer, committed } => {
                let Some(at) = outcome.open.iter().position(|(_, open)| *open == producer) else { continue };
                let (first, _) = outcome.open.remove(at);
                if !committed {
                    outcome.aborted.push((producer, first, base));
                }
                if base >= high_watermark {
                    unsettled.push(first);
                }
            }
        }
    }
    unsettled.extend(outcome.open.iter().map(|(first, _)| *first));
    outcome.first_unstable = unsettled.into_iter().min();
    outcome
}

/// The log that should be there.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    /// All batches that were ever appended and not truncated, deleted ones included.
    pub(super) batches: Vec<ModelBatch>,
    pub(super) log_start: u64,
    pub(super) log_end: u64,
    pub(super) durable_end: u64,
    pub(super) high_watermark: u64,
    /// The log start that a power cut cannot take back.
    pub(super) durable_start: u64,
}

impl Model {
    pub(super) fn append(&mut self, batch: ModelBatch) {
        assert_eq!(batch.base, self.log_end);
        self.log_end = batch.next;
        self.batches.push(batch);
    }

    /// Where a truncation to `to` leaves the end: a batch that straddles it goes whole.
    pub(super) fn truncate_to(&mut self, to: u64) {
        self.batches.retain(|batch| batch.next <= to);
        if to < self.log_end {
            // The log may start within the batch that goes; then nothing is left, and the start stays.
            let kept = self.batches.last().map_or(0, |last| last.next);
            self.log_end = kept.max(self.log_start);
            self.durable_end =
                if kept < self.log_start { self.log_end } else { self.durable_end.min(self.log_end) };
            if kept < self.log_start {
                self.forget_transactions(&[]);
            }
        }
        self.high_watermark = self.high_watermark.min(self.log_end);
    }

    /// Batches that nobody may read are not sent again.
    pub(super) fn forget_sequences(&mut self) {
        self.batches.iter_mut().for_each(|batch| batch.produced = None);
    }

    /// The log begins anew: of what nobody may read only these transactions, by first record and producer, are open.
    pub(super) fn forget_transactions(&mut self, open: &[(u64, u64)]) {
        for batch in &mut self.batches {
            let still_open = open.iter().find(|(first, _)| *first == batch.base);
            batch.role = still_open.map_or(Role::Plain, |(_, producer)| Role::Part(*producer));
        }
    }

    /// What a reader finds from the log start on: (base offset, checksum, leader epoch).
    pub(super) fn readable(&self) -> Vec<(u64, u32, u32)> {
        let readable = self.batches.iter().filter(|batch| batch.next > self.log_start);
        readable.map(|batch| (batch.base, batch.crc, batch.epoch)).collect()
    }

    pub(super) fn latest_epoch(&self) -> Option<u32> {
        self.batches.last().map(|last| last.epoch)
    }

    /// Where each epoch begins, from the log start on.
    pub(super) fn epochs(&self) -> Vec<(u32, u64)> {
        let mut epochs: Vec<(u32, u64)> = Vec::new();
        for batch in &self.batches {
            match epochs.last() {
                Some((epoch, _)) if *epoch == batch.epoch => {}
                _ => epochs.push((batch.epoch, batch.base)),
            }
        }
        let holding = epochs.iter().rposition(|(_, start)| *start <= self.log_start).unwrap_or(0);
        epochs.drain(..holding);
        if let Some((_, start)) = epochs.first_mut() {
            *start = (*start).max(self.log_start);
        }
        epochs
    }

    /// The idempotent producer's last batch.
    pub(super) fn last_produced(&self) -> Option<Produced> {
        self.batches.iter().rev().find_map(|batch| batch.produced)
    }

    fn outcome(&self) -> Outcome {
        outcome(self.batches.iter().map(|batch| (batch.base, batch.role)), self.high_watermark)
    }

    fn stable(&self, outcome: &Outcome) -> u64 {
        let unstable = outcome.first_unstable.unwrap_or(self.high_watermark);
        unstable.max(self.log_start).min(self.high_watermark)
    }

    /// The transactional producer's open transaction, and its next sequence.
    pub(super) fn transaction_of(&self, producer: u64) -> (bool, i32) {
        let of_producer = |batch: &&ModelBatch| batch.role == Role::Part(producer);
        let records = self.batches.iter().filter(of_producer).map(|batch| batch.next - batch.base);
        let open = self.outcome().open.iter().any(|(_, open)| *open == producer);
        (open, records.sum::<u64>() as i32)
    }

    /// What readers of committed records are told.
    pub(super) fn assert_transactions(&self, log: &crate::Log) {
        let expected = self.outcome();
        let stable = self.stable(&expected);
        let left = self.batches.iter().filter(|batch| batch.next > self.log_start);
        let left = self.stable(&outcome(left.map(|batch| (batch.base, batch.role)), self.high_watermark));
        // What was deleted of a transaction need not be remembered: a reader sees nothing of it.
        let found = log.positions().last_stable.get();
        assert!(found == stable || found == left, "last stable offset {found}, not {stable} or {left}");
        let open = log.open_transactions().into_iter();
        let open: Vec<_> = open.map(|open| (open.first_offset.get(), open.producer_id.0)).collect();
        let mut expected_open = expected.open;
        expected_open.sort_unstable();
        assert_eq!(open, expected_open, "open transactions");
        // All there are, and those of a range below the last stable offset.
        for (from, to) in [(self.log_start, self.log_end), ((self.log_start + stable) / 2, stable)] {
            let found = log.reader().aborted(offset(from), offset(to)).unwrap();
            let of_range = |(_, first, last): &&(u64, u64, u64)| *last >= from && *first < to;
            let expected: Vec<_> = expected.aborted.iter().filter(of_range).copied().collect();
            for aborted in &found {
                let known = |(producer, first, last): &&(u64, u64, u64)| {
                    aborted.producer_id.0 == *producer
                        && aborted.last_offset.get() == *last
                        && aborted.first_offset.get() >= *first
                };
                assert!(expected.iter().any(|one| known(&one)), "{aborted:?} in {from}..{to}");
            }
            // Where the records of a transaction were deleted, or lost with what had been deleted before them, its
            // marker means nothing any more.
            for (producer, first, last) in expected {
                let here = self.batches.iter().find(|batch| {
                    batch.role == Role::Part(producer)
                        && (first..last).contains(&batch.base)
                        && batch.base >= self.log_start
                });
                let Some(here) = here.filter(|here| here.base < to) else { continue };
                let told = found.iter().any(|aborted| {
                    aborted.producer_id.0 == producer
                        && aborted.last_offset.get() == last
                        && aborted.first_offset.get() <= here.base
                });
                assert!(told, "the abort of {producer} from {first} to {last} in {from}..{to}");
            }
        }
    }

    pub(super) fn assert_positions(&self, positions: &Positions) {
        let found = |offset: Offset| offset.get();
        assert_eq!(found(positions.log_start), self.log_start, "log start");
        assert_eq!(found(positions.log_end), self.log_end, "log end");
        assert_eq!(found(positions.durable_end), self.durable_end, "durable end");
        assert_eq!(found(positions.high_watermark), self.high_watermark, "high watermark");
    }

    /// After a power cut: what came back is a prefix of the log, with everything that was promised; the model is what
    /// came back.
    pub(super) fn assert_recovered(&mut self, positions: &Positions, read: &[(u64, u32, u32)]) {
        let (start, end) = (positions.log_start.get(), positions.log_end.get());
        assert!(
            end >= self.durable_end.max(self.durable_start),
            "log end {end} is below {}",
            self.durable_end
        );
        assert!(end <= self.log_end, "log end {end} is beyond {}", self.log_end);
        assert!(start >= self.durable_start, "log start {start} is below {}", self.durable_start);
        assert!(
            start <= self.log_start.max(self.durable_start),
            "log start {start} is above {}",
            self.log_start
        );
        self.batches.retain(|batch| batch.next <= end);
        assert!(
            self.batches.last().is_none_or(|last| last.next == end) || start == end,
            "the end is a batch's"
        );
        self.log_start = start;
        self.log_end = end;
        self.durable_end = end;
        self.high_watermark = positions.high_watermark.get();
        assert_eq!(read, self.readable());
    }
}
