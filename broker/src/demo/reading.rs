//! Reading everything back and comparing it with what was written.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use highwater_records::{
    Offset,
    batch::{BatchError, BatchView, split},
};

use super::{
    CLIENT, DemoError, TOPIC,
    progress::Bar,
    writing::{Fingerprint, Written, fingerprint},
};
use crate::client::Client;

/// What one fetch asks for.
const FETCH_BYTES: i32 = 4 << 20;
/// How long a fetch may wait for data that is there.
const FETCH_WAIT: Duration = Duration::from_secs(10);
/// The most that a batch may grow when it is decompressed.
const BATCH_BYTES_MAX: usize = 128 << 20;

/// Compares every record of every partition.
pub(super) async fn compare(address: &str, written: &Written, bar: &Bar) -> Result<(), DemoError> {
    let mut readers = Vec::new();
    for (partition, _) in written.partitions() {
        let expected: Arc<[Fingerprint]> = written.fingerprints(partition).into();
        let client = Client::connect(address, CLIENT).await.map_err(DemoError::client("connecting"))?;
        readers.push(tokio::spawn(compare_partition(client, partition, expected, bar.clone())));
    }
    for reader in readers {
        reader.await.map_err(|error| DemoError::Internal(error.into()))??;
    }
    Ok(())
}

async fn compare_partition(
    mut client: Client,
    partition: i32,
    expected: Arc<[Fingerprint]>,
    bar: Bar,
) -> Result<(), DemoError> {
    let mut next = Offset::ZERO;
    let end = expected.len() as u64;
    loop {
        // At the end there is nothing to wait for; asked is whether it is the end.
        let wait = if next.get() == end { Duration::ZERO } else { FETCH_WAIT };
        let fetched = client.fetch(TOPIC, partition, next, FETCH_BYTES, wait).await;
        let fetched = fetched.map_err(DemoError::client("reading back"))?;
        let differs = |offset, what| Err(DemoError::Difference { partition, offset, what });
        if fetched.log_start != Offset::ZERO {
            return differs(fetched.log_start, "the log no longer starts at the first record");
        }
        if fetched.high_watermark.get() != end {
            return differs(fetched.high_watermark, "the log does not end after the last record");
        }
        if next.get() == end {
            return Ok(());
        }
        let before = next;
        next = compare_batches(fetched.records, next, &expected)
            .map_err(|(offset, what)| DemoError::Difference { partition, offset, what })?;
        if next == before {
            return differs(next, "nothing came back");
        }
        bar.add(next.since(before));
    }
}

/// Compares the records of whole batches from `next` on. Answers the offset after the last of them.
fn compare_batches(
    records: Bytes,
    mut next: Offset,
    expected: &[Fingerprint],
) -> Result<Offset, (Offset, &'static str)> {
    for batch in split(records) {
        let batch = batch.map_err(|_| (next, "not a whole batch"))?;
        let view = BatchView::parse(&batch).map_err(|_| (next, "not a batch"))?;
        next = compare_batch(&view, next, expected)?;
    }
    Ok(next)
}

fn compare_batch(
    view: &BatchView<'_>,
    mut next: Offset,
    expected: &[Fingerprint],
) -> Result<Offset, (Offset, &'static str)> {
    let damaged = |at: Offset| move |_: BatchError| (at, "a batch is damaged");
    view.verify_crc().map_err(damaged(next))?;
    let mut records = view.records(BATCH_BYTES_MAX).map_err(damaged(next))?;
    while let Some(record) = records.next_record().map_err(damaged(next))? {
        // A batch may start before what was asked for.
        if record.offset < next {
            continue;
        }
        if record.offset > next {
            return Err((next, "the record is missing"));
        }
        let index = usize::try_from(next.get()).ok();
        let wanted = index.and_then(|index| expected.get(index)).ok_or((next, "a record nobody wrote"))?;
        let timestamp = record.timestamp.ok_or((next, "the record has no time"))?;
        if fingerprint(timestamp, record.key, record.value, record.headers) != *wanted {
            return Err((next, "the record is not what was written"));
        }
        next = next.checked_add(1).ok_or((next, "an offset beyond the largest"))?;
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use highwater_records::{
        TimestampMs,
        batch::{BatchBuilder, Header, Record},
        compression::Codec,
    };

    use super::*;

    fn batch(base: u64, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new(Codec::None);
        for value in values {
            let headers = [Header { key: "h", value: Some(b"x") }];
            let record = Record {
                timestamp: TimestampMs(7),
                key: None,
                value: Some(value.as_bytes()),
                headers: &headers,
            };
            builder.push(record).unwrap();
        }
        builder.build(Offset::new(base).unwrap(), None).unwrap()
    }

    fn prints(values: &[&str]) -> Vec<Fingerprint> {
        let print = |value: &&str| {
            let headers = [(b"h".as_slice(), Some(b"x".as_slice()))];
            fingerprint(TimestampMs(7), None, Some(value.as_bytes()), headers.into_iter())
        };
        values.iter().map(print).collect()
    }

    fn offset(value: u64) -> Offset {
        Offset::new(value).unwrap()
    }

    #[test]
    fn what_was_written_passes_also_from_the_middle_of_a_batch() {
        let expected = prints(&["a", "b", "c"]);
        let both: Bytes = [batch(0, &["a", "b"]), batch(2, &["c"])].concat().into();
        assert_eq!(compare_batches(both.clone(), Offset::ZERO, &expected), Ok(offset(3)));
        assert_eq!(compare_batches(both, offset(1), &expected), Ok(offset(3)));
    }

    #[test]
    fn every_difference_is_found() {
        let expected = prints(&["a", "b", "c"]);
        let compare = |bytes: Bytes, from: u64| compare_batches(bytes, offset(from), &expected).unwrap_err();
        assert_eq!(compare(batch(0, &["a", "x"]), 0), (offset(1), "the record is not what was written"));
        assert_eq!(compare(batch(1, &["b"]), 0), (offset(0), "the record is missing"));
        assert_eq!(compare(batch(2, &["c", "d"]), 2), (offset(3), "a record nobody wrote"));
        let whole = batch(0, &["a"]);
        assert_eq!(compare(whole.slice(..whole.len() - 1), 0), (offset(0), "not a whole batch"));
        let mut flipped = whole.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(compare(flipped.into(), 0), (offset(0), "a batch is damaged"));
    }

    #[test]
    fn fingerprints_tell_null_from_empty_and_parts_from_each_other() {
        let print = |key: Option<&[u8]>, value: Option<&[u8]>| {
            fingerprint(TimestampMs(0), key, value, [].into_iter())
        };
        let all = [
            print(None, None),
            print(Some(b""), None),
            print(None, Some(b"")),
            print(Some(b"ab"), Some(b"c")),
            print(Some(b"a"), Some(b"bc")),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one));
        }
    }
}
