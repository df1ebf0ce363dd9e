//! Replaying a partition into a shard.

use highwater_coordinator::{Logged, Marker, Shard, Transaction};
use highwater_engine::LogReader;
use highwater_records::batch::{BatchView, EndTxnMarker, split};

/// How much is read at a time.
const CHUNK_BYTES: usize = 4 << 20;

/// Records of a batch may decompress to this much: other programs may have compressed what they wrote.
const DECOMPRESSED_MAX: usize = 256 << 20;

/// Applies everything from the log's start to its end as the reader sees it. Blocks.
pub(super) fn replay<S: Shard>(reader: &LogReader, shard: &mut S) -> Result<(), String> {
    let positions = reader.positions();
    let end = positions.log_end;
    let mut next = positions.log_start;
    while next < end {
        let range = reader.read(next, CHUNK_BYTES, end, true).map_err(|error| error.to_string())?;
        if range.is_empty() && reader.has_gaps() {
            break;
        }
        if range.is_empty() {
            return Err(format!("nothing can be read at offset {next}, below the end {end}"));
        }
        let after = range.next_offset();
        let bytes = range.bytes().map_err(|error| error.to_string())?;
        for batch in split(bytes) {
            let batch = batch.map_err(|error| error.to_string())?;
            let view = BatchView::parse(&batch).map_err(|error| error.to_string())?;
            apply(&view, shard).map_err(|error| format!("batch at {}: {error}", view.base_offset()))?;
        }
        next = after;
    }
    Ok(())
}

fn apply<S: Shard>(batch: &BatchView<'_>, shard: &mut S) -> Result<(), String> {
    let transaction = batch
        .producer()
        .filter(|_| batch.is_transactional())
        .map(|producer| Transaction { producer: producer.id, epoch: producer.epoch });
    let mut records = batch.records(DECOMPRESSED_MAX).map_err(|error| error.to_string())?;
    while let Some(record) = records.next_record().map_err(|error| error.to_string())? {
        if batch.is_control() {
            let marker =
                EndTxnMarker::from_record(record.key, record.value).map_err(|error| error.to_string())?;
            if let (Some(marker), Some(transaction)) = (marker, transaction) {
                shard.marker(Marker { transaction, committed: marker.committed });
            }
            continue;
        }
        shard
            .replay(&Logged { key: record.key, value: record.value, offset: record.offset, transaction })
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
