//! Reading logs for no other reason than to find what has rotted, while other replicas still have it.

use std::{
    collections::VecDeque,
    ops::ControlFlow::{self, Break, Continue},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use highwater_engine::{LogReader, ReadError};
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{
    Offset,
    batch::{BatchView, split},
};

use crate::{
    Node,
    first_of::first_of,
    partition::Partition,
    peers::{ReplicaRead, ReplicaReadError},
    replicate::ANSWER_BYTES_MAX,
};

/// How much is read at once.
const AT_ONCE: usize = 1 << 20;

/// Why a range of a log was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is damaged, in the segment that has this offset.
    Damaged(Offset),
    /// It is not here, or not any more, or the disk refuses.
    Other(ReadError),
}

impl From<ReadError> for Unread {
    fn from(error: ReadError) -> Unread {
        match error {
            ReadError::Corrupt { segment, .. } => Unread::Damaged(segment),
            other => Unread::Other(other),
        }
    }
}

/// Batches from `from` on below `end`, of which every checksum holds, and where they end. Waits for the disk.
pub(crate) fn read_verified(
    reader: &LogReader,
    from: Offset,
    max_bytes: usize,
    end: Offset,
) -> Result<(Bytes, Offset), Unread> {
    let range = reader.read(from, max_bytes, end, true)?;
    let bytes = range.bytes().map_err(|error| {
        let corrupt = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>());
        match corrupt {
            Some(ReadError::Corrupt { segment, .. }) => Unread::Damaged(*segment),
            _ => Unread::Other(ReadError::from(error)),
        }
    })?;
    let mut next = range.base_offset();
    for batch in split(bytes.clone()) {
        let whole = batch.ok().and_then(|batch| {
            let view = BatchView::parse(&batch).ok()?;
            view.verify_crc().ok().map(|()| view.next_offset())
        });
        next = whole.ok_or(Unread::Damaged(next))?;
    }
    Ok((bytes, range.next_offset()))
}

/// A log of which so many bytes are to be read now.
struct Share {
    partition: Arc<Partition>,
    left: usize,
}

/// What came of reading the next piece of a log: where it begins, and how many bytes it has and where it ends. `None` where
/// there is no log any more.
type Piece = Option<(Offset, Result<(usize, Offset), Unread>)>;

impl Share {
    fn at_most(&self) -> usize {
        self.left.min(AT_ONCE)
    }

    /// Waits for the disk.
    fn read(&self) -> Piece {
        let (reader, from, end) = self.partition.look(|state| state.to_scrub()).ok()?;
        let read = read_verified(&reader, from, self.at_most(), end);
        Some((from, read.map(|(bytes, next)| (bytes.len(), next))))
    }
}

/// As many of these as are read at once, without the rest: of many small logs not each one is worth a thread.
fn next_group(due: &mut VecDeque<Share>) -> Vec<Share> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while let Some(share) = due.pop_front_if(|share| bytes == 0 || bytes + share.at_most() <= AT_ONCE) {
        bytes += share.at_most();
        group.push(share);
    }
    group
}

impl Node {
    /// Reads every open log once in `highwater.scrub.period.ms`, and mends what is damaged, until the node stops. A task of
    /// its own. A broker without a cluster has nobody to get anything from.
    pub(crate) async fn scrubbing(self: Arc<Self>) {
        let period = self.config.scrub_period_ms;
        if period == 0 || self.membership.is_none() {
            return;
        }
        let interval_ms = self.config.retention_check_interval_ms.min(period);
        let interval = Duration::from_millis(interval_ms);
        while first_of(self.stops(), self.env.sleep(interval)).await == crate::first_of::First::Right(()) {
            if self.scrub(interval_ms, period).await.is_break() {
                return;
            }
        }
    }

    /// Reads so much more of every log that all of it is read in a period; breaks off when the node stops.
    async fn scrub(self: &Arc<Self>, interval: u64, period: u64) -> ControlFlow<()> {
        let mut due = VecDeque::new();
        for partition in self.partitions.all_open() {
            let known = partition.see(|state| {
                let known = state.log.quarantined().iter().map(|range| range.offsets.start);
                (known.collect::<Vec<_>>(), state.log.size_bytes())
            });
            let Ok((known, size)) = known.await else { continue };
            for damaged in known {
                self.mend(&partition, damaged).await;
            }
            let share = u128::from(size) * u128::from(interval) / u128::from(period);
            let left = usize::try_from(share).unwrap_or(usize::MAX).max(1);
            due.push_back(Share { partition, left });
        }
        while !due.is_empty() {
            if self.is_stopping() {
                return Break(());
            }
            let group = next_group(&mut due);
            let read = self.env.run_blocking(Lane::Background, move || {
                let read = group.into_iter().map(|share| (share.read(), share));
                read.collect::<Vec<_>>()
            });
            for (piece, share) in read.await.unwrap_or_default() {
                due.extend(self.was_read(piece, share).await);
            }
        }
        Continue(())
    }

    /// Takes in what was read of a log, and answers with what is left to be read of it now.
    async fn was_read(self: &Arc<Self>, piece: Piece, share: Share) -> Option<Share> {
        let (from, outcome) = piece?;
        let Share { partition, left } = share;
        match outcome {
            Ok((bytes, next)) if next > from => {
                let _ = partition.see(move |state| state.scrubbed = next).await;
                let left = left.saturating_sub(bytes);
                return (left > 0).then_some(Share { partition, left });
            }
            // All of it has been read: from the beginning again, next time.
            Ok(_) | Err(Unread::Other(_)) => {
                let _ = partition.see(|state| state.scrubbed = Offset::ZERO).await;
            }
            Err(Unread::Damaged(at)) => {
                tracing::error!(partition = %partition.name, %at, "the log is damaged");
                self.mend(&partition, at).await;
                // What lies behind it is not to wait for it.
                let _ = partition.see(move |state| state.pass_segment(at)).await;
            }
        }
        None
    }

    /// Shows another broker batches of this one's replica. What is found damaged on the way is mended.
    pub fn serve_replica_read(
        self: &Arc<Self>,
        read: ReplicaRead,
    ) -> BoxFuture<'_, Result<Bytes, ReplicaReadError>> {
        Box::pin(async move {
            let not_here = |_| ReplicaReadError::NotHere;
            if self.membership.is_none() || self.is_stopping() {
                return Err(ReplicaReadError::NotHere);
            }
            let image = self.image();
            let topic = image.topic(read.partition.topic_id).ok_or(ReplicaReadError::NotHere)?;
            let assigned = topic.partition(read.partition.partition).ok_or(ReplicaReadError::NotHere)?;
            if !assigned.replicas.contains(&self.broker) {
                return Err(ReplicaReadError::NotHere);
            }
            let found = self.partitions.get_replica(&image, topic, read.partition.partition).await;
            let partition = found.map_err(|_| ReplicaReadError::NotHere)?;
            let look = partition.see(|state| (state.log.reader(), state.log.positions().high_watermark));
            let (reader, end) = look.await.map_err(not_here)?;
            if read.offset >= end {
                return Err(ReplicaReadError::NotHere);
            }
            let max_bytes = read.max_bytes.min(ANSWER_BYTES_MAX);
            let batches = self
                .env
                .run_blocking(Lane::Background, move || read_verified(&reader, read.offset, max_bytes, end))
                .await
                .map_err(|error| ReplicaReadError::Storage(error.to_string()))?;
            match batches {
                Ok((bytes, _)) => Ok(bytes),
                Err(Unread::Damaged(at)) => {
                    let (node, damaged) = (self.clone(), partition.clone());
                    self.tasks.spawn(
                        &self.env,
                        Lane::Background,
                        async move { node.mend(&damaged, at).await },
                    );
                    Err(ReplicaReadError::Damaged(at))
                }
                Err(Unread::Other(ReadError::Disk(error))) => {
                    Err(ReplicaReadError::Storage(error.to_string()))
                }
                Err(Unread::Other(_)) => Err(ReplicaReadError::NotHere),
            }
        })
    }
}
