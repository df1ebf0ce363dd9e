//! P5: no batch is taken for a copy of another one. The sequences of a transaction, or of a producer's next epoch, are
//! those of an earlier one again, which may have been aborted: whoever is told where its batch lies is told a place that no
//! other batch was told, and that batch lies there when the log is read at the end.

use std::collections::BTreeMap;

use super::Invariant;
use crate::coordinator::happening::{Content, Happening, Part, Write};

/// See the file's text.
#[derive(Default)]
pub struct OwnPlace {
    asked: BTreeMap<Write, Part>,
    placed: BTreeMap<(Part, u64), Write>,
}

impl Invariant for OwnPlace {
    fn name(&self) -> &'static str {
        "P5 no batch is taken for another one"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match event {
            Happening::WriteAsked { write, part, .. } => {
                self.asked.insert(*write, *part);
            }
            Happening::WriteAnswered { write, base } => {
                let Some(part) = self.asked.get(write) else { return Ok(()) };
                let known = *self.placed.entry((*part, *base)).or_insert(*write);
                if known != *write {
                    return Err(format!(
                        "{write:?} is said to lie at {base} of partition {part}, where {known:?} is"
                    ));
                }
            }
            Happening::Log { part, batches } => {
                for batch in batches {
                    let Some(known) = self.placed.get(&(*part, batch.base)) else { continue };
                    if batch.content != Content::Transactional(*known) {
                        return Err(format!(
                            "{known:?} was said to lie at {} of partition {part}, where {:?} is",
                            batch.base, batch.content
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::{happening::LogBatch, invariant::testing::*};

    #[test]
    fn a_batch_in_another_ones_place() {
        let new = || -> Box<dyn Invariant> { Box::new(OwnPlace::default()) };
        let log = |write| {
            let content = Content::Transactional(Write(write));
            Happening::Log { part: 0, batches: vec![LogBatch { base: 3, producer: 4, epoch: 1, content }] }
        };
        let first = [writes(1, 7, 0), written_at(1, 3)];
        refused(new, &[&first[..], &[writes(2, 8, 0), written_at(2, 3)]].concat(), "where Write(1) is");
        refused(new, &[&first[..], &[log(2)]].concat(), "where Transactional(Write(2)) is");
        let elsewhere = [&first[..], &[writes(2, 8, 1), written_at(2, 3), log(1)]].concat();
        assert_eq!(tell(OwnPlace::default(), &elsewhere), Ok(()), "of another partition");
    }
}
