//! What a cluster costs while little happens: the metadata of 100,000 partitions, and followers of 5,000.
//!
//! `cargo run --release -p highwater-benches --bin cluster`

use std::{
    error::Error,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use highwater_benches::{
    machine::{cpu_seconds, description, resident_mib},
    pair,
};
use highwater_env::{EnvExt, TokioEnv};
use highwater_metadata::{Entry, EntryId, Image, MetadataRecord};
use highwater_node::{
    Node,
    request::{Caller, CreateTopic, Produce, ProducePartition, TopicRef},
};
use highwater_records::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, TimestampMs, TopicId,
    batch::{BatchBuilder, Record},
    compression::Codec,
};
use highwater_replication::Acks;

const PARTITIONS: u32 = 100_000;
const CHANGES: u32 = 20_000;
const FOLLOWED: i32 = 5_000;
const WATCHED: Duration = Duration::from_secs(20);

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}\n", description());
    println!("metadata of {PARTITIONS} partitions, each on three replicas\n");
    println!(
        "| topics | entries | decoded and applied, s | a change of one partition, µs |\n|---|---|---|---|"
    );
    for topics in [10, 1_000, PARTITIONS] {
        metadata(topics)?;
    }
    println!();
    followers()
}

fn topic_id(number: u32) -> TopicId {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    TopicId::from_bytes(id)
}

/// Applies as a broker does: while readers hold the image before.
fn apply(image: &mut Arc<Image>, entry: &Entry) {
    let held = image.clone();
    Arc::make_mut(image).apply(entry);
    drop(held);
}

fn metadata(topics: u32) -> Result<(), Box<dyn Error>> {
    let each = PARTITIONS / topics;
    let mut log = Vec::new();
    let mut last = None;
    let mut next = |records| {
        let id = EntryId::after(last).ok_or("few entries")?;
        let entry = Entry { id, expects: last, records };
        last = Some(id);
        Ok::<_, Box<dyn Error>>(entry)
    };
    for number in 0..topics {
        let topic = topic_id(number);
        let mut records = vec![MetadataRecord::TopicCreated { id: topic, name: format!("topic-{number}") }];
        records.extend((0..each).map(|partition| {
            let replicas: Vec<_> = (0..3).map(|step| BrokerId((number + partition + step) % 30)).collect();
            MetadataRecord::PartitionCreated {
                topic,
                partition: PartitionIndex(partition),
                isr: replicas.clone(),
                leader: replicas.first().copied(),
                replicas,
                leader_epoch: LeaderEpoch(0),
            }
        }));
        log.push(next(records)?.encode());
    }
    let begun = Instant::now();
    let mut image = Arc::new(Image::new());
    for bytes in &log {
        apply(&mut image, &Entry::decode(bytes)?);
    }
    let loaded = begun.elapsed();
    let changes = (0..CHANGES).map(|change| {
        // All over the place, so that no change finds in a cache what the one before it needed.
        let at = (u64::from(change) * 7_919 % u64::from(PARTITIONS)) as u32;
        next(vec![MetadataRecord::PartitionChanged {
            topic: topic_id(at / each),
            partition: PartitionIndex(at % each),
            isr: vec![BrokerId(1), BrokerId(2)],
            leader: Some(BrokerId(2)),
            leader_epoch: LeaderEpoch(change),
            partition_epoch: change,
        }])
    });
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    let begun = Instant::now();
    for change in &changes {
        apply(&mut image, change);
    }
    let change = begun.elapsed().as_secs_f64() * 1e6 / f64::from(CHANGES);
    println!("| {topics} | {} | {:.2} | {change:.1} |", log.len(), loaded.as_secs_f64());
    Ok(())
}

fn caller() -> Caller {
    Caller { client_id: "bench".into(), address: "here".into() }
}

/// Two brokers, one of which follows 5,000 partitions that the other leads: what both use of a core.
fn followers() -> Result<(), Box<dyn Error>> {
    let shm = Path::new("/dev/shm");
    let directory = match shm.is_dir() {
        // What is measured is no disk; making 10,000 logs on one takes minutes.
        true => tempfile::tempdir_in(shm)?,
        false => tempfile::tempdir()?,
    };
    let env = Arc::new(TokioEnv::start()?);
    env.clone().connections().block_on(async {
        let nodes = pair::start(&env, directory.path()).await?;
        let active = |broker: &BrokerId| nodes[0].image().is_active(*broker);
        while ![BrokerId(1), BrokerId(2)].iter().all(active) {
            env.sleep(Duration::from_millis(50)).await;
        }
        println!(
            "two brokers in this process, one leads what the other follows; CPU of both, over {WATCHED:?}\n"
        );
        println!("| partitions | what happens | CPU of a core, % | resident MiB |\n|---|---|---|---|");
        report(&env, 0, "nothing").await?;
        for topic in 0..FOLLOWED / 100 {
            create(&nodes[0], &format!("t-{topic}"), 100).await?;
        }
        all_followed(&env, &nodes).await;
        report(&env, FOLLOWED, "nothing").await?;
        let producing = async {
            loop {
                produce(&nodes[0]).await;
                env.sleep(Duration::from_millis(10)).await;
            }
        };
        let mut producing = std::pin::pin!(producing);
        let mut reporting = std::pin::pin!(report(&env, FOLLOWED, "100 records a second to one, acks=all"));
        std::future::poll_fn(|context| {
            let _: std::task::Poll<()> = producing.as_mut().poll(context);
            reporting.as_mut().poll(context)
        })
        .await?;
        for node in &nodes {
            node.abandon().await;
        }
        Ok(())
    })
}

async fn create(node: &Node, name: &str, partitions: i32) -> Result<(), Box<dyn Error>> {
    let topic = CreateTopic {
        name: name.into(),
        partitions: None,
        replication_factor: None,
        assignments: (0..partitions).map(|partition| (partition, vec![1, 2])).collect(),
        configs: Vec::from([("highwater.durability".into(), Some("replicated".into()))]),
    };
    node.create_topics(&caller(), vec![topic], false).await.remove(0)?;
    Ok(())
}

/// Waits until the follower has every replica, and its leader has heard of each.
async fn all_followed(env: &TokioEnv, nodes: &[Arc<Node>; 2]) {
    loop {
        let image = nodes[0].image();
        let mut left = 0;
        for topic in image.topics() {
            for (partition, _) in topic.numbered() {
                let at = highwater_records::TopicIdPartition { topic_id: topic.id, partition };
                left += usize::from(nodes.iter().any(|node| node.replica(at).is_none()));
            }
        }
        if left == 0 {
            // What was made is written down by and by.
            return env.sleep(Duration::from_secs(5)).await;
        }
        env.sleep(Duration::from_millis(200)).await;
    }
}

async fn produce(node: &Node) {
    let mut builder = BatchBuilder::new(Codec::None);
    let record = Record { timestamp: TimestampMs(1), key: None, value: Some(&[7; 100]), headers: &[] };
    if builder.push(record).is_err() {
        return;
    }
    let Ok(records) = builder.build(Offset::ZERO, None) else { return };
    let request = Produce {
        acks: Acks::All,
        timeout: Duration::from_secs(30),
        transactional: false,
        partitions: vec![ProducePartition { topic: TopicRef::Name("t-0".into()), partition: 0, records }],
    };
    for answer in node.produce(&caller(), request).await.wait().await {
        if let Err(error) = answer {
            println!("not taken: {error}");
        }
    }
}

async fn report(env: &TokioEnv, partitions: i32, what: &str) -> Result<(), Box<dyn Error>> {
    let me = std::process::id();
    let (before, begun) = (cpu_seconds(me)?, Instant::now());
    env.sleep(WATCHED).await;
    let used = (cpu_seconds(me)? - before) / begun.elapsed().as_secs_f64() * 100.0;
    println!("| {partitions} | {what} | {used:.2} | {:.0} |", resident_mib(me)?);
    Ok(())
}
