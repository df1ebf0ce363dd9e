//! Commits of synced topics, several groups at once: each is held back here for as long as a test wants.

use std::{sync::Arc, time::Duration};

use highwater_engine::disk::RealDisk;
use highwater_env::{BoxFuture, Env, Instant, Lane, TokioEnv};
use highwater_metadata::config::{BrokerConfig, Settings};
use highwater_node::{
    Endpoint, Node, NodeParts,
    request::{Produce, ProducePartition, TopicRef},
};
use highwater_replication::Acks;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    one_node::{batch, create},
    started::caller,
};

/// Nothing else of an idle node waits for as little as this.
const SHORT: Duration = Duration::from_millis(5);

/// The real environment, but what makes appends durable waits until it is let go, and short waits never end by themselves.
struct Holding {
    real: Arc<TokioEnv>,
    waits: Mutex<Vec<oneshot::Sender<()>>>,
    held: Mutex<Vec<oneshot::Sender<()>>>,
    /// Whether to hold, and how many commits there were since.
    count: watch::Sender<Option<usize>>,
}

impl Holding {
    fn hold(&self) {
        self.count.send_replace(Some(0));
    }

    /// Waits until there are so many commits since [`Holding::hold`].
    async fn commits(&self, count: usize) {
        let mut counted = self.count.subscribe();
        let there = counted.wait_for(|so_far| so_far.is_some_and(|so_far| so_far >= count)).await;
        assert_eq!(*there.unwrap(), Some(count));
    }

    /// Ends every short wait: no group that is under way has the disk to itself any more.
    fn pass_time(&self) {
        for wait in self.waits.lock().drain(..) {
            let _ = wait.send(());
        }
    }

    /// Lets one of those that are held go, counted by their age.
    fn let_go(&self, nth: usize) {
        self.held.lock().remove(nth).send(()).unwrap();
    }
}

impl Env for Holding {
    fn now(&self) -> Instant {
        self.real.now()
    }

    fn wall_ms(&self) -> i64 {
        self.real.wall_ms()
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        if at.since(self.now()) > SHORT || self.count.borrow().is_none() {
            return self.real.sleep_until(at);
        }
        let (over, wait) = oneshot::channel();
        self.waits.lock().push(over);
        Box::pin(async move {
            let _ = wait.await;
        })
    }

    fn random(&self) -> u64 {
        self.real.random()
    }

    fn spawn(&self, lane: Lane, task: BoxFuture<'static, ()>) {
        self.real.spawn(lane, task);
    }

    fn run_blocking_boxed(&self, lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        if lane != Lane::Commit || self.count.borrow().is_none() {
            return self.real.run_blocking_boxed(lane, work);
        }
        let (go, wait) = oneshot::channel();
        self.held.lock().push(go);
        self.count.send_modify(|count| *count = count.map(|count| count + 1));
        let (done, ended) = oneshot::channel();
        let real = self.real.clone();
        let run = async move {
            if wait.await.is_ok() {
                real.run_blocking_boxed(lane, work).await;
            }
            let _ = done.send(());
        };
        self.real.spawn(lane, Box::pin(run));
        Box::pin(async move {
            let _ = ended.await;
        })
    }
}

async fn start(env: &Arc<Holding>, directory: &tempfile::TempDir) -> Arc<Node> {
    let mut settings = Settings::new();
    settings.give("log.dirs", directory.path().join("data").to_str().unwrap()).unwrap();
    settings.give("highwater.durability", "synced").unwrap();
    let parts = NodeParts {
        env: env.clone(),
        disk: Arc::new(RealDisk),
        bucket: None,
        config: Arc::new(BrokerConfig::new(settings).unwrap()),
        endpoint: Endpoint { host: "127.0.0.1".into(), port: 9092 },
    };
    let node = Node::start(parts).await.unwrap();
    for topic in ["a", "b", "c", "d"] {
        create(&node, topic, &[]).await.unwrap();
        assert_eq!(appended(env, &node, topic).await.wait().await, 0);
    }
    env.hold();
    node
}

fn run(test: impl AsyncFnOnce(Arc<Holding>, Arc<Node>)) {
    let directory = tempfile::tempdir().unwrap();
    let real = Arc::new(TokioEnv::start().unwrap());
    let runtime = real.connections().clone();
    let count = watch::Sender::new(None);
    let env = Arc::new(Holding { real, waits: Mutex::default(), held: Mutex::default(), count });
    runtime.block_on(async {
        let node = start(&env, &directory).await;
        test(env.clone(), node.clone()).await;
        env.count.send_replace(None);
        node.stop().await.unwrap();
    });
}

/// What a task of its own came to.
struct Told<T>(oneshot::Receiver<T>);

impl<T: Send + 'static> Told<T> {
    fn by(env: &Holding, task: impl Future<Output = T> + Send + 'static) -> Told<T> {
        let (tell, told) = oneshot::channel();
        env.spawn(Lane::Connections, Box::pin(async move { drop(tell.send(task.await)) }));
        Told(told)
    }

    fn is_there(&self) -> bool {
        !self.0.is_empty()
    }

    async fn wait(self) -> T {
        self.0.await.unwrap()
    }
}

/// Appends a record, and gives what waits for its acknowledgement: the offset.
async fn appended(env: &Holding, node: &Node, topic: &str) -> Told<u64> {
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(60),
        transactional: true,
        partitions: vec![ProducePartition {
            topic: TopicRef::Name(topic.into()),
            partition: 0,
            records: batch(&["x".to_owned()], 1),
        }],
    };
    let pending = node.produce(&caller(), request).await;
    Told::by(env, async move { pending.wait().await.remove(0).unwrap().base_offset.get() })
}

#[test]
fn a_commit_that_takes_long_holds_up_no_other_partition() {
    run(async |env, node| {
        let first = appended(&env, &node, "a").await;
        env.commits(1).await;
        let second = appended(&env, &node, "b").await;
        env.pass_time();
        env.commits(2).await;
        env.let_go(1);
        assert_eq!(second.wait().await, 1);
        assert!(!first.is_there(), "nobody is told of what is not durable");
        env.let_go(0);
        assert_eq!(first.wait().await, 1);
    });
}

#[test]
fn what_is_appended_while_a_commit_is_quick_shares_the_next_one() {
    run(async |env, node| {
        let mut acknowledged = vec![appended(&env, &node, "a").await];
        env.commits(1).await;
        for topic in ["b", "c", "d"] {
            acknowledged.push(appended(&env, &node, topic).await);
        }
        env.let_go(0);
        env.commits(2).await;
        env.let_go(0);
        for each in acknowledged {
            assert_eq!(each.wait().await, 1);
        }
        env.commits(2).await;
    });
}

#[test]
fn a_partition_is_in_one_group_at_a_time_and_a_stop_waits_for_all_of_it() {
    run(async |env, node| {
        let first = appended(&env, &node, "a").await;
        env.commits(1).await;
        let again = appended(&env, &node, "a").await;
        let other = appended(&env, &node, "b").await;
        env.pass_time();
        env.commits(2).await;
        let stopping = node.clone();
        let stopping = Told::by(&env, async move { stopping.stop().await });
        node.ends().await;
        assert!(!first.is_there() && !again.is_there() && !other.is_there());
        env.let_go(0);
        assert_eq!(first.wait().await, 1);
        env.let_go(0);
        assert_eq!(other.wait().await, 1);
        env.commits(3).await;
        // Closing the logs is not held.
        env.count.send_replace(None);
        env.let_go(0);
        assert_eq!(again.wait().await, 2);
        stopping.wait().await.unwrap();
    });
}
