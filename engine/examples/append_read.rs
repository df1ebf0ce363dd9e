//! A log on its own: append, read, seek by time, reopen.
//!
//! `cargo run -p highwater-engine --example append_read`

use std::{error::Error, sync::Arc};

use highwater_engine::{DirOptions, LogConfig, LogDir, LogName, Watermark, disk::RealDisk};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, Record, split},
    compression::Codec,
};

fn main() -> Result<(), Box<dyn Error>> {
    let (place, now) = (tempfile::tempdir()?, TimestampMs(1_700_000_000_000));
    let options = DirOptions {
        cluster_id: "example".to_owned(),
        node_id: BrokerId(1),
        new_directory_id: TopicId::from_random(1, 2),
    };
    let config =
        LogConfig { durability: Durability::Synced, watermark: Watermark::Own, ..LogConfig::default() };
    let name = LogName::new("events", PartitionIndex(0));

    let (dir, _) = LogDir::open(Arc::new(RealDisk), place.path(), options.clone(), now)?;
    let mut log = dir.create_log(name.clone(), TopicId::from_random(3, 4), config.clone(), now)?;
    for second in 0..10 {
        let timestamp = TimestampMs(now.0 + second * 1000);
        let mut batch = BatchBuilder::new(Codec::None);
        batch.push(Record { timestamp, key: Some(b"clock"), value: Some(b"tick"), headers: &[] })?;
        let batch = batch.build(Offset::ZERO, None)?;
        log.append(CheckedBatch::check(batch, &CheckPolicy::client(1 << 20))?, LeaderEpoch(0), timestamp)?;
    }
    println!("durable up to offset {}", log.commit()?);
    log.close(now)?;
    dir.close(now)?;
    drop(dir);

    let (dir, _) = LogDir::open(Arc::new(RealDisk), place.path(), options, now)?;
    let (log, report) = dir.open_log(&name, config, now)?;
    println!("opened again after a {} stop", if report.clean { "clean" } else { "hard" });
    let (reader, shown) = (log.reader(), log.positions().high_watermark);
    let (at, from) = reader.offset_for_timestamp(TimestampMs(now.0 + 6500))?.ok_or("nothing that late")?;
    println!("the first record at or after +6.5 s is offset {from}, at +{} s", (at.0 - now.0) / 1000);
    for batch in split(reader.read(from, 1 << 20, shown, true)?.bytes()?) {
        let batch = batch?;
        let mut records = BatchView::parse(&batch)?.records(1 << 20)?;
        while let Some(record) = records.next_record()? {
            println!("offset {}: {:?}", record.offset, record.value.map(String::from_utf8_lossy));
        }
    }
    Ok(())
}

#[test]
fn it_runs() {
    main().unwrap();
}
