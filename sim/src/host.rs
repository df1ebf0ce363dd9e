use std::sync::Arc;

use highwater_engine::disk::memory::{Loss, MemoryDisk};
use highwater_env::{Env, Lane};
use parking_lot::Mutex;

use crate::{
    broker::{Broker, System},
    executor::{ProcessId, SimEnv},
    history::{Event, Stop},
    world::World,
};

/// A machine: a disk, and at most one broker process at a time.
pub struct Host {
    world: Arc<World>,
    system: Arc<dyn System>,
    disk: MemoryDisk,
    running: Option<Arc<SimEnv>>,
    progress: Arc<Mutex<Progress>>,
}

/// What the broker process reports to whoever drives the machine.
#[derive(Default)]
struct Progress {
    state: State,
    /// Why it did not start or did not stop, the last time.
    failure: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Starting,
    Serving,
    Stopping,
    Ended,
}

impl Host {
    /// A machine that is off.
    pub fn new(world: Arc<World>, system: Arc<dyn System>, disk: MemoryDisk) -> Host {
        world.look_into(system.clone());
        Host { world, system, disk, running: None, progress: Arc::default() }
    }

    /// The disk.
    pub fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// The process that runs, if one does.
    pub fn process(&self) -> Option<ProcessId> {
        self.running.as_ref().map(|env| env.id())
    }

    /// Whether a broker serves.
    pub fn is_serving(&self) -> bool {
        self.running.is_some() && self.progress.lock().state == State::Serving
    }

    /// Whether the broker's process has come to an end by itself, cleanly or because it could not start.
    pub fn has_ended(&self) -> bool {
        self.running.is_some() && self.progress.lock().state == State::Ended
    }

    /// Why the process ended, if not cleanly.
    pub fn failure(&self) -> Option<String> {
        self.progress.lock().failure.clone()
    }

    /// Starts a broker. Returns at once: it serves when it has recovered.
    pub fn boot(&mut self) {
        assert!(self.running.is_none(), "one process at a time");
        let env = self.world.executor.process("broker");
        self.world.executor.note(&[10], || "the broker starts".to_owned());
        self.disk.set_time(self.world.executor.wall_ms());
        self.progress = Arc::default();
        let (world, progress, system, inside) =
            (self.world.clone(), self.progress.clone(), self.system.clone(), env.clone());
        let task = async move {
            match system.boot(inside.clone()).await {
                Ok(broker) => {
                    world.executor.note(&[11], || "the broker serves".to_owned());
                    world.stats.progress("broker starts");
                    progress.lock().state = State::Serving;
                    world.connect(Some((inside, broker)));
                }
                Err(why) => {
                    world.executor.note(&[12], || format!("the broker does not start: {why}"));
                    world.stats.count("broker starts that failed");
                    *progress.lock() = Progress { state: State::Ended, failure: Some(why) };
                }
            }
        };
        env.spawn(Lane::Control, Box::pin(task));
        self.running = Some(env);
    }

    /// Asks the broker to stop. It has when [`Host::has_ended`]; then it is to be taken down.
    pub fn ask_to_stop(&self) {
        let (Some(env), Some(broker)) = (&self.running, self.world.broker()) else { return };
        self.progress.lock().state = State::Stopping;
        let (world, progress) = (self.world.clone(), self.progress.clone());
        self.world.executor.note(&[14], || "the broker is asked to stop".to_owned());
        let task = async move {
            let stopped = broker.stop().await;
            world.connect(None);
            world.executor.note(&[15], || format!("the broker has stopped: {stopped:?}"));
            *progress.lock() = Progress { state: State::Ended, failure: stopped.err() };
        };
        env.spawn(Lane::Control, Box::pin(task));
    }

    /// The process is gone, at this instant; `loss` says what the disk loses, if the machine goes too. What is left is
    /// looked at.
    pub fn take_down(&mut self, loss: Option<Loss>) {
        let Some(env) = self.running.take() else { return };
        let clean = {
            let progress = self.progress.lock();
            progress.state == State::Ended && progress.failure.is_none()
        };
        self.world.connect(None);
        match loss {
            Some(loss) => self.disk.crash_with(loss),
            None => self.disk.kill(),
        }
        self.world.executor.kill(env.id());
        let how = match loss {
            _ if clean => Stop::Clean,
            Some(_) => Stop::Power,
            None => Stop::Process,
        };
        self.world.event(&Event::Stopped { how });
        self.system.inspect(&self.world, how);
    }
}

impl World {
    /// The broker that requests go to.
    fn broker(&self) -> Option<Arc<dyn Broker>> {
        self.line().map(|(_, broker)| broker)
    }
}
