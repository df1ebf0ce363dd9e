//! Names that do not exist, and what may have been meant.

use highwater_metadata::config::similar;

use super::CommandError;

/// There is no `kind` of that name; says which one may have been meant.
pub(super) fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n str>) -> CommandError {
    let mut known = known.peekable();
    let none = known.peek().is_none();
    let hint = match similar(name, known) {
        Some(similar) => format!("; did you mean {similar:?}?"),
        None if none => format!("; there are no {kind}s"),
        None => String::new(),
    };
    CommandError::Unknown { what: format!("there is no {kind} {name:?}{hint}") }
}
