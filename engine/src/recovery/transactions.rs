//! The transaction indexes of segments that are opened: their files where they are vouched for, else the batches.

use std::{collections::BTreeSet, io, sync::Arc};

use highwater_records::Offset;

use super::{RecoveryReport, Situation, not_found_is_none};
use crate::{
    disk::{Disk, read_file},
    index::{AbortedTransaction, Index, decode_transaction_index, sum_of},
    name::FileKind,
    segment::{Segment, slot},
};

/// Gives the segments their transaction indexes, as far as files tell; `found` has the segments that have any. The
/// segments whose index must be made from batches: those with markers that were `walked`, and those whose files do not
/// fit.
pub(crate) fn trust_transactions(
    situation: &Situation<'_>,
    segments: &[Arc<Segment>],
    walked: &BTreeSet<Offset>,
    with_markers: &BTreeSet<Offset>,
    found: &BTreeSet<Offset>,
    report: &mut RecoveryReport,
) -> io::Result<BTreeSet<Offset>> {
    let mut rebuild = BTreeSet::new();
    for (at, segment) in segments.iter().enumerate() {
        let base = segment.base;
        if walked.contains(&base) {
            if with_markers.contains(&base) {
                rebuild.insert(base);
            }
        } else if found.contains(&base) {
            match read(situation, segment)? {
                Some(entries) if at + 1 == segments.len() => {
                    segment.transaction_index.set(Index::growing(entries));
                }
                Some(entries) => {
                    let file = slot(situation.disk, situation.directory, FileKind::TransactionIndex, base);
                    segment.transaction_index.set(Index::sealed(file, entries.len() as u64));
                }
                None => {
                    report.indexes_rebuilt += 1;
                    rebuild.insert(base);
                }
            }
        }
    }
    Ok(rebuild)
}

/// Gives the segments what was rebuilt, and removes files that tell of what is not there. Durable when it returns,
/// except for names. Files go or are replaced only now: had they gone before, a crash between would have left a segment
/// that looks as if nothing had ever been aborted in it.
pub(crate) fn set_transactions(
    situation: &Situation<'_>,
    segments: &[Arc<Segment>],
    found: &BTreeSet<Offset>,
    rebuilt: &[(Offset, AbortedTransaction)],
) -> io::Result<()> {
    // Of a segment that a crash took: another one may begin there, in which nothing is aborted.
    let is_gone = |base: &&Offset| segments.binary_search_by_key(*base, |segment| segment.base).is_err();
    for base in found.iter().filter(is_gone) {
        remove_files(situation, *base)?;
    }
    for (at, segment) in segments.iter().enumerate() {
        let of_segment = rebuilt.iter().filter(|(base, _)| *base == segment.base);
        let entries: Vec<AbortedTransaction> = of_segment.map(|(_, aborted)| *aborted).collect();
        if entries.is_empty() {
            if segment.transaction_index.len() == 0 && found.contains(&segment.base) {
                remove_files(situation, segment.base)?;
            }
            continue;
        }
        segment.transaction_index.set(Index::growing(entries));
        if at + 1 < segments.len() {
            segment.seal_transactions(situation.disk, situation.directory)?;
            segment.sync()?;
            segment.release();
        }
    }
    Ok(())
}

/// The entries in a segment's file, if all of it can be believed.
fn read(situation: &Situation<'_>, segment: &Segment) -> io::Result<Option<Vec<AbortedTransaction>>> {
    let file =
        |kind: FileKind| match read_file(&**situation.disk, &situation.directory.join(kind.at(segment.base)))
        {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            other => other,
        };
    let (Some(index), Some(sum)) = (file(FileKind::TransactionIndex)?, file(FileKind::TransactionSum)?)
    else {
        return Ok(None);
    };
    if sum != sum_of(&index) {
        return Ok(None);
    }
    let inside = |entry: &AbortedTransaction| {
        entry.last_offset >= segment.base && entry.last_offset < segment.facts().next_offset
    };
    Ok(decode_transaction_index(&index).ok().filter(|entries| entries.iter().all(inside)))
}

fn remove_files(situation: &Situation<'_>, base: Offset) -> io::Result<()> {
    for kind in FileKind::TRANSACTIONS {
        not_found_is_none(situation.disk.remove_file(&situation.directory.join(kind.at(base))))?;
    }
    Ok(())
}
