//! Writing everything, several partitions and batches at once.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{BatchBuilder, Header, Producer, Record},
};
use tokio::sync::mpsc;

use super::{
    CLIENT, CODECS, DemoError, TOPIC,
    progress::Bar,
    source::{Made, Source},
};
use crate::client::Client;

/// Bytes of records from which a batch is full.
const BATCH_BYTES: usize = 64 << 10;
/// Batches on their way: what a broker remembers of an idempotent producer.
const IN_FLIGHT_MAX: usize = 5;
/// Batches that wait for a connection, per partition.
const WAITING_MAX: usize = 8;

/// What was written: by partition, the fingerprint of each record in the order of offsets.
pub(super) struct Written {
    partitions: Vec<PartitionWritten>,
}

#[derive(Default)]
struct PartitionWritten {
    fingerprints: Vec<Fingerprint>,
    record_bytes: u64,
    batch_bytes: u64,
}

/// A record, as far as comparing goes: a digest of its time, key, value and headers.
pub(super) type Fingerprint = [u8; 16];

/// The fingerprint of a record.
pub(super) fn fingerprint<'r>(
    timestamp: TimestampMs,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)>,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    let mut part = |part: Option<&[u8]>| {
        hasher.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        hasher.update(part.unwrap_or_default());
    };
    part(Some(&timestamp.0.to_be_bytes()));
    part(key);
    part(value);
    for (key, value) in headers {
        part(Some(key));
        part(value);
    }
    let mut print = [0; 16];
    print.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    print
}

impl Written {
    pub(super) fn records(&self) -> u64 {
        self.partitions().map(|(_, records)| records).sum()
    }

    pub(super) fn record_bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.record_bytes).sum()
    }

    pub(super) fn batch_bytes(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.batch_bytes).sum()
    }

    /// Partitions and how many records each has.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (i32, u64)> {
        (0..).zip(self.partitions.iter().map(|partition| partition.fingerprints.len() as u64))
    }

    /// The fingerprints of a partition's records, in the order of offsets.
    pub(super) fn fingerprints(&self, partition: i32) -> &[Fingerprint] {
        let index = usize::try_from(partition).ok();
        index.and_then(|index| self.partitions.get(index)).map_or(&[], |written| &written.fingerprints)
    }
}

/// A batch before it is built, and what is known of it.
struct Filling {
    builder: BatchBuilder,
    fingerprints: Vec<Fingerprint>,
    record_bytes: u64,
}

struct Full {
    bytes: Bytes,
    fingerprints: Vec<Fingerprint>,
    record_bytes: u64,
}

pub(super) async fn write(address: &str, source: Source, bar: &Bar) -> Result<Written, DemoError> {
    let mut queues = Vec::new();
    let mut writers = Vec::new();
    let mut producers = Vec::new();
    for partition in 0..CODECS.len() {
        let failed = DemoError::client("connecting");
        let mut client = Client::connect(address, CLIENT).await.map_err(&failed)?;
        let (id, epoch) = client.init_producer_id().await.map_err(&failed)?;
        producers.push((ProducerId(id.cast_unsigned()), ProducerEpoch(epoch.cast_unsigned())));
        let (queue, full) = mpsc::channel(WAITING_MAX);
        queues.push(queue);
        writers.push(tokio::spawn(send(client, partition as i32, full, bar.clone())));
    }
    let making = tokio::task::spawn_blocking(move || make(source, &producers, &queues));
    let mut partitions = Vec::new();
    let mut failure = None;
    for writer in writers {
        match writer.await.map_err(|error| DemoError::Internal(error.into()))? {
            Ok(written) => partitions.push(written),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    making.await.map_err(|error| DemoError::Internal(error.into()))??;
    match failure {
        Some(error) => Err(error),
        None => Ok(Written { partitions }),
    }
}

/// Builds batches until the source is empty, or whoever sends them has given up.
fn make(
    mut source: Source,
    producers: &[(ProducerId, ProducerEpoch)],
    queues: &[mpsc::Sender<Full>],
) -> Result<(), DemoError> {
    let mut sequences = vec![Sequence::ZERO; queues.len()];
    let mut filling: Vec<Option<Filling>> = queues.iter().map(|_| None).collect();
    let mut is_open = true;
    while is_open && let Some(made) = source.next()? {
        let partition = made.partition;
        let batch = filling[partition].get_or_insert_with(|| {
            let (id, epoch) = producers[partition];
            Filling::new(partition, Producer { id, epoch, base_sequence: Some(sequences[partition]) })
        });
        batch.push(&made)?;
        if batch.builder.uncompressed_size() >= BATCH_BYTES
            && let Some(batch) = filling[partition].take()
        {
            sequences[partition] = sequences[partition].plus(batch.builder.record_count());
            is_open = queues[partition].blocking_send(batch.build()?).is_ok();
        }
    }
    for (batch, queue) in filling.into_iter().zip(queues) {
        if let Some(batch) = batch {
            // Whoever does not take it has an error to report already.
            let _ = queue.blocking_send(batch.build()?);
        }
    }
    Ok(())
}

impl Filling {
    fn new(partition: usize, producer: Producer) -> Filling {
        let builder = BatchBuilder::new(CODECS[partition]).producer(producer);
        Filling { builder, fingerprints: Vec::new(), record_bytes: 0 }
    }

    fn push(&mut self, made: &Made) -> Result<(), DemoError> {
        let timestamp = now();
        let headers: Vec<Header<'_>> =
            made.headers.iter().map(|(key, value)| Header { key, value: Some(value) }).collect();
        let (key, value) = (made.key.as_deref(), Some(made.value.as_slice()));
        self.builder.push(Record { timestamp, key, value, headers: &headers })?;
        let pairs = headers.iter().map(|header| (header.key.as_bytes(), header.value));
        self.fingerprints.push(fingerprint(timestamp, key, value, pairs));
        let header_bytes: usize = made.headers.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.record_bytes += (made.key.as_ref().map_or(0, Vec::len) + made.value.len() + header_bytes) as u64;
        Ok(())
    }

    fn build(self) -> Result<Full, DemoError> {
        let bytes = self.builder.build(Offset::ZERO, None)?;
        Ok(Full { bytes, fingerprints: self.fingerprints, record_bytes: self.record_bytes })
    }
}

fn now() -> TimestampMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Sends a partition's batches in order, some of them before the first is acknowledged.
async fn send(
    mut client: Client,
    partition: i32,
    mut full: mpsc::Receiver<Full>,
    bar: Bar,
) -> Result<PartitionWritten, DemoError> {
    let failed = DemoError::client("writing");
    let mut written = PartitionWritten::default();
    let mut acknowledged = 0;
    let mut on_the_way = std::collections::VecDeque::new();
    loop {
        let next = full.recv().await;
        let limit = if next.is_some() { IN_FLIGHT_MAX } else { 1 };
        while on_the_way.len() >= limit
            && let Some(count) = on_the_way.pop_front()
        {
            let base = client.receive_produced().await.map_err(&failed)?;
            if base.get() != acknowledged {
                let what = "acknowledged at another offset than the next";
                return Err(DemoError::Difference { partition, offset: base, what });
            }
            acknowledged += count;
            bar.add(count);
        }
        let Some(batch) = next else { return Ok(written) };
        on_the_way.push_back(batch.fingerprints.len() as u64);
        written.batch_bytes += batch.bytes.len() as u64;
        written.record_bytes += batch.record_bytes;
        written.fingerprints.extend(batch.fingerprints);
        client.send_produce(TOPIC, partition, batch.bytes).await.map_err(&failed)?;
    }
}
