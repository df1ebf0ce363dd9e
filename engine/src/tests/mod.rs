//! The room as a whole against a model, through random operations and power cuts.

mod model;
mod random;
