//! What is there, without judging it.

use std::path::{Path, PathBuf};

use highwater_records::{Offset, TimestampMs, TopicId, batch::BatchView};

use super::{
    InspectError, Place,
    place::{length, log_directories, segments},
    small::{AbortedEntry, PARTITION_METADATA, TRANSACTION_ENTRY, entries},
};
use crate::{
    EpochStart, LogName,
    directory::{
        catalog,
        checkpoint::{Checkpoint, decode},
        meta::{self, Meta, decode_partition_metadata},
    },
    disk::{Disk, Open, read_file},
    epochs::{self, LeaderEpochs},
    index::{OffsetEntry, TimeEntry},
    name::{FileKind, FileName},
    points::Chain,
    producer::{decode_kafka, decode_window},
    segment::{BatchHeader, Depth, LARGE_WINDOW, Step, Walk},
};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A directory of logs.
    Directory(DirContents),
    /// One log.
    Log(LogContents),
    /// One file; see [`list_entries`].
    File(PathBuf),
}

/// A directory of logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirContents {
    /// Where it is.
    pub path: PathBuf,
    /// The cluster it belongs to, if it says so.
    pub cluster_id: Option<String>,
    /// The broker it belongs to, if it says so.
    pub node_id: Option<u32>,
    /// Whether the last stop was clean.
    pub clean: bool,
    /// Its logs, by name.
    pub logs: Vec<LogContents>,
}

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogContents {
    /// Where it is.
    pub path: PathBuf,
    /// Its name, where its directory has one.
    pub name: Option<LogName>,
    /// Its topic, if it says so.
    pub topic_id: Option<TopicId>,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentContents>,
    /// Its leader epochs, as its table says.
    pub epochs: Vec<EpochStart>,
    /// The recovery point, where a checkpoint tells it.
    pub recovery_point: Option<Offset>,
    /// The log start, where a checkpoint tells it.
    pub log_start: Option<Offset>,
    /// The high watermark, where a checkpoint tells it.
    pub high_watermark: Option<Offset>,
    /// Names of everything else in its directory.
    pub other_files: Vec<String>,
}

/// One segment, by its headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentContents {
    /// Its base offset.
    pub base: Offset,
    /// Bytes of its file.
    pub size: u64,
    /// Behind its last batch, as far as its headers hang together.
    pub next_offset: Offset,
    /// Batches.
    pub batches: u64,
    /// The smallest and the largest timestamp of its batches' headers.
    pub times: Option<(TimestampMs, TimestampMs)>,
    /// Bytes behind the last batch that hangs together.
    pub unread: u64,
    /// Offsets between its base and its end that no batch has, as Kafka's compaction leaves them.
    pub gaps: u64,
}

/// Says what is at `path`, reading headers only. Changes nothing and takes no lock.
///
/// # Errors
/// When there is nothing of ours or the disk fails. What does not read is left out: [`verify`](super::verify) tells.
pub fn inspect(disk: &dyn Disk, path: &Path) -> Result<Contents, InspectError> {
    Ok(match Place::of(disk, path)? {
        Place::File { path, .. } => Contents::File(path),
        Place::Log { path, name } => {
            let parent = path.parent().unwrap_or(Path::new(""));
            Contents::Log(log_contents(disk, parent, &path, name)?)
        }
        Place::Directory(path) => {
            let read = |name| read_file(disk, &path.join(name)).map_err(InspectError::disk(&path));
            let meta = read(meta::META_PROPERTIES)?.and_then(|bytes| Meta::decode(&bytes).ok());
            let logs = log_directories(disk, &path)?
                .into_iter()
                .map(|(name, directory)| log_contents(disk, &path, &directory, Some(name)))
                .collect::<Result<Vec<LogContents>, InspectError>>()?;
            Contents::Directory(DirContents {
                cluster_id: meta.as_ref().map(|meta| meta.cluster_id.clone()),
                node_id: meta.map(|meta| meta.node_id.0),
                clean: read(meta::CLEAN_SHUTDOWN)?.is_some(),
                logs,
                path,
            })
        }
    })
}

fn log_contents(
    disk: &dyn Disk,
    parent: &Path,
    path: &Path,
    name: Option<LogName>,
) -> Result<LogContents, InspectError> {
    let read = |file: PathBuf| read_file(disk, &file).map_err(InspectError::disk(&file));
    let checkpointed = |checkpoint: Checkpoint| -> Result<Option<Offset>, InspectError> {
        let offsets = read(parent.join(checkpoint.file_name()))?.and_then(|bytes| decode(&bytes).ok());
        Ok(offsets.and_then(|offsets| offsets.get(name.as_ref()?).copied()))
    };
    let epochs = read(path.join(epochs::FILE_NAME))?.and_then(|bytes| LeaderEpochs::decode(&bytes).ok());
    let topic_id = read(path.join(PARTITION_METADATA))?
        .and_then(|bytes| Some(decode_partition_metadata(&bytes).ok()?.topic_id));
    let other_files = disk
        .list(path)
        .map_err(InspectError::disk(path))?
        .into_iter()
        .filter(|entry| !matches!(FileName::parse(&entry.name), FileName::Of(FileKind::Log, _)))
        .map(|entry| entry.name)
        .collect();
    Ok(LogContents {
        segments: segments(disk, path)?
            .into_iter()
            .map(|base| segment_contents(disk, &path.join(FileKind::Log.at(base)), base))
            .collect::<Result<Vec<SegmentContents>, InspectError>>()?,
        epochs: epochs.map(|epochs| epochs.entries().to_vec()).unwrap_or_default(),
        recovery_point: checkpointed(Checkpoint::RecoveryPoint)?,
        log_start: checkpointed(Checkpoint::LogStart)?,
        high_watermark: checkpointed(Checkpoint::HighWatermark)?,
        topic_id,
        other_files,
        path: path.to_owned(),
        name,
    })
}

fn segment_contents(disk: &dyn Disk, path: &Path, base: Offset) -> Result<SegmentContents, InspectError> {
    let size = length(disk, path)?;
    let mut contents =
        SegmentContents { base, size, next_offset: base, batches: 0, times: None, unread: size, gaps: 0 };
    each_batch(disk, path, |_, header| {
        contents.gaps += header.base_offset.since(contents.next_offset);
        contents.next_offset = header.next_offset;
        contents.batches += 1;
        contents.unread -= header.size;
        if let (Some(first), Some(last)) =
            (header.first_timestamp.or(header.max_timestamp), header.max_timestamp)
        {
            let (from, to) = contents.times.unwrap_or((first, last));
            contents.times = Some((from.min(first), to.max(last)));
        }
    })?;
    Ok(contents)
}

fn each_batch(
    disk: &dyn Disk,
    path: &Path,
    mut visit: impl FnMut(u64, &BatchHeader),
) -> Result<u64, InspectError> {
    let failed = InspectError::disk;
    let file = disk.open(path, Open::Read).map_err(failed(path))?;
    let mut walk = Walk::new(&*file, file.len().map_err(failed(path))?, LARGE_WINDOW);
    let mut position = 0;
    while let Step::Batch(header) = walk.at(position, Depth::Headers).map_err(failed(path))? {
        visit(position, &header);
        position += header.size;
    }
    Ok(position)
}

/// A field of an entry: its name and its value.
pub type Field = (&'static str, String);

/// The entries of one file, one call of `line` each, as pairs of a name and a value: batches of a segment, entries of an
/// index, producers of a snapshot, lines of a table.
///
/// # Errors
/// When it is no file of ours or the disk fails.
pub fn list_entries(
    disk: &dyn Disk,
    path: &Path,
    line: &mut dyn FnMut(&[Field]),
) -> Result<(), InspectError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let read = || {
        let bytes = read_file(disk, path).map_err(InspectError::disk(path))?;
        bytes.ok_or(InspectError::Foreign { path: path.to_owned(), what: "not there" })
    };
    match FileName::parse(name) {
        FileName::Of(FileKind::Log, _) => list_batches(disk, path, line)?,
        FileName::Of(FileKind::OffsetIndex, base) => {
            for entry in entries::<OffsetEntry>(&read()?).0 {
                let offset = base.get() + u64::from(entry.relative);
                line(&[("offset", offset.to_string()), ("position", entry.position.to_string())]);
            }
        }
        FileName::Of(FileKind::TimeIndex, base) => {
            for entry in entries::<TimeEntry>(&read()?).0 {
                let offset = base.get() + u64::from(entry.relative);
                line(&[("timestamp", entry.timestamp.to_string()), ("offset", offset.to_string())]);
            }
        }
        FileName::Of(FileKind::TransactionIndex, _) => {
            for entry in read()?.chunks_exact(TRANSACTION_ENTRY).filter_map(AbortedEntry::decode) {
                line(&[
                    ("producer_id", entry.producer_id.to_string()),
                    ("first_offset", entry.first_offset.to_string()),
                    ("last_offset", entry.last_offset.to_string()),
                    ("last_stable_offset", entry.last_stable_offset.to_string()),
                ]);
            }
        }
        FileName::Of(FileKind::Points, base) => {
            if let Some(chain) = Chain::of(&read()?, base, TimestampMs(0)) {
                let point = &chain.point;
                line(&[
                    ("offset", point.offset.to_string()),
                    ("position", point.facts.size.to_string()),
                    ("high_watermark", point.high_watermark.to_string()),
                    ("producers", point.producers.producers.len().to_string()),
                ]);
            }
        }
        FileName::Of(kind @ (FileKind::Snapshot | FileKind::Producers), _) => {
            let bytes = read()?;
            let decode = if kind == FileKind::Snapshot { decode_kafka } else { decode_window };
            for (id, state) in
                decode(&bytes, TimestampMs(0)).map(|states| states.producers).unwrap_or_default()
            {
                let or_none = |value: Option<String>| value.unwrap_or_else(|| "-1".to_owned());
                line(&[
                    ("producer_id", id.0.to_string()),
                    ("epoch", state.epoch.0.to_string()),
                    ("last_sequence", or_none(state.last_sequence().map(|last| last.as_i32().to_string()))),
                    ("last_offset", or_none(state.last_offset().map(|last| last.to_string()))),
                    ("timestamp", state.last_timestamp.to_string()),
                    ("transaction_start", or_none(state.transaction_start.map(|start| start.to_string()))),
                ]);
            }
        }
        _ if known_text(name) => {
            for text in String::from_utf8_lossy(&read()?).lines() {
                line(&[("line", text.to_owned())]);
            }
        }
        _ => return Err(InspectError::Foreign { path: path.to_owned(), what: "not a file of a log" }),
    }
    Ok(())
}

fn known_text(name: &str) -> bool {
    name.ends_with("-checkpoint")
        || [meta::META_PROPERTIES, PARTITION_METADATA, meta::CLEAN_SHUTDOWN].contains(&name)
        || [crate::quarantine::FILE_NAME, crate::gaps::FILE_NAME, catalog::FILE_NAME].contains(&name)
}

fn list_batches(disk: &dyn Disk, path: &Path, line: &mut dyn FnMut(&[Field])) -> Result<(), InspectError> {
    let failed = InspectError::disk;
    let file = disk.open(path, Open::Read).map_err(failed(path))?;
    let end = file.len().map_err(failed(path))?;
    let mut walk = Walk::new(&*file, end, LARGE_WINDOW);
    let mut position = 0;
    while let Step::Batch(header) = walk.at(position, Depth::Headers).map_err(failed(path))? {
        let bytes = walk.bytes(position, header.size as usize).map_err(failed(path))?;
        if let Ok(view) = BatchView::parse(bytes) {
            let or_none = |value: Option<String>| value.unwrap_or_else(|| "-1".to_owned());
            let producer = view.producer();
            let sequence = producer.and_then(|producer| producer.base_sequence);
            line(&[
                ("position", position.to_string()),
                ("base_offset", view.base_offset().to_string()),
                ("last_offset", view.last_offset().to_string()),
                ("records", view.record_count().to_string()),
                ("size", view.size().to_string()),
                ("leader_epoch", or_none(view.leader_epoch().map(|epoch| epoch.to_string()))),
                ("max_timestamp", or_none(view.max_timestamp().map(|time| time.to_string()))),
                ("codec", view.codec().name().to_owned()),
                ("producer_id", or_none(producer.map(|producer| producer.id.0.to_string()))),
                ("producer_epoch", or_none(producer.map(|producer| producer.epoch.0.to_string()))),
                ("base_sequence", or_none(sequence.map(|sequence| sequence.as_i32().to_string()))),
                ("transactional", view.is_transactional().to_string()),
                ("control", view.is_control().to_string()),
                ("checksum", if view.verify_crc().is_ok() { "right" } else { "wrong" }.to_owned()),
            ]);
        }
        position += header.size;
    }
    if position < end {
        line(&[("position", position.to_string()), ("unreadable_bytes", (end - position).to_string())]);
    }
    Ok(())
}
