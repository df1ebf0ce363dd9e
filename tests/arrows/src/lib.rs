//! Nothing but tests: `tests/arrows.rs` checks which room imports which and what the rooms are built from,
//! `tests/tidiness.rs` what every file must keep to.
