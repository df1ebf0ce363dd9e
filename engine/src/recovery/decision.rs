//! What recovery does with what it finds. The table of `docs/format/local.md`, section 3.

use crate::museum::{Bug, has};

/// Where something was found, against the durable bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// It was promised.
    Below,
    /// It was on its way.
    Above,
}

/// What was found where a batch should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Valid,
    Bad,
    Missing,
}

/// How the directory was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastStop {
    Clean,
    Unclean,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Keep,
    /// Keep, and make it durable before the log opens.
    KeepAndSync,
    /// Refuse reads of the range, serve what lies around it, never use its offsets again.
    Quarantine,
    /// The log ends here: move the rest aside and report what may be lost.
    Cut,
    /// The log ends here.
    End,
}

pub(crate) fn decide(side: Side, found: Found, last_stop: LastStop) -> Action {
    match (side, found, last_stop) {
        (Side::Below, Found::Bad, _) if has(Bug::DamageEndsLog) => Action::Cut,
        (Side::Above, Found::Valid, _) if has(Bug::RecoveredTailNotSynced) => Action::Keep,
        (Side::Below, Found::Valid, LastStop::Clean | LastStop::Unclean) => Action::Keep,
        // A promise was broken by the media. That is no end of the log, however the last stop was.
        (Side::Below, Found::Bad | Found::Missing, LastStop::Clean | LastStop::Unclean) => Action::Quarantine,
        (Side::Above, Found::Valid, LastStop::Clean | LastStop::Unclean) => Action::KeepAndSync,
        (Side::Above, Found::Bad, LastStop::Clean | LastStop::Unclean) => Action::Cut,
        (Side::Above, Found::Missing, LastStop::Clean | LastStop::Unclean) => Action::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as the format page has it, row by row.
    const TABLE: [(Side, LastStop, [Action; 3]); 4] = [
        (Side::Below, LastStop::Unclean, [Action::Keep, Action::Quarantine, Action::Quarantine]),
        (Side::Below, LastStop::Clean, [Action::Keep, Action::Quarantine, Action::Quarantine]),
        (Side::Above, LastStop::Unclean, [Action::KeepAndSync, Action::Cut, Action::End]),
        (Side::Above, LastStop::Clean, [Action::KeepAndSync, Action::Cut, Action::End]),
    ];

    #[test]
    fn every_case_is_as_documented() {
        for (side, last_stop, actions) in TABLE {
            for (found, action) in [Found::Valid, Found::Bad, Found::Missing].into_iter().zip(actions) {
                assert_eq!(decide(side, found, last_stop), action, "{side:?} {found:?} {last_stop:?}");
            }
        }
    }

    #[test]
    fn nothing_promised_is_cut_and_nothing_unpromised_is_quarantined() {
        for last_stop in [LastStop::Clean, LastStop::Unclean] {
            for found in [Found::Valid, Found::Bad, Found::Missing] {
                assert!(!matches!(decide(Side::Below, found, last_stop), Action::Cut | Action::End));
                assert_ne!(decide(Side::Above, found, last_stop), Action::Quarantine);
            }
        }
    }
}
