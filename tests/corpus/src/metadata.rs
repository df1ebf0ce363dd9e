//! Entries of the metadata log, and the image they add up to.

use highwater_metadata::{ConfigResource, Endpoint, Entry, EntryId, Image, MetadataRecord};
use highwater_records::{BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};

/// The input is a row of entries, each after its length in two bytes.
pub(crate) fn run(mut input: &[u8]) {
    let mut image = Image::default();
    while let [high, low, rest @ ..] = input {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (bytes, after) = rest.split_at(length);
        input = after;
        let Ok(entry) = Entry::decode(bytes) else { continue };
        let encoded = entry.encode();
        // Overlong numbers are read and not written.
        assert!(encoded.len() <= bytes.len());
        assert_eq!(Entry::decode(&encoded).as_ref(), Ok(&entry));
        let before = image.clone();
        let mut other = image.clone();
        let applied = image.apply(&entry);
        assert_eq!(other.apply(&entry), applied, "applying is a function");
        assert_eq!(other, image);
        drop(before);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let topic = TopicId::from_bytes([7; 16]);
    let (broker, partition) = (BrokerId(1), PartitionIndex(0));
    let records = [
        vec![
            MetadataRecord::ClusterCreated { cluster_id: "AQIDBAUGBwgJCgsMDQ4PEA".into() },
            MetadataRecord::BrokerRegistered {
                broker,
                endpoints: vec![Endpoint {
                    listener: "PLAINTEXT".into(),
                    host: "localhost".into(),
                    port: 9092,
                }],
                rack: Some("a".into()),
            },
        ],
        vec![
            MetadataRecord::TopicCreated { id: topic, name: "orders".into() },
            MetadataRecord::PartitionCreated {
                topic,
                partition,
                replicas: vec![broker],
                isr: vec![broker],
                leader: Some(broker),
                leader_epoch: LeaderEpoch(0),
            },
            MetadataRecord::ConfigSet {
                resource: ConfigResource::Topic(topic),
                key: "retention.ms".into(),
                value: Some("1000".into()),
            },
        ],
        vec![
            MetadataRecord::PartitionChanged {
                topic,
                partition,
                isr: vec![broker],
                leader: None,
                leader_epoch: LeaderEpoch(1),
                partition_epoch: 1,
            },
            MetadataRecord::EpochFloorRaised { broker, floor: LeaderEpoch(9) },
            MetadataRecord::ProducerIdsAllocated { broker, next: ProducerId(1000) },
            MetadataRecord::ConfigSet {
                resource: ConfigResource::Brokers,
                key: "log.retention.ms".into(),
                value: None,
            },
        ],
        vec![MetadataRecord::TopicDeleted { id: topic }],
    ];
    let mut whole = Vec::new();
    let mut expects = None;
    for records in records {
        let id = EntryId::after(expects).expect("a small number");
        let bytes = Entry { id, expects, records }.encode();
        expects = Some(id);
        whole.extend_from_slice(&u16::try_from(bytes.len()).expect("small entries").to_be_bytes());
        whole.extend_from_slice(&bytes);
    }
    vec![whole]
}
