//! D1 and D2 for one replica: no acknowledged record is lost, or the loss is allowed and reported.
//!
//! Checked: after any stop, a broker that tells a position tells one that covers everything acknowledged before.
//! On a `synced` topic that holds after power cuts too, and no recovery may report a loss below what was
//! acknowledged. On a `replicated` topic a loss may be reported, after a power cut and after nothing else; what
//! was not reported must be there.
//!
//! Not only crashes tell: at the instant at which a broker acknowledges on a `synced` topic, a copy of its disk is
//! sometimes cut off, and the record must be on the copy.
//!
//! Not checked here: that the records between the positions are the right ones (D16, L6), and losses of media.

use super::Invariant;
use crate::{
    ghost::Ghost,
    history::{Event, Promise, Said, Stop},
};

/// See the file's text.
pub struct AckedLoss;

impl Invariant for AckedLoss {
    fn name(&self) -> &'static str {
        "D1/D2 no acknowledged loss"
    }

    fn check(&mut self, ghost: &Ghost, event: &Event) -> Result<(), String> {
        let Some((known, promise)) = event.partition().and_then(|at| ghost.partition(at)) else {
            return Ok(());
        };
        if let Event::LossReported { lost_from, .. } = event {
            let seen = known.acked_end.max(known.exposed_watermark);
            if *lost_from >= seen {
                return Ok(());
            }
            return match (promise, ghost.last_stop) {
                (Promise::Replicated, Some(Stop::Power)) => Ok(()),
                (promise, stop) => Err(format!(
                    "records from {lost_from} are reported lost on a {promise:?} topic after {stop:?}; \
                     [.., {seen}) was acknowledged or read"
                )),
            };
        }
        if let Event::PowerProbed { said: Said::Acknowledged, end, survives, .. } = event
            && promise == Promise::Synced
            && survives < end
        {
            return Err(format!(
                "[.., {end}) is acknowledged, and a power cut now would leave [.., {survives})"
            ));
        }
        if let Some((op, watermark)) = event.watermark() {
            let promised = known.began.get(&op).map_or(0, |began| began.acked_end);
            if watermark < promised {
                return Err(format!(
                    "the watermark is {watermark}, but [.., {promised}) was acknowledged; last stop: {:?}",
                    ghost.last_stop
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::testing::*;

    fn lost(lost_from: u64) -> Event {
        Event::LossReported { at: AT, lost_from }
    }

    #[test]
    fn silent_loss_after_a_power_cut() {
        let story = [
            invoked(1, 9),
            acked(1, batch(0, 4, 9)),
            stopped(Stop::Power),
            reading(2),
            out_of_range(2, 5, 0, 3),
        ];
        refused(AckedLoss, &story, "[.., 5) was acknowledged");
    }

    #[test]
    fn a_synced_topic_may_not_even_report() {
        let story = [invoked(1, 9), acked(1, batch(0, 4, 9)), stopped(Stop::Power), lost(3)];
        refused(AckedLoss, &story, "reported lost on a Synced topic");
    }

    #[test]
    fn a_replicated_topic_reports_after_a_power_cut_and_only_then() {
        let story = |stop| [replicated(), invoked(1, 9), acked(1, batch(0, 4, 9)), stopped(stop), lost(3)];
        accepted(AckedLoss, &story(Stop::Power));
        refused(AckedLoss, &story(Stop::Process), "after Some(Process)");
        let mut unreported = story(Stop::Power).to_vec();
        unreported.extend([reading(2), latest(2, 2)]);
        refused(AckedLoss, &unreported, "the watermark is 2, but [.., 3)");
    }

    #[test]
    fn an_acknowledgement_before_the_sync() {
        let probed = |said, survives| Event::PowerProbed { at: AT, said, end: 5, survives };
        refused(AckedLoss, &[invoked(1, 9), probed(Said::Acknowledged, 4)], "would leave [.., 4)");
        accepted(AckedLoss, &[invoked(1, 9), probed(Said::Acknowledged, 5)]);
        accepted(AckedLoss, &[replicated(), invoked(1, 9), probed(Said::Acknowledged, 4)]);
    }

    #[test]
    fn what_was_never_acknowledged_may_go() {
        accepted(AckedLoss, &[invoked(1, 9), stopped(Stop::Power), lost(0), reading(2), latest(2, 0)]);
    }
}
