//! The log and its model, side by side through random operations and power cuts.

use std::sync::Arc;

use highwater_records::{LeaderEpoch, Offset, ProducerId};
use proptest::{prelude::*, test_runner::RngSeed};

use super::{
    model::{Model, ModelBatch, Produced, Role},
    points,
};
use crate::{
    AppendError, Log, LogConfig, LogDir, LogReader, ReadError, StartReason, disk::memory::MemoryDisk,
    producer::ProducerState, testing::*,
};

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Append { count: u32, seed: u64, new_epoch: bool },
    Produce { count: u32, new_epoch: bool },
    Transact { producer: u64, count: u32 },
    End { producer: u64, committed: bool },
    Retry { back: usize },
    Read { at: u8, max_bytes: usize },
    Hold,
    KeepOpen { most: usize },
    Rest,
    Roll,
    Truncate { at: u8 },
    AdvanceStart { at: u8 },
    Retain,
    Watermark { at: u8 },
    Commit,
    HalfCommit,
    Checkpoint,
    CleanRestart,
    Kill,
    PowerCut { seed: u64 },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    prop_oneof![
        12 => (1..4u32, 0..90u64, prop::bool::weighted(0.1))
            .prop_map(|(count, seed, new_epoch)| Append { count, seed, new_epoch }),
        6 => (1..4u32, prop::bool::weighted(0.1))
            .prop_map(|(count, new_epoch)| Produce { count, new_epoch }),
        6 => (20..23u64, 1..4u32).prop_map(|(producer, count)| Transact { producer, count }),
        4 => (20..23u64, any::<bool>()).prop_map(|(producer, committed)| End { producer, committed }),
        3 => (0..5usize).prop_map(|back| Retry { back }),
        4 => (any::<u8>(), 1..3000usize).prop_map(|(at, max_bytes)| Read { at, max_bytes }),
        2 => Just(Hold),
        1 => (0..4usize).prop_map(|most| KeepOpen { most }),
        2 => Just(Rest),
        2 => Just(Roll),
        1 => any::<u8>().prop_map(|at| Truncate { at }),
        1 => any::<u8>().prop_map(|at| AdvanceStart { at }),
        2 => Just(Retain),
        3 => any::<u8>().prop_map(|at| Watermark { at }),
        3 => Just(Commit),
        1 => Just(HalfCommit),
        2 => Just(Checkpoint),
        1 => Just(CleanRestart),
        1 => Just(Kill),
        2 => any::<u64>().prop_map(|seed| PowerCut { seed }),
    ]
}

/// The idempotent producer begins so close to the end of the numbers that it goes round.
const FIRST_SEQUENCE: i32 = i32::MAX - 9;

/// Batches as [`read_all`] gives them.
type Shown = Vec<(u64, u32, u32)>;

struct Pair {
    disk: MemoryDisk,
    config: LogConfig,
    dir: Arc<LogDir>,
    log: Option<Log>,
    /// A picture that somebody goes on reading, and what it showed first.
    held: Option<(LogReader, Shown)>,
    model: Model,
    epoch: u32,
    /// Of the idempotent producer.
    producer_epoch: u16,
    /// A power cut took everything from the log start on: what is still known of producers only the log can tell.
    vague: bool,
}

impl Pair {
    fn new(config: LogConfig) -> Pair {
        let disk = MemoryDisk::new();
        let (dir, log) = create(&disk, config.clone());
        Pair {
            disk,
            config,
            dir,
            log: Some(log),
            held: None,
            model: Model::default(),
            epoch: 0,
            producer_epoch: 0,
            vague: false,
        }
    }

    fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    /// The sequence that a transactional producer goes on with, as the model has it unless it cannot know.
    fn next_transactional(&mut self, producer: u64) -> i32 {
        if !self.vague {
            let (_, sequence) = self.model.transaction_of(producer);
            return sequence;
        }
        let known = self.log().producer(ProducerId(producer)).and_then(ProducerState::last_sequence);
        known.map_or(0, |last| last.as_i32() + 1)
    }

    /// The sequence that the idempotent producer goes on with; each of its epochs but the first begins at 0.
    fn next_produced(&mut self) -> i32 {
        let epoch = self.producer_epoch;
        let first = if epoch == 0 { FIRST_SEQUENCE } else { 0 };
        if !self.vague {
            let last = self.model.last_produced().filter(|last| last.epoch == epoch);
            return last.map_or(first, Produced::next_sequence);
        }
        match self.log().producer(ProducerId(7)) {
            None => first,
            Some(known) if known.epoch.0 != epoch => 0,
            Some(known) => known.last_sequence().map_or(0, |last| last.plus(1).as_i32()),
        }
    }

    fn between(&self, from: u64, to: u64, at: u8) -> u64 {
        from + (to - from) * u64::from(at) / 255
    }

    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Append { count, seed, new_epoch } => {
                self.epoch += u32::from(new_epoch);
                let times: Vec<i64> =
                    (0..i64::from(count)).map(|i| (seed as i64 * 37 + i * 11) % 500).collect();
                self.append(batch(seed, &times), count, None, Role::Plain);
            }
            Operation::Produce { count, new_epoch } => {
                self.producer_epoch += u16::from(new_epoch);
                let (epoch, sequence) = (self.producer_epoch, self.next_produced());
                let batch = produced(7, epoch, sequence, count);
                self.append(batch, count, Some(Produced { epoch, sequence, count }), Role::Plain);
            }
            Operation::Transact { producer, count } => {
                let sequence = self.next_transactional(producer);
                // What lies in deleted segments and was truncated is forgotten.
                let batch = transactional(producer, 0, sequence, count);
                self.append(batch, count, None, Role::Part(producer));
            }
            Operation::End { producer, committed } => {
                self.append(marker(producer, 0, committed), 1, None, Role::End { producer, committed });
            }
            Operation::Retry { back } => self.retry(back),
            Operation::Read { at, max_bytes } => self.read(at, max_bytes),
            Operation::Hold => {
                let reader = self.log().reader();
                let found = read_all(&reader, reader.positions().log_start).unwrap();
                self.held = Some((reader, found));
            }
            Operation::Rest => self.log().release_sealed(),
            Operation::KeepOpen { most } => self.dir.set_open_files(most),
            Operation::Roll => {
                self.log().roll(NOW).unwrap();
            }
            Operation::Truncate { at } => {
                let local_start = self.log().positions().local_start.get();
                let to = self.between(local_start, self.model.log_end, at);
                self.log().truncate_to(offset(to), NOW).unwrap();
                self.model.truncate_to(to);
                self.epoch = self.epoch.max(self.model.latest_epoch().unwrap_or(0));
            }
            Operation::AdvanceStart { at } => {
                let to = self.between(self.model.log_start, self.model.high_watermark, at);
                self.log().advance_start_to(offset(to), StartReason::RecordsDeleted).unwrap();
                self.model.log_start = to;
                self.model.durable_start = to;
            }
            Operation::Retain => {
                self.log().retain(NOW).unwrap();
                let positions = self.log().positions();
                assert!(positions.log_start.get() >= self.model.log_start);
                assert!(positions.log_start.get() <= self.model.high_watermark);
                self.model.log_start = positions.log_start.get();
                self.model.durable_start = self.model.log_start;
                // Deleted without having been synced: there is nothing left to lose.
                self.model.durable_end =
                    self.model.durable_end.max(positions.durable_end.get().min(self.model.log_start));
            }
            Operation::Watermark { at } => {
                let to = self.between(self.model.high_watermark, self.model.log_end, at);
                self.log().set_high_watermark(offset(to));
                self.model.high_watermark = to;
            }
            Operation::Commit => {
                self.log().commit().unwrap();
                self.model.durable_end = self.model.log_end;
            }
            Operation::HalfCommit => {
                if let Some(job) = self.log().begin_commit() {
                    drop(job.run());
                }
            }
            Operation::Checkpoint => {
                self.dir.write_checkpoints().unwrap();
                self.model.durable_start = self.model.log_start;
            }
            Operation::CleanRestart => {
                self.held = None;
                self.log.take().unwrap().close(NOW).unwrap();
                assert!(self.dir.close(NOW).unwrap().clean);
                self.model.durable_end = self.model.log_end;
                self.model.durable_start = self.model.log_start;
                let before = self.model.clone();
                self.disk.kill();
                self.restart();
                assert_eq!(self.model.log_end, before.log_end);
                assert_eq!(self.model.log_start, before.log_start);
                assert_eq!(self.model.high_watermark, before.high_watermark);
            }
            Operation::Kill => {
                self.log = None;
                self.disk.kill();
                let end = self.model.log_end;
                self.restart();
                assert_eq!(self.model.log_end, end, "a process that dies loses nothing");
            }
            Operation::PowerCut { seed } => {
                self.log = None;
                self.disk.crash(seed);
                self.restart();
            }
        }
        self.compare();
    }

    fn append(
        &mut self,
        batch: highwater_records::batch::CheckedBatch,
        count: u32,
        produced: Option<Produced>,
        role: Role,
    ) {
        let crc = batch.view().stored_crc();
        let epoch = self.epoch;
        let appended = self.log().append(batch, LeaderEpoch(epoch), NOW).unwrap();
        assert!(!appended.duplicate);
        let base = appended.base_offset.get();
        self.model.append(ModelBatch { base, next: base + u64::from(count), crc, epoch, produced, role });
    }

    /// Repeats one of the producer's last five batches.
    fn retry(&mut self, back: usize) {
        let produced_batches: Vec<ModelBatch> = self
            .model
            .batches
            .iter()
            .rev()
            .filter(|batch| batch.produced.is_some())
            .take(5)
            .copied()
            .collect();
        let Some(batch) = produced_batches.get(back) else { return };
        let Produced { epoch: producer_epoch, sequence, count } = batch.produced.unwrap();
        let epoch = self.epoch;
        // What lies below the local start may be forgotten with its segment.
        if batch.base < self.log().positions().local_start.get() {
            return;
        }
        let again = produced(7, producer_epoch, sequence, count);
        let again = self.log().append(again, LeaderEpoch(epoch), NOW);
        if self.model.last_produced().is_some_and(|last| last.epoch > producer_epoch) {
            let refused = matches!(again, Err(AppendError::InvalidProducerEpoch { .. }));
            assert!(refused, "a batch of an older epoch: {again:?}");
            return;
        }
        let again = again.unwrap();
        assert!(again.duplicate, "{again:?} for {batch:?}");
        assert_eq!(again.base_offset, offset(batch.base));
    }

    fn read(&mut self, at: u8, max_bytes: usize) {
        let from = self.between(self.model.log_start, self.model.log_end, at);
        let end = self.model.high_watermark;
        let range = self.log().reader().read(offset(from), max_bytes, offset(end), true).unwrap();
        let holding = self.model.batches.iter().find(|batch| batch.base <= from && batch.next > from);
        match holding {
            Some(batch) if batch.next <= end => {
                assert_eq!(range.base_offset(), offset(batch.base));
                assert!(range.next_offset().get() >= batch.next && range.next_offset().get() <= end);
                assert!(range.len() <= max_bytes || range.next_offset().get() == batch.next);
            }
            _ => assert!(range.is_empty()),
        }
        range.bytes().unwrap();
    }

    fn restart(&mut self) {
        self.held = None;
        points::agree(&self.disk, &name(), &self.config, "random");
        let (dir, log, report) = reopen(&self.disk, self.config.clone());
        assert!(report.quarantined.is_empty(), "{report:?}");
        let read = read_all(&log.reader(), log.positions().log_start).unwrap();
        self.model.assert_recovered(&log.positions(), &read);
        if read.is_empty() {
            // Whether its last batches were lost, or are all below the start, nobody can tell.
            self.vague = true;
            self.model.forget_sequences();
            let open = log.open_transactions().into_iter();
            let open: Vec<_> = open.map(|open| (open.first_offset.get(), open.producer_id.0)).collect();
            self.model.forget_transactions(&open);
        }
        self.dir = dir;
        self.log = Some(log);
        self.epoch = self.epoch.max(self.model.latest_epoch().unwrap_or(0));
    }

    /// Whatever was deleted, truncated or closed since: an old picture shows what it showed, or says that it cannot.
    fn look_at_held(&self) {
        let Some((reader, before)) = &self.held else { return };
        match read_all(reader, reader.positions().log_start) {
            Ok(found) => assert_eq!(&found, before),
            Err(ReadError::Changed) => {}
            Err(ReadError::Disk(error)) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("an old picture: {error}"),
        }
    }

    fn compare(&mut self) {
        self.look_at_held();
        let log = self.log.as_ref().unwrap();
        self.model.assert_positions(&log.positions());
        assert_eq!(read_all(&log.reader(), offset(self.model.log_start)).unwrap(), self.model.readable());
        let epochs: Vec<(u32, u64)> =
            log.epochs().into_iter().map(|entry| (entry.epoch.0, entry.start.get())).collect();
        let expected = self.model.epochs();
        // An epoch whose batches are all below the start is kept until another begins.
        if self.model.log_start < self.model.log_end {
            assert_eq!(epochs, expected);
        }
        assert_eq!(log.positions().log_end, Offset::new(self.model.log_end).unwrap());
        self.model.assert_transactions(log);
    }
}

/// Runs both through these operations.
///
/// # Panics
/// Where they differ.
pub(super) fn side_by_side(operations: &[Operation], bounded: bool) {
    let retention_bytes = bounded.then_some(3000);
    let mut pair = Pair::new(LogConfig { retention_bytes, ..small() });
    for operation in operations {
        pair.step(operation);
    }
}

/// What a case consists of: operations, and whether retention bounds the log.
pub(super) fn case() -> impl Strategy<Value = (Vec<Operation>, bool)> {
    (prop::collection::vec(operation(), 1..80), any::<bool>())
}

/// The same cases on every run, unless `PROPTEST_RNG_SEED` asks for others and `PROPTEST_CASES` for more, as
/// `.ci/full engine` does with seeds that it prints. What such a seed finds is kept as a test of its own.
pub(crate) fn cases() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let rng_seed = match asked.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        fixed => fixed,
    };
    ProptestConfig { failure_persistence: None, rng_seed, ..asked }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_log_does_what_its_model_does((operations, bounded) in case()) {
        side_by_side(&operations, bounded);
    }
}

/// What was never made durable and lies below the start may be torn; what the start needs is there.
#[test]
fn a_torn_segment_below_the_start_takes_nothing_with_it() {
    let append = Operation::Append { count: 1, seed: 0, new_epoch: false };
    for seed in 0..300 {
        let mut pair = Pair::new(small());
        for operation in [
            Operation::Transact { producer: 20, count: 1 },
            append.clone(),
            Operation::Roll,
            append.clone(),
            Operation::Produce { count: 2, new_epoch: false },
            Operation::Watermark { at: 255 },
            Operation::AdvanceStart { at: 200 },
            Operation::Roll,
            append.clone(),
            Operation::PowerCut { seed },
        ] {
            pair.step(&operation);
        }
        assert!(pair.model.log_end >= 5, "{seed}: {:?}", pair.model);
    }
}

/// A segment that was sealed after its last point, and whose seal nobody has synced, keeps the aborted transactions that only
/// the point tells of.
#[test]
fn what_was_aborted_below_a_point_is_remembered_over_a_roll() {
    let transact = |producer| Operation::Transact { producer, count: 1 };
    let abort = Operation::End { producer: 21, committed: false };
    let append = Operation::Append { count: 1, seed: 0, new_epoch: false };
    let mut pair = Pair::new(small());
    for operation in [
        append.clone(),
        append.clone(),
        transact(22),
        transact(21),
        append,
        abort.clone(),
        transact(21),
        Operation::Commit,
        abort,
        Operation::Roll,
        Operation::Kill,
    ] {
        pair.step(&operation);
    }
}
/// Found by seed 11: the index of a segment that a crash had taken was the next one's that began there.
#[test]
fn what_was_aborted_in_a_segment_that_is_gone_is_forgotten() {
    side_by_side(
        &[
            Operation::Append { count: 2, seed: 29, new_epoch: false },
            Operation::Append { count: 2, seed: 0, new_epoch: false },
            Operation::Append { count: 2, seed: 22, new_epoch: false },
            Operation::Append { count: 2, seed: 81, new_epoch: false },
            Operation::Transact { producer: 21, count: 1 },
            Operation::Commit,
            Operation::Produce { count: 2, new_epoch: false },
            Operation::Append { count: 2, seed: 40, new_epoch: false },
            Operation::End { producer: 21, committed: false },
            Operation::Roll,
            Operation::PowerCut { seed: 15988124491224612541 },
            Operation::Transact { producer: 21, count: 2 },
            Operation::Append { count: 2, seed: 74, new_epoch: false },
            Operation::Append { count: 1, seed: 0, new_epoch: false },
            Operation::CleanRestart,
        ],
        false,
    );
}

/// An abort whose records retention has deleted, and whose marker a power cut leaves above the watermark. `between` comes
/// before its marker, `then` after the power cut.
fn a_deleted_transaction(between: Operation, watermarks: [u8; 2], then: Operation) {
    side_by_side(
        &[
            Operation::Transact { producer: 22, count: 1 },
            Operation::Append { count: 3, seed: 80, new_epoch: false },
            Operation::Append { count: 3, seed: 70, new_epoch: false },
            Operation::Append { count: 1, seed: 28, new_epoch: false },
            Operation::Transact { producer: 20, count: 3 },
            Operation::End { producer: 20, committed: false },
            Operation::Append { count: 2, seed: 41, new_epoch: false },
            Operation::Append { count: 2, seed: 47, new_epoch: false },
            Operation::Append { count: 2, seed: 81, new_epoch: false },
            Operation::Append { count: 3, seed: 74, new_epoch: false },
            between,
            Operation::Append { count: 2, seed: 54, new_epoch: false },
            Operation::End { producer: 22, committed: false },
            Operation::Append { count: 2, seed: 37, new_epoch: false },
            Operation::Watermark { at: watermarks[0] },
            Operation::Produce { count: 2, new_epoch: false },
            Operation::Append { count: 1, seed: 81, new_epoch: false },
            Operation::Produce { count: 2, new_epoch: false },
            Operation::Transact { producer: 20, count: 2 },
            Operation::Transact { producer: 20, count: 1 },
            Operation::Append { count: 2, seed: 70, new_epoch: false },
            Operation::Append { count: 3, seed: 56, new_epoch: false },
            Operation::Append { count: 2, seed: 50, new_epoch: false },
            Operation::Produce { count: 3, new_epoch: false },
            Operation::Append { count: 1, seed: 19, new_epoch: false },
            Operation::Append { count: 1, seed: 46, new_epoch: false },
            Operation::Watermark { at: watermarks[1] },
            Operation::Append { count: 2, seed: 69, new_epoch: false },
            Operation::Commit,
            Operation::Append { count: 1, seed: 23, new_epoch: false },
            Operation::Append { count: 2, seed: 42, new_epoch: false },
            Operation::Retain,
            Operation::PowerCut { seed: 15227134984270391925 },
            then,
        ],
        true,
    );
}

/// Found by seed 12.
#[test]
fn what_is_left_of_a_deleted_transaction_holds_nobody_back() {
    let append = Operation::Append { count: 1, seed: 0, new_epoch: false };
    a_deleted_transaction(Operation::Retry { back: 0 }, [118, 53], append);
}

/// Found by seed 12: with its point a recovery remembers the end of a transaction that is deleted, without it does not.
#[test]
fn what_is_left_of_a_deleted_transaction_may_be_forgotten() {
    a_deleted_transaction(Operation::Roll, [108, 51], Operation::CleanRestart);
}
