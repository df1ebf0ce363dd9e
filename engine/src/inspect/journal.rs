//! The journal of a directory: promised records that may be nowhere else.

use std::path::Path;

use super::{Finding, InspectError, Looker, Severity};
use crate::journal::{Looked, is_extent, look};

impl Looker<'_> {
    /// Reads the extents among `names`, every group and every batch.
    pub(super) fn journal(&mut self, path: &Path, names: &[String]) -> Result<(), InspectError> {
        let extents: Vec<String> = names.iter().filter(|name| is_extent(name)).cloned().collect();
        let Some(first) = extents.first().map(|name| path.join(name)) else { return Ok(()) };
        let Looked { extents: chain, missing, logs } =
            look(self.disk, path, &extents).map_err(InspectError::disk(path))?;
        self.found.small_files += extents.len() as u64;
        if let Some(what) = missing {
            let what = format!("{what}; what was promised there and is in no segment is lost");
            self.say(Finding::new(Severity::Damage, &first, what));
        }
        let newest = chain.last().map_or(first, |newest| newest.path.clone());
        let (mut batches, mut bytes) = (0, 0);
        for extent in chain {
            batches += extent.batches;
            bytes += extent.bytes;
            for (position, what) in extent.bad {
                self.say(Finding::new(Severity::Damage, &extent.path, what).at(position));
            }
        }
        let what = format!(
            "the journal has {batches} batches of {} logs, {bytes} bytes: the next start writes what is missing of \
             them to the segments, as `highwater log settle` does",
            logs.len()
        );
        self.say(Finding::new(Severity::Unsettled, &newest, what));
        Ok(())
    }
}
