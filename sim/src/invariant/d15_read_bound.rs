//! D15: no reader receives an offset at or above the watermark.
//!
//! Checked: every record of an answer lies below the watermark, and below the last stable offset, of that answer.
//!
//! On a `synced` topic the watermark must be one that survives: at the instant of an answer a copy of the disk is
//! sometimes cut off, and everything below the watermark that is told must be on the copy.
//!
//! Not checked here: watermarks that a crash proves wrong later (D1, D14, D16).

use super::Invariant;
use crate::{
    ghost::Ghost,
    history::{Event, Promise, Said},
};

/// See the file's text.
pub struct ReadBound;

impl Invariant for ReadBound {
    fn name(&self) -> &'static str {
        "D15 read bound"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        if let Event::PowerProbed { at, said: Said::Shown, end, survives } = event
            && matches!(ghost.partition(*at), Some((_, Promise::Synced)))
            && survives < end
        {
            return Err(format!("[.., {end}) is shown, and a power cut now would leave [.., {survives})"));
        }
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
    fn a_watermark_that_a_power_cut_would_take_back() {
        let probed = |survives| Event::PowerProbed { at: AT, said: Said::Shown, end: 5, survives };
        refused(ReadBound, &[invoked(1, 9), probed(4)], "would leave [.., 4)");
        accepted(ReadBound, &[invoked(1, 9), probed(5)]);
    }

    #[test]
    fn the_record_at_the_watermark() {
        accepted(ReadBound, &[fetched(1, 0, 3, &[batch(0, 2, 1)])]);
        refused(ReadBound, &[fetched(1, 0, 3, &[batch(0, 1, 1), batch(2, 3, 2)])], "record 3 was shown");
    }
}
