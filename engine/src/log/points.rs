//! Trusted points of this log: when they are made, written and forgotten. The rules: `docs/format/points.md`.

use std::{io, path::PathBuf, sync::Arc};

use highwater_records::Offset;

use super::Log;
use crate::{
    disk::{Disk, DiskFile, write_file},
    museum::{Bug, has},
    name::{FileKind, TEMPORARY},
    points::{Entries, NewPoint, Point},
    recovery::not_found_is_none,
};

impl Log {
    /// The point that a commit of everything up to the log end may write once it has finished, if one is due. It is made
    /// beforehand, since the log goes on meanwhile.
    pub(super) fn new_point(&self) -> Option<NewPoint> {
        let active = self.active();
        if !self.points.is_due(active.facts().size, self.config.point_bytes) {
            return None;
        }
        let after = self.points.goes_on();
        let from = after.map(|tail| tail.counts()).unwrap_or_default();
        let entries = Entries {
            offsets: active.offset_index.entries_from(from.offsets)?,
            times: active.time_index.entries_from(from.times)?,
            aborted: active.transaction_index.entries_from(from.aborted)?,
        };
        let point = self.point_at_end()?;
        Some(NewPoint::following(active.base, after, &point, &entries))
    }

    /// What is known at the log end; `None` where that is not as simple as a point has it.
    fn point_at_end(&self) -> Option<Point> {
        let active = self.active();
        let facts = active.facts();
        let damaged = self.quarantine.iter().any(|range| range.offsets.end > active.base);
        if damaged || active.sparse || facts.size == 0 || facts.next_offset != self.positions.log_end {
            return None;
        }
        Some(Point {
            offset: facts.next_offset,
            // What cannot be read now makes no point; the commit does not need one.
            last: active.last_batch().ok()??,
            high_watermark: self.positions.high_watermark,
            facts,
            epochs: (*self.epochs).clone(),
            producers: self.producers.clone(),
        })
    }

    /// Writes a point that a commit has made true.
    pub(super) fn write_point(&mut self, new: &NewPoint) {
        if self.active().base != new.base || self.points.goes_on() != new.after {
            return;
        }
        let directory = self.path().to_owned();
        if let Err(error) = self.points.write(&*self.dir.disk, &directory, new) {
            tracing::debug!(log = %self.name(), %error, "no trusted point: a crash costs reading more");
        }
    }

    /// Removes the points of sealed segments that nobody will need: what the checkpoint says is enough for those.
    pub(super) fn drop_points_behind(&mut self) {
        if self.points.behind.is_empty() {
            return;
        }
        let promised = self.entry.state.lock().recovery_point;
        let unsettled = self.unsettled();
        let needed = |base: Offset, until: Offset| {
            promised.is_none_or(|promised| promised < until)
                || unsettled.iter().any(|segment| segment.base == base)
        };
        let (kept, gone) = std::mem::take(&mut self.points.behind)
            .into_iter()
            .partition::<Vec<_>, _>(|(base, until)| needed(*base, *until));
        self.points.behind = kept;
        for (base, _) in
            gone.into_iter().filter(|(base, _)| *base != self.active().base || !self.points.any())
        {
            // One that stays is removed with its segment.
            let _ = self.dir.disk.remove_file(&self.path().join(FileKind::Points.at(base)));
        }
    }

    /// Removes the points of the segments from `at` on, for good: other bytes are to take the place of theirs.
    pub(super) fn forget_points(&mut self, at: usize) -> io::Result<()> {
        if has(Bug::PointsOutliveTruncation) {
            return Ok(());
        }
        let from = self.segments[at].base;
        let mut any = false;
        for segment in &self.segments[at..] {
            let path = self.path().join(FileKind::Points.at(segment.base));
            any |= not_found_is_none(self.dir.disk.remove_file(&path))?.is_some();
        }
        if any {
            self.dir.disk.sync_dir(self.path())?;
        }
        let behind = std::mem::take(&mut self.points).behind;
        self.points.behind = behind.into_iter().filter(|(base, _)| *base < from).collect();
        Ok(())
    }

    /// At the end of the log's use, its indexes being in their files: writes the point that the next use begins with, or
    /// removes what is there. What is to be synced, and then named.
    pub(super) fn point_at_rest(&mut self) -> io::Result<Option<PointAtRest>> {
        self.drop_points_behind();
        let active = self.active();
        let name = FileKind::Points.at(active.base);
        let large = active.facts().size >= u64::from(self.config.point_bytes);
        let Some(point) = self.point_at_end().filter(|_| large) else {
            // Others that bear its name stay for what they promise.
            if self.points.any() {
                not_found_is_none(self.dir.disk.remove_file(&self.path().join(name)))?;
            }
            return Ok(None);
        };
        let new = NewPoint::at_rest(active, &point)?;
        let temporary = self.path().join(format!("{name}{TEMPORARY}"));
        let file = write_file(&*self.dir.disk, &temporary, new.bytes())?;
        Ok(Some(PointAtRest { file, temporary, path: self.path().join(name) }))
    }
}

/// A point under its temporary name.
pub(super) struct PointAtRest {
    pub(super) file: Arc<dyn DiskFile>,
    temporary: PathBuf,
    path: PathBuf,
}

impl PointAtRest {
    /// Gives it its name; the caller syncs the directory.
    pub(super) fn name(self, disk: &dyn Disk) -> io::Result<()> {
        disk.rename(&self.temporary, &self.path)
    }
}
