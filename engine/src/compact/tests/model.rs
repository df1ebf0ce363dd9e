//! What was appended, and what a compacted log may still have of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, Producer, Record, split},
    compression::Codec,
};

use crate::{Compaction, Log, LogConfig, LogDir, LogReader, Positions, disk::memory::MemoryDisk, testing::*};

/// Deletes nothing by time and compacts whatever is dirty.
pub(super) fn config() -> LogConfig {
    let compaction =
        Compaction { min_lag_ms: 0, max_lag_ms: None, min_dirty_millionths: 0, delete_retention_ms: 1000 };
    LogConfig { segment_bytes: 700, compaction: Some(compaction), ..small() }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelRecord {
    pub(super) offset: u64,
    pub(super) key: u8,
    /// `None` is a tombstone.
    pub(super) value: Option<u32>,
    /// Whose transaction it belongs to.
    pub(super) producer: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Record(ModelRecord),
    Marker { offset: u64, producer: u64, committed: bool },
}

impl Event {
    fn offset(&self) -> u64 {
        match self {
            Event::Record(record) => record.offset,
            Event::Marker { offset, .. } => *offset,
        }
    }
}

/// Everything that was appended, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    events: Vec<Event>,
    values: u32,
}

impl Model {
    /// Builds a batch of records and notes it at `base`.
    pub(super) fn batch(&mut self, base: u64, keys: &[(u8, bool)], producer: Option<u64>) -> CheckedBatch {
        let mut builder = BatchBuilder::new(Codec::None);
        if let Some(id) = producer {
            let producer = Producer {
                id: ProducerId(id),
                epoch: ProducerEpoch(0),
                base_sequence: Sequence::from_i32(self.written_by(id) as i32),
            };
            builder = builder.producer(producer);
            // The idempotent one has no transactions.
            if id >= 20 {
                builder = builder.transactional();
            }
        }
        for (at, (key, has_value)) in keys.iter().enumerate() {
            self.values += 1;
            let value = has_value.then_some(self.values);
            let text = value.map(|value| format!("{value:050}"));
            let record = Record {
                timestamp: TimestampMs(NOW.0 + i64::from(self.values)),
                key: Some(&[*key]),
                value: text.as_ref().map(String::as_bytes),
                headers: &[],
            };
            builder.push(record).unwrap();
            let record = ModelRecord { offset: base + at as u64, key: *key, value, producer };
            self.events.push(Event::Record(record));
        }
        let bytes = builder.build(Offset::ZERO, None).unwrap();
        CheckedBatch::check(bytes, &CheckPolicy::internal()).unwrap()
    }

    pub(super) fn marker(&mut self, base: u64, producer: u64, committed: bool) -> CheckedBatch {
        self.events.push(Event::Marker { offset: base, producer, committed });
        marker(producer, 0, committed)
    }

    fn written_by(&self, id: u64) -> usize {
        let of = |event: &&Event| matches!(event, Event::Record(r) if r.producer == Some(id));
        self.events.iter().filter(of).count()
    }

    /// What a power cut left.
    pub(super) fn truncate_to(&mut self, end: u64) {
        self.events.retain(|event| event.offset() < end);
    }

    /// Offsets of aborted records, and the first records of open transactions by producer.
    fn outcomes(&self) -> (BTreeSet<u64>, BTreeMap<u64, u64>) {
        let (mut aborted, mut open) = (BTreeSet::new(), BTreeMap::<u64, Vec<u64>>::new());
        for event in &self.events {
            match event {
                Event::Record(ModelRecord { producer: Some(id @ 20..), offset, .. }) => {
                    open.entry(*id).or_default().push(*offset);
                }
                Event::Record(_) => {}
                Event::Marker { producer, committed, .. } => {
                    let records = open.remove(producer).unwrap_or_default();
                    if !committed {
                        aborted.extend(records);
                    }
                }
            }
        }
        (aborted, open.into_iter().map(|(id, records)| (id, records[0])).collect())
    }

    /// Compares a log with what it may be after any number of passes. All of it is below the watermark.
    pub(super) fn check(&self, log: &Log, context: &str) {
        let (aborted, open) = self.outcomes();
        let positions = log.positions();
        let stable = open.values().min().copied().unwrap_or(positions.log_end.get());
        assert_eq!(positions.last_stable.get(), stable, "{context}");
        let found: Vec<_> =
            log.open_transactions().iter().map(|t| (t.producer_id.0, t.first_offset.get())).collect();
        assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), open, "{context}");

        let skipped = log.reader().aborted(positions.log_start, positions.last_stable).unwrap();
        let mut latest = BTreeMap::new();
        for (batch, record) in records(log, context) {
            let appended = self.events.iter().find(|event| event.offset() == record.offset);
            assert_eq!(appended, Some(&Event::Record(record.clone())), "{context}");
            let skip = batch.transactional
                && skipped.iter().any(|t| {
                    Some(t.producer_id.0) == record.producer
                        && t.first_offset.get() <= record.offset
                        && t.last_offset.get() >= record.offset
                });
            assert!(
                record.offset >= stable || skip == aborted.contains(&record.offset),
                "{context}: {record:?}"
            );
            if !skip && record.offset < stable {
                latest.insert(record.key, record);
            }
        }
        let mut expected = BTreeMap::new();
        for event in &self.events {
            if let Event::Record(record) = event
                && record.offset < stable
                && record.offset >= positions.log_start.get()
                && !aborted.contains(&record.offset)
            {
                expected.insert(record.key, record.clone());
            }
        }
        let is_value = |(_, record): &(u8, ModelRecord)| record.value.is_some();
        for (key, record) in &latest {
            assert_eq!(
                expected.get(key),
                Some(record),
                "{context}: an older record is the last one of {key}"
            );
        }
        let values = |records: BTreeMap<u8, ModelRecord>| {
            records.into_iter().filter(is_value).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(values(latest), values(expected), "{context}");
    }

    /// What must be gone below `up_to` once a pass has got there.
    pub(super) fn check_compacted(&self, log: &Log, up_to: Offset) {
        let (aborted, _) = self.outcomes();
        let mut keys = BTreeSet::new();
        for (_, record) in records(log, "after a pass").into_iter().filter(|(_, r)| r.offset < up_to.get()) {
            assert!(!aborted.contains(&record.offset), "aborted: {record:?}");
            assert!(keys.insert(record.key), "twice: {record:?}");
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) transactional: bool,
}

/// Every record of every data batch from the log start on; the batches are dense and whole.
pub(super) fn records(log: &Log, context: &str) -> Vec<(Batch, ModelRecord)> {
    shown_by(&log.reader()).unwrap_or_else(|error| panic!("{context}: {error}"))
}

/// The same, of a picture.
fn shown_by(reader: &LogReader) -> io::Result<Vec<(Batch, ModelRecord)>> {
    let Positions { log_start: mut at, log_end: end, .. } = reader.positions();
    let mut found = Vec::new();
    while at < end {
        let range = reader.read(at, 1000, Offset::MAX, true)?;
        let bytes = range.bytes()?;
        for piece in split(bytes) {
            let piece = piece.unwrap();
            let view = BatchView::parse(&piece).unwrap();
            view.verify_crc().unwrap();
            let mut records = view.records(1 << 20).unwrap();
            while let Some(record) = records.next_record().unwrap().filter(|_| !view.is_control()) {
                let value = record.value.map(|value| std::str::from_utf8(value).unwrap().parse().unwrap());
                let record = ModelRecord {
                    offset: record.offset.get(),
                    key: record.key.unwrap()[0],
                    value,
                    producer: view.producer().map(|producer| producer.id.0),
                };
                found.push((Batch { transactional: view.is_transactional() }, record));
            }
        }
        at = range.next_offset();
    }
    Ok(found)
}

/// A log with its model.
pub(super) struct Pair {
    pub(super) disk: MemoryDisk,
    pub(super) dir: Arc<LogDir>,
    pub(super) log: Option<Log>,
    /// A picture that somebody goes on reading, and what it showed first.
    pub(super) held: Option<(LogReader, Vec<(Batch, ModelRecord)>)>,
    pub(super) model: Model,
    pub(super) now: TimestampMs,
}

impl Pair {
    pub(super) fn new() -> Pair {
        let disk = MemoryDisk::new();
        let (dir, log) = create(&disk, config());
        Pair { disk, dir, log: Some(log), held: None, model: Model::default(), now: NOW }
    }

    pub(super) fn log(&mut self) -> &mut Log {
        self.log.as_mut().unwrap()
    }

    pub(super) fn append(&mut self, keys: &[(u8, bool)], producer: Option<u64>) {
        let base = self.log().positions().log_end.get();
        let batch = self.model.batch(base, keys, producer);
        self.push(batch, base);
    }

    pub(super) fn end(&mut self, producer: u64, committed: bool) {
        let base = self.log().positions().log_end.get();
        let batch = self.model.marker(base, producer, committed);
        self.push(batch, base);
    }

    fn push(&mut self, batch: CheckedBatch, base: u64) {
        let now = self.now;
        let appended = self.log().append(batch, EPOCH, now).unwrap();
        assert_eq!((appended.base_offset.get(), appended.duplicate), (base, false));
        let end = self.log().positions().log_end;
        self.log().set_high_watermark(end);
    }

    /// Makes everything there is ready for a pass.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        self.log().roll(now).unwrap();
        self.log().commit().unwrap();
        self.dir.write_checkpoints().unwrap();
    }

    pub(super) fn compact(&mut self, key_bytes: usize) -> Option<crate::Compacted> {
        let now = self.now;
        let report = self.log().compact(key_bytes, now).unwrap()?;
        self.model.check_compacted(self.log.as_ref().unwrap(), report.up_to);
        Some(report)
    }

    pub(super) fn hold(&mut self) {
        let reader = self.log().reader();
        let found = shown_by(&reader).unwrap();
        self.held = Some((reader, found));
    }

    pub(super) fn check(&self, context: &str) {
        if let Some((reader, before)) = &self.held {
            // Whatever was compacted since: an old picture shows what it showed, or says that it cannot.
            match shown_by(reader) {
                Ok(found) => assert_eq!(&found, before, "{context}"),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{context}: {error}"),
            }
        }
        self.model.check(self.log.as_ref().unwrap(), context);
    }

    /// Opens what is on the disk; the watermark of before is told again.
    pub(super) fn restart(&mut self) {
        self.held = None;
        let (dir, mut log, report) = reopen(&self.disk, config());
        assert!(report.quarantined.is_empty(), "{report:?}");
        let end = log.positions().log_end;
        log.set_high_watermark(end);
        self.model.truncate_to(end.get());
        self.dir = dir;
        self.log = Some(log);
    }
}
