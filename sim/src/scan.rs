//! Looks at a partition's files behind the broker's back.

use std::path::{Path, PathBuf};

use highwater_engine::disk::memory::MemoryDisk;
use highwater_records::{PartitionIndex, TopicId, TopicIdPartition};

use crate::{
    batch::Batches,
    history::{LogFiles, SegmentFiles},
};

/// The partitions whose directories lie in `log_dir`, with their files.
pub fn logs(disk: &MemoryDisk, log_dir: &Path) -> Vec<(TopicIdPartition, LogFiles)> {
    let files = disk.files();
    let mut logs = Vec::new();
    for metadata in files.iter().filter(|path| path.ends_with("partition.metadata")) {
        let Some(directory) = metadata.parent().filter(|parent| parent.parent() == Some(log_dir)) else {
            continue;
        };
        let text = disk.contents(metadata).unwrap_or_default();
        let Some(at) = partition(directory, &text) else { continue };
        let mut log = LogFiles::default();
        let of_log = files.iter().filter(|path| path.parent() == Some(directory));
        for path in of_log.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()) else { continue };
            let read = |extension| disk.contents(&path.with_extension(extension)).unwrap_or_default();
            log.segments.push(SegmentFiles {
                name,
                batches: Batches::parse(&read("log")),
                offsets: offset_index(name, &read("index")),
                times: time_index(name, &read("timeindex")),
            });
        }
        log.segments.sort_by_key(|segment| segment.name);
        drop_failed_rolls(&mut log.segments);
        logs.push((at, log));
    }
    logs
}

/// A roll that fails may leave the file of its new segment, empty, until the next one; the old segment goes on.
fn drop_failed_rolls(segments: &mut Vec<SegmentFiles>) {
    let is_empty = |segment: &SegmentFiles| segment.batches == Batches::default();
    let last = segments.last().map(|segment| segment.name);
    segments.retain(|segment| !is_empty(segment) || Some(segment.name) == last);
    if let [.., before, last] = &segments[..]
        && is_empty(last)
        && before.batches.good.last().is_some_and(|batch| batch.last >= last.name)
    {
        segments.pop();
    }
}

/// The end of one partition's log, told by its newest segments; `None` if it has none.
pub fn end(disk: &MemoryDisk, log_dir: &Path, at: TopicIdPartition) -> Option<u64> {
    let files = disk.files();
    let directory =
        files.iter().filter(|path| path.ends_with("partition.metadata")).find_map(|metadata| {
            let parent = metadata.parent().filter(|parent| parent.parent() == Some(log_dir))?;
            let text = disk.contents(metadata).ok()?;
            (partition(parent, &text)? == at).then_some(parent)
        })?;
    let is_log = |path: &&PathBuf| {
        path.parent() == Some(directory) && path.extension().is_some_and(|extension| extension == "log")
    };
    let mut segments: Vec<(u64, Batches)> = Vec::new();
    // Names have the same length, so that the order of paths is that of offsets.
    for path in files.iter().filter(is_log).rev() {
        let name = path.file_stem()?.to_str()?.parse().ok()?;
        let bytes = disk.contents(path).ok()?;
        // An older one without bytes is what a roll that failed left.
        if segments.is_empty() || !bytes.is_empty() {
            segments.insert(0, (name, Batches::parse(&bytes)));
        }
        if segments.len() == 3 {
            break;
        }
    }
    let mut end = segments.first()?.0;
    for (name, batches) in segments {
        // A rest of a failed roll may be the newest, too.
        if name < end && batches == Batches::default() {
            continue;
        }
        if name != end || batches.good.first().is_some_and(|first| first.base != end) {
            break;
        }
        end = batches.good.last().map_or(end, |last| last.last + 1);
    }
    Some(end)
}

fn partition(directory: &Path, metadata: &[u8]) -> Option<TopicIdPartition> {
    let name = directory.file_name()?.to_str()?;
    let (_, number) = name.rsplit_once('-')?;
    let text = std::str::from_utf8(metadata).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("topic_id:"))?;
    let topic_id: TopicId = id.trim().parse().ok()?;
    // A directory on its way out is called `<name>.<id>-delete`, so that its number does not parse.
    Some(TopicIdPartition { topic_id, partition: PartitionIndex(number.parse().ok()?) })
}

fn offset_index(base: u64, bytes: &[u8]) -> Vec<(u64, u64)> {
    let entry = |bytes: &[u8; 8]| {
        let (relative, position) = (be(&bytes[..4]), be(&bytes[4..]));
        (base + relative, position)
    };
    bytes.as_chunks::<8>().0.iter().map(entry).collect()
}

fn time_index(base: u64, bytes: &[u8]) -> Vec<(i64, u64)> {
    let entry = |bytes: &[u8; 12]| (be(&bytes[..8]) as i64, base + be(&bytes[8..]));
    bytes.as_chunks::<12>().0.iter().map(entry).collect()
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use highwater_engine::disk::{Disk, Open};

    use super::*;
    use crate::batch::NewBatch;

    fn write(disk: &MemoryDisk, path: &str, bytes: &[u8]) {
        let file = disk.open(Path::new(path), Open::Create).unwrap();
        file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    }

    #[test]
    fn finds_logs_and_leaves_what_is_being_deleted() {
        let disk = MemoryDisk::new();
        let metadata = format!("version: 0\ntopic_id: {}\n", TopicId::from_bytes([9; 16]));
        for directory in ["/data/some-topic-3", "/data/old-1.abc-delete"] {
            disk.create_dir_all(Path::new(directory)).unwrap();
            write(&disk, &format!("{directory}/partition.metadata"), metadata.as_bytes());
        }
        let batch = NewBatch { tag: 1, count: 2, value_size: 8, timestamp_ms: 7, producer: None }.encode();
        write(&disk, "/data/some-topic-3/00000000000000000000.log", &batch);
        write(&disk, "/data/some-topic-3/00000000000000000000.index", &[0, 0, 0, 1, 0, 0, 0, 2]);
        write(
            &disk,
            "/data/some-topic-3/00000000000000000000.timeindex",
            &[0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1],
        );
        let logs = logs(&disk, Path::new("/data"));
        let [(at, log)] = &logs[..] else { panic!("{logs:?}") };
        assert_eq!(at.partition, PartitionIndex(3));
        assert_eq!(log.end(), Some(2));
        assert_eq!(end(&disk, Path::new("/data"), *at), Some(2));
        assert_eq!(
            (&log.segments[0].offsets[..], &log.segments[0].times[..]),
            (&[(1, 2)][..], &[(8, 1)][..])
        );
    }
}
