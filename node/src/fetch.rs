//! Fetch: read what is visible, wait for more where there is too little.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use highwater_engine::{AbortedTransaction, LogReader};
use highwater_env::{BoxFuture, EnvExt, Lane};
use highwater_records::{
    BrokerId, LeaderEpoch, Offset,
    batch::{BatchView, split},
};
use highwater_tiering::{PartitionTier, TierAborted, TierError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    Node,
    first_of::first_of,
    partition::{Partition, View},
    partitions::FindError,
    request::{Caller, Fetch, FetchError, FetchPartition, Fetched, FetchedPartition, Isolation},
};

/// One fetch while it looks for something to return.
struct Attempt<'a> {
    node: &'a Node,
    /// Wakes this fetch when a watermark moved or a chunk arrived from the bucket.
    signal: Arc<Notify>,
    /// Bytes gathered in this round.
    gathered: usize,
    /// Whether some of them came from the bucket. They are given at once: to ask again is to wait again.
    from_bucket: bool,
    max_bytes: usize,
    isolation: Isolation,
    /// See [`Fetch::rack`].
    rack: Option<&'a str>,
}

/// A read from the bucket that goes on beside the fetch that wanted it.
type RemoteAnswer = Arc<Mutex<Option<Result<RemoteRead, TierError>>>>;

/// What the bucket had.
struct RemoteRead {
    bytes: Bytes,
    next_offset: Offset,
    aborted: TierAborted,
}

impl RemoteRead {
    /// Without what is at `end` or beyond: the bucket has it, so it is committed, but a follower or a new leader may not
    /// know that yet, and what a consumer is shown is below what it is told.
    fn below(mut self, end: Offset) -> RemoteRead {
        if self.next_offset <= end {
            return self;
        }
        let (mut size, mut next_offset) = (0, None);
        for batch in split(self.bytes.clone()).map_while(Result::ok) {
            let Ok(view) = BatchView::parse(&batch) else { break };
            if view.next_offset() > end {
                break;
            }
            (size, next_offset) = (size + batch.len(), Some(view.next_offset()));
        }
        self.bytes.truncate(size);
        self.next_offset = next_offset.unwrap_or(end);
        self
    }
}

/// What a partition has at an offset.
#[derive(Default)]
struct Piece {
    bytes: Bytes,
    aborted: Vec<AbortedTransaction>,
}

/// A partition of the request and what is known of it.
struct Wanted {
    request: FetchPartition,
    found: Result<Arc<Partition>, FetchError>,
    remote: Option<RemoteAnswer>,
}

impl Node {
    /// Reads batches from each partition: at once where `min_bytes` are ready, anything failed or the reader is to go
    /// elsewhere, else when there is enough or `max_wait` is over.
    ///
    /// Nothing at or above the high watermark is ever returned, nor, to readers of committed records, at or above the
    /// last stable offset. Offsets that only the bucket has are read from
    /// there. While the bucket has not answered, a partition that gives records holds nothing up if it comes earlier in
    /// the request. One that comes later waits for the bucket, but not longer than `remote.fetch.max.wait.ms`, and so does
    /// a request whose own `max_wait` is shorter (KIP-1018): else a client that does not wait, or always has something
    /// else to read, would never be given what the bucket has.
    ///
    /// A consumer that says where it stands is sent to an in-sync replica in its rack, if `replica.selector.class` says
    /// so, and may read from any replica up to the watermark that this one knows (KIP-392).
    pub fn fetch<'a>(&'a self, caller: &'a Caller, request: Fetch) -> BoxFuture<'a, Vec<FetchedPartition>> {
        Box::pin(async move {
            let _ = caller;
            let begun = self.env.now();
            let deadline = begun.plus(request.max_wait);
            let remote_wait = Duration::from_millis(self.config.remote_fetch_wait_max_ms);
            let remote_deadline = begun.plus(remote_wait);
            let rack = request.rack.as_deref();
            let mut wanted = Vec::with_capacity(request.partitions.len());
            for request in request.partitions {
                let found = match rack {
                    None => self.partitions.find(&request.topic, request.partition).await,
                    Some(_) => self.partitions.find_replica(&request.topic, request.partition).await,
                };
                wanted.push(Wanted { request, found: found.map_err(find_error), remote: None });
            }
            let signal = Arc::new(Notify::new());
            loop {
                let mut attempt = Attempt {
                    node: self,
                    signal: signal.clone(),
                    gathered: 0,
                    from_bucket: false,
                    max_bytes: request.max_bytes,
                    isolation: request.isolation,
                    rack,
                };
                let mut answers = Vec::with_capacity(wanted.len());
                let mut bucket_is_next = false;
                for partition in &mut wanted {
                    let nothing_yet = attempt.gathered == 0;
                    answers.push(FetchedPartition { result: attempt.read(partition).await });
                    bucket_is_next |= nothing_yet && partition.remote.is_some();
                }
                let is_final = |answer: &FetchedPartition| match &answer.result {
                    Ok(fetched) => fetched.preferred_replica.is_some(),
                    Err(_) => true,
                };
                let settled = answers.iter().any(is_final);
                let enough = attempt.gathered >= request.min_bytes || attempt.from_bucket;
                let ready = settled || enough || wanted.is_empty();
                let until = match (ready, bucket_is_next && !attempt.from_bucket) {
                    (true, false) => begun,
                    (true, true) => remote_deadline,
                    (false, true) => deadline.max(remote_deadline),
                    (false, false) => deadline,
                };
                if self.env.now() >= until || self.is_stopping() {
                    self.count_fetched(&wanted, &answers);
                    return answers;
                }
                first_of(signal.notified(), self.env.sleep_until(until)).await;
            }
        })
    }

    fn count_fetched(&self, wanted: &[Wanted], answers: &[FetchedPartition]) {
        for (wanted, answer) in wanted.iter().zip(answers) {
            match (&wanted.found, &answer.result) {
                (Ok(partition), Ok(fetched)) => partition.counters.bytes_out.add(fetched.len() as u64),
                _ => self.counters.failed_fetches.add(1),
            }
        }
    }
}

impl Attempt<'_> {
    async fn read(&mut self, wanted: &mut Wanted) -> Result<Fetched, FetchError> {
        let partition = wanted.found.clone()?;
        let signal = self.signal.clone();
        // Registered with the picture that is read, so that no move of the watermark falls between.
        let view = partition.see(move |state| state.view_and_wait(&signal)).await;
        let view = view.map_err(|_| FetchError::NotLeader)?;
        if !view.leads && self.rack.is_none() {
            return Err(FetchError::NotLeader);
        }
        check_epoch(wanted.request.current_leader_epoch, view.leader_epoch)?;
        // What a consumer is told must not go back when the leader changes (KIP-207). A follower's watermark lags
        // behind all the time, and its readers know that it is one.
        if view.leads && !view.watermark_known {
            return Err(FetchError::NotAvailable);
        }
        let mut fetched = Fetched {
            preferred_replica: None,
            by_follower: !view.leads,
            high_watermark: view.positions.high_watermark,
            last_stable: view.positions.last_stable,
            log_start: view.positions.log_start,
            aborted: Vec::new(),
            records: Vec::new(),
        };
        let out_of_range = FetchError::OffsetOutOfRange {
            log_start: fetched.log_start,
            high_watermark: fetched.high_watermark,
        };
        let Ok(offset) = Offset::from_i64(wanted.request.offset) else { return Err(out_of_range) };
        // What is not here may be in the bucket, whose head is read soon after such a start: that is worth waiting for.
        if view.leads
            && !view.tier_known
            && (offset < view.positions.local_start || offset > view.positions.log_end)
        {
            return Ok(fetched);
        }
        // Above the watermark nothing exists for a consumer, but the log end may be where it stood before a
        // restart: only what is beyond that is out of range.
        if offset < fetched.log_start || offset > view.positions.log_end {
            return Err(out_of_range);
        }
        fetched.preferred_replica = self.nearer(&partition, &view, offset).await;
        if fetched.preferred_replica.is_some() {
            return Ok(fetched);
        }
        let room = self.max_bytes.saturating_sub(self.gathered).min(wanted.request.max_bytes);
        let first = self.gathered == 0;
        let end = match self.isolation {
            Isolation::ReadUncommitted => fetched.high_watermark,
            Isolation::ReadCommitted => fetched.last_stable,
        };
        if offset >= end || (room == 0 && !first) {
            return Ok(fetched);
        }
        let Piece { bytes, aborted } = if offset < view.positions.local_start {
            match self.read_remote(&partition, wanted, offset, room, first)? {
                Some(read) => {
                    self.from_bucket = true;
                    self.complete(&view, offset, read.below(end)).await?
                }
                None => return Ok(fetched),
            }
        } else {
            self.read_local(&view, offset, end, room, first).await?
        };
        self.gathered += bytes.len();
        fetched.aborted = aborted;
        if !bytes.is_empty() {
            fetched.records.push(bytes);
        }
        Ok(fetched)
    }

    /// As the leader: the replica that this consumer should read the offset from instead.
    async fn nearer(&self, partition: &Arc<Partition>, view: &View, offset: Offset) -> Option<BrokerId> {
        let rack = self.rack.filter(|rack| !rack.is_empty())?;
        let node = self.node;
        if !view.leads || !node.config.reads_from_nearest || node.config.rack.as_deref() == Some(rack) {
            return None;
        }
        let (rack, image) = (rack.to_owned(), node.image());
        partition.see(move |state| state.nearest(&rack, offset, &image)).await.ok().flatten()
    }

    async fn read_local(
        &self,
        view: &View,
        offset: Offset,
        end: Offset,
        room: usize,
        at_least_one: bool,
    ) -> Result<Piece, FetchError> {
        let range = view.reader.read(offset, room, end, at_least_one).map_err(storage)?;
        let next_offset = range.next_offset();
        // What the page cache has is copied here; what it has not is read where waiting holds up nobody.
        let bytes = match range.try_bytes().map_err(storage)? {
            Some(bytes) => bytes,
            None => {
                let read = self.node.env.run_blocking(Lane::ColdRead, move || range.bytes()).await;
                read.map_err(storage)?.map_err(storage)?
            }
        };
        let aborted = self.aborted_here(&view.reader, offset, next_offset).await?;
        Ok(Piece { bytes, aborted })
    }

    /// The aborted transactions of a range whose markers are in local segments.
    async fn aborted_here(
        &self,
        reader: &LogReader,
        from: Offset,
        to: Offset,
    ) -> Result<Vec<AbortedTransaction>, FetchError> {
        if self.isolation == Isolation::ReadUncommitted || from >= to {
            return Ok(Vec::new());
        }
        if let Some(aborted) = reader.try_aborted(from, to).map_err(storage)? {
            return Ok(aborted);
        }
        let reader = reader.clone();
        let read = self.node.env.run_blocking(Lane::ColdRead, move || reader.aborted(from, to)).await;
        read.map_err(storage)?.map_err(storage)
    }

    /// What the bucket had, with the transactions that begin there and end in a local segment.
    async fn complete(&self, view: &View, offset: Offset, read: RemoteRead) -> Result<Piece, FetchError> {
        let RemoteRead { bytes, next_offset, aborted: TierAborted { mut transactions, complete } } = read;
        if !complete {
            // Segments that are in both places tell the same.
            let here = self.aborted_here(&view.reader, offset, next_offset).await?;
            let behind = transactions.last().map(|last| last.last_offset);
            transactions.extend(here.into_iter().filter(|aborted| Some(aborted.last_offset) > behind));
        }
        Ok(Piece { bytes, aborted: transactions })
    }

    /// What the bucket has at `offset`, or `None` while it has not answered; its answer then wakes this fetch.
    fn read_remote(
        &self,
        partition: &Arc<Partition>,
        wanted: &mut Wanted,
        offset: Offset,
        room: usize,
        at_least_one: bool,
    ) -> Result<Option<RemoteRead>, FetchError> {
        let Some(tier) = partition.tier.clone() else {
            return Err(FetchError::Storage("the offset is not on local disk and there is no bucket".into()));
        };
        let answer = match &wanted.remote {
            Some(answer) => answer.lock().take(),
            None => {
                let read = read_tier(tier, offset, room, at_least_one, self.isolation);
                let mut read: Pin<Box<dyn Future<Output = Result<RemoteRead, TierError>> + Send>> =
                    Box::pin(read);
                // Chunks in memory answer at once.
                match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => Some(answer),
                    Poll::Pending => {
                        let slot = RemoteAnswer::default();
                        wanted.remote = Some(slot.clone());
                        let signal = self.signal.clone();
                        self.node.env.spawn(
                            Lane::ColdRead,
                            Box::pin(async move {
                                let answer = read.await;
                                *slot.lock() = Some(answer);
                                signal.notify_one();
                            }),
                        );
                        None
                    }
                }
            }
        };
        let Some(answer) = answer else { return Ok(None) };
        wanted.remote = None;
        match answer {
            Ok(read) => {
                partition.counters.remote_bytes_out.add(read.bytes.len() as u64);
                Ok(Some(read))
            }
            Err(error) => {
                partition.counters.remote_read_errors.add(1);
                Err(FetchError::Storage(error.to_string()))
            }
        }
    }
}

async fn read_tier(
    tier: Arc<PartitionTier>,
    offset: Offset,
    room: usize,
    at_least_one: bool,
    isolation: Isolation,
) -> Result<RemoteRead, TierError> {
    let read = tier.read(offset, room, at_least_one).await?;
    let aborted = match isolation {
        Isolation::ReadCommitted if !read.bytes.is_empty() => tier.aborted(offset, read.next_offset).await?,
        _ => TierAborted { complete: true, ..TierAborted::default() },
    };
    Ok(RemoteRead { bytes: read.bytes, next_offset: read.next_offset, aborted })
}

fn storage(error: impl std::fmt::Display) -> FetchError {
    FetchError::Storage(error.to_string())
}

/// A client that knows another leader epoch must learn the truth before it reads.
fn check_epoch(theirs: Option<i32>, ours: LeaderEpoch) -> Result<(), FetchError> {
    match theirs {
        Some(theirs) if theirs < ours.as_i32() => Err(FetchError::FencedLeaderEpoch { ours }),
        Some(theirs) if theirs > ours.as_i32() => Err(FetchError::UnknownLeaderEpoch { ours }),
        _ => Ok(()),
    }
}

fn find_error(error: FindError) -> FetchError {
    match error {
        FindError::UnknownTopicOrPartition => FetchError::UnknownTopicOrPartition,
        FindError::UnknownTopicId => FetchError::UnknownTopicId,
        FindError::NotLeader => FetchError::NotLeader,
        FindError::Storage(detail) => FetchError::Storage(detail),
    }
}
