use super::RealNode;
use crate::simulation::{Options, run};

#[test]
fn smoke() {
    for seed in 0..if cfg!(debug_assertions) { 10 } else { 120 } {
        let outcome = run(seed, &RealNode, Options::default());
        assert_eq!(outcome.violation, None, "replay: cargo run -p highwater-sim --release -- --seed {seed}");
    }
}
