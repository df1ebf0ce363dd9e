//! L7: an append that began after another was acknowledged gets a higher offset.
//!
//! Checked for every acknowledged append. An idempotent append begins with its first try.
//!
//! Not checked: appends that nobody was told about.

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct RealTimeOrder;

impl Invariant for RealTimeOrder {
    fn name(&self) -> &'static str {
        "L7 real-time order"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Event::ProduceAcked { op, at, base, .. } = event else { return Ok(()) };
        let Some((known, _)) = ghost.partition(*at) else { return Ok(()) };
        match known.began.get(op) {
            Some(began) if *base < began.acked_end => Err(format!(
                "offset {base} was given to an append that began after {} was taken",
                began.acked_end
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    #[test]
    fn an_offset_below_one_that_was_acknowledged_before() {
        let story = [invoked(1, 7), acked(1, batch(5, 6, 7)), invoked(2, 8), acked(2, batch(3, 4, 8))];
        refused(RealTimeOrder, &story, "offset 3 was given");
        let overlapping = [invoked(2, 8), invoked(1, 7), acked(1, batch(5, 6, 7)), acked(2, batch(3, 4, 8))];
        accepted(RealTimeOrder, &overlapping);
    }
}
