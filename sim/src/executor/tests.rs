use std::{sync::Arc, time::Duration};

use highwater_env::{BoxFuture, Env, EnvExt, Lane};
use parking_lot::Mutex;

use super::*;
use crate::random::Random;

type Log = Arc<Mutex<Vec<String>>>;

fn start(env: &Arc<SimEnv>, task: impl Future<Output = ()> + Send + 'static) {
    let task: BoxFuture<'static, ()> = Box::pin(task);
    env.spawn(Lane::Control, task);
}

/// Tasks that draw, sleep, block and start others; returns the trace's hash and what they said.
fn busy(seed: u64) -> (u64, Vec<String>) {
    let executor = Executor::new(seed, Trace::hashed());
    let log = Log::default();
    let env = executor.process("busy");
    for number in 0..20u64 {
        let (env_of, log) = (env.clone(), log.clone());
        start(&env, async move {
            for round in 0..10 {
                match env_of.random() % 3 {
                    0 => env_of.sleep(Duration::from_micros(env_of.random() % 50)).await,
                    1 => {
                        let inside = log.clone();
                        let work = move || inside.lock().push(format!("{number} blocks in {round}"));
                        let _ = env_of.run_blocking(Lane::Commit, work).await;
                    }
                    _ => {
                        let inside = log.clone();
                        start(&env_of, async move { inside.lock().push(format!("child of {number}")) });
                    }
                }
                log.lock().push(format!("{number} at {:?}", env_of.now()));
            }
        });
    }
    executor.run_until(u64::MAX);
    (executor.trace(Trace::hash), log.lock().clone())
}

#[test]
fn one_seed_is_one_trace_and_another_seed_another() {
    assert_eq!(busy(11), busy(11));
    assert_ne!(busy(11).0, busy(12).0);
    assert_ne!(busy(11).1, busy(12).1);
}

#[test]
fn every_order_of_ready_tasks_comes_up() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let executor = Executor::new(seed, Trace::hashed());
        let env = executor.process("order");
        let log = Log::default();
        for name in ["a", "b", "c"] {
            let log = log.clone();
            start(&env, async move { log.lock().push(name.into()) });
        }
        executor.run_until(0);
        seen.insert(log.lock().concat());
    }
    assert_eq!(seen.len(), 6);
}

#[test]
fn time_moves_only_as_far_as_it_must() {
    let executor = Executor::new(1, Trace::hashed());
    let env = executor.process("clock");
    let slept = Arc::new(Mutex::new(None));
    let (inside, report) = (env.clone(), slept.clone());
    start(&env, async move {
        inside.sleep(Duration::from_secs(3600)).await;
        *report.lock() = Some(inside.now());
    });
    executor.run_until(3_599_000_000_000);
    assert_eq!((*slept.lock(), executor.now()), (None, 3_599_000_000_000));
    assert_eq!(executor.step(3_599_000_000_000), Err(Idle));
    executor.run_until(u64::MAX - 1);
    let woke = slept.lock().expect("the sleep ends").as_nanos();
    assert!((3_600_000_000_000..3_600_001_000_000).contains(&woke), "woke at {woke}");
}

#[test]
fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
    let executor = Executor::new(1, Trace::hashed());
    let env = executor.process("clock");
    let (wall, now) = (env.wall_ms(), env.now());
    executor.jump_wall(-86_400_000);
    assert_eq!((env.wall_ms(), env.now()), (wall - 86_400_000, now));
}

#[test]
fn others_run_before_during_and_after_a_blocking_closure_completes() {
    // What falls between the start, the run and the completion of blocking work depends on the seed; all of
    // the interesting orders must come up.
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let executor = Executor::new(seed, Trace::hashed());
        let env = executor.process("blocking");
        let log = Log::default();
        let (inside, ran, ended) = (env.clone(), log.clone(), log.clone());
        start(&env, async move {
            let _ = inside.run_blocking(Lane::Commit, move || ran.lock().push("run".into())).await;
            ended.lock().push("done".into());
        });
        let (inside, other) = (env.clone(), log.clone());
        start(&env, async move {
            inside.sleep(Duration::from_micros(400)).await;
            other.lock().push("other".into());
        });
        executor.run_until(u64::MAX);
        seen.insert(log.lock().join(" "));
    }
    let expected = ["other run done", "run done other", "run other done"];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn blocking_work_runs_even_if_nobody_waits_for_it() {
    let executor = Executor::new(3, Trace::hashed());
    let env = executor.process("careless");
    let log = Log::default();
    let inside = log.clone();
    drop(env.run_blocking(Lane::Background, move || inside.lock().push("ran".into())));
    executor.run_until(u64::MAX);
    assert_eq!(*log.lock(), ["ran"]);
}

struct Says(Log, Arc<SimEnv>);

impl Drop for Says {
    fn drop(&mut self) {
        self.0.lock().push("dropped".into());
        // What a destructor starts in a process that is gone never runs.
        let log = self.0.clone();
        start(&self.1, async move { log.lock().push("from the grave".into()) });
        drop(self.1.run_blocking(Lane::Control, || ()));
    }
}

#[test]
fn a_killed_process_loses_tasks_timers_and_work_and_others_go_on() {
    for seed in 0..50 {
        let executor = Executor::new(seed, Trace::hashed());
        let (victim, other) = (executor.process("victim"), executor.process("other"));
        let log = Log::default();
        let says = Says(log.clone(), victim.clone());
        let (inside, ran) = (victim.clone(), log.clone());
        start(&victim, async move {
            let _says = says;
            let work = move || ran.lock().push("worked".into());
            let _ = inside.run_blocking(Lane::Commit, work).await;
            inside.sleep(Duration::from_secs(1)).await;
        });
        let (inside, survivor) = (other.clone(), log.clone());
        start(&other, async move {
            inside.sleep(Duration::from_secs(2)).await;
            survivor.lock().push("survived".into());
        });
        let instant = Random::new(seed).below(2_000_000);
        executor.run_until(instant);
        executor.kill(victim.id());
        let before = log.lock().clone();
        assert_eq!(before.last().map(String::as_str), Some("dropped"));
        executor.run_until(u64::MAX);
        assert_eq!(log.lock()[before.len()..], ["survived"]);
    }
}

#[test]
fn dropping_the_executor_drops_everything_in_it() {
    let log = Log::default();
    let executor = Executor::new(9, Trace::hashed());
    let env = executor.process("left over");
    let says = Says(log.clone(), env.clone());
    let inside = env.clone();
    start(&env, async move {
        let _says = says;
        inside.sleep(Duration::from_secs(1)).await;
    });
    executor.run_until(1000);
    drop(executor);
    assert_eq!(*log.lock(), ["dropped"]);
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_panic_of_blocking_work_ends_the_run() {
    let executor = Executor::new(3, Trace::hashed());
    let env = executor.process("faulty");
    drop(env.run_blocking(Lane::Background, || panic!("on purpose")));
    executor.run_until(u64::MAX);
}

#[test]
fn slow_disks_take_longer() {
    let executor = Executor::new(5, Trace::hashed());
    let env = executor.process("slow");
    executor.set_blocking_cost(
        env.id(),
        BlockingCost { min_nanos: 5_000_000_000, usual_nanos: 5_000_000_000, rare_nanos: 5_000_000_000 },
    );
    let ended = Arc::new(Mutex::new(None));
    let (inside, report) = (env.clone(), ended.clone());
    start(&env, async move {
        let _ = inside.run_blocking(Lane::Commit, || ()).await;
        *report.lock() = Some(inside.now().as_nanos() / 1_000_000_000);
    });
    executor.run_until(u64::MAX);
    assert_eq!(*ended.lock(), Some(5));
}
