//! The local metadata log passes the suite of every metadata log, on a disk that loses what was not synced.

use std::{path::Path, sync::Arc};

use highwater_engine::disk::memory::MemoryDisk;
use highwater_env::{Env, TokioEnv};
use highwater_metadata::{BoxFuture, MetadataLog, conformance};
use highwater_records::BrokerId;

use super::LocalMetadataLog;

struct Subject {
    env: Arc<TokioEnv>,
    disk: Arc<MemoryDisk>,
    log: Option<Arc<LocalMetadataLog>>,
    crashes: u64,
}

impl Subject {
    fn open(&self) -> Arc<LocalMetadataLog> {
        let env: Arc<dyn Env> = self.env.clone();
        Arc::new(LocalMetadataLog::open(env, self.disk.clone(), Path::new("/metadata"), BrokerId(1)).unwrap())
    }
}

impl conformance::Subject for Subject {
    fn log(&self) -> Arc<dyn MetadataLog> {
        self.log.clone().unwrap()
    }

    fn restart(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.crashes += 1;
            self.log = None;
            self.disk.crash(self.crashes);
            self.log = Some(self.open());
        })
    }
}

#[test]
fn entries_survive_the_loss_of_everything_that_was_not_synced() {
    let env = Arc::new(TokioEnv::start().unwrap());
    let mut subject = Subject { env: env.clone(), disk: Arc::new(MemoryDisk::new()), log: None, crashes: 0 };
    subject.log = Some(subject.open());
    env.connections().block_on(conformance::run(&mut subject));
}
