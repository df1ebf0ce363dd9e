//! R2: local bytes of a tiered log go only once the head in the bucket names them and their objects are there.
//!
//! Checked on every look at files and bucket, behind the broker's back: nothing between the log start and the
//! first local offset is missing from the bucket. The bucket is asked itself: what a lying store claimed to have
//! taken does not count.
//!
//! Not checked here: that the objects hold the right bytes (D16 and L6 see that when they are read).

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct LocalDelete;

impl Invariant for LocalDelete {
    fn name(&self) -> &'static str {
        "R2 no early local delete"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Event::Placed { at, local_start, tiered, objects_there } = event else { return Ok(()) };
        let Some((known, _)) = ghost.partition(*at) else { return Ok(()) };
        if tiered.is_some() && !objects_there {
            return Err("the head names an object that is not in the bucket".into());
        }
        let (start, end) = tiered.unwrap_or((0, 0));
        // Without local files everything that was acknowledged must be in the bucket.
        let local_start = local_start.unwrap_or(known.acked_end);
        let needed = known.log_start.max(start);
        if tiered.is_none() && local_start > known.log_start {
            return Err(format!(
                "local files begin at {local_start}, the log at {}, and the bucket has nothing",
                known.log_start
            ));
        }
        if local_start > needed && local_start > end {
            return Err(format!("local files begin at {local_start}, the bucket has [{start}, {end})"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    fn placed(local_start: Option<u64>, tiered: Option<(u64, u64)>) -> Event {
        Event::Placed { at: AT, local_start, tiered, objects_there: true }
    }

    #[test]
    fn dropped_before_the_head_was_committed() {
        let known = [invoked(1, 7), acked(1, batch(0, 9, 7))];
        let then = |event| [known.to_vec(), vec![event]].concat();
        refused(LocalDelete, &then(placed(Some(5), None)), "the bucket has nothing");
        refused(LocalDelete, &then(placed(Some(5), Some((0, 4)))), "the bucket has [0, 4)");
        refused(LocalDelete, &then(placed(None, Some((0, 5)))), "begin at 10");
        accepted(LocalDelete, &then(placed(Some(5), Some((0, 5)))));
        accepted(LocalDelete, &then(placed(Some(0), None)));
    }

    #[test]
    fn an_object_that_is_not_there() {
        let event =
            Event::Placed { at: AT, local_start: Some(0), tiered: Some((0, 5)), objects_there: false };
        refused(LocalDelete, &[invoked(1, 7), event], "names an object");
    }
}
