//! What the benches are made of. Each bench is a program in `src/bin`; nothing here asserts a figure, they are
//! printed, with the machine and the date, for `docs/performance.md`.

pub mod broker;
pub mod machine;
pub mod pair;
