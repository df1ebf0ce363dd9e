use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll},
};

use highwater_env::{BoxFuture, Env, Instant, Lane};

use super::{
    ProcessId, Shared, TaskWaker,
    table::{Done, EventKey},
};

/// The environment of one simulated process.
pub struct SimEnv {
    shared: Arc<Shared>,
    process: ProcessId,
}

impl SimEnv {
    pub(super) fn new(shared: Arc<Shared>, process: ProcessId) -> SimEnv {
        SimEnv { shared, process }
    }

    /// Which process this is.
    pub fn id(&self) -> ProcessId {
        self.process
    }
}

impl Env for SimEnv {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.shared.table.lock().now)
    }

    fn wall_ms(&self) -> i64 {
        self.shared.table.lock().wall_ms_of(self.process)
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep {
            shared: Arc::downgrade(&self.shared),
            process: self.process,
            at: at.as_nanos(),
            timer: None,
        })
    }

    fn random(&self) -> u64 {
        self.shared.table.lock().random(self.process)
    }

    fn spawn(&self, lane: Lane, task: BoxFuture<'static, ()>) {
        let waker = |id| TaskWaker::of(id, &self.shared);
        let spawned = self.shared.table.lock().spawn(self.process, lane, task, waker);
        match spawned {
            Ok(id) => self.shared.start(id),
            Err(refused) => drop(refused),
        }
    }

    fn run_blocking_boxed(&self, _lane: Lane, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let done = Arc::new(Done::default());
        let refused = self.shared.table.lock().add_work(self.process, work, done.clone());
        drop(refused);
        Box::pin(std::future::poll_fn(move |context| done.poll(context.waker())))
    }
}

struct Sleep {
    // Weak: a sleep may be held by what the table holds.
    shared: Weak<Shared>,
    process: ProcessId,
    at: u64,
    timer: Option<EventKey>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = self.shared.upgrade() else { return Poll::Pending };
        let mut table = shared.table.lock();
        let old = self.timer.take().and_then(|key| table.remove_timer(key));
        let ready = table.now >= self.at;
        if !ready {
            self.timer = table.add_timer(self.process, self.at, context.waker().clone());
        }
        drop(table);
        drop(old);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let (Some(key), Some(shared)) = (self.timer, self.shared.upgrade()) else { return };
        let old = shared.table.lock().remove_timer(key);
        drop(old);
    }
}
