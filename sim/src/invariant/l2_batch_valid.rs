//! L2: every batch that a reader gets, or that lies in a file, is whole and valid.
//!
//! Checked, by a parser of our own: length, magic, checksum, count against the last offset delta, one producer
//! triple, records that fill the batch exactly, timestamps. In files the same; recovery leaves no torn tail.
//!
//! Not checked: compressed batches (the simulated clients do not compress).

use super::Invariant;
use crate::{ghost::Ghost, history::Event};

/// See the file's text.
pub struct BatchValid;

impl Invariant for BatchValid {
    fn name(&self) -> &'static str {
        "L2 batch valid"
    }

    fn check(&mut self, _: &Ghost, event: &Event) -> Result<(), String> {
        match event {
            Event::Fetched { batches, .. } => match &batches.bad {
                Some(why) => Err(format!("a reader got {why}")),
                None => Ok(()),
            },
            Event::Scanned { files, .. } => {
                let bad = files
                    .segments
                    .iter()
                    .find_map(|segment| Some((segment.name, segment.batches.bad.as_ref()?)));
                match bad {
                    Some((name, why)) => Err(format!("segment {name}: {why}")),
                    None => Ok(()),
                }
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
        accepted(BatchValid, &[scanned(vec![good.clone()])]);
        refused(BatchValid, &[scanned(vec![good, bad])], "segment 3: at byte 100");
    }
}
