//! L5: the log start never goes backwards, over restarts and power cuts too, and never beyond the watermark.
//!
//! Checked: an answer to a question asked after somebody was told log start S tells S or more; no answer tells a
//! log start above its own watermark. Where each of several replicas drops by itself what is too old, another leader may
//! have more: there the start is not told lower than where somebody was told that records are deleted.
//!
//! Not checked here: the reason for each move (retention's own tests do that).

use super::Invariant;
use crate::{
    ghost::{Began, Ghost},
    history::Event,
};

/// See the file's text.
pub struct LogStart;

impl Invariant for LogStart {
    fn name(&self) -> &'static str {
        "L5 log start"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Some((op, log_start)) = event.log_start() else { return Ok(()) };
        if let Some((_, watermark)) = event.watermark()
            && log_start > watermark
        {
            return Err(format!("log start {log_start} is above the watermark {watermark}"));
        }
        let Some((known, _)) = event.partition().and_then(|at| ghost.partition(at)) else { return Ok(()) };
        let then = |began: &Began| if ghost.replicated { began.deleted } else { began.log_start };
        let told = known.began.get(&op).map_or(0, then);
        if log_start < told && !matches!(event, Event::ProduceAcked { .. }) {
            return Err(format!("the log start went back from {told} to {log_start}"));
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
        for stop in [Stop::Clean, Stop::Power] {
            let story = [reading(1), earliest(1, 5), stopped(stop), reading(2), earliest(2, 4)];
            refused(LogStart, &story, "from 5 to 4");
        }
    }

    #[test]
    fn deleted_records_that_come_back_with_another_leader() {
        let told = |first: Event, second| {
            let mut ghost = Ghost::default();
            ghost.replicated = true;
            for event in [synced(), reading(1), first, reading(2)] {
                ghost.apply(&event);
            }
            LogStart.check(&ghost, &earliest(2, second))
        };
        assert_eq!(told(earliest(1, 5), 4), Ok(()), "what only retention dropped");
        let deleted = Event::RecordsDeleted { at: AT, start: 5 };
        assert_eq!(told(deleted.clone(), 5), Ok(()));
        assert!(told(deleted, 4).unwrap_err().contains("from 5 to 4"));
    }

    #[test]
    fn above_the_watermark() {
        refused(LogStart, &[reading(1), out_of_range(1, 0, 7, 6)], "above the watermark 6");
    }
}
