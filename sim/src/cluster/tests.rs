use super::run_cluster;
use crate::simulation::Options;

#[test]
fn smoke() {
    for seed in 0..if cfg!(debug_assertions) { 6 } else { 60 } {
        let outcome = run_cluster(seed, Options::default());
        let replay = format!("replay: cargo run -p highwater-sim --release -- --cluster --seed {seed}");
        assert_eq!(outcome.violation, None, "{replay}");
    }
}
