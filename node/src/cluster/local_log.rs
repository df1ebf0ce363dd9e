//! The metadata log of a single node: a log of our own engine, each entry on stable storage before it counts.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use highwater_engine::{
    CommitError, DirOptions, JournalOptions, Log, LogConfig, LogDir, LogName, LogReader, Watermark,
    disk::Disk,
};
use highwater_env::{Env, EnvExt, Lane};
use highwater_metadata::{
    BoxFuture, ConfirmError, Entry, EntryId, Leadership, MetadataLog, MetadataRecord, News, NextError,
    ProposeError, Term,
};
use highwater_records::{
    BrokerId, Durability, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
    batch::{BatchBuilder, BatchView, CheckPolicy, CheckedBatch, Record},
    compression::Codec,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::detached::detached;

/// The log's name in its directory, and its fixed identity: it is no topic, and has a directory of its own.
const NAME: &str = "highwater_metadata";
const ID: TopicId = TopicId::from_bytes(*b"highwater-meta\0\0");

/// One entry is one batch with one record; entry `n` has offset `n - 1`.
pub(crate) struct LocalMetadataLog {
    inner: Arc<Inner>,
}

struct Inner {
    env: Arc<dyn Env>,
    broker: BrokerId,
    directory: Arc<LogDir>,
    /// One proposal at a time: appended, synced, told. Never held by a reader.
    writer: tokio::sync::Mutex<Option<Log>>,
    published: Mutex<Published>,
    committed: Notify,
}

/// What readers see.
struct Published {
    reader: LogReader,
    /// The offset after the last entry that is on stable storage.
    end: Offset,
    closed: bool,
}

/// Why the metadata log could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("metadata log in {path}: {detail}")]
pub(crate) struct OpenMetadataError {
    path: String,
    detail: String,
}

impl LocalMetadataLog {
    /// Opens the log in `path`, or makes it. Blocks.
    pub(crate) fn open(
        env: Arc<dyn Env>,
        disk: Arc<dyn Disk>,
        path: &Path,
        broker: BrokerId,
    ) -> Result<LocalMetadataLog, OpenMetadataError> {
        let failed = |detail: String| OpenMetadataError { path: path.display().to_string(), detail };
        let now = TimestampMs(env.wall_ms());
        // The log itself says which cluster this is; the directory only has to be recognized.
        let options = DirOptions {
            cluster_id: NAME.into(),
            node_id: broker,
            new_directory_id: TopicId::from_random(env.random(), env.random()),
        };
        let (directory, _) = LogDir::open_with(disk, path, options, JournalOptions::none(), now)
            .map_err(|error| failed(error.to_string()))?;
        let config = LogConfig {
            durability: Durability::Synced,
            watermark: Watermark::Own,
            retention_ms: None,
            max_message_bytes: u32::MAX,
            ..LogConfig::default()
        };
        let name = LogName { topic: NAME.into(), partition: PartitionIndex(0) };
        let log = if directory.logs().iter().any(|(found, _)| *found == name) {
            directory.open_log(&name, config, now).map(|(log, _)| log).map_err(|error| error.to_string())
        } else {
            directory.create_log(name, ID, config, now).map_err(|error| error.to_string())
        };
        let log = log.map_err(failed)?;
        let published = Published { reader: log.reader(), end: log.positions().durable_end, closed: false };
        let inner = Inner {
            env,
            broker,
            directory,
            writer: tokio::sync::Mutex::new(Some(log)),
            published: Mutex::new(published),
            committed: Notify::new(),
        };
        Ok(LocalMetadataLog { inner: Arc::new(inner) })
    }

    /// Closes the log; everything committed is durable already. Proposals and readers learn that it is closed.
    pub(crate) async fn close(&self) -> Result<(), String> {
        let inner = &self.inner;
        let log = inner.writer.lock().await.take();
        inner.published.lock().closed = true;
        inner.committed.notify_waiters();
        let Some(log) = log else { return Ok(()) };
        let now = TimestampMs(inner.env.wall_ms());
        let directory = inner.directory.clone();
        inner
            .env
            .run_blocking(Lane::Control, move || {
                log.close(now).map_err(|error| error.to_string())?;
                directory.close(now).map(drop).map_err(|error| error.to_string())
            })
            .await
            .map_err(|error| error.to_string())?
    }
}

impl LocalMetadataLog {
    /// Takes no more proposals and ends every stream, without touching the disk.
    pub(crate) fn abandon(&self) {
        self.inner.published.lock().closed = true;
        self.inner.committed.notify_waiters();
    }
}

impl Inner {
    async fn append(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> Result<EntryId, ProposeError> {
        let mut writer = self.writer.lock().await;
        if self.published.lock().closed {
            return Err(ProposeError::Closed);
        }
        let Some(mut log) = writer.take() else { return Err(ProposeError::Closed) };
        let end = log.positions().log_end;
        let id = EntryId::new(end.get() + 1).ok_or(ProposeError::Closed)?;
        let now = TimestampMs(self.env.wall_ms());
        let batch = batch_of(&Entry { id, expects, records }, now).ok_or(ProposeError::Busy)?;
        // The log travels to the blocking lane and back, so that no lock is held over the sync.
        let (log, outcome) = self
            .env
            .run_blocking(Lane::Control, move || {
                let outcome = append_and_sync(&mut log, batch, now);
                (log, outcome)
            })
            .await
            .map_err(|_| ProposeError::Unknown)?;
        match outcome {
            Ok(()) => {
                let mut published = self.published.lock();
                published.reader = log.reader();
                published.end = log.positions().durable_end;
                drop(published);
                *writer = Some(log);
                self.committed.notify_waiters();
                Ok(id)
            }
            Err(Failed::Refused(detail)) => {
                tracing::error!(%detail, "the metadata log refused an entry");
                *writer = Some(log);
                Err(ProposeError::Busy)
            }
            Err(Failed::Waiting(detail)) => {
                tracing::error!(%detail, "an entry of the metadata log waits for room on the disk");
                *writer = Some(log);
                Err(ProposeError::Unknown)
            }
            Err(Failed::Offline(detail)) => {
                // Nothing is known of what a failed sync covered: only a restart may look again.
                tracing::error!(%detail, "the metadata log could not be synced: it stays closed until a restart");
                self.published.lock().closed = true;
                self.committed.notify_waiters();
                Err(ProposeError::Unknown)
            }
        }
    }

    fn read(&self, after: Option<EntryId>) -> Result<Option<Entry>, NextError> {
        let offset = Offset::new(after.map_or(0, EntryId::get)).ok_or(NextError::Unreadable { after })?;
        let (reader, end, closed) = {
            let published = self.published.lock();
            (published.reader.clone(), published.end, published.closed)
        };
        if offset >= end {
            return if closed { Err(NextError::Closed) } else { Ok(None) };
        }
        let unreadable = |detail: String| {
            tracing::error!(%detail, "an entry of the metadata log is unreadable");
            NextError::Unreadable { after }
        };
        let range = reader.read(offset, 1, end, true).map_err(|error| unreadable(error.to_string()))?;
        let bytes = range.bytes().map_err(|error| unreadable(error.to_string()))?;
        entry_of(bytes).map(Some).map_err(unreadable)
    }
}

enum Failed {
    Refused(String),
    /// Appended; the next commit makes it durable, and delivers it then.
    Waiting(String),
    Offline(String),
}

fn append_and_sync(log: &mut Log, batch: CheckedBatch, now: TimestampMs) -> Result<(), Failed> {
    log.append(batch, LeaderEpoch(0), now).map_err(|error| Failed::Refused(error.to_string()))?;
    if let Some(job) = log.begin_commit() {
        let done = job.run();
        log.finish_commit(done).map_err(|error| match error {
            CommitError::Disk(detail) => Failed::Waiting(detail),
            CommitError::Offline(offline) => Failed::Offline(offline.to_string()),
        })?;
    }
    Ok(())
}

fn batch_of(entry: &Entry, now: TimestampMs) -> Option<CheckedBatch> {
    let value = entry.encode();
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(Record { timestamp: now, key: None, value: Some(&value), headers: &[] }).ok()?;
    let bytes = builder.build(Offset::ZERO, None).ok()?;
    CheckedBatch::check(bytes, &CheckPolicy::internal()).ok()
}

fn entry_of(bytes: Bytes) -> Result<Entry, String> {
    let view = BatchView::parse(&bytes).map_err(|error| error.to_string())?;
    view.verify_crc().map_err(|error| error.to_string())?;
    let mut records = view.records(usize::MAX).map_err(|error| error.to_string())?;
    let record =
        records.next_record().map_err(|error| error.to_string())?.ok_or("a batch without a record")?;
    Entry::decode(record.value.unwrap_or_default()).map_err(|error| error.to_string())
}

impl MetadataLog for LocalMetadataLog {
    fn propose(
        &self,
        expects: Option<EntryId>,
        records: Vec<MetadataRecord>,
    ) -> BoxFuture<'_, Result<EntryId, ProposeError>> {
        // In a task of its own: a caller that goes away must not take the log with it half way.
        let inner = self.inner.clone();
        Box::pin(async move {
            detached(&self.inner.env, Lane::Control, async move { inner.append(expects, records).await })
                .await
                .unwrap_or(Err(ProposeError::Unknown))
        })
    }

    fn next_after(&self, after: Option<EntryId>) -> BoxFuture<'_, Result<News, NextError>> {
        Box::pin(async move {
            loop {
                let committed = self.inner.committed.notified();
                let mut committed = std::pin::pin!(committed);
                committed.as_mut().enable();
                if let Some(entry) = self.inner.read(after)? {
                    return Ok(News::Entry(entry));
                }
                committed.await;
            }
        })
    }

    fn committed(&self) -> Option<EntryId> {
        EntryId::new(self.inner.published.lock().end.get())
    }

    fn confirm_leadership(&self) -> BoxFuture<'_, Result<Term, ConfirmError>> {
        // Alone, with the directory's lock held: nobody else can have decided anything.
        let closed = self.inner.published.lock().closed;
        Box::pin(async move { if closed { Err(ConfirmError::Closed) } else { Ok(Term(1)) } })
    }

    fn leadership(&self) -> Leadership {
        Leadership { term: Term(1), leader: Some(self.inner.broker), is_local: true }
    }

    fn leadership_changed(&self, known: Leadership) -> BoxFuture<'_, Leadership> {
        let now = self.leadership();
        Box::pin(async move {
            if now != known {
                return now;
            }
            std::future::pending().await
        })
    }
}
