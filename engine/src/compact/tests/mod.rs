//! Compaction against a model, through every crash, and rule by rule.

mod crash;
mod model;
mod random;
mod rules;
