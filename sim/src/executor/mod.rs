//! One thread, one seed: tasks, timers and blocking work of any number of processes, in an order that the seed
//! decides.

mod env;
mod queue;
mod table;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
};

use parking_lot::{Mutex, MutexGuard};

pub use env::SimEnv;
pub use table::{BlockingCost, ProcessId};

use crate::{random::Random, trace::Trace};
use table::{Event, Table, Task, TaskId};

/// The seeded executor.
///
/// It is driven from outside: [`Executor::step`] does one thing (a poll of one ready task, or the next event in
/// time) and returns, so that a driver may look at the world, and break it, between any two steps. Processes are
/// made with [`Executor::process`]; [`Executor::kill`] drops everything of one at that instant.
pub struct Executor {
    shared: Arc<Shared>,
}

/// Why [`Executor::step`] did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle;

struct Shared {
    table: Mutex<Table>,
    // What is asked for more often than anything else.
    now: Arc<AtomicU64>,
    ready: Arc<Ready>,
}

/// Tasks that are to be polled. Apart from the table, so that a waker may be used wherever it is dropped or called.
#[derive(Default)]
struct Ready {
    tasks: Mutex<Vec<Arc<TaskWaker>>>,
}

impl Executor {
    /// An executor at time zero, with no processes.
    pub fn new(seed: u64, trace: Trace) -> Executor {
        let now = Arc::new(AtomicU64::new(0));
        let table = Table::new(Random::new(seed).fork("executor"), trace, now.clone());
        Executor { shared: Arc::new(Shared { table: Mutex::new(table), now, ready: Arc::default() }) }
    }

    /// A new process: the environment for its tasks.
    pub fn process(&self, name: &str) -> Arc<SimEnv> {
        let id = self.table().new_process(name);
        Arc::new(SimEnv::new(self.shared.clone(), id))
    }

    /// Ends a process between two steps: its tasks are dropped, its blocking work that has not run never will,
    /// and whatever its destructors still try to start is not started.
    pub fn kill(&self, process: ProcessId) {
        let dropped = self.table().kill(process);
        // Destructors may come back to the table.
        drop(dropped);
    }

    /// Stands a process still until `until` (nanoseconds), as a stopped or swapped-out one: what it would have done
    /// happens then.
    pub fn pause(&self, process: ProcessId, until: u64) {
        self.table().pause(process, until);
    }

    /// Ends every process. Tasks that hold what holds this executor keep it alive until then.
    pub fn shut_down(&self) {
        let everything = self.table().kill_all();
        drop(everything);
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.shared.now()
    }

    /// How many steps were made.
    pub fn steps(&self) -> u64 {
        self.table().steps
    }

    /// Moves the wall clock against monotonic time, for every process.
    pub fn jump_wall(&self, by_ms: i64) {
        let mut table = self.table();
        table.wall_offset_ms = table.wall_offset_ms.saturating_add(by_ms);
        table.trace.count(&[by_ms as u64]);
    }

    /// The wall clock.
    pub fn wall_ms(&self) -> i64 {
        self.table().wall_ms()
    }

    /// How far the wall clock of `process` is ahead of the others' from now on.
    pub fn set_skew(&self, process: ProcessId, skew_ms: i64) {
        self.table().set_skew(process, skew_ms);
    }

    /// How long blocking work of `process` takes from now on.
    pub fn set_blocking_cost(&self, process: ProcessId, cost: BlockingCost) {
        self.table().set_blocking_cost(process, cost);
    }

    /// How late tasks of `process` may begin from now on, in nanoseconds: some of those that are spawned stand in a queue
    /// for up to this long, as where all threads are busy. Zero is never late.
    pub fn set_late_starts(&self, process: ProcessId, most_nanos: u64) {
        self.table().set_late_starts(process, most_nanos);
    }

    /// Adds a line to the trace; see [`Trace::note`].
    pub fn note(&self, words: &[u64], line: impl FnOnce() -> String) {
        let mut table = self.table();
        let now = table.now();
        table.trace.note(now, words, line);
    }

    /// Looks at the trace.
    pub fn trace<T>(&self, look: impl FnOnce(&Trace) -> T) -> T {
        look(&self.table().trace)
    }

    /// Does one thing.
    ///
    /// # Errors
    /// [`Idle`] when no task is ready and nothing will ever happen by itself, or when the next event lies beyond
    /// `until` (nanoseconds); time then stands at `until`.
    ///
    /// # Panics
    /// When a task or blocking work does: in a simulation that is a finding.
    pub fn step(&self, until: u64) -> Result<(), Idle> {
        match self.next(until)? {
            Next::Poll((future, woken)) => self.poll(future, woken),
            Next::Gone => {}
            Next::Event(Event::Wake { waker, .. }) => waker.wake(),
            Next::Event(Event::Run { work, .. }) => work(),
            Next::Event(Event::Finish { done, .. }) => done.finish(),
        }
        Ok(())
    }

    /// Steps until nothing is left to do before `until` nanoseconds.
    pub fn run_until(&self, until: u64) {
        while self.step(until).is_ok() {}
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock()
    }

    /// A random one of the ready tasks, unless there is none or it is an event's turn.
    fn next(&self, until: u64) -> Result<Next, Idle> {
        let mut table = self.table();
        // Events that came due while tasks ran compete with the tasks that are ready.
        if table.prefer_event() {
            return table.next_event(until).map(Next::Event).ok_or(Idle);
        }
        let mut ready = self.shared.ready.tasks.lock();
        while !ready.is_empty() {
            let index = table.schedule.below(ready.len() as u64) as usize;
            let woken = ready.swap_remove(index);
            woken.queued.store(false, Ordering::Relaxed);
            if let Some(until) = table.paused_until(woken.task) {
                table.wake_at(woken.task, until);
            } else if table.is_alive(woken.task) {
                drop(ready);
                let future = table.begin_poll(woken.task);
                return Ok(future.map_or(Next::Gone, |future| Next::Poll((future, woken))));
            }
        }
        drop(ready);
        table.next_event(until).map(Next::Event).ok_or(Idle)
    }

    fn poll(&self, mut future: Task, woken: Arc<TaskWaker>) {
        let task = woken.task;
        let waker = Waker::from(woken);
        let finished = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let dropped = self.table().end_poll(task, future, finished);
        drop(dropped);
    }
}

impl Shared {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// A task that was spawned becomes ready, now or a little later.
    fn start(self: &Arc<Self>, task: TaskId) {
        let mut table = self.table.lock();
        match table.late_start(task) {
            None => {
                let waker = table.waker(task);
                drop(table);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Some(until) => table.wake_at(task, until),
        }
    }
}

/// What a step is.
enum Next {
    Poll((Task, Arc<TaskWaker>)),
    Event(Event),
    /// A task that is being polled already.
    Gone,
}

/// Wakes one task, however often and from wherever: there is one for each task. Only one thread ever does.
struct TaskWaker {
    task: TaskId,
    /// Whether it is among those that are ready.
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.load(Ordering::Relaxed) {
            self.queued.store(true, Ordering::Relaxed);
            self.ready.tasks.lock().push(self.clone());
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Tasks hold environments and those hold the table, and what is ready holds the list of it: break the circles.
        let everything = self.table().kill_all();
        drop(everything);
        let ready = std::mem::take(&mut *self.shared.ready.tasks.lock());
        drop(ready);
    }
}
