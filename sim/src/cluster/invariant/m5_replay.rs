//! M5: the log as bytes gives the image that the log as values gave: every entry is encoded, decoded and applied to a
//! second image, which must stay the same as the first.

use std::sync::Arc;

use highwater_metadata::{Entry, Image};

use super::{ClusterInvariant, Decision};
use crate::cluster::look::Look;

/// See the file's text.
#[derive(Default)]
pub struct Replay {
    image: Image,
    compared: Option<Arc<Image>>,
}

impl ClusterInvariant for Replay {
    fn name(&self) -> &'static str {
        "M5 replay gives the same image"
    }

    fn images(&mut self, look: &Look) -> Result<(), String> {
        let known = self.compared.as_ref().is_some_and(|known| Arc::ptr_eq(known, &look.truth));
        if !known && self.image != *look.truth {
            return Err(format!("after entry {:?} replay gives another image", look.truth.applied()));
        }
        self.compared = Some(look.truth.clone());
        Ok(())
    }

    fn decided(&mut self, decision: &Decision<'_>) -> Result<(), String> {
        let entry = Entry::decode(&decision.entry.encode())
            .map_err(|error| format!("entry {:?}: {error}", decision.entry.id))?;
        if entry != *decision.entry {
            return Err(format!("entry {:?} is another one when it is read", entry.id));
        }
        self.image.apply(&entry);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::invariant::testing::image;

    #[test]
    fn an_image_that_the_log_does_not_give() {
        let look = |truth| Look { truth: Arc::new(truth), ..Look::default() };
        assert_eq!(Replay::default().images(&look(Image::new())), Ok(()));
        assert!(Replay::default().images(&look(image(&["one"]))).is_err());
    }
}
