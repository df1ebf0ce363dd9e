//! Trusted points as recovery finds and leaves them: `docs/format/points.md`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use highwater_records::{Offset, TimestampMs};

use super::{Recovered, Situation, not_found_is_none};
use crate::{
    disk::{Disk, DiskFile},
    name::FileKind,
    points::{Chain, Entries, Points},
    quarantine::Quarantined,
    segment::{SMALL_WINDOW, Walk},
};

/// The points of the segments that begin at `bases`, as far as they read.
pub(crate) fn read_points(
    disk: &dyn Disk,
    directory: &Path,
    bases: &BTreeSet<Offset>,
    now: TimestampMs,
) -> io::Result<BTreeMap<Offset, Chain>> {
    let mut chains = BTreeMap::new();
    for base in bases {
        if let Some(chain) = Chain::read(disk, directory, *base, now)? {
            chains.insert(*base, chain);
        }
    }
    Ok(chains)
}

/// The segment's last point and its indexes up to there, if its file is as it was then.
pub(super) fn begin_at<'a>(
    situation: &Situation<'a>,
    base: Offset,
    file: &dyn DiskFile,
    quarantined: &[Quarantined],
) -> io::Result<Option<(&'a Chain, Entries)>> {
    let Some(chain) = situation.points.get(&base) else { return Ok(None) };
    let strange = situation.gaps.within(base) || quarantined.iter().any(|range| range.segment == base);
    if strange || !chain.fits(&mut Walk::new(file, file.len()?, SMALL_WINDOW))? {
        return Ok(None);
    }
    let entries = chain.entries(&**situation.disk, situation.directory, base)?;
    Ok(entries.map(|entries| (chain, entries)))
}

/// The points below which nothing is left to find out: those at which a walk began; after a clean stop that of the active
/// segment, if it tells of what was opened.
pub(crate) fn known_points<'a>(
    situation: &Situation<'a>,
    recovered: &Recovered,
) -> io::Result<BTreeMap<Offset, &'a Chain>> {
    let mut known = BTreeMap::new();
    for (base, chain) in situation.points {
        let active = recovered.segments.last().filter(|active| active.base == *base);
        let holds = match active {
            Some(active) if situation.last_stop_clean => chain.is_of(active)?,
            _ => recovered.resumed.contains(base),
        };
        if holds {
            known.insert(*base, chain);
        }
    }
    Ok(known)
}

/// How the points of the segment that begins at `active` go on, if they are `known`, and whether files were removed.
///
/// What nobody needs any more is removed. Points of which more was promised than `written_down` stay until that has caught
/// up: without them the next recovery would not know of it.
pub(crate) fn keep_points(
    situation: &Situation<'_>,
    found: &BTreeSet<Offset>,
    active: Offset,
    known: &BTreeMap<Offset, &Chain>,
    written_down: Option<Offset>,
) -> io::Result<(Points, bool)> {
    let Situation { disk, directory, points, .. } = *situation;
    let mut kept = Points::default();
    let mut behind = Vec::new();
    let mut removed = false;
    for base in found {
        if let Some(chain) = known.get(base).filter(|_| *base == active) {
            kept = Points::going_on(chain);
            continue;
        }
        match points.get(base).map(|chain| chain.point.offset) {
            Some(promised) if written_down < Some(promised) => behind.push((*base, promised)),
            _ => {
                let path = directory.join(FileKind::Points.at(*base));
                removed |= not_found_is_none(disk.remove_file(&path))?.is_some();
            }
        }
    }
    kept.behind = behind;
    Ok((kept, removed))
}
