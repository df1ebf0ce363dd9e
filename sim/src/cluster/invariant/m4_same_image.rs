//! M4: the same entries give the same image, on every broker.

use std::{collections::BTreeMap, sync::Arc};

use highwater_metadata::EntryId;
use highwater_records::BrokerId;

use super::ClusterInvariant;
use crate::cluster::look::Look;

/// See the file's text.
#[derive(Default)]
pub struct SameImage {
    /// The last entry up to which each broker's image was compared.
    compared: BTreeMap<BrokerId, Option<EntryId>>,
}

impl ClusterInvariant for SameImage {
    fn name(&self) -> &'static str {
        "M4 the same entries give the same image"
    }

    fn images(&mut self, look: &Look) -> Result<(), String> {
        for (broker, image) in &look.images {
            let applied = image.applied();
            if applied != look.truth.applied() || self.compared.insert(*broker, applied) == Some(applied) {
                continue;
            }
            if !Arc::ptr_eq(image, &look.truth) && **image != *look.truth {
                return Err(format!("broker {broker} has another image after entry {applied:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::image;

    #[test]
    fn two_images_of_one_log() {
        let look = |theirs: Image| Look {
            truth: Arc::new(image(&["one"])),
            images: [(BrokerId(1), Arc::new(theirs))].into(),
        };
        assert_eq!(SameImage::default().images(&look(image(&["one"]))), Ok(()));
        assert!(SameImage::default().images(&look(image(&["two"]))).is_err());
        assert_eq!(SameImage::default().images(&look(image(&["one", "two"]))), Ok(()), "further on");
    }

    use highwater_metadata::Image;
}
