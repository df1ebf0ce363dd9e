//! Segment objects (`docs/format/object.md`).

pub(crate) mod fetch;
pub(crate) mod footer;
pub(crate) mod index;
pub(crate) mod upload;
pub(crate) mod walk;
