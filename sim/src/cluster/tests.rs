use std::{
    future::Future,
    sync::Arc,
    task::{Context, Waker},
};

use highwater_env::BoxFuture;
use highwater_metadata::{MetadataLog, conformance};
use highwater_records::BrokerId;

use super::{Quorum, network::Network, run_cluster};
use crate::{
    campaign::{Kind, Sum},
    executor::{Executor, SimEnv},
    random::Random,
    simulation::Options,
    trace::Trace,
};

/// What so few seeds may miss after any change; `--all-marks` wants these of a long campaign, too.
const RARE: [&str; 8] = [
    "fault: bit rot",
    "fault: two processes with one number",
    "mark: a deletion waits too long",
    "mark: a reader sees damage by the checksum",
    "mark: leadership leaves a broker whose disk hangs",
    "mark: the older one of two processes ends",
    "mark: what has rotted is mended",
    "mark: what has rotted is mended at the leader",
];

#[test]
fn smoke() {
    let mut sum = Sum::default();
    for seed in 0..if cfg!(debug_assertions) { 6 } else { 60 } {
        let outcome = run_cluster(seed, Options::default());
        let replay = format!("replay: cargo run -p highwater-sim --release -- --cluster --seed {seed}");
        assert_eq!(outcome.violation, None, "{replay}");
        sum.add(Kind::Cluster, outcome);
    }
    if !cfg!(debug_assertions) {
        let unseen: Vec<_> = sum.never_seen().into_iter().filter(|(_, mark)| !RARE.contains(mark)).collect();
        assert_eq!(unseen, [], "these seeds do not look where bugs are any more");
    }
}

/// The model of the metadata log as one broker reaches it; a restart is another process of that broker.
struct Reached {
    executor: Arc<Executor>,
    quorum: Arc<Quorum>,
    env: Arc<SimEnv>,
}

const BROKER: BrokerId = BrokerId(1);

impl conformance::Subject for Reached {
    fn log(&self) -> Arc<dyn MetadataLog> {
        self.quorum.handle(BROKER, self.env.clone())
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.env = self.executor.process("broker");
        })
    }
}

#[test]
fn the_model_of_the_metadata_log_does_its_duties() {
    for seed in 0..20 {
        let executor = Arc::new(Executor::new(seed, Trace::hashed()));
        let random = Random::new(seed);
        let network = Network::new(random.fork("network"), executor.process("network"));
        let voters = executor.process("quorum");
        let quorum = Quorum::new(voters, network, random.fork("quorum"), &[BROKER]);
        quorum.elect(Some(BROKER));
        let env = executor.process("broker");
        let mut subject = Reached { executor: executor.clone(), quorum, env };
        // Polled here and not as a task of the executor: the suite need not move between threads.
        let mut suite = std::pin::pin!(conformance::run(&mut subject));
        let mut context = Context::from_waker(Waker::noop());
        while suite.as_mut().poll(&mut context).is_pending() {
            assert_eq!(executor.step(60_000_000_000), Ok(()), "seed {seed}: the suite comes to its end");
        }
        executor.shut_down();
    }
}
