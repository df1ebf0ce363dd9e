use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Poll, Waker},
};

use highwater_env::{BoxFuture, Lane};
use parking_lot::Mutex;

use super::{
    TaskWaker,
    queue::{Key, Queue},
};
use crate::{random::Random, trace::Trace};

/// A process in the simulation: one incarnation of a broker, or the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub(super) u64);

impl ProcessId {
    /// A number that no other process of the run has.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// A task: a number that no other one has, and where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskId {
    number: u64,
    slot: usize,
}

pub(super) type Work = Box<dyn FnOnce() + Send>;
pub(super) type Task = BoxFuture<'static, ()>;

/// How long blocking work takes: its closure runs at a seeded instant within this time and completes at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockingCost {
    /// At least this many nanoseconds.
    pub min_nanos: u64,
    /// At most this many, most of the time.
    pub usual_nanos: u64,
    /// At most this many, once in a while.
    pub rare_nanos: u64,
}

impl Default for BlockingCost {
    fn default() -> BlockingCost {
        BlockingCost { min_nanos: 20_000, usual_nanos: 1_000_000, rare_nanos: 30_000_000 }
    }
}

impl BlockingCost {
    const RARELY: u64 = 64;

    fn draw(self, random: &mut Random) -> u64 {
        let most = if random.chance(1, Self::RARELY) { self.rare_nanos } else { self.usual_nanos };
        random.between(self.min_nanos, most.max(self.min_nanos))
    }
}

/// What happens at an instant.
pub(super) enum Event {
    /// A timer ends.
    Wake { process: ProcessId, waker: Waker },
    /// Blocking work runs, all of it at this instant; or a message arrives.
    Run { process: ProcessId, work: Work },
    /// Blocking work completes.
    Finish { process: ProcessId, done: Arc<Done> },
}

impl Event {
    fn process(&self) -> ProcessId {
        match self {
            Event::Wake { process, .. } | Event::Run { process, .. } | Event::Finish { process, .. } => {
                *process
            }
        }
    }

    fn code(&self) -> u64 {
        match self {
            Event::Wake { .. } => 1,
            Event::Run { .. } => 2,
            Event::Finish { .. } => 3,
        }
    }
}

/// Completion of blocking work.
#[derive(Default)]
pub(super) struct Done {
    state: Mutex<(bool, Option<Waker>)>,
}

impl Done {
    pub(super) fn finish(&self) {
        let waker = {
            let mut state = self.state.lock();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state.lock();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(waker.clone());
        Poll::Pending
    }
}

/// Names an event.
pub(super) type EventKey = Key;

struct Process {
    random: Random,
    cost: BlockingCost,
    /// It stands still until then.
    paused_until: u64,
    /// How far its wall clock is ahead of the others'.
    skew_ms: i64,
    /// How late its tasks may begin.
    late_nanos: u64,
}

struct TaskEntry {
    number: u64,
    process: ProcessId,
    lane: Lane,
    /// `None` while it is polled.
    future: Option<Task>,
    waker: Arc<TaskWaker>,
}

/// Everything the executor knows. Nothing in here calls out: what may run foreign code (futures, closures,
/// wakers, their destructors) is handed to the caller, who has let go of the lock.
pub(super) struct Table {
    now: u64,
    /// The same, for whoever only looks at the clock.
    clock: Arc<AtomicU64>,
    pub(super) wall_offset_ms: i64,
    pub(super) steps: u64,
    pub(super) schedule: Random,
    pub(super) trace: Trace,
    seed: Random,
    processes: BTreeMap<ProcessId, Process>,
    tasks: Vec<Option<TaskEntry>>,
    /// Where there is no task in `tasks`.
    free: Vec<usize>,
    /// No process stands still any longer than until then.
    paused_max: u64,
    events: Queue<Event>,
    next_id: u64,
}

/// 2026-01-01T00:00:00Z, so that times in transcripts look like times.
const WALL_START_MS: i64 = 1_767_225_600_000;

/// Of so many tasks one begins late, where any do.
const LATE_ONE_IN: u64 = 8;

/// What a poll costs in simulated time, at most.
const POLL_MAX_NANOS: u64 = 5_000;

impl Table {
    pub(super) fn new(seed: Random, trace: Trace, clock: Arc<AtomicU64>) -> Table {
        Table {
            now: 0,
            clock,
            wall_offset_ms: WALL_START_MS,
            steps: 0,
            schedule: seed.fork("schedule"),
            trace,
            seed,
            processes: BTreeMap::new(),
            tasks: Vec::new(),
            free: Vec::new(),
            paused_max: 0,
            events: Queue::new(),
            next_id: 0,
        }
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    fn set_now(&mut self, now: u64) {
        self.now = now;
        self.clock.store(now, Ordering::Relaxed);
    }

    fn task(&self, id: TaskId) -> Option<&TaskEntry> {
        self.tasks.get(id.slot)?.as_ref().filter(|task| task.number == id.number)
    }

    fn task_mut(&mut self, id: TaskId) -> Option<&mut TaskEntry> {
        self.tasks.get_mut(id.slot)?.as_mut().filter(|task| task.number == id.number)
    }

    fn take_slot(&mut self, slot: usize) -> Option<TaskEntry> {
        let taken = self.tasks.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(taken)
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.wall_offset_ms.saturating_add(i64::try_from(self.now / 1_000_000).unwrap_or(i64::MAX))
    }

    /// The wall clock as a process sees it.
    pub(super) fn wall_ms_of(&self, process: ProcessId) -> i64 {
        self.wall_ms().saturating_add(self.processes.get(&process).map_or(0, |process| process.skew_ms))
    }

    pub(super) fn set_skew(&mut self, process: ProcessId, skew_ms: i64) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.skew_ms = skew_ms;
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn new_process(&mut self, name: &str) -> ProcessId {
        let id = ProcessId(self.fresh_id());
        let random = self.seed.fork(&format!("{name}#{}", id.0));
        let cost = BlockingCost::default();
        self.processes.insert(id, Process { random, cost, paused_until: 0, skew_ms: 0, late_nanos: 0 });
        id
    }

    pub(super) fn set_blocking_cost(&mut self, process: ProcessId, cost: BlockingCost) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.cost = cost;
        }
    }

    pub(super) fn set_late_starts(&mut self, process: ProcessId, most_nanos: u64) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.late_nanos = most_nanos;
        }
    }

    /// When a new task begins, if that is not at once.
    pub(super) fn late_start(&mut self, task: TaskId) -> Option<u64> {
        let process = self.task(task)?.process;
        let most = self.processes.get(&process)?.late_nanos;
        let is_late = most > 0 && self.schedule.chance(1, LATE_ONE_IN);
        is_late.then(|| self.now.saturating_add(self.schedule.below(most)))
    }

    pub(super) fn pause(&mut self, process: ProcessId, until: u64) {
        if let Some(process) = self.processes.get_mut(&process) {
            process.paused_until = process.paused_until.max(until);
            self.paused_max = self.paused_max.max(until);
        }
        self.trace.count(&[8, process.0, until]);
    }

    /// Until when the task's process stands still, if it does.
    pub(super) fn paused_until(&self, task: TaskId) -> Option<u64> {
        if self.paused_max <= self.now {
            return None;
        }
        let process = self.task(task)?.process;
        self.processes.get(&process).map(|process| process.paused_until).filter(|until| *until > self.now)
    }

    /// Wakes a task that stands still when it goes on.
    pub(super) fn wake_at(&mut self, task: TaskId, until: u64) {
        let Some((process, waker)) = self.task(task).map(|task| (task.process, task.waker.clone())) else {
            return;
        };
        let waker = Waker::from(waker);
        let id = self.fresh_id();
        self.events.insert(until, id, Event::Wake { process, waker });
    }

    pub(super) fn kill(&mut self, process: ProcessId) -> (Vec<Task>, Vec<Event>) {
        self.processes.remove(&process);
        self.trace.count(&[9, process.0]);
        let of_it = |(slot, task): (usize, &Option<TaskEntry>)| {
            task.as_ref().filter(|task| task.process == process).map(|task| (task.number, slot))
        };
        let mut tasks: Vec<(u64, usize)> = self.tasks.iter().enumerate().filter_map(of_it).collect();
        // They are dropped in the order in which they began.
        tasks.sort_unstable();
        let futures = tasks.iter().filter_map(|(_, slot)| self.take_slot(*slot)?.future).collect();
        (futures, self.events.take_all(|event| event.process() == process))
    }

    pub(super) fn kill_all(&mut self) -> Vec<(Vec<Task>, Vec<Event>)> {
        let processes: Vec<ProcessId> = self.processes.keys().copied().collect();
        processes.into_iter().map(|process| self.kill(process)).collect()
    }

    /// Random bits for a process; a dead one's destructors get zeros.
    pub(super) fn random(&mut self, process: ProcessId) -> u64 {
        self.processes.get_mut(&process).map_or(0, |process| process.random.draw())
    }

    /// Takes a new task of a living process; a dead one's comes back to be dropped.
    pub(super) fn spawn(
        &mut self,
        process: ProcessId,
        lane: Lane,
        future: Task,
        waker: impl FnOnce(TaskId) -> Arc<TaskWaker>,
    ) -> Result<TaskId, Task> {
        if !self.processes.contains_key(&process) {
            return Err(future);
        }
        let slot = self.free.pop().unwrap_or(self.tasks.len());
        if slot == self.tasks.len() {
            self.tasks.push(None);
        }
        let id = TaskId { number: self.fresh_id(), slot };
        let future = Some(future);
        self.tasks[slot] = Some(TaskEntry { number: id.number, process, lane, future, waker: waker(id) });
        Ok(id)
    }

    pub(super) fn is_alive(&self, task: TaskId) -> bool {
        self.task(task).is_some()
    }

    pub(super) fn waker(&self, task: TaskId) -> Option<Arc<TaskWaker>> {
        self.task(task).map(|task| task.waker.clone())
    }

    pub(super) fn begin_poll(&mut self, task: TaskId) -> Option<Task> {
        self.steps += 1;
        let cost = self.schedule.below(POLL_MAX_NANOS);
        self.set_now(self.now + cost);
        let now = self.now;
        let entry = self.task_mut(task)?;
        let future = entry.future.take()?;
        let words = [0, task.number, entry.lane.index() as u64, now];
        self.trace.count(&words);
        Some(future)
    }

    /// Puts a polled task back; one that finished, or whose process died meanwhile, comes back to be dropped.
    pub(super) fn end_poll(&mut self, task: TaskId, future: Task, finished: bool) -> Option<Task> {
        if finished {
            if self.task(task).is_some() {
                self.take_slot(task.slot);
            }
            return Some(future);
        }
        match self.task_mut(task) {
            Some(entry) => {
                entry.future = Some(future);
                None
            }
            None => Some(future),
        }
    }

    pub(super) fn add_timer(&mut self, process: ProcessId, at: u64, waker: Waker) -> Option<EventKey> {
        if !self.processes.contains_key(&process) {
            return None;
        }
        let id = self.fresh_id();
        Some(self.events.insert(at.max(self.now), id, Event::Wake { process, waker }))
    }

    /// Forgets a timer; its waker comes back to be dropped.
    pub(super) fn remove_timer(&mut self, key: EventKey) -> Option<Event> {
        self.events.remove(key)
    }

    /// Arranges for blocking work; that of a dead process comes back to be dropped.
    pub(super) fn add_work(&mut self, process: ProcessId, work: Work, done: Arc<Done>) -> Result<(), Work> {
        let Some(cost) = self.processes.get(&process).map(|process| process.cost) else { return Err(work) };
        let takes = cost.draw(&mut self.schedule);
        let runs_after = self.schedule.between(0, takes);
        let (run, finish) = (self.fresh_id(), self.fresh_id());
        self.events.insert(self.now.saturating_add(runs_after), run, Event::Run { process, work });
        self.events.insert(self.now.saturating_add(takes), finish, Event::Finish { process, done });
        Ok(())
    }

    /// Arranges for something that happens once, after so many nanoseconds; that of a dead process comes back to be
    /// dropped.
    pub(super) fn add_later(&mut self, process: ProcessId, after: u64, work: Work) -> Result<(), Work> {
        if !self.processes.contains_key(&process) {
            return Err(work);
        }
        let id = self.fresh_id();
        self.events.insert(self.now.saturating_add(after), id, Event::Run { process, work });
        Ok(())
    }

    /// Whether the next event is due already and its turn has come.
    pub(super) fn prefer_event(&mut self) -> bool {
        let due = self.events.first().is_some_and(|at| at <= self.now);
        due && self.schedule.chance(1, 2)
    }

    /// The next event, with time moved to it; `None`, with time moved to `until`, if it lies beyond that.
    pub(super) fn next_event(&mut self, until: u64) -> Option<Event> {
        loop {
            match self.events.first() {
                Some(at) if at <= until.max(self.now) => {}
                _ => {
                    self.set_now(self.now.max(until));
                    return None;
                }
            }
            let (at, id, event) = self.events.pop()?;
            let paused = match self.paused_max > self.now.max(at) {
                true => self.processes.get(&event.process()).map_or(0, |process| process.paused_until),
                false => 0,
            };
            if paused > at.max(self.now) {
                self.events.insert(paused, id, event);
                continue;
            }
            self.steps += 1;
            self.set_now(self.now.max(at));
            self.trace.count(&[event.code(), id, self.now]);
            return Some(event);
        }
    }
}
