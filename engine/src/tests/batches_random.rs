//! Several logs and their model, side by side through random appends to one and to several, and power cuts.
//!
//! The model knows of each log which batches it was told of, up to where they were promised, and which of them were
//! appended together with others; after each restart it takes over what is there, if that is possible.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use highwater_records::{Durability, PartitionIndex, TopicId};
use proptest::prelude::*;

use super::random::cases;
use crate::{
    AppendError, BatchesJob, JournalOptions, Log, LogConfig, LogDir, LogName, PreparedBatch, Watermark,
    disk::memory::MemoryDisk, testing::*,
};

const LOGS: usize = 3;

#[derive(Clone, Debug)]
enum Operation {
    Append {
        log: usize,
        count: usize,
    },
    Commit {
        log: usize,
    },
    /// To the logs of these bits; `heard`: how many of them are told that it is durable.
    Atomic {
        logs: u8,
        count: usize,
        heard: usize,
    },
    /// Prepared and not run.
    Given {
        logs: u8,
    },
    Truncate {
        log: usize,
        at: u8,
    },
    Roll {
        log: usize,
    },
    Settle,
    Checkpoint,
    Recreate {
        log: usize,
    },
    CleanRestart,
    Kill,
    PowerCut {
        seed: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let log = 0..LOGS;
    prop_oneof![
        6 => (log.clone(), 1..5usize).prop_map(|(log, count)| Append { log, count }),
        3 => log.clone().prop_map(|log| Commit { log }),
        8 => (1..8u8, 1..5usize, 0..=LOGS).prop_map(|(logs, count, heard)| Atomic { logs, count, heard }),
        1 => (1..8u8).prop_map(|logs| Given { logs }),
        1 => (log.clone(), any::<u8>()).prop_map(|(log, at)| Truncate { log, at }),
        1 => log.clone().prop_map(|log| Roll { log }),
        2 => Just(Settle),
        1 => Just(Checkpoint),
        1 => log.prop_map(|log| Recreate { log }),
        1 => Just(CleanRestart),
        2 => Just(Kill),
        3 => any::<u64>().prop_map(|seed| PowerCut { seed }),
    ]
}

fn config() -> LogConfig {
    LogConfig { durability: Durability::Synced, watermark: Watermark::Own, ..small() }
}

fn log_name(at: usize) -> LogName {
    LogName::new("topic", PartitionIndex(at as u32))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ModelBatch {
    base: u64,
    next: u64,
    crc: u32,
    /// What it was appended together with.
    together: Option<u64>,
}

#[derive(Clone, Debug, Default)]
struct ModelLog {
    batches: Vec<ModelBatch>,
    durable: u64,
}

impl ModelLog {
    fn end(&self) -> u64 {
        self.batches.last().map_or(0, |last| last.next)
    }
}

struct Side {
    disk: MemoryDisk,
    dir: Arc<LogDir>,
    logs: Vec<Log>,
    model: [ModelLog; LOGS],
    /// Batches so far, so that no two are equal.
    made: u64,
}

fn open(disk: &MemoryDisk) -> Arc<LogDir> {
    let journal = JournalOptions::of(JournalOptions::LEAST);
    LogDir::open_with(Arc::new(disk.clone()), Path::new("/data"), options(), journal, NOW).unwrap().0
}

impl Side {
    fn new() -> Side {
        let disk = MemoryDisk::new();
        let dir = open(&disk);
        let create = |at| dir.create_log(log_name(at), TopicId::from_random(2, 2), config(), NOW).unwrap();
        let logs = (0..LOGS).map(create).collect();
        Side { disk, dir, logs, model: Default::default(), made: 0 }
    }

    fn batch(&mut self, count: usize) -> highwater_records::batch::CheckedBatch {
        self.made += 1;
        batch(self.made, &vec![self.made as i64; count])
    }

    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Append { log, count } => {
                let batch = self.batch(count);
                let crc = batch.view().stored_crc();
                let base = self.logs[log].append(batch, EPOCH, NOW).unwrap().base_offset.get();
                assert_eq!(base, self.model[log].end());
                self.model[log].batches.push(ModelBatch {
                    base,
                    next: base + count as u64,
                    crc,
                    together: None,
                });
            }
            Operation::Commit { log } => self.commit(log),
            Operation::Atomic { logs, count, heard } => self.atomic(logs, count, heard),
            Operation::Given { logs } => {
                let parts = self.prepare(logs, 1);
                let busy: Vec<usize> = parts.iter().map(|(at, ..)| *at).collect();
                for at in &busy {
                    let refused = self.logs[*at].append(batch(1, &[1]), EPOCH, NOW);
                    assert!(matches!(refused, Err(AppendError::Busy)));
                }
                drop(parts);
            }
            Operation::Truncate { log, at } => {
                let to = offset(self.model[log].end() * u64::from(at) / 255);
                let end = self.with_room(|side| side.logs[log].truncate_to(to, NOW)).get();
                let model = &mut self.model[log];
                let (kept, gone): (Vec<ModelBatch>, _) =
                    model.batches.drain(..).partition(|batch| batch.next <= end);
                model.batches = kept;
                // What is left of a segment that was cut is synced with it, and the log may say so.
                let durable = self.logs[log].positions().durable_end.get();
                assert!(durable >= model.durable.min(end) && durable <= end);
                model.durable = durable;
                self.apart(&gone);
            }
            Operation::Roll { log } => {
                self.logs[log].roll(NOW).unwrap();
            }
            Operation::Settle => self.dir.settle().unwrap(),
            Operation::Checkpoint => self.dir.write_checkpoints().unwrap(),
            Operation::Recreate { log } => {
                let name = log_name(log);
                self.hear();
                self.dir.delete_log(self.logs.remove(log)).unwrap();
                let new = self.dir.create_log(name, TopicId::from_random(2, 2), config(), NOW).unwrap();
                self.logs.insert(log, new);
                let gone = std::mem::take(&mut self.model[log]).batches;
                self.apart(&gone);
            }
            Operation::CleanRestart => {
                self.logs.drain(..).for_each(|log| log.close(NOW).unwrap());
                assert!(self.dir.close(NOW).unwrap().clean);
                self.model.iter_mut().for_each(|model| model.durable = model.end());
                self.disk.kill();
                self.restart();
            }
            Operation::Kill => {
                let before: Vec<u64> = self.model.iter().map(ModelLog::end).collect();
                self.disk.kill();
                self.restart();
                let after: Vec<u64> = self.model.iter().map(ModelLog::end).collect();
                assert_eq!(before, after, "a process that dies loses nothing");
            }
            Operation::PowerCut { seed } => {
                self.disk.crash(seed);
                self.restart();
            }
        }
        self.compare();
    }

    fn commit(&mut self, at: usize) {
        self.with_room(|side| side.logs[at].commit());
        self.model[at].durable = self.model[at].end();
    }

    /// What is not heard of keeps the journal from being emptied: once it is full, logs hear of it and there is room.
    fn with_room<T, E: std::fmt::Display>(&mut self, mut change: impl FnMut(&mut Side) -> Result<T, E>) -> T {
        match change(self) {
            Ok(done) => done,
            Err(full) => {
                assert!(full.to_string().contains("the journal is full"), "{full}");
                assert!(self.hear(), "nobody has anything to hear of: {full}");
                change(self).unwrap_or_else(|error| panic!("{error}"))
            }
        }
    }

    /// Has all logs take what they have not heard of. Whether there was anything.
    fn hear(&mut self) -> bool {
        let ends = |side: &Side| side.logs.iter().map(|log| log.positions().log_end).collect::<Vec<_>>();
        let before = ends(self);
        self.logs.iter_mut().for_each(|log| log.finish_owed().unwrap());
        ends(self) != before
    }

    fn prepare(&mut self, logs: u8, count: usize) -> Vec<(usize, ModelBatch, PreparedBatch)> {
        let mut parts = Vec::new();
        for at in (0..LOGS).filter(|at| logs & 1 << at != 0) {
            self.commit(at);
            let batch = self.batch(count);
            let crc = batch.view().stored_crc();
            let end = offset(self.model[at].end());
            let part = self.logs[at].prepare(batch, Some(end), EPOCH, NOW).unwrap();
            let (base, together) = (part.appended().base_offset.get(), Some(self.made));
            assert_eq!(base, self.model[at].end());
            parts.push((at, ModelBatch { base, next: base + count as u64, crc, together }, part));
        }
        parts
    }

    fn atomic(&mut self, logs: u8, count: usize, heard: usize) {
        let (places, written) = self.with_room(|side| {
            let parts = side.prepare(logs, count);
            let together = Some(side.made);
            let mut prepared = Vec::new();
            let mut places = Vec::new();
            for (at, batch, part) in parts {
                places.push((at, ModelBatch { together, ..batch }));
                prepared.push(part);
            }
            BatchesJob::new(prepared).unwrap().run().map(|written| (places, written))
        });
        for (at, batch) in &places {
            self.model[*at].batches.push(*batch);
            self.model[*at].durable = batch.next;
        }
        // The others hear of it by whatever is done with them next.
        for ((at, batch), written) in places.iter().zip(written).take(heard) {
            let appended = self.logs[*at].finish_batch(written).unwrap();
            assert_eq!(appended.base_offset.get(), batch.base);
        }
    }

    /// What is gone from one log says nothing of the others any more.
    fn apart(&mut self, gone: &[ModelBatch]) {
        let of_gone = |batch: &&mut ModelBatch| {
            batch.together.is_some() && gone.iter().any(|gone| gone.together == batch.together)
        };
        let batches = self.model.iter_mut().flat_map(|model| &mut model.batches);
        batches.filter(of_gone).for_each(|batch| batch.together = None);
    }

    fn restart(&mut self) {
        self.logs.clear();
        self.dir = open(&self.disk);
        let mut has: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for at in 0..LOGS {
            let (log, report) = self.dir.open_log(&log_name(at), config(), NOW).unwrap();
            assert!(report.quarantined.is_empty(), "{report:?}");
            let end = log.positions().log_end.get();
            let model = &mut self.model[at];
            assert!(end >= model.durable, "log {at} ends at {end}: {model:?}");
            for batch in &model.batches {
                if let Some(together) = batch.together {
                    let (there, of) = has.entry(together).or_default();
                    *there += usize::from(batch.next <= end);
                    *of += 1;
                }
            }
            model.batches.retain(|batch| batch.next <= end);
            assert_eq!(model.end(), end, "log {at}");
            // What is there now was synced by the recovery.
            model.durable = end;
            self.logs.push(log);
        }
        assert!(has.values().all(|(there, of)| there == of || *there == 0), "{has:?}");
    }

    fn compare(&self) {
        for (log, model) in self.logs.iter().zip(&self.model) {
            let positions = log.positions();
            let mut shown = model.clone();
            if positions.log_end.get() < model.end() {
                // Durable, and the log has not heard of it.
                let last = shown.batches.pop().unwrap();
                assert_eq!((last.next, last.base), (model.durable, shown.end()));
                shown.durable = last.base;
            }
            assert_eq!((positions.log_end.get(), positions.durable_end.get()), (shown.end(), shown.durable));
            let read = read_all(&log.reader(), positions.log_start).unwrap();
            let expected: Vec<(u64, u32)> =
                shown.batches.iter().map(|batch| (batch.base, batch.crc)).collect();
            assert_eq!(read.iter().map(|(base, crc, _)| (*base, *crc)).collect::<Vec<_>>(), expected);
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn several_logs_do_what_their_model_does(operations in prop::collection::vec(operation(), 1..60)) {
        let mut side = Side::new();
        operations.iter().for_each(|operation| side.step(operation));
    }
}

/// Found by seed 31415: what lies below the cut may be durable with it.
#[test]
fn what_a_truncation_says_is_durable_is() {
    let mut side = Side::new();
    for operation in [
        Operation::Atomic { logs: 4, count: 1, heard: 0 },
        Operation::Append { log: 2, count: 1 },
        Operation::Append { log: 2, count: 2 },
        Operation::Truncate { log: 2, at: 128 },
        Operation::PowerCut { seed: 1 },
    ] {
        side.step(&operation);
    }
}

/// Found by seed 60601: what one log has not heard of keeps what the others bring.
#[test]
fn a_journal_that_is_full_of_what_nobody_heard_of_has_room_again() {
    let mut side = Side::new();
    side.step(&Operation::Atomic { logs: 1, count: 1, heard: 0 });
    for _ in 0..30 {
        side.step(&Operation::Append { log: 1, count: 1 });
        side.step(&Operation::Commit { log: 1 });
    }
    assert!(!side.hear(), "the first log had to hear of it for the others to go on");
    for log in 0..2 {
        side.step(&Operation::Atomic { logs: 4, count: 1, heard: 0 });
        for _ in 0..30 {
            side.step(&Operation::Truncate { log, at: 255 });
        }
    }
}
