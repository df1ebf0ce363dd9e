use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::Duration,
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

    /// Runs `what` after this time, which must not block and may start tasks: a message arrives. Unlike a task that
    /// sleeps nobody is polled for it. It is dropped with the process.
    pub fn later(&self, after: Duration, what: impl FnOnce() + Send + 'static) {
        let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        let refused = self.shared.table.lock().add_later(self.process, after, Box::new(what));
        drop(refused);
    }
}

impl Env for SimEnv {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.shared.now())
    }

    fn wall_ms(&self) -> i64 {
        self.shared.table.lock().wall_ms_of(self.process)
    }

    fn sleep_until(&self, at: Instant) -> BoxFuture<'static, ()> {
        Box::pin(Sleep {
            shared: self.shared.clone(),
            process: self.process,
            at: at.as_nanos(),
            timer: None,
            woken_by: 0,
        })
    }

    fn random(&self) -> u64 {
        self.shared.table.lock().random(self.process)
    }

    fn spawn(&self, lane: Lane, task: BoxFuture<'static, ()>) {
        let ready = self.shared.ready.clone();
        let waker = |task| Arc::new(TaskWaker { task, queued: AtomicBool::new(false), ready });
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
    // A sleep may be held by what the table holds: whoever kills the process breaks that circle.
    shared: Arc<Shared>,
    process: ProcessId,
    at: u64,
    timer: Option<EventKey>,
    /// Which waker the timer has: it keeps it as long as there is a timer, so that no other one is in its place.
    woken_by: usize,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let woken_by = context.waker().data().addr();
        if self.timer.is_some() && self.woken_by == woken_by && self.shared.now() < self.at {
            // Whoever is to be woken will be: a sleep is asked again and again beside other things.
            return Poll::Pending;
        }
        self.woken_by = woken_by;
        let timer = self.timer.take();
        let mut table = self.shared.table.lock();
        let old = timer.and_then(|key| table.remove_timer(key));
        let ready = table.now() >= self.at;
        let timer =
            if ready { None } else { table.add_timer(self.process, self.at, context.waker().clone()) };
        drop(table);
        self.timer = timer;
        drop(old);
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.timer else { return };
        let old = self.shared.table.lock().remove_timer(key);
        drop(old);
    }
}
