//! Bytes around entries: the header of an extent and that of a group.

use highwater_records::TopicId;

/// What positions and lengths of writes are multiples of.
pub(super) const BLOCK: usize = crate::disk::BLOCK;
/// The most that one group may have, entries and all.
pub(super) const GROUP_MAX: usize = 8 << 20;
/// Bytes before the entries of a group.
pub(super) const GROUP_HEAD: usize = 32;

/// With the version at `VERSION`: 1 where every group was durable before the next one was written, else the same.
const EXTENT_MAGIC: &[u8; 8] = b"HWJRNL2\n";
const VERSION: usize = 6;
const VERSIONS_READ: [u8; 2] = *b"12";
const GROUP_MAGIC: &[u8; 4] = b"HWJG";

/// What the first block of an extent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ExtentHeader {
    pub(super) journal: TopicId,
    pub(super) sequence: u64,
    pub(super) first_lsn: u64,
}

impl ExtentHeader {
    /// One block.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(EXTENT_MAGIC);
        out.extend_from_slice(self.journal.as_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.first_lsn.to_le_bytes());
        let crc = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out.resize(start + BLOCK, 0);
    }

    /// `None` if it is damaged, or none.
    ///
    /// # Errors
    /// [`OtherVersion`] if it checks, and nobody knows what it says.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<ExtentHeader>, OtherVersion> {
        let Some(version) = covered(bytes).map(|covered| covered[VERSION]) else { return Ok(None) };
        if !VERSIONS_READ.contains(&version) {
            return Err(OtherVersion(char::from(version)));
        }
        let header = || {
            Some(ExtentHeader {
                journal: TopicId::from_bytes(array(bytes, 8)?),
                sequence: u64::from_le_bytes(array(bytes, 24)?),
                first_lsn: u64::from_le_bytes(array(bytes, 32)?),
            })
        };
        Ok(header())
    }
}

/// What the checksum of a header covers, if it fits; of whatever version.
fn covered(bytes: &[u8]) -> Option<&[u8]> {
    let (covered, crc) = (bytes.get(..40)?, array(bytes, 40)?);
    let ours = covered[..VERSION] == EXTENT_MAGIC[..VERSION] && covered[VERSION + 1] == b'\n';
    (ours && crc32c::crc32c(covered) == u32::from_le_bytes(crc)).then_some(covered)
}

/// The version of a journal that this build does not read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the journal is of version {0}, which this build does not read: open the directory with the one that wrote it"
)]
pub(super) struct OtherVersion(char);

/// What a group says before its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// Bytes of its entries.
    pub(super) length: u32,
    /// How many of the groups right before it were not known to be durable when it was written.
    pub(super) in_flight: u8,
    pub(super) lsn: u64,
    /// Sequence of the oldest extent that is needed from now on.
    pub(super) oldest: u64,
    pub(super) count: u32,
    /// Whether nothing is read behind it.
    pub(super) last: bool,
    crc: u32,
}

/// What a group is made of besides its entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupFacts {
    pub(super) journal: TopicId,
    pub(super) lsn: u64,
    pub(super) in_flight: u8,
    pub(super) oldest: u64,
    pub(super) last: bool,
}

impl GroupHeader {
    /// Makes a group of the `count` entries that `out` holds from `start + GROUP_HEAD` on, and fills the block.
    pub(super) fn seal(out: &mut Vec<u8>, start: usize, facts: GroupFacts, count: u32) {
        let length = (out.len() - start - GROUP_HEAD) as u32;
        let head = &mut out[start..start + GROUP_HEAD];
        head[..4].copy_from_slice(GROUP_MAGIC);
        // Both are below 2^24, since a group is.
        head[4..8].copy_from_slice(&length.to_le_bytes());
        head[7] = facts.in_flight;
        head[8..16].copy_from_slice(&facts.lsn.to_le_bytes());
        head[16..24].copy_from_slice(&facts.oldest.to_le_bytes());
        head[24..28].copy_from_slice(&count.to_le_bytes());
        head[27] = u8::from(facts.last);
        let crc = checksum(facts.journal, &out[start..start + 28], &out[start + GROUP_HEAD..]);
        out[start + 28..start + GROUP_HEAD].copy_from_slice(&crc.to_le_bytes());
        out.resize(start + padded(out.len() - start), 0);
    }

    /// What the bytes say; whether they fit their entries, [`GroupHeader::fits`] tells.
    pub(super) fn decode(bytes: &[u8]) -> Option<GroupHeader> {
        bytes.starts_with(GROUP_MAGIC).then_some(())?;
        let [l0, l1, l2, in_flight] = array(bytes, 4)?;
        let [c0, c1, c2, last] = array(bytes, 24)?;
        Some(GroupHeader {
            length: u32::from_le_bytes([l0, l1, l2, 0]),
            in_flight,
            lsn: u64::from_le_bytes(array(bytes, 8)?),
            oldest: u64::from_le_bytes(array(bytes, 16)?),
            count: u32::from_le_bytes([c0, c1, c2, 0]),
            last: last != 0,
            crc: u32::from_le_bytes(array(bytes, 28)?),
        })
    }

    /// The last LSN that was known to be durable, and all before it, when this group was written.
    pub(super) fn durable(&self) -> u64 {
        self.lsn.saturating_sub(1 + u64::from(self.in_flight))
    }

    /// Bytes of the whole group, the padding included.
    pub(super) fn size(&self) -> usize {
        padded(GROUP_HEAD + self.length as usize)
    }

    pub(super) fn fits(&self, journal: TopicId, head: &[u8], entries: &[u8]) -> bool {
        head.get(..28).is_some_and(|head| checksum(journal, head, entries) == self.crc)
    }
}

const _: () = assert!(GROUP_MAX < 1 << 24, "lengths and counts have three bytes");

/// The next multiple of a block.
pub(super) const fn padded(len: usize) -> usize {
    len.div_ceil(BLOCK) * BLOCK
}

fn checksum(journal: TopicId, head: &[u8], entries: &[u8]) -> u32 {
    let crc = crc32c::crc32c(journal.as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, head), entries)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
