use std::{
    hash::{BuildHasher, RandomState},
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crossbeam::channel::{Receiver, Sender, unbounded};
use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
};

use crate::{BoxFuture, Env, Instant, Lane};

/// The real environment: tokio's clock and scheduler, and a few named threads per lane for blocking work.
///
/// Control has a runtime of its own, so that a busy data path does not delay it.
pub struct TokioEnv {
    data: Handle,
    control: Handle,
    // Kept so that the runtimes live as long as the environment; shut down without waiting.
    owned: Mutex<Vec<Runtime>>,
    lanes: [Sender<Work>; Lane::ALL.len()],
    zero: std::time::Instant,
    random: RandomState,
    draws: AtomicU64,
}

struct Work {
    run: Box<dyn FnOnce() + Send>,
    done: oneshot::Sender<()>,
}

impl TokioEnv {
    /// Starts the runtimes and the lanes' threads.
    ///
    /// # Errors
    /// When the operating system refuses a thread.
    pub fn start() -> std::io::Result<TokioEnv> {
        let data = Builder::new_multi_thread().thread_name("highwater-data").enable_all().build()?;
        let control = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("highwater-control")
            .enable_all()
            .build()?;
        let mut senders = Vec::with_capacity(Lane::ALL.len());
        for lane in Lane::ALL {
            let (sender, receiver) = unbounded::<Work>();
            for number in 0..threads(lane) {
                let receiver = receiver.clone();
                std::thread::Builder::new()
                    .name(format!("hw-{}-{number}", lane.name()))
                    .spawn(move || serve(&receiver))?;
            }
            senders.push(sender);
        }
        let lanes = senders.try_into().unwrap_or_else(|_| unreachable!("one sender per lane"));
        Ok(TokioEnv {
            data: data.handle().clone(),
            control: control.handle().clone(),
            owned: Mutex::new(vec![data, control]),
            lanes,
            zero: std::time::Instant::now(),
            random: RandomState::new(),
            draws: AtomicU64::new(0),
        })
    }

    /// Ends every task where it stands, without waiting for it; blocking work that has begun is finished. For a program
    /// that goes on after what it ran here: tasks hold their environment, so it would never be dropped by itself.
    ///
    /// Nothing that is spawned afterwards runs.
    pub fn shut_down(&self) {
        for runtime in self.owned.lock().drain(..) {
            runtime.shutdown_background();
        }
    }

    /// The runtime on which connections live, for the shell that owns the sockets.
    pub fn connections(&self) -> &Handle {
        &self.data
    }
}

/// A lane's threads: enough to keep a disk or a bucket busy, few enough to be named in a debugger.
const fn threads(lane: Lane) -> usize {
    match lane {
        Lane::Connections => 4,
        // Groups through the journal beside files that are synced.
        Lane::Commit => 8,
        Lane::ColdRead => 8,
        Lane::Background => 2,
        Lane::Control => 2,
    }
}

fn serve(work: &Receiver<Work>) {
    while let Ok(Work { run, done }) = work.recv() {
        // The panic hook has printed it; whoever waits is told by the empty slot.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(run));
        let _ = done.send(());
    }
}

impl Env for TokioEnv {
    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.zero.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        let at = self.zero + Duration::from_nanos(at.as_nanos());
        // tokio's timer belongs to the runtime that polls it, so it is made on the first poll.
        Box::pin(async move { tokio::time::sleep_until(at.into()).await })
    }

    fn random(&self) -> u64 {
        // SipHash of a counter under a key drawn from the operating system.
        self.random.hash_one(self.draws.fetch_add(1, Ordering::Relaxed))
    }

    fn spawn(&self, lane: Lane, task: BoxFuture<'static, ()>) {
        let runtime = if lane == Lane::Control { &self.control } else { &self.data };
        drop(runtime.spawn(task));
    }

    fn run_blocking_boxed(&self, lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let (done, finished) = oneshot::channel();
        // The lanes' threads live as long as their sender, which is ours: this cannot fail while `self` exists.
        let _ = self.lanes[lane.index()].send(Work { run: work, done });
        Box::pin(async move {
            let _ = finished.await;
        })
    }
}

impl Drop for TokioEnv {
    fn drop(&mut self) {
        self.shut_down();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{BlockingFailed, EnvExt};

    #[test]
    fn blocking_work_returns_its_value_and_a_panic_is_reported() {
        let env = TokioEnv::start().unwrap();
        let answer = env.connections().clone().block_on(env.run_blocking(Lane::Commit, || 6 * 7));
        assert_eq!(answer, Ok(42));
        let failed =
            env.connections().clone().block_on(env.run_blocking(Lane::Commit, || panic!("on purpose")));
        assert_eq!(failed, Err::<(), _>(BlockingFailed));
        // The lane still works.
        assert_eq!(env.connections().clone().block_on(env.run_blocking(Lane::Commit, || 1)), Ok(1));
    }

    #[test]
    fn shutting_down_ends_tasks_that_hold_the_environment() {
        let env = Arc::new(TokioEnv::start().unwrap());
        let (held, alive) = (env.clone(), Arc::new(()));
        let seen = Arc::downgrade(&alive);
        let (started, has_started) = std::sync::mpsc::channel();
        env.spawn(
            Lane::Control,
            Box::pin(async move {
                let _alive = alive;
                let _ = started.send(());
                held.sleep_until(Instant::from_nanos(u64::MAX >> 8)).await;
            }),
        );
        has_started.recv().unwrap();
        env.shut_down();
        while seen.upgrade().is_some() || Arc::strong_count(&env) > 1 {
            std::thread::yield_now();
        }
    }

    #[test]
    fn sleeping_moves_the_clock_at_least_that_far() {
        let env = TokioEnv::start().unwrap();
        let until = env.now().plus(Duration::from_millis(5));
        env.connections().clone().block_on(env.sleep_until(until));
        assert!(env.now() >= until);
    }
}
