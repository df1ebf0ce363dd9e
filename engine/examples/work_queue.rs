//! A crash-safe work queue: jobs in one log, what is done in another. Whatever happens between the two, no job is lost;
//! one that was being worked on when the power went is done again, and what follows from a job is there exactly once: it is
//! appended together with the note that the job is done.
//!
//! `cargo run -p highwater-engine --example work_queue`

use std::{collections::BTreeSet, error::Error, path::Path};

use highwater_engine::embed::{Batches, Logs, Record, SharedLog, Tail};
use highwater_records::Offset;

struct Queue {
    jobs: SharedLog,
    /// One record per job that is done: its offset in `jobs`, in decimal.
    done: SharedLog,
    tail: Tail,
    /// Of the jobs that `tail` gives, these were done before the last stop.
    done_before: BTreeSet<u64>,
}

impl Queue {
    fn open(logs: &Logs) -> Result<Queue, Box<dyn Error>> {
        let (jobs, done) = (logs.log("jobs")?, logs.log("jobs-done")?);
        let first = jobs.snapshot()?.start();
        let mut done_before = BTreeSet::new();
        for record in done.snapshot()?.records() {
            let offset = record?.text().and_then(|text| text.parse().ok()).ok_or("not an offset")?;
            if offset >= first.get() {
                done_before.insert(offset);
            }
        }
        let tail = jobs.tail(first);
        Ok(Queue { jobs, done, tail, done_before })
    }

    /// Durable when it returns.
    fn submit(&self, job: &str) -> Result<(), Box<dyn Error>> {
        self.jobs.append(job)?;
        Ok(())
    }

    /// The next job that is not done, if there is one. (`self.tail.next()` would wait for one.)
    fn take(&mut self) -> Result<Option<Record>, Box<dyn Error>> {
        while let Some(job) = self.tail.try_next().transpose()? {
            if !self.done_before.remove(&job.offset.get()) {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// The job is not given again, whatever happens from now on, and its successor, if it has one, is: both or neither.
    fn finish(&mut self, job: &Record, next: Option<&str>) -> Result<(), Box<dyn Error>> {
        let mut batches = Batches::new();
        batches.append(&self.done, &job.offset.to_string())?;
        if let Some(next) = next {
            batches.append(&self.jobs, next)?;
        }
        batches.commit()?;
        Ok(())
    }

    /// Lets go of what is done: of both logs whatever lies below the oldest job that is not.
    fn shrink(&self, logs: &Logs, all_done_below: Offset) -> Result<(), Box<dyn Error>> {
        self.jobs.delete_before(all_done_below)?;
        logs.maintain()?;
        Ok(())
    }
}

fn run(directory: &Path) -> Result<(), Box<dyn Error>> {
    let logs = Logs::open(directory)?;
    let mut queue = Queue::open(&logs)?;
    for n in 0..10 {
        queue.submit(&format!("job {n}"))?;
    }
    for n in 0..4 {
        let job = queue.take()?.ok_or("there are ten")?;
        queue.finish(&job, (n == 0).then_some("what follows from job 0"))?;
    }
    let interrupted = queue.take()?.ok_or("there are six more")?;
    // No close: as good as a crash.
    drop((queue, logs));

    let logs = Logs::open(directory)?;
    let mut queue = Queue::open(&logs)?;
    let mut left = Vec::new();
    while let Some(job) = queue.take()? {
        queue.finish(&job, None)?;
        left.push(job.text().unwrap_or_default().to_owned());
    }
    println!("{:?} was interrupted; after the restart: {left:?}", interrupted.text());
    let expected = (4..10).map(|n| format!("job {n}")).chain(["what follows from job 0".to_owned()]);
    assert_eq!(left, expected.collect::<Vec<_>>());
    queue.shrink(&logs, queue.tail.next_offset())?;
    assert!(queue.jobs.snapshot()?.is_empty());
    logs.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(tempfile::tempdir()?.path())
}

#[test]
fn it_runs() {
    run(tempfile::tempdir().unwrap().path()).unwrap();
}
