//! From a shard's records to the batches that a log takes.

use highwater_coordinator::{NewRecord, Transaction};
use highwater_records::{
    Offset, TimestampMs,
    batch::{BatchBuilder, BuildError, CheckPolicy, CheckedBatch, Producer, Record},
    compression::Codec,
};

/// Batches of at most about `bytes_max`, in the order of the records; a larger record has one of its own. Records of
/// different transactions never share one.
pub(super) fn batches(
    records: &[NewRecord],
    now: TimestampMs,
    bytes_max: usize,
) -> Result<Vec<CheckedBatch>, BuildError> {
    let mut done = Vec::new();
    let mut open: Option<(Option<Transaction>, BatchBuilder)> = None;
    for record in records {
        let size = record.key.len() + record.value.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD;
        if let Some((transaction, builder)) = open.take() {
            let full = builder.uncompressed_size() + size > bytes_max;
            if full || transaction != record.transaction {
                done.push(build(builder)?);
            } else {
                open = Some((transaction, builder));
            }
        }
        let (_, builder) = open.get_or_insert_with(|| (record.transaction, begin(record.transaction)));
        builder.push(Record {
            timestamp: now,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        })?;
    }
    if let Some((_, builder)) = open {
        done.push(build(builder)?);
    }
    Ok(done)
}

/// Most bytes around a record's key and value: five varints, attributes, and the number of its headers.
const RECORD_OVERHEAD: usize = 32;

fn begin(transaction: Option<Transaction>) -> BatchBuilder {
    let builder = BatchBuilder::new(Codec::None);
    match transaction {
        None => builder,
        Some(Transaction { producer, epoch }) => {
            builder.producer(Producer { id: producer, epoch, base_sequence: None }).transactional()
        }
    }
}

fn build(builder: BatchBuilder) -> Result<CheckedBatch, BuildError> {
    let bytes = builder.build(Offset::ZERO, None)?;
    CheckedBatch::check(bytes, &CheckPolicy::internal()).map_err(|_| BuildError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use highwater_records::{ProducerEpoch, ProducerId};

    fn record(key: u8, size: usize, transaction: Option<Transaction>) -> NewRecord {
        NewRecord { key: vec![key], value: Some(vec![0; size]), transaction }
    }

    fn counts(records: &[NewRecord], bytes_max: usize) -> Vec<u32> {
        let batches = batches(records, TimestampMs(5), bytes_max).unwrap();
        batches.iter().map(|batch| batch.view().record_count()).collect()
    }

    #[test]
    fn records_share_batches_up_to_a_size() {
        let records: Vec<_> = (0..5).map(|key| record(key, 100, None)).collect();
        assert_eq!(counts(&records, 1 << 20), [5]);
        assert_eq!(counts(&records, 400), [2, 2, 1]);
        assert_eq!(counts(&records, 1), [1, 1, 1, 1, 1]);
        assert!(counts(&[], 100).is_empty());
    }

    #[test]
    fn transactions_have_batches_of_their_own() {
        let of = |id| Some(Transaction { producer: ProducerId(id), epoch: ProducerEpoch(3) });
        let records = [record(1, 1, None), record(2, 1, of(7)), record(3, 1, of(7)), record(4, 1, of(8))];
        let batches = batches(&records, TimestampMs(5), 1 << 20).unwrap();
        let seen: Vec<_> = batches
            .iter()
            .map(|batch| (batch.view().is_transactional(), batch.view().record_count()))
            .collect();
        assert_eq!(seen, [(false, 1), (true, 2), (true, 1)]);
        assert_eq!(batches[1].view().producer().unwrap().id, ProducerId(7));
    }
}
