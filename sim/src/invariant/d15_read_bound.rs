//! D15: no reader receives an offset at or above the watermark.
//!
//! Checked: every record of an answer lies below the watermark, and below the last stable offset, of that answer.
//!
//! Not checked here: that this watermark is one that survives, which D1, D14 and D16 see after a crash.

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct ReadBound;

impl Invariant for ReadBound {
    fn name(&self) -> &'static str {
        "D15 read bound"
    }

    fn check(&mut self, _: &Ghost, event: &Event) -> Result<(), String> {
        let Event::Fetched { positions, batches, .. } = event else { return Ok(()) };
        let Some(last) = batches.good.last() else { return Ok(()) };
        if last.last >= positions.watermark.min(positions.last_stable) {
            return Err(format!("record {} was shown at {positions:?}", last.last));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    #[test]
    fn the_record_at_the_watermark() {
        accepted(ReadBound, &[fetched(1, 0, 3, &[batch(0, 2, 1)])]);
        refused(ReadBound, &[fetched(1, 0, 3, &[batch(0, 1, 1), batch(2, 3, 2)])], "record 3 was shown");
    }
}
