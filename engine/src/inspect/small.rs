//! The small files beside the batches.

use std::{io, path::Path};

use highwater_records::{Offset, TimestampMs};

use super::{Finding, InspectError, Looker, Severity};
use crate::{
    directory::meta::decode_partition_metadata,
    disk::read_file,
    index::IndexEntry,
    points::Chain,
    producer::{decode_kafka, decode_window},
    quarantine,
};

pub(super) const PARTITION_METADATA: &str = "partition.metadata";

/// Bytes of an entry of a transaction index.
pub(super) const TRANSACTION_ENTRY: usize = 34;

/// One aborted transaction, as a transaction index tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedEntry {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    pub(super) last_offset: i64,
    pub(super) last_stable_offset: i64,
}

impl AbortedEntry {
    /// From exactly [`TRANSACTION_ENTRY`] bytes; `None` if they make no sense.
    pub(super) fn decode(bytes: &[u8]) -> Option<AbortedEntry> {
        let number = |at: usize| Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.get(..2)? != [0, 0] {
            return None;
        }
        let entry = AbortedEntry {
            producer_id: number(2)?,
            first_offset: number(10)?,
            last_offset: number(18)?,
            last_stable_offset: number(26)?,
        };
        let grows = 0 <= entry.first_offset && entry.first_offset <= entry.last_offset;
        (grows && entry.producer_id >= 0 && entry.last_stable_offset >= 0).then_some(entry)
    }
}

/// The entries of an index file as they stand, and what is wrong with the file.
pub(super) fn entries<E: IndexEntry>(bytes: &[u8]) -> (Vec<E>, Option<String>) {
    let mut entries: Vec<E> = bytes.chunks_exact(E::SIZE).map(E::decode).collect();
    if !bytes.len().is_multiple_of(E::SIZE) {
        return (entries, Some(format!("{} bytes are no whole number of entries", bytes.len())));
    }
    // Kafka allocates the active segment's index ahead and leaves zeros behind its entries.
    let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let kept = used.div_ceil(E::SIZE);
    if kept < entries.len() {
        entries.truncate(kept.max(1));
        // The only entry that is all zero and means something would be the first.
        if used == 0 {
            entries.clear();
        }
    }
    match entries.windows(2).position(|pair| !pair[1].follows(&pair[0])) {
        Some(at) => {
            entries.truncate(at + 1);
            let what = format!("entry {} does not follow the one before it", at + 1);
            (entries, Some(what))
        }
        None => (entries, None),
    }
}

impl Looker<'_> {
    /// A small file; `None` if there is none, or if it is too large to be one, which is said.
    pub(super) fn small(&mut self, file: &Path) -> Result<Option<Vec<u8>>, InspectError> {
        match read_file(self.disk, file) {
            Ok(bytes) => {
                self.found.small_files += u64::from(bytes.is_some());
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.say(Finding::new(Severity::Rebuildable, file, error.to_string()));
                Ok(None)
            }
            Err(error) => Err(InspectError::disk(file)(error)),
        }
    }

    /// The entries of an index; `None` if there is none. What is wrong with its shape is said.
    pub(super) fn index<E: IndexEntry>(&mut self, file: &Path) -> Result<Option<Vec<E>>, InspectError> {
        let Some(bytes) = self.small(file)? else { return Ok(None) };
        let (entries, wrong) = entries(&bytes);
        if let Some(what) = wrong {
            self.say(Finding::new(Severity::Rebuildable, file, what));
        }
        Ok(Some(entries))
    }

    pub(super) fn transaction_index(&mut self, file: &Path) -> Result<(), InspectError> {
        let Some(bytes) = self.small(file)? else { return Ok(()) };
        if !bytes.len().is_multiple_of(TRANSACTION_ENTRY) {
            let what = format!("{} bytes are no whole number of entries", bytes.len());
            self.say(Finding::new(Severity::Rebuildable, file, what));
            return Ok(());
        }
        for (at, entry) in bytes.chunks_exact(TRANSACTION_ENTRY).enumerate() {
            if AbortedEntry::decode(entry).is_none() {
                let finding = Finding::new(Severity::Rebuildable, file, "an entry is no aborted transaction");
                self.say(finding.at((at * TRANSACTION_ENTRY) as u64));
            }
        }
        Ok(())
    }

    /// A producer snapshot of either form.
    pub(super) fn producer_snapshot(&mut self, file: &Path) -> Result<(), InspectError> {
        let Some(bytes) = self.small(file)? else { return Ok(()) };
        let ours = file.extension().is_some_and(|extension| extension == "hwproducers");
        let decoded = if ours { decode_window(&bytes, NOW) } else { decode_kafka(&bytes, NOW) };
        if let Err(damaged) = decoded {
            self.say(Finding::new(Severity::Rebuildable, file, format!("it does not read: {damaged}")));
        }
        Ok(())
    }

    /// Trusted points: what does not read is what a crash leaves, or rot; nobody goes by it either way.
    pub(super) fn points(&mut self, file: &Path, base: Offset) -> Result<(), InspectError> {
        let Some(bytes) = self.small(file)? else { return Ok(()) };
        let (known, len) = (Chain::of(&bytes, base, NOW).map_or(0, |chain| chain.len()), bytes.len() as u64);
        if known < len {
            let what = format!("bytes {known}..{len} are no trusted point; a crash costs reading more");
            self.say(Finding::new(Severity::Unsettled, file, what).at(known));
        }
        Ok(())
    }

    pub(super) fn partition_metadata(&mut self, file: &Path) -> Result<(), InspectError> {
        if let Some(bytes) = self.small(file)?
            && let Err(damaged) = decode_partition_metadata(&bytes)
        {
            let what = format!("it does not read: {damaged}; nobody knows whose log this is");
            self.say(Finding::new(Severity::Damage, file, what));
        }
        Ok(())
    }

    /// A table of ours with a checksum.
    pub(super) fn sealed(&mut self, file: &Path, severity: Severity) -> Result<(), InspectError> {
        if let Some(Err(damaged)) = self.small(file)?.map(|bytes| crate::text::unseal(&bytes).map(drop)) {
            self.say(Finding::new(severity, file, format!("it does not read: {damaged}")));
        }
        Ok(())
    }

    pub(super) fn quarantined(&mut self, file: &Path) -> Result<(), InspectError> {
        let Some(bytes) = self.small(file)? else { return Ok(()) };
        match quarantine::decode(&bytes) {
            Err(damaged) => {
                self.say(Finding::new(Severity::Rebuildable, file, format!("it does not read: {damaged}")));
            }
            Ok(ranges) => {
                for range in ranges {
                    let segment: Offset = range.segment;
                    let what =
                        format!("known to be unreadable: bytes {:?} of segment {segment}", range.positions);
                    self.say(Finding::new(Severity::Note, file, what).of(range.offsets));
                }
            }
        }
        Ok(())
    }
}

/// Snapshots say when a producer was heard of only to who keeps it.
const NOW: TimestampMs = TimestampMs(0);
