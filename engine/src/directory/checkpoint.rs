//! The checkpoint files of a directory, and our checksums of them.

use std::{collections::BTreeMap, fmt::from_fn, io, path::Path};

use highwater_records::Offset;

use crate::{
    disk::{Disk, read_file, replace_file},
    name::LogName,
    text::{self, Damaged, plain_number},
};

/// What a checkpoint file says, per log.
pub(crate) type Offsets = BTreeMap<LogName, Offset>;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Checkpoint {
    RecoveryPoint,
    LogStart,
    HighWatermark,
    Compacted,
}

impl Checkpoint {
    pub(crate) const ALL: [Checkpoint; 4] =
        [Checkpoint::RecoveryPoint, Checkpoint::LogStart, Checkpoint::HighWatermark, Checkpoint::Compacted];

    pub(crate) const fn file_name(self) -> &'static str {
        match self {
            Checkpoint::RecoveryPoint => "recovery-point-offset-checkpoint",
            Checkpoint::LogStart => "log-start-offset-checkpoint",
            Checkpoint::HighWatermark => "replication-offset-checkpoint",
            Checkpoint::Compacted => "cleaner-offset-checkpoint",
        }
    }
}

const CHECKSUMS: &str = "checkpoints.hwsum";

/// The checkpoint files as they were last read or written.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    known: BTreeMap<Checkpoint, Known>,
    /// Checksums that a file may have: of its content and of the one that replaces it.
    checksums: BTreeMap<String, Vec<u32>>,
}

/// What a file says, and the checksum of its text.
#[derive(Debug)]
struct Known {
    offsets: Offsets,
    crc: u32,
}

/// What was read of a checkpoint file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// There is none.
    Missing,
    /// Ours, as it was written.
    Trusted(Offsets),
    /// It reads, but our checksum does not vouch for it.
    Hint(Offsets),
    /// It does not read.
    Damaged(Damaged),
}

impl Checkpoints {
    /// Reads the files.
    ///
    /// # Errors
    /// The disk's. A file that does not read is no error: it is a hint.
    pub(crate) fn read(
        disk: &dyn Disk,
        root: &Path,
    ) -> io::Result<(Checkpoints, BTreeMap<Checkpoint, Reading>)> {
        let checksums = match read_file(disk, &root.join(CHECKSUMS))? {
            Some(bytes) => decode_checksums(&bytes).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let mut checkpoints = Checkpoints { known: BTreeMap::new(), checksums };
        let mut readings = BTreeMap::new();
        for checkpoint in Checkpoint::ALL {
            let reading = match read_file(disk, &root.join(checkpoint.file_name()))? {
                None if checkpoints.checksums.contains_key(checkpoint.file_name()) => {
                    Reading::Damaged(Damaged("it is missing, though it was written"))
                }
                None => Reading::Missing,
                Some(bytes) => checkpoints.judge(checkpoint, bytes),
            };
            readings.insert(checkpoint, reading);
        }
        Ok((checkpoints, readings))
    }

    fn judge(&mut self, checkpoint: Checkpoint, bytes: Vec<u8>) -> Reading {
        let offsets = match decode(&bytes) {
            Ok(offsets) => offsets,
            Err(damaged) => return Reading::Damaged(damaged),
        };
        let crc = crc32c::crc32c(&bytes);
        let vouched = self.checksums.get(checkpoint.file_name()).is_some_and(|known| known.contains(&crc));
        if vouched {
            self.known.insert(checkpoint, Known { offsets: offsets.clone(), crc });
            Reading::Trusted(offsets)
        } else {
            Reading::Hint(offsets)
        }
    }

    /// Replaces a file if its content changed; durable when it returns.
    pub(crate) fn write(
        &mut self,
        disk: &dyn Disk,
        root: &Path,
        checkpoint: Checkpoint,
        offsets: &Offsets,
    ) -> io::Result<()> {
        let nothing_yet = checkpoint == Checkpoint::Compacted && offsets.is_empty();
        if self.known.get(&checkpoint).map_or(nothing_yet, |known| known.offsets == *offsets) {
            return Ok(());
        }
        let text = encode(offsets);
        // The checksums first, and for both contents: there is no moment at which the file has another.
        let old = self.known.get(&checkpoint).map(|known| known.crc);
        let new = crc32c::crc32c(text.as_bytes());
        self.checksums.insert(checkpoint.file_name().to_owned(), old.into_iter().chain([new]).collect());
        replace_file(disk, root, CHECKSUMS, encode_checksums(&self.checksums).as_bytes())?;
        replace_file(disk, root, checkpoint.file_name(), text.as_bytes())?;
        self.known.insert(checkpoint, Known { offsets: offsets.clone(), crc: new });
        Ok(())
    }

    /// Whether a file tells of this log.
    pub(crate) fn know(&self, name: &LogName) -> bool {
        self.known.values().any(|known| known.offsets.contains_key(name))
    }
}

fn encode(offsets: &Offsets) -> String {
    text::encode(
        offsets
            .iter()
            .map(|(name, offset)| from_fn(move |f| write!(f, "{} {} {offset}", name.topic, name.partition))),
    )
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Offsets, Damaged> {
    let lines = text::decode(bytes)?;
    let count = lines.len();
    let decoded = lines.into_iter().map(decode_line).collect::<Option<Vec<_>>>();
    // All at once: what was written by us is in order, which makes a table of it at little cost.
    let offsets: Offsets =
        decoded.ok_or(Damaged("a line is not <topic> <partition> <offset>"))?.into_iter().collect();
    if offsets.len() < count {
        return Err(Damaged("a log is there twice"));
    }
    Ok(offsets)
}

fn decode_line(line: &str) -> Option<(LogName, Offset)> {
    let mut words = line.split(' ');
    let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    Some((LogName::of(topic, partition)?, Offset::new(plain_number(offset)?)?))
}

fn encode_checksums(checksums: &BTreeMap<String, Vec<u32>>) -> String {
    let lines = checksums.iter().flat_map(|(file, known)| known.iter().map(move |crc| (file, crc)));
    let lines: Vec<_> = lines.collect();
    let lines = lines.into_iter().map(|(file, crc)| from_fn(move |f| write!(f, "{file} {crc:08x}")));
    text::seal(text::encode(lines))
}

fn decode_checksums(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u32>>, Damaged> {
    let mut checksums: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for line in text::decode(text::unseal(bytes)?)? {
        let (file, crc) = line.split_once(' ').ok_or(Damaged("a line is not <file> <checksum>"))?;
        let crc = u32::from_str_radix(crc, 16).map_err(|_| Damaged("a line is not <file> <checksum>"))?;
        checksums.entry(file.to_owned()).or_default().push(crc);
    }
    Ok(checksums)
}

#[cfg(test)]
mod tests {
    use highwater_records::PartitionIndex;

    use super::*;
    use crate::disk::memory::MemoryDisk;

    fn offsets(value: u64) -> Offsets {
        let name = |topic: &str, partition| LogName::new(topic, PartitionIndex(partition));
        let offset = |value| Offset::new(value).unwrap();
        BTreeMap::from([
            (name("a-b", 0), offset(value)),
            (name("a-b", 11), offset(0)),
            (name("c", 2), Offset::MAX),
        ])
    }

    fn read(disk: &MemoryDisk) -> Reading {
        let (_, mut readings) = Checkpoints::read(disk, Path::new("/")).unwrap();
        readings.remove(&Checkpoint::RecoveryPoint).unwrap()
    }

    #[test]
    fn the_text_is_kafkas() {
        assert_eq!(encode(&offsets(7)), "0\n3\na-b 0 7\na-b 11 0\nc 2 9223372036854775807\n");
        assert_eq!(decode(encode(&offsets(7)).as_bytes()), Ok(offsets(7)));
    }

    #[test]
    fn it_is_trusted_at_every_moment_of_being_replaced() {
        for stop in 0..100 {
            let disk = MemoryDisk::new();
            let mut checkpoints = Checkpoints::default();
            let recovery = Checkpoint::RecoveryPoint;
            checkpoints.write(&disk, Path::new("/"), recovery, &offsets(1)).unwrap();
            disk.stop_after(stop, true);
            let done = checkpoints
                .write(&disk, Path::new("/"), recovery, &offsets(2))
                .and_then(|()| checkpoints.write(&disk, Path::new("/"), recovery, &offsets(3)));
            disk.crash(stop);
            match read(&disk) {
                Reading::Trusted(found) => assert!((1..=3).any(|value| found == offsets(value))),
                other => panic!("{other:?} after {stop} changes"),
            }
            if done.is_ok() {
                assert_eq!(read(&disk), Reading::Trusted(offsets(3)));
                return;
            }
        }
        panic!("the workload never came to its end");
    }

    #[test]
    fn no_flipped_bit_is_trusted_and_wrong() {
        let disk = MemoryDisk::new();
        Checkpoints::default().write(&disk, Path::new("/"), Checkpoint::RecoveryPoint, &offsets(12)).unwrap();
        for file in disk.files() {
            let bytes = disk.contents(&file).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                disk.overwrite(&file, &flipped).unwrap();
                if let Reading::Trusted(found) = read(&disk) {
                    assert_eq!(found, offsets(12), "{} bit {bit}", file.display());
                }
            }
            disk.overwrite(&file, &bytes).unwrap();
        }
    }
}
