//! G4: nothing is skipped. Whoever is told a committed offset goes on from there, so everything below it must have been
//! given to some member before.

use std::collections::BTreeMap;

use super::Invariant;
use crate::coordinator::happening::{GroupNumber, Happening, Part, Question, Told};

/// See the file's text.
#[derive(Default)]
pub struct Delivery {
    /// Up to where everything was given to somebody, exclusive.
    delivered: BTreeMap<(GroupNumber, Part), u64>,
    asked: BTreeMap<Question, (GroupNumber, Part)>,
}

impl Invariant for Delivery {
    fn name(&self) -> &'static str {
        "G4 nothing is skipped"
    }

    fn check(&mut self, _: u64, event: &Happening) -> Result<(), String> {
        match *event {
            Happening::Polled { group, part, from, to } => {
                let end = self.delivered.entry((group, part)).or_default();
                if from > *end {
                    return Err(format!(
                        "group {group} partition {part}: [{end}, {from}) was given to nobody"
                    ));
                }
                *end = (*end).max(to);
            }
            Happening::OffsetAsked { question, group, part, .. } => {
                self.asked.insert(question, (group, part));
            }
            Happening::OffsetTold { question, told: Told::Offset(offset, commit) } => {
                let Some((group, part)) = self.asked.remove(&question) else { return Ok(()) };
                let end = self.delivered.get(&(group, part)).copied().unwrap_or(0);
                if offset > end {
                    return Err(format!(
                        "group {group} partition {part}: {offset} is told ({commit:?}), and [{end}, ..) was given to \
                         nobody"
                    ));
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
    use crate::coordinator::happening::Commit;
    use crate::coordinator::invariant::testing::*;

    #[test]
    fn records_that_nobody_was_given() {
        let polled = |from, to| Happening::Polled { group: 0, part: 0, from, to };
        let offset = told(1, Told::Offset(7, Commit(1)));
        refused(|| Box::new(Delivery::default()), &[polled(0, 5), asks(1), offset], "[5, ..)");
        refused(|| Box::new(Delivery::default()), &[polled(0, 5), polled(6, 7)], "[5, 6)");
    }
}
