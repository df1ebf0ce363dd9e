//! Names that do not exist, and what may have been meant.

use highwater_metadata::config::nearest;

use super::CommandError;

/// There is no `kind` of that name; says which comes nearest.
pub(super) fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str>) -> CommandError {
    let hint = match nearest(name, known) {
        Some(nearest) => format!("; did you mean {nearest:?}?"),
        None => format!("; there are no {kind}s"),
    };
    CommandError::Unknown { what: format!("there is no {kind} {name:?}{hint}") }
}
