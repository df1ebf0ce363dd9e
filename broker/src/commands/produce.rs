//! `highwater produce`: lines become records.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use highwater_records::{
    Offset, ProducerEpoch, ProducerId, Sequence, TimestampMs,
    batch::{BatchBuilder, BuildError, Header, Producer, Record},
};

use super::{
    CommandError, ProduceArguments,
    cluster::{Cluster, Patience, Topic},
    output::Output,
    partitioner::partition_of,
    run::pair,
};
use crate::{counted::counted, json::Json};

/// Bytes of records from which a batch is sent.
const BATCH_BYTES: usize = 64 << 10;

/// Writes every line, once: a batch whose broker went away is sent again for a while. A batch is sent when it is full, at the
/// end, and, on a terminal, after each line. What an error interrupts may have been written up to the line that it names.
pub(super) async fn run(
    cluster: &mut Cluster,
    arguments: &ProduceArguments,
    out: &mut Output,
) -> Result<(), CommandError> {
    let topic = cluster.topic(&arguments.topic).await?;
    let mut headers = Vec::new();
    for header in &arguments.headers {
        let (key, value) = pair(header)?;
        headers.push(Header { key, value: Some(value.as_bytes()) });
    }
    let (mut lines, at_once): (Box<dyn BufRead>, bool) = match &arguments.file {
        Some(path) => {
            let file = File::open(path).map_err(CommandError::io(format!("opening {}", path.display())))?;
            (Box::new(BufReader::new(file)), false)
        }
        None => (Box::new(io::stdin().lock()), io::stdin().is_terminal()),
    };
    let mut writer = Writer::new(cluster, &topic, arguments).await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(CommandError::io("reading lines"))? == 0 {
            break;
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        writer.push(&line, &headers).await?;
        if at_once {
            writer.flush().await?;
        }
    }
    writer.flush().await?;
    let written = writer.written;
    out.done(
        &format!("{} written to {}", counted(written, "record", "records"), topic.name),
        Json::Object(vec![("topic", Json::text(&topic.name)), ("records", Json::number(written))]),
    )
}

struct Writer<'c> {
    cluster: &'c mut Cluster,
    topic: &'c Topic,
    arguments: &'c ProduceArguments,
    /// A batch for each partition, in the order of the topic's.
    filling: Vec<BatchBuilder>,
    /// Where the next record without a key goes: to one partition for a whole batch, as Kafka's producers do it.
    turn: usize,
    written: u64,
    /// Who writes, so that what is sent twice is written once.
    identity: (ProducerId, ProducerEpoch),
    /// The next record's number, for each partition.
    sequences: Vec<Sequence>,
}

impl<'c> Writer<'c> {
    async fn new(
        cluster: &'c mut Cluster,
        topic: &'c Topic,
        arguments: &'c ProduceArguments,
    ) -> Result<Writer<'c>, CommandError> {
        if let Some(partition) = arguments.partition {
            topic.partition(partition)?;
        }
        let filling = topic.partitions.iter().map(|_| BatchBuilder::new(arguments.codec)).collect();
        let sequences = topic.partitions.iter().map(|_| Sequence::ZERO).collect();
        let identity = cluster.producer().await?;
        Ok(Writer { cluster, topic, arguments, filling, turn: 0, written: 0, identity, sequences })
    }

    async fn push(&mut self, line: &[u8], headers: &[Header<'_>]) -> Result<(), CommandError> {
        let (key, value) = match &self.arguments.key_separator {
            None => (None, line),
            Some(separator) => {
                let separator = separator.as_bytes();
                let at = line.windows(separator.len()).position(|window| window == separator);
                let number = self.written + self.waiting() + 1;
                let at = at.ok_or_else(|| {
                    CommandError::Invalid(format!("line {number} has no key: the separator is not in it"))
                })?;
                (Some(&line[..at]), &line[at + separator.len()..])
            }
        };
        let at = match (self.arguments.partition, key) {
            (Some(partition), _) => self.place_of(partition),
            (None, Some(key)) => {
                // A topic has at least one partition, and never more than an i32 counts.
                let count = i32::try_from(self.filling.len()).unwrap_or(i32::MAX);
                self.place_of(partition_of(key, count))
            }
            (None, None) => self.turn,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let timestamp = TimestampMs(i64::try_from(now).unwrap_or(i64::MAX));
        let record = Record { timestamp, key, value: Some(value), headers };
        self.filling[at].push(record).map_err(unbuilt)?;
        if self.filling[at].uncompressed_size() >= BATCH_BYTES {
            self.send(at).await?;
            self.turn = (self.turn + 1) % self.filling.len();
        }
        Ok(())
    }

    /// Where a partition stands among the topic's.
    fn place_of(&self, partition: i32) -> usize {
        self.topic.partitions.iter().position(|known| known.index == partition).unwrap_or(0)
    }

    fn waiting(&self) -> u64 {
        self.filling.iter().map(|batch| u64::from(batch.record_count())).sum()
    }

    async fn flush(&mut self) -> Result<(), CommandError> {
        for at in 0..self.filling.len() {
            if self.filling[at].record_count() > 0 {
                self.send(at).await?;
            }
        }
        Ok(())
    }

    async fn send(&mut self, at: usize) -> Result<(), CommandError> {
        let builder = std::mem::replace(&mut self.filling[at], BatchBuilder::new(self.arguments.codec));
        let count = builder.record_count();
        let (id, epoch) = self.identity;
        let base_sequence = Some(self.sequences[at]);
        let builder = builder.producer(Producer { id, epoch, base_sequence });
        let batch: Bytes = builder.build(Offset::ZERO, None).map_err(unbuilt)?;
        let partition = self.topic.partitions[at].index;
        let mut patience = Patience::new(false);
        while let Err(error) = self.try_to_send(partition, batch.clone()).await {
            self.cluster.recover(error, &mut patience).await?;
        }
        self.sequences[at] = self.sequences[at].plus(count);
        self.written += u64::from(count);
        Ok(())
    }

    /// Writes a batch. Where it is there already, because only the answer was lost, it stays there once.
    async fn try_to_send(&mut self, partition: i32, batch: Bytes) -> Result<(), CommandError> {
        let leader = self.cluster.leader(self.topic, partition).await?;
        let written = leader.produce(&self.topic.name, partition, batch).await;
        let doing = format!(
            "writing to partition {partition} of {:?}, after {}",
            self.topic.name,
            counted(self.written, "record", "records")
        );
        written.map(drop).map_err(CommandError::request(doing))
    }
}

fn unbuilt(error: BuildError) -> CommandError {
    CommandError::Invalid(format!("the records do not fit into a batch: {error}"))
}
