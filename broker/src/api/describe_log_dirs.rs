//! DescribeLogDirs: the data directory and what lies in it.

use super::{Decoded, reply};
use crate::server::Reply;
use highwater_node::request::{LogDirectory, LogSize};
use highwater_wire::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeLogDirsResult,
    DescribeLogDirsTopic,
};
use std::collections::BTreeMap;

pub(super) async fn answer(call: Decoded<DescribeLogDirsRequest>) -> Reply {
    let Decoded { node, caller, start, request } = call;
    let asked = request.topics.map(|topics| {
        let mut asked: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for topic in topics {
            asked.entry(topic.topic).or_default().extend(topic.partitions);
        }
        asked
    });
    let directory = node.describe_log_directory(&caller, asked).await;
    let results = vec![result(directory)];
    reply(start, &DescribeLogDirsResponse { results, ..DescribeLogDirsResponse::default() })
}

fn result(directory: LogDirectory) -> DescribeLogDirsResult {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (total_bytes, usable_bytes) =
        directory.space.map_or((-1, -1), |(total, usable)| (bytes(total), bytes(usable)));
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for LogSize { topic, partition, bytes: size } in directory.logs {
        let log = DescribeLogDirsPartition {
            partition_index: partition,
            partition_size: bytes(size),
            ..DescribeLogDirsPartition::default()
        };
        match topics.last_mut() {
            Some(last) if last.name == topic => last.partitions.push(log),
            _ => topics.push(DescribeLogDirsTopic { name: topic, partitions: vec![log] }),
        }
    }
    DescribeLogDirsResult {
        // Clients on other machines look at it too, so it does not depend on where this process was started.
        log_dir: std::path::absolute(&directory.path)
            .map_or(directory.path, |path| path.to_string_lossy().into_owned()),
        topics,
        total_bytes,
        usable_bytes,
        ..DescribeLogDirsResult::default()
    }
}
