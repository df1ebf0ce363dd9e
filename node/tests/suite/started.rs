//! A node on a directory of this machine, and who asks it.

use std::{path::Path, sync::Arc};

use highwater_engine::disk::RealDisk;
use highwater_env::{Env, TokioEnv};
use highwater_metadata::config::{BrokerConfig, Settings};
use highwater_node::{Endpoint, Node, NodeParts, request::Caller};
use highwater_tiering::bucket::{SharedBucket, file::FileBucket};

/// A node with its data below `root` and these settings; a setting that it does not use is a mistake of the test.
pub(super) async fn start(
    env: &Arc<TokioEnv>,
    root: &Path,
    bucket: Option<SharedBucket>,
    given: &[(&str, &str)],
) -> Arc<Node> {
    let mut settings = Settings::new();
    settings.give("log.dirs", root.join("data").to_str().unwrap()).unwrap();
    for (key, value) in given {
        assert!(settings.give(key, value).unwrap(), "{key} is not used");
    }
    Node::start(NodeParts {
        env: env.clone(),
        disk: Arc::new(RealDisk),
        bucket,
        config: Arc::new(BrokerConfig::new(settings).unwrap()),
        endpoint: Endpoint { host: "127.0.0.1".into(), port: 9092 },
    })
    .await
    .unwrap()
}

/// The bucket in a directory below `root`.
pub(super) async fn bucket(env: &Arc<TokioEnv>, root: &Path) -> SharedBucket {
    let env: Arc<dyn Env> = env.clone();
    Arc::new(FileBucket::open(env, Arc::new(RealDisk), root.join("bucket")).await.unwrap())
}

pub(super) fn caller() -> Caller {
    Caller { client_id: "test".into(), address: "127.0.0.1:1".into() }
}
