//! D14: the watermark that a client is told never goes backwards.
//!
//! Checked: an answer to a question asked after somebody was told watermark W tells W or more, over restarts too
//! (except below a loss that was reported); last stable offset <= watermark; log start <= watermark; and the
//! files, once the broker has stopped cleanly, reach at least as far as any watermark that was told.
//!
//! Not checked here: the broker's own, unexposed watermark and its checkpoint.

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct Watermark;

impl Invariant for Watermark {
    fn name(&self) -> &'static str {
        "D14 watermark"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        if let Event::Fetched { positions, .. } = event
            && !(positions.log_start <= positions.last_stable && positions.last_stable <= positions.watermark)
        {
            return Err(format!("positions out of order: {positions:?}"));
        }
        let Some((known, _)) = event.partition().and_then(|at| ghost.partition(at)) else { return Ok(()) };
        if let Some((op, watermark)) = event.watermark() {
            let told = known.began.get(&op).map_or(0, |began| began.exposed_watermark);
            if watermark < told {
                return Err(format!("the watermark went back from {told} to {watermark}"));
            }
        }
        if let Event::Scanned { files, settled: true, .. } = event
            && let Some(end) = files.end()
            && end < known.exposed_watermark
        {
            return Err(format!("the log ends at {end}, below the watermark {}", known.exposed_watermark));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::Stop, invariant::testing::*};

    #[test]
    fn going_back() {
        refused(Watermark, &[reading(1), latest(1, 5), reading(2), latest(2, 4)], "from 5 to 4");
        let over_a_restart = [reading(1), latest(1, 5), stopped(Stop::Process), reading(2), latest(2, 4)];
        refused(Watermark, &over_a_restart, "from 5 to 4");
    }

    #[test]
    fn answers_may_overtake_each_other() {
        accepted(Watermark, &[reading(1), reading(2), latest(2, 5), latest(1, 4)]);
    }

    #[test]
    fn positions_out_of_order() {
        let mut answer = fetched(1, 0, 5, &[]);
        if let Event::Fetched { positions, .. } = &mut answer {
            positions.last_stable = 6;
        }
        refused(Watermark, &[reading(1), answer], "out of order");
    }

    #[test]
    fn a_watermark_beyond_the_log() {
        let files = scanned(vec![segment(0, &[batch(0, 3, 1)])]);
        let story = [reading(1), latest(1, 5), stopped(Stop::Clean), files];
        refused(Watermark, &story, "ends at 4, below the watermark 5");
    }
}
