//! Where Kafka's cleaner has left offsets without a batch (`highwater-gaps`).

use std::{io, path::Path};

use highwater_records::Offset;

use crate::{
    disk::{Disk, read_file, replace_file},
    text::{self, Damaged, plain_number},
};

pub(crate) const FILE_NAME: &str = "highwater-gaps";

/// A segment in or behind which offsets have no batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseSegment {
    /// Its first offset.
    pub base: Offset,
    /// Where its last batch ends (exclusive).
    pub end: Offset,
    /// Where the segment after it begins; nothing lies between.
    pub next_base: Offset,
}

/// The gaps that a log may have. Whatever else is missing is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Gaps {
    #[default]
    None,
    /// By base.
    Known(Vec<SparseSegment>),
    /// There are some, and nobody can tell any more where.
    Anywhere,
}

impl Gaps {
    /// What is written down in a log's directory, and what is wrong with it.
    pub(crate) fn read(disk: &dyn Disk, directory: &Path) -> io::Result<(Gaps, Option<Damaged>)> {
        Ok(match read_file(disk, &directory.join(FILE_NAME))?.map(|bytes| decode(&bytes)) {
            None => (Gaps::None, None),
            Some(Ok(known)) => (Gaps::Known(known), None),
            Some(Err(damaged)) => (Gaps::Anywhere, Some(damaged)),
        })
    }

    /// Whether a segment may have offsets without a batch.
    pub(crate) fn within(&self, base: Offset) -> bool {
        match self {
            Gaps::None => false,
            Gaps::Anywhere => true,
            Gaps::Known(_) => self.of(base).is_some(),
        }
    }

    /// Whether a batch may begin at `found` where `expected` is due, in the segment at `base`.
    pub(crate) fn allow(&self, base: Offset, expected: Offset, found: Offset) -> bool {
        found > expected
            && match self {
                Gaps::None => false,
                Gaps::Anywhere => true,
                Gaps::Known(_) => self.of(base).is_some_and(|sparse| found < sparse.end),
            }
    }

    /// Whether a segment may begin at `next_base` where the one before it ends at `end`.
    pub(crate) fn between(&self, end: Offset, next_base: Offset) -> bool {
        next_base > end
            && match self {
                Gaps::None => false,
                Gaps::Anywhere => true,
                Gaps::Known(known) => {
                    known.iter().any(|sparse| sparse.end == end && sparse.next_base == next_base)
                }
            }
    }

    fn of(&self, base: Offset) -> Option<&SparseSegment> {
        let Gaps::Known(known) = self else { return None };
        known.binary_search_by_key(&base, |sparse| sparse.base).ok().map(|at| &known[at])
    }
}

/// Writes down where a log has gaps, before this program opens it for the first time; whoever calls it has
/// looked at every batch after a clean stop. `directory` is the log's, `sparse` is by base and without overlaps. Durable when it returns.
///
/// # Errors
/// The disk's.
pub fn write_gaps(disk: &dyn Disk, directory: &Path, sparse: &[SparseSegment]) -> io::Result<()> {
    let lines = sparse.iter().map(|sparse| format!("{} {} {}", sparse.base, sparse.end, sparse.next_base));
    replace_file(disk, directory, FILE_NAME, text::seal(text::encode(lines)).as_bytes())
}

fn decode(bytes: &[u8]) -> Result<Vec<SparseSegment>, Damaged> {
    let lines = text::decode(text::unseal(bytes)?)?;
    let sparse = lines.into_iter().map(|line| decode_line(line).ok_or(Damaged("a line is not a gap")));
    let sparse: Vec<SparseSegment> = sparse.collect::<Result<_, _>>()?;
    if sparse.windows(2).any(|pair| pair[1].base < pair[0].next_base) {
        return Err(Damaged("segments overlap"));
    }
    Ok(sparse)
}

fn decode_line(line: &str) -> Option<SparseSegment> {
    let numbers: Vec<u64> = line.split(' ').map(plain_number).collect::<Option<_>>()?;
    let [base, end, next_base] = numbers[..] else { return None };
    (base <= end && end <= next_base).then_some(())?;
    Some(SparseSegment {
        base: Offset::new(base)?,
        end: Offset::new(end)?,
        next_base: Offset::new(next_base)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::memory::MemoryDisk, testing::offset};

    fn sparse(base: u64, end: u64, next_base: u64) -> SparseSegment {
        SparseSegment { base: offset(base), end: offset(end), next_base: offset(next_base) }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_noticed() {
        let disk = MemoryDisk::new();
        let directory = Path::new("/log");
        disk.create_dir_all(directory).unwrap();
        assert_eq!(Gaps::read(&disk, directory).unwrap(), (Gaps::None, None));
        let known = vec![sparse(0, 7, 10), sparse(10, 20, 20), sparse(40, 41, 50)];
        write_gaps(&disk, directory, &known).unwrap();
        let bytes = read_file(&disk, &directory.join(FILE_NAME)).unwrap().unwrap();
        assert_eq!(Gaps::read(&disk, directory).unwrap(), (Gaps::Known(known), None));
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len}");
        }
        for line in ["5 4 6", "5 7 6", "1 2", "1 2 3 4", "a 2 3"] {
            assert!(decode(text::seal(format!("0\n1\n{line}\n")).as_bytes()).is_err(), "{line}");
        }
        assert!(decode(text::seal("0\n2\n0 7 10\n9 20 20\n".to_owned()).as_bytes()).is_err());
    }

    #[test]
    fn only_what_was_written_down_is_a_gap() {
        let gaps = Gaps::Known(vec![sparse(0, 7, 10), sparse(10, 20, 20)]);
        assert!(gaps.allow(offset(0), offset(2), offset(5)));
        assert!(!gaps.allow(offset(0), offset(2), offset(7)), "nothing begins where the last batch ended");
        assert!(!gaps.allow(offset(0), offset(5), offset(2)), "never back");
        assert!(!gaps.allow(offset(20), offset(20), offset(22)), "a dense segment stays dense");
        assert!(gaps.between(offset(7), offset(10)));
        assert!(!gaps.between(offset(6), offset(10)), "the segment's end is gone");
        assert!(!gaps.between(offset(7), offset(20)), "a segment is gone");
        assert!(
            !Gaps::None.allow(offset(0), offset(2), offset(5)) && !Gaps::None.between(offset(7), offset(10))
        );
        assert!(Gaps::Anywhere.allow(offset(0), offset(2), offset(5)));
    }
}
