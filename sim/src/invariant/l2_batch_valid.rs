//! L2: every batch that a reader gets, or that lies in a file, is whole and valid.
//!
//! Checked, by a parser of our own: length, magic, checksum, count against the last offset delta, one producer
//! triple, records that fill the batch exactly, timestamps. In files the same, except that behind the last valid
//! batch of the last segment anything may lie after an unclean stop: a torn tail.
//!
//! Not checked: compressed batches (the simulated clients do not compress).

use super::Invariant;
use crate::{
    ghost::Ghost,
    history::{Event, Stop},
};

/// See the file's text.
pub struct BatchValid;

impl Invariant for BatchValid {
    fn name(&self) -> &'static str {
        "L2 batch valid"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        match event {
            Event::Fetched { batches, .. } => match &batches.bad {
                Some(why) => Err(format!("a reader got {why}")),
                None => Ok(()),
            },
            Event::Scanned { files, .. } => {
                let torn_allowed = ghost.last_stop != Some(Stop::Clean);
                for (index, segment) in files.segments.iter().enumerate() {
                    let is_last = index + 1 == files.segments.len();
                    match &segment.batches.bad {
                        Some(why) if !(is_last && torn_allowed) => {
                            return Err(format!("segment {}: {why}", segment.name));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    #[test]
    fn a_reader_gets_garbage() {
        let mut answer = fetched(1, 0, 9, &[batch(0, 2, 1)]);
        if let Event::Fetched { batches, .. } = &mut answer {
            batches.bad = Some("at byte 100: checksum does not hold".into());
        }
        refused(BatchValid, &[answer], "a reader got at byte 100");
    }

    #[test]
    fn garbage_in_a_file() {
        let mut bad = segment(3, &[batch(3, 3, 2)]);
        bad.batches.bad = Some("at byte 100: magic 0".into());
        let good = segment(0, &[batch(0, 2, 1)]);
        let torn_tail = scanned(vec![good.clone(), bad.clone()]);
        accepted(BatchValid, &[stopped(Stop::Power), torn_tail.clone()]);
        refused(BatchValid, &[stopped(Stop::Clean), torn_tail], "segment 3: at byte 100");
        bad.name = 0;
        refused(BatchValid, &[stopped(Stop::Power), scanned(vec![bad, good])], "segment 0: at byte 100");
    }
}
