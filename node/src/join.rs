//! Starting as a member of a cluster.

use std::{path::Path, sync::Arc};

use highwater_engine::disk::{Disk, Open};
use highwater_env::{BoxFuture, Lane};
use highwater_metadata::{Broker, Endpoint as ListenerEndpoint, MetadataLog, decide::Rules};
use highwater_records::TopicId;

use crate::{
    ClusterParts, Node, NodeParts, StartError,
    cluster::Cluster,
    controller::Controller,
    first_of::{First, first_of},
    peers::MetadataSource,
    replicate::{AskController, ForwardingLog, Membership, TailingLog, register},
    start::{Opened, open_directory, open_tier},
    tasks::Tasks,
};

impl Node {
    /// Like [`Node::start`], as one broker of a cluster: catches up with the metadata log, registers with the controller
    /// (which may be this broker) and starts to replicate. Returns when the registration is in force; the broker takes
    /// part once the controller has heard that it has caught up.
    ///
    /// Waits for as long as there is no controller.
    ///
    /// # Panics
    /// If it is to follow others and they are none.
    ///
    /// # Errors
    /// [`StartError`]; the directories are released again. A directory of another cluster or broker is refused, and so is
    /// a broker that the cluster refuses.
    pub fn start_in_cluster(
        parts: NodeParts,
        cluster_parts: ClusterParts,
    ) -> BoxFuture<'static, Result<Arc<Node>, StartError>> {
        Box::pin(async move {
            let NodeParts { env, disk, bucket, config, endpoint } = parts;
            let broker = config.node_id;
            let membership = Arc::new(Membership::new(env.clone(), broker, &cluster_parts));
            let log: Arc<dyn MetadataLog> = match cluster_parts.metadata {
                MetadataSource::Log(log) => log,
                MetadataSource::Tail(voters) => Arc::new(TailingLog::new(membership.clone(), voters)),
            };
            let log = ForwardingLog { log, membership: membership.clone() };
            let member = (membership.clone(), cluster_parts.records_kept);
            let cluster = Arc::new(Cluster::new(Arc::new(log), Some(member)));
            let tasks = Tasks::default();
            tasks.spawn(&env, Lane::Control, cluster.clone().follow());
            // Until there is a node this broker's share in deciding goes on beside its start: the first controller of all
            // names the cluster, and registers itself.
            let controller =
                Controller { membership: &membership, cluster: &cluster, rules: Rules::of(&config) };
            let joining = async {
                let cluster_id = cluster.wait_named().await;
                let (directory, report) = open_directory(&env, &disk, &config, broker, &cluster_id).await?;
                let confirm = AskController {
                    membership: membership.clone(),
                    cluster: cluster.clone(),
                    rules: Rules::of(&config),
                };
                let tier = open_tier(&env, bucket, &cluster_id, Some(Arc::new(confirm))).await?;
                let identity = directory_id(&*disk, Path::new(&config.log_dir))
                    .ok_or_else(|| StartError::Directory("the data directory has no identity".into()))?;
                let properties = Broker {
                    endpoints: vec![ListenerEndpoint {
                        listener: "PLAINTEXT".into(),
                        host: endpoint.host.clone(),
                        port: endpoint.port,
                    }],
                    rack: config.rack.clone(),
                };
                let identity = *identity.as_bytes();
                register(&controller, identity, cluster_id, properties, report.clean)
                    .await
                    .map_err(|error| StartError::Metadata(error.to_string()))?;
                let opened = Opened {
                    env: env.clone(),
                    disk: disk.clone(),
                    tier,
                    config: config.clone(),
                    cluster: cluster.clone(),
                    directory,
                    clean: report.clean,
                    metadata: None,
                    membership: Some(membership.clone()),
                    tasks,
                };
                Ok(opened.serve())
            };
            let node = match first_of(joining, controller.run()).await {
                First::Left(Ok(node)) => node,
                First::Left(Err(error)) => {
                    cluster.end();
                    return Err(error);
                }
                First::Right(never) => match never {},
            };
            let spawn = |task| node.tasks.spawn(&node.env, Lane::Control, task);
            spawn(Box::pin(node.clone().control(membership.clone())) as highwater_env::BoxFuture<'static, ()>);
            spawn(Box::pin(node.clone().follow_image(membership.clone())));
            spawn(Box::pin(node.clone().send_heartbeats(membership.clone())));
            spawn(Box::pin(node.clone().propose_isr(membership.clone())));
            spawn(Box::pin(node.clone().watch_isr(membership)));
            Ok(node)
        })
    }
}

/// The identity of a data directory, as its `meta.properties` says.
fn directory_id(disk: &dyn Disk, path: &Path) -> Option<TopicId> {
    let file = disk.open(&path.join("meta.properties"), Open::Read).ok()?;
    let mut bytes = vec![0; usize::try_from(file.len().ok()?).ok()?.min(1 << 16)];
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], read as u64).ok()? {
            0 => break,
            count => read += count,
        }
    }
    let text = std::str::from_utf8(&bytes[..read]).ok()?;
    text.lines().find_map(|line| line.strip_prefix("directory.id="))?.trim().parse().ok()
}
