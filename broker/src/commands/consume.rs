//! `highwater consume`: records become lines.

use std::time::Duration;

use bytes::Bytes;
use highwater_records::batch::{BatchError, BatchView, ControlType, RecordRef, split};
use highwater_wire::{
    ErrorCode,
    messages::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData},
};

use super::{
    CommandError, ConsumeArguments, Position,
    cluster::{Cluster, Patience, Topic},
    isolation::Aborted,
    member,
    output::Output,
    topics::{END, START, offset},
};
use crate::{
    client::{ClientError, check, only},
    json::Json,
    times,
};

/// What one fetch asks for.
const FETCH_BYTES: i32 = 4 << 20;
/// How long a fetch waits where there is nothing new.
const WAIT: Duration = Duration::from_millis(500);
/// The most that a batch may grow when it is decompressed.
const BATCH_BYTES_MAX: usize = 256 << 20;
/// The last version that names topics by name.
const BY_NAME: i16 = 12;
/// ListOffsets' isolation of committed records, and Fetch's.
const READ_COMMITTED: i8 = 1;

/// How far one partition has been read.
pub(super) struct Progress {
    pub(super) partition: i32,
    pub(super) next: i64,
    /// Where reading ends, exclusive; `None` goes on.
    pub(super) end: Option<i64>,
}

impl Progress {
    /// Whether there is nothing left to read.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

/// Writes the records of each partition in the order of their offsets. Between partitions there is no order.
pub(super) async fn run(
    cluster: &mut Cluster,
    arguments: &ConsumeArguments,
    out: &mut Output,
) -> Result<(), CommandError> {
    if let Some(group) = &arguments.group {
        return member::run(cluster, group, arguments, out).await;
    }
    let topic = cluster.topic(&arguments.topic).await?;
    let mut all = Vec::new();
    for partition in chosen(&topic, arguments.partition)? {
        let next = resolve(cluster, &topic, partition, arguments.from).await?;
        let end = if arguments.follow { None } else { offset(cluster, &topic, partition, END).await? };
        all.push(Progress { partition, next, end });
    }
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut patience = Patience::new(arguments.follow);
    while left > 0 && !all.iter().all(Progress::is_over) {
        match turn(cluster, &topic, &mut all, arguments, &mut left, out).await {
            Ok(()) => patience.reset(),
            Err(error) => cluster.recover(error, &mut patience).await?,
        }
        out.flush()?;
    }
    Ok(())
}

/// Reads each partition once, up to `left` records together, of which it takes those that were written out.
pub(super) async fn turn(
    cluster: &mut Cluster,
    topic: &Topic,
    all: &mut [Progress],
    arguments: &ConsumeArguments,
    left: &mut u64,
    out: &mut Output,
) -> Result<(), CommandError> {
    let unread = all.iter().filter(|progress| !progress.is_over()).count();
    // One after the other; only where everything may have been read is it worth waiting, and then in turn.
    let wait = if arguments.follow { WAIT / u32::try_from(unread).unwrap_or(u32::MAX).max(1) } else { WAIT };
    for progress in all.iter_mut().filter(|progress| !progress.is_over()) {
        let before = progress.next;
        *left -= step(cluster, topic, progress, arguments, wait, *left, out).await?;
        if arguments.committed && progress.end.is_some() && progress.next == before {
            // What is left belongs to open transactions.
            progress.end = Some(before);
        }
        if *left == 0 {
            break;
        }
    }
    Ok(())
}

/// The partitions that are meant.
pub(super) fn chosen(topic: &Topic, partition: Option<i32>) -> Result<Vec<i32>, CommandError> {
    match partition {
        None => Ok(topic.partitions.iter().map(|known| known.index).collect()),
        Some(partition) => Ok(vec![topic.partition(partition)?.index]),
    }
}

/// The offset of a position.
pub(super) async fn resolve(
    cluster: &mut Cluster,
    topic: &Topic,
    partition: i32,
    position: Position,
) -> Result<i64, CommandError> {
    let start = offset(cluster, topic, partition, START).await?.unwrap_or(0);
    let end = offset(cluster, topic, partition, END).await?.unwrap_or(start);
    Ok(match position {
        Position::Beginning => start,
        Position::End => end,
        Position::At(at) => at.clamp(start, end),
        Position::Last(count) => end.saturating_sub(count).max(start),
        Position::Since(time) => offset(cluster, topic, partition, time).await?.unwrap_or(end),
    })
}

/// Reads once, and answers how many records were written out.
async fn step(
    cluster: &mut Cluster,
    topic: &Topic,
    progress: &mut Progress,
    arguments: &ConsumeArguments,
    wait: Duration,
    most: u64,
    out: &mut Output,
) -> Result<u64, CommandError> {
    let doing =
        format!("reading partition {} of {:?} at offset {}", progress.partition, topic.name, progress.next);
    let fetched = match fetch(cluster, topic, progress, arguments.committed, wait, &doing).await {
        Err(CommandError::Request {
            error: ClientError::Refused { code: ErrorCode::OffsetOutOfRange, .. },
            ..
        }) if skip_deleted(cluster, topic, progress).await? => return Ok(0),
        fetched => fetched?,
    };
    let mut aborted = Aborted::new(fetched.aborted_transactions.unwrap_or_default());
    let mut count = 0;
    for batch in split(fetched.records.unwrap_or_default()) {
        let batch = batch.map_err(|error| damaged(&doing, &error))?;
        let shown = batch_of(&batch, progress, arguments, &mut aborted, most - count, topic, out);
        count += match shown {
            Ok(shown) => shown,
            Err(Shown::Damaged(error)) => return Err(damaged(&doing, &error)),
            Err(Shown::Unwritten(error)) => return Err(error),
        };
        if count == most {
            break;
        }
    }
    Ok(count)
}

/// Goes on with the first record that there is, where those before it were deleted meanwhile. `false` if none were.
async fn skip_deleted(
    cluster: &mut Cluster,
    topic: &Topic,
    progress: &mut Progress,
) -> Result<bool, CommandError> {
    let start = offset(cluster, topic, progress.partition, START).await?.unwrap_or(0);
    if start <= progress.next {
        return Ok(false);
    }
    eprintln!(
        "highwater: partition {} of {:?} was deleted from offset {} to {start}; going on there",
        progress.partition, topic.name, progress.next
    );
    progress.next = start;
    Ok(true)
}

fn damaged(doing: &str, error: &BatchError) -> CommandError {
    CommandError::Unknown { what: format!("{doing}: the broker sent a damaged batch: {error}") }
}

async fn fetch(
    cluster: &mut Cluster,
    topic: &Topic,
    progress: &Progress,
    committed: bool,
    wait: Duration,
    doing: &str,
) -> Result<PartitionData, CommandError> {
    let partition = FetchPartition {
        partition: progress.partition,
        fetch_offset: progress.next,
        partition_max_bytes: FETCH_BYTES,
        ..FetchPartition::default()
    };
    let request = FetchRequest {
        max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        isolation_level: if committed { READ_COMMITTED } else { 0 },
        topics: vec![FetchTopic {
            topic: topic.name.clone(),
            partitions: vec![partition],
            ..FetchTopic::default()
        }],
        ..FetchRequest::default()
    };
    let connection = cluster.leader(topic, progress.partition).await?.connection();
    connection.send(&request, BY_NAME).await.map_err(CommandError::request(doing))?;
    let answer: FetchResponse = connection.receive().await.map_err(CommandError::request(doing))?;
    check(answer.error_code, None).map_err(CommandError::request(doing))?;
    let answer = only(answer.responses).and_then(|topic| only(topic.partitions));
    let answer = answer.map_err(CommandError::request(doing))?;
    check(answer.error_code, None).map_err(CommandError::request(doing))?;
    Ok(answer)
}

enum Shown {
    Damaged(BatchError),
    Unwritten(CommandError),
}

impl From<BatchError> for Shown {
    fn from(error: BatchError) -> Shown {
        Shown::Damaged(error)
    }
}

/// Writes the records of one batch from where reading is, up to `most`, and moves on.
fn batch_of(
    batch: &Bytes,
    progress: &mut Progress,
    arguments: &ConsumeArguments,
    aborted: &mut Aborted,
    most: u64,
    topic: &Topic,
    out: &mut Output,
) -> Result<u64, Shown> {
    let view = BatchView::parse(batch)?;
    view.verify_crc()?;
    let mut records = view.records(BATCH_BYTES_MAX)?;
    let marker = match view.is_control() {
        true => records.next_record()?.map(|record| ControlType::from_key(record.key)).transpose()?,
        false => None,
    };
    let hidden = if arguments.committed { aborted.hides(&view, marker) } else { view.is_control() };
    let mut count = 0;
    if !hidden {
        while let Some(record) = records.next_record()? {
            let at = record.offset.as_i64();
            // A batch may start before what was asked for, and reach beyond what was the end.
            if at < progress.next || progress.end.is_some_and(|end| at >= end) {
                continue;
            }
            show(&record, progress.partition, topic, arguments.verbose, out).map_err(Shown::Unwritten)?;
            count += 1;
            progress.next = at + 1;
            if count == most {
                return Ok(count);
            }
        }
    }
    progress.next = progress.next.max(view.next_offset().as_i64());
    Ok(count)
}

fn show(
    record: &RecordRef<'_>,
    partition: i32,
    topic: &Topic,
    verbose: bool,
    out: &mut Output,
) -> Result<(), CommandError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.json {
        let json = |bytes: Option<&[u8]>| Json::or_null(bytes, |bytes| Json::Text(text(bytes)));
        let header = |(name, value): (&[u8], Option<&[u8]>)| {
            Json::Object(vec![("name", Json::Text(text(name))), ("value", json(value))])
        };
        return out.value(&Json::Object(vec![
            ("topic", Json::text(&topic.name)),
            ("partition", Json::number(partition)),
            ("offset", Json::number(record.offset.as_i64())),
            ("timestamp", Json::or_null(record.timestamp, |time| Json::number(time.0))),
            ("key", json(record.key)),
            ("value", json(record.value)),
            ("headers", Json::list(record.headers, header)),
        ]));
    }
    if verbose {
        let time = record.timestamp.map_or("-".to_owned(), |time| times::show(time.0));
        let key = record.key.map_or("-".to_owned(), text);
        out.bytes(format!("{partition}:{}  {time}  {key}  ", record.offset.as_i64()).as_bytes())?;
        for (name, value) in record.headers {
            out.bytes(format!("{}={}  ", text(name), value.map_or(String::new(), text)).as_bytes())?;
        }
    }
    // As they are, so that what was binary stays so.
    out.bytes(record.value.unwrap_or_default())?;
    out.bytes(b"\n")
}
