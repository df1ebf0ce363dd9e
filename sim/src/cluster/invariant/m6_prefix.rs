//! M6: no broker has applied what was not committed, and none goes back.

use std::collections::BTreeMap;

use highwater_metadata::EntryId;
use highwater_records::BrokerId;

use super::ClusterInvariant;
use crate::cluster::look::Look;

/// See the file's text.
#[derive(Default)]
pub struct Prefix {
    applied: BTreeMap<BrokerId, Option<EntryId>>,
}

impl ClusterInvariant for Prefix {
    fn name(&self) -> &'static str {
        "M6 a broker's image is a prefix"
    }

    fn images(&mut self, look: &Look) -> Result<(), String> {
        self.applied.retain(|broker, _| look.images.contains_key(broker));
        for (broker, image) in &look.images {
            let applied = image.applied();
            if applied > look.truth.applied() {
                return Err(format!("broker {broker} has applied {applied:?}, which was never committed"));
            }
            if let Some(before) = self.applied.insert(*broker, applied).filter(|before| *before > applied) {
                return Err(format!("broker {broker} went back from {before:?} to {applied:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::image;
    use std::sync::Arc;

    #[test]
    fn ahead_of_the_log_and_back() {
        let look = |truth: &[&str], theirs: &[&str]| Look {
            truth: Arc::new(image(truth)),
            images: [(BrokerId(1), Arc::new(image(theirs)))].into(),
        };
        let mut prefix = Prefix::default();
        assert_eq!(prefix.images(&look(&["a", "b"], &["a"])), Ok(()));
        assert_eq!(prefix.images(&look(&["a", "b"], &["a", "b"])), Ok(()));
        assert!(prefix.images(&look(&["a", "b"], &["a"])).unwrap_err().contains("went back"));
        assert!(prefix.images(&look(&["a"], &["a", "b"])).unwrap_err().contains("never committed"));
    }
}
