//! Writes logs whose files Apache Kafka is to read: transactions that overlap and lie over segment borders, committed,
//! aborted and open; several leader epochs; every codec; and the same compacted in two passes with tombstones.
//!
//! usage: kafka_files DIRECTORY
//!        kafka_files --read LOG DIRECTORY
//!
//! Prints, for each topic, what a client must see, one record per line: topic, isolation, offset, key, value. With
//! `--read` it writes nothing of that, but prints what the engine makes of a log that somebody else has written: `LOG`,
//! the directory of one partition, is copied below `DIRECTORY`.

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use highwater_engine::{
    Compaction, DirOptions, Log, LogConfig, LogDir, LogName, MarkerEpoch, disk::RealDisk,
};
use highwater_records::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Sequence, TimestampMs, TopicId,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, EndTxnMarker, Producer, Record, split},
    compression::Codec,
};

const NOW: i64 = 1_700_000_000_000;

struct Writer {
    log: Log,
    epoch: u32,
    sequences: BTreeMap<u64, i32>,
    values: u64,
    /// Offset, key, value (`None`: a tombstone), producer.
    records: Vec<(u64, String, Option<String>, u64)>,
    /// Producers of open transactions and where they began.
    open: BTreeMap<u64, u64>,
    aborted: Vec<(u64, u64, u64)>,
}

impl Writer {
    /// Appends a batch; producer 0 is none, those from 100 on are in a transaction.
    fn append(&mut self, codec: Codec, id: u64, keys: &[(&str, bool)]) -> Result<(), Box<dyn Error>> {
        let mut builder = BatchBuilder::new(codec);
        if id > 0 {
            let sequence = self.sequences.entry(id).or_default();
            let base_sequence = Sequence::from_i32(*sequence);
            *sequence += keys.len() as i32;
            builder =
                builder.producer(Producer { id: ProducerId(id), epoch: ProducerEpoch(0), base_sequence });
        }
        if id >= 100 {
            builder = builder.transactional();
            self.open.entry(id).or_insert(self.log.positions().log_end.get());
        }
        for (key, has_value) in keys {
            self.values += 1;
            let value = has_value.then(|| format!("value {} {}", self.values, "x".repeat(60)));
            let timestamp = TimestampMs(NOW + self.values as i64);
            let (key, bytes) = (Some(key.as_bytes()), value.as_ref().map(String::as_bytes));
            builder.push(Record { timestamp, key, value: bytes, headers: &[] })?;
            let offset = self.log.positions().log_end.get() + u64::from(builder.record_count()) - 1;
            let key = String::from_utf8_lossy(key.unwrap_or_default()).into_owned();
            self.records.push((offset, key, value, id));
        }
        let batch = CheckedBatch::check(builder.build(Offset::ZERO, None)?, &CheckPolicy::client(1 << 20))?;
        self.log.append(batch, LeaderEpoch(self.epoch), TimestampMs(NOW))?;
        Ok(())
    }

    fn end(&mut self, id: u64, committed: bool) -> Result<(), Box<dyn Error>> {
        let marker = EndTxnMarker { committed, coordinator_epoch: 1 };
        let (producer, now) = ((ProducerId(id), ProducerEpoch(0)), TimestampMs(NOW));
        let ended = self.log.end_transaction(
            producer,
            marker,
            MarkerEpoch::SameOrNewer,
            LeaderEpoch(self.epoch),
            now,
        )?;
        if let Some(first) = self.open.remove(&id).filter(|_| !committed) {
            self.aborted.push((id, first, ended.base_offset.get()));
        }
        Ok(())
    }

    fn history(&mut self) -> Result<(), Box<dyn Error>> {
        let codecs = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
        for round in 0..20usize {
            let codec = codecs[round % codecs.len()];
            self.epoch = round as u32 / 7;
            let own = format!("key {round}");
            self.append(codec, 0, &[("a", true), ("b", true), (&own, true)])?;
            self.append(codec, 100, &[("c", true), ("d", round % 3 > 0)])?;
            self.append(codec, 101, &[("a", true), ("e", true)])?;
            self.append(Codec::None, 7, &[("f", true), ("g", round % 4 > 0)])?;
            if round % 3 == 2 {
                self.end(100, round % 2 == 0)?;
            }
            if round % 4 == 3 {
                self.end(101, round % 8 == 3)?;
            }
        }
        self.end(100, true)?;
        self.end(101, true)
    }

    fn settle(&mut self, dir: &LogDir) -> Result<(), Box<dyn Error>> {
        self.log.roll(TimestampMs(NOW))?;
        self.log.commit()?;
        dir.write_checkpoints()?;
        Ok(())
    }

    /// What clients see, unless compaction has removed it: then only the last record of each key is certain.
    fn print(&self, topic: &str, compacted: bool) {
        let stable = self.open.values().copied().min().unwrap_or(u64::MAX);
        let aborted = |offset: u64, id: u64| {
            self.aborted.iter().any(|(of, first, last)| *of == id && (*first..*last).contains(&offset))
        };
        let mut committed = BTreeMap::new();
        for (offset, key, value, id) in &self.records {
            let shown = *offset < stable && !aborted(*offset, *id);
            if shown {
                committed.insert(key.clone(), (*offset, value.clone()));
            }
            if !compacted {
                let text = value.as_deref().unwrap_or("-");
                println!("{topic}\tread_uncommitted\t{offset}\t{key}\t{text}");
                if shown {
                    println!("{topic}\tread_committed\t{offset}\t{key}\t{text}");
                }
            }
        }
        if compacted {
            for (key, (offset, value)) in committed {
                println!("{topic}\tlatest\t{offset}\t{key}\t{}", value.as_deref().unwrap_or("-"));
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    match &arguments[..] {
        [root] => write(root),
        [read, log, root] if read.as_os_str() == "--read" => read_foreign(log, root),
        _ => Err("usage: kafka_files DIRECTORY | kafka_files --read LOG DIRECTORY".into()),
    }
}

fn open(root: &Path) -> Result<Arc<LogDir>, Box<dyn Error>> {
    let options = DirOptions {
        cluster_id: "kafka-files".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 2),
    };
    Ok(LogDir::open(Arc::new(RealDisk), root, options, TimestampMs(NOW))?.0)
}

/// Opens a copy of a foreign log, as after a crash: everything in it is read and verified.
fn read_foreign(log: &Path, root: &Path) -> Result<(), Box<dyn Error>> {
    let now = TimestampMs(NOW);
    let config = LogConfig { retention_ms: None, ..LogConfig::default() };
    let name: LogName = log.file_name().and_then(|name| name.to_str()).unwrap_or_default().parse()?;
    let dir = open(root)?;
    dir.create_log(name.clone(), TopicId::from_random(3, 4), config.clone(), now)?.close(now)?;
    drop(dir);
    let own = root.join(name.to_string());
    for file in fs::read_dir(&own)?.chain(fs::read_dir(log)?) {
        let (path, target) =
            (file.as_ref().map(fs::DirEntry::path), file.as_ref().map(fs::DirEntry::file_name));
        let (Ok(path), Ok(target)) = (path, target) else { return Err("cannot list".into()) };
        match (target == "partition.metadata", path.starts_with(&own)) {
            (true, _) => {}
            (false, true) => fs::remove_file(path)?,
            (false, false) => drop(fs::copy(path, own.join(target))?),
        }
    }
    let dir = open(root)?;
    let (mut log, report) = dir.open_log(&name, config, now)?;
    eprintln!("{report:?}");
    if !report.quarantined.is_empty() || !report.cut.is_empty() {
        return Err("the log was taken for damaged".into());
    }
    log.set_high_watermark(log.positions().log_end);
    let (reader, positions) = (log.reader(), log.positions());
    let mut at = positions.log_start;
    while at < positions.log_end {
        let range = reader.read(at, 1 << 20, positions.log_end, true)?;
        let aborted = reader.aborted(at, range.next_offset())?;
        for batch in split(range.bytes()?) {
            let batch = batch?;
            let view = BatchView::parse(&batch)?;
            let skipped = aborted.iter().any(|aborted| {
                view.is_transactional()
                    && view.producer().is_some_and(|producer| producer.id == aborted.producer_id)
                    && (aborted.first_offset..=aborted.last_offset).contains(&view.base_offset())
            });
            let committed = !skipped && view.last_offset() < positions.last_stable;
            let mut records = view.records(1 << 24)?;
            while let Some(record) = records.next_record()?.filter(|_| !view.is_control()) {
                let text = |bytes: Option<&[u8]>| {
                    bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
                };
                let line = format!("{}\t{}\t{}", record.offset, text(record.key), text(record.value));
                println!("{}\tread_uncommitted\t{line}", name.topic);
                if committed {
                    println!("{}\tread_committed\t{line}", name.topic);
                }
            }
        }
        at = range.next_offset();
    }
    log.close(now)?;
    dir.close(now)?;
    Ok(())
}

fn write(root: &Path) -> Result<(), Box<dyn Error>> {
    let now = TimestampMs(NOW);
    let dir = open(root)?;
    for (number, topic) in ["ledger", "balances"].into_iter().enumerate() {
        let compacts = topic == "balances";
        let compaction = Compaction {
            min_lag_ms: 0,
            max_lag_ms: None,
            min_dirty_millionths: 0,
            delete_retention_ms: 1000,
        };
        let config = LogConfig {
            segment_bytes: 2000,
            index_interval_bytes: 300,
            retention_ms: None,
            timestamp_after_max_ms: None,
            watermark: highwater_engine::Watermark::Own,
            compaction: compacts.then_some(compaction),
            ..LogConfig::default()
        };
        let name = LogName::new(topic, PartitionIndex(0));
        let log = dir.create_log(name, TopicId::from_random(3, number as u64), config, now)?;
        let mut writer = Writer {
            log,
            epoch: 0,
            sequences: BTreeMap::new(),
            values: 0,
            records: Vec::new(),
            open: BTreeMap::new(),
            aborted: Vec::new(),
        };
        writer.history()?;
        if compacts {
            // The second pass, long after the first, drops tombstones and idle markers too.
            for pass in 0..2 {
                writer.append(Codec::Zstd, 0, &[("a", true)])?;
                writer.settle(&dir)?;
                let later = TimestampMs(NOW + pass * 5000);
                let report = writer.log.compact(1 << 20, later)?.ok_or("nothing was compacted")?;
                eprintln!("{report:?}");
            }
        } else {
            writer.append(Codec::None, 100, &[("open", true)])?;
            writer.append(Codec::None, 0, &[("behind", true)])?;
        }
        writer.log.commit()?;
        writer.print(topic, compacts);
        writer.log.close(now)?;
    }
    if !dir.close(now)?.clean {
        return Err("the directory was not closed in order".into());
    }
    Ok(())
}
