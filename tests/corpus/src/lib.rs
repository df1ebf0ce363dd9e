//! What must hold of every decoder, whatever bytes it is given.
//!
//! Each [`Target`] is a plain function that panics when something does not hold. `fuzz/` feeds it with libFuzzer; an
//! ordinary test of this package replays `fuzz/corpus` and seeds with small damages, so that what was found once
//! stays found.
//!
//! A new decoder gets a function here, a line in [`TARGETS`], and a file of one line in `fuzz/fuzz_targets`.

mod adopt;
mod batch;
mod compression;
mod coordinator;
mod directory;
mod edits;
mod engine;
mod metadata;
mod properties;
mod still;
mod tiering;
mod wire;

/// A decoder and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the fuzz target and of its folder of the corpus.
    pub name: &'static str,
    /// Panics when what must hold does not.
    pub run: fn(&[u8]),
    /// Inputs made by the encoders, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    Target { name: "adopted_metadata", run: adopt::run, seeds: adopt::seeds },
    Target { name: "batch", run: batch::run, seeds: batch::seeds },
    Target { name: "batch_body", run: batch::run_body, seeds: batch::body_seeds },
    Target { name: "bucket_objects", run: tiering::run, seeds: tiering::seeds },
    Target { name: "compression", run: compression::run, seeds: compression::seeds },
    Target { name: "directory", run: directory::run, seeds: directory::seeds },
    Target { name: "group_log", run: coordinator::run_groups, seeds: coordinator::group_seeds },
    Target { name: "log_files", run: engine::run, seeds: engine::seeds },
    Target { name: "metadata_log", run: metadata::run, seeds: metadata::seeds },
    Target { name: "server_properties", run: properties::run, seeds: properties::seeds },
    Target {
        name: "transaction_log",
        run: coordinator::run_transactions,
        seeds: coordinator::transaction_seeds,
    },
    Target { name: "wire_messages", run: wire::run_messages, seeds: wire::message_seeds },
    Target { name: "wire_requests", run: wire::run_requests, seeds: wire::request_seeds },
];

/// Runs one target on one input.
///
/// # Panics
/// When what must hold does not; or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target is called {name}")).run)(input);
}
