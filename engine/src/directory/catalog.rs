//! Whose logs there are (`highwater-catalog`), so that opening a directory of many does not ask each of them.

use std::{collections::BTreeMap, io, path::Path};

use highwater_records::TopicId;

use super::remembered::Beside;
use crate::{
    disk::{Disk, read_file, replace_file},
    name::LogName,
    text,
};

pub(crate) const FILE_NAME: &str = "highwater-catalog";

/// What a clean stop of ours knew of each log.
#[derive(Debug, Default)]
pub(super) struct Catalog(BTreeMap<LogName, TopicId>);

impl Catalog {
    /// Reads it; empty where it does not read: then each log is asked. Only to be used after a clean stop of ours.
    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> io::Result<Catalog> {
        let bytes = read_file(disk, &directory.join(FILE_NAME))?;
        Ok(bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default())
    }

    /// Durable when it returns.
    pub(super) fn write(
        disk: &dyn Disk,
        directory: &Path,
        logs: impl ExactSizeIterator<Item = (LogName, TopicId)>,
    ) -> io::Result<()> {
        let lines = logs.map(|(name, id)| format!("{} {} {id}", name.topic, name.partition));
        replace_file(disk, directory, FILE_NAME, text::seal(text::encode(lines)).as_bytes())
    }

    /// For names that ascend.
    pub(super) fn beside(&self) -> Beside<'_, TopicId> {
        Beside::new(&self.0)
    }
}

fn decode(bytes: &[u8]) -> Option<Catalog> {
    let lines = text::decode(text::unseal(bytes).ok()?).ok()?;
    lines.into_iter().map(decode_line).collect::<Option<_>>().map(Catalog)
}

fn decode_line(line: &str) -> Option<(LogName, TopicId)> {
    let (name, id) = line.rsplit_once(' ')?;
    let (topic, partition) = name.rsplit_once(' ')?;
    Some((LogName::of(topic, partition)?, id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use highwater_records::PartitionIndex;

    use super::*;
    use crate::disk::memory::MemoryDisk;

    #[test]
    fn what_was_written_is_read_and_damage_is_as_good_as_nothing() {
        let disk = MemoryDisk::new();
        let directory = Path::new("/data");
        disk.create_dir_all(directory).unwrap();
        let known =
            |n: u32| (LogName::new("a-1.b", PartitionIndex(n)), TopicId::from_random(1, u64::from(n)));
        let logs: Vec<_> = (0..3).map(known).collect();
        Catalog::write(&disk, directory, logs.clone().into_iter()).unwrap();
        let read = Catalog::read(&disk, directory).unwrap();
        let mut beside = read.beside();
        assert!(logs.iter().all(|(name, id)| beside.at(name) == Some(*id)));
        assert_eq!(beside.at(&known(3).0), None);
        let bytes = read_file(&disk, &directory.join(FILE_NAME)).unwrap().unwrap();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_none(), "{len}");
        }
        for line in ["a 0", "a 0 x", "a x AQIDBAUGBwgJCgsMDQ4PEA"] {
            assert!(decode(text::seal(format!("0\n1\n{line}\n")).as_bytes()).is_none(), "{line}");
        }
    }
}
