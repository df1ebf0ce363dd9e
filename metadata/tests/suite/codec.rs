//! Records and entries come back as they were, and no bytes at all bring the decoder down.

use highwater_metadata::{
    BrokerState, ConfigResource, Endpoint, Entry, EntryError, EntryId, FeatureRange, MetadataRecord,
    QuotaEntity, QuotaName, QuotaRecord, QuotaValue, RecordError, ReplicationRecord,
};
use highwater_records::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use proptest::{collection::vec, option, prelude::*};

fn broker() -> impl Strategy<Value = BrokerId> {
    any::<u32>().prop_map(BrokerId)
}

fn brokers() -> impl Strategy<Value = Vec<BrokerId>> {
    vec(broker(), 0..5)
}

fn topic() -> impl Strategy<Value = TopicId> {
    any::<[u8; 16]>().prop_map(TopicId::from_bytes)
}

fn leader_epoch() -> impl Strategy<Value = LeaderEpoch> {
    (0..=i32::MAX as u32).prop_map(LeaderEpoch)
}

fn partition() -> impl Strategy<Value = PartitionIndex> {
    any::<u32>().prop_map(PartitionIndex)
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(String::from_iter)
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (text(), text(), any::<u16>()).prop_map(|(listener, host, port)| Endpoint { listener, host, port })
}

fn replication() -> impl Strategy<Value = ReplicationRecord> {
    let features = vec((text(), any::<u16>(), any::<u16>()), 0..3).prop_map(|ranges| {
        ranges.into_iter().map(|(feature, min, max)| FeatureRange { feature, min, max }).collect()
    });
    let state =
        prop_oneof![Just(BrokerState::Fenced), Just(BrokerState::Active), Just(BrokerState::Stopping)];
    prop_oneof![
        (broker(), any::<[u8; 16]>(), any::<[u8; 16]>(), features).prop_map(
            |(broker, incarnation, directory, features)| ReplicationRecord::BrokerStarted {
                broker,
                incarnation,
                directory,
                features,
            }
        ),
        (broker(), any::<u64>(), state).prop_map(|(broker, epoch, state)| {
            ReplicationRecord::BrokerStateChanged { broker, epoch: BrokerEpoch(epoch), state }
        }),
        (topic(), partition(), brokers(), brokers(), brokers()).prop_map(
            |(topic, partition, replicas, adding, removing)| ReplicationRecord::ReplicasAssigned {
                topic,
                partition,
                replicas,
                adding,
                removing,
            }
        ),
        (topic(), partition(), brokers(), option::of(broker())).prop_map(
            |(topic, partition, replicas, last_known)| ReplicationRecord::EligibleLeaders {
                topic,
                partition,
                replicas,
                last_known,
            }
        ),
        (topic(), partition(), broker(), leader_epoch()).prop_map(
            |(topic, partition, leader, leader_epoch)| ReplicationRecord::LeaderElectedUncleanly {
                topic,
                partition,
                leader,
                leader_epoch,
            }
        ),
        (text(), any::<u16>())
            .prop_map(|(feature, level)| ReplicationRecord::FeatureLevelSet { feature, level }),
    ]
}

fn record() -> impl Strategy<Value = MetadataRecord> {
    let resource = prop_oneof![
        topic().prop_map(ConfigResource::Topic),
        broker().prop_map(ConfigResource::Broker),
        Just(ConfigResource::Brokers),
        text().prop_map(ConfigResource::Group),
    ];
    prop_oneof![
        text().prop_map(|cluster_id| MetadataRecord::ClusterCreated { cluster_id }),
        (broker(), vec(endpoint(), 0..3), option::of(text())).prop_map(|(broker, endpoints, rack)| {
            MetadataRecord::BrokerRegistered { broker, endpoints, rack }
        }),
        (topic(), text()).prop_map(|(id, name)| MetadataRecord::TopicCreated { id, name }),
        (topic(), partition(), brokers(), brokers(), option::of(broker()), leader_epoch()).prop_map(
            |(topic, partition, replicas, isr, leader, leader_epoch)| MetadataRecord::PartitionCreated {
                topic,
                partition,
                replicas,
                isr,
                leader,
                leader_epoch,
            }
        ),
        (topic(), partition(), brokers(), option::of(broker()), leader_epoch(), any::<u32>()).prop_map(
            |(topic, partition, isr, leader, leader_epoch, partition_epoch)| {
                MetadataRecord::PartitionChanged {
                    topic,
                    partition,
                    isr,
                    leader,
                    leader_epoch,
                    partition_epoch,
                }
            }
        ),
        replication().prop_map(MetadataRecord::Replication),
        quota().prop_map(MetadataRecord::Quota),
        topic().prop_map(|id| MetadataRecord::TopicDeleted { id }),
        topic().prop_map(|id| MetadataRecord::TopicPurged { id }),
        (resource, text(), option::of(text())).prop_map(|(resource, key, value)| MetadataRecord::ConfigSet {
            resource,
            key,
            value
        }),
        (broker(), leader_epoch())
            .prop_map(|(broker, floor)| MetadataRecord::EpochFloorRaised { broker, floor }),
        (broker(), 0..=i64::MAX as u64).prop_map(|(broker, next)| MetadataRecord::ProducerIdsAllocated {
            broker,
            next: ProducerId(next)
        }),
    ]
}

fn quota() -> impl Strategy<Value = QuotaRecord> {
    let component = || {
        option::of(option::of(text()))
            .prop_map(|component| component.map(|name| name.map_or(QuotaName::Default, QuotaName::Named)))
    };
    (component(), component(), component(), text(), option::of(1..u32::MAX)).prop_map(
        |(user, client_id, ip, key, value)| QuotaRecord {
            entity: QuotaEntity { user, client_id, ip },
            key,
            value: value.and_then(|value| QuotaValue::new(f64::from(value) / 3.0)),
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    (1..u64::MAX, any::<u64>(), vec(record(), 0..6)).prop_map(|(id, expects, records)| Entry {
        id: EntryId::new(id).unwrap(),
        expects: EntryId::new(expects),
        records,
    })
}

proptest! {
    #[test]
    fn entries_come_back_as_they_were(entry in entry()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_noticed(entry in entry()) {
        let mut bytes = entry.encode();
        for length in 0..bytes.len() {
            prop_assert!(Entry::decode(&bytes[..length]).is_err(), "cut to {}", length);
        }
        bytes.push(0);
        prop_assert_eq!(Entry::decode(&bytes), Err(EntryError::Trailing(1)));
    }

    #[test]
    fn records_cut_or_extended_are_refused(record in record()) {
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        for length in 0..bytes.len() {
            prop_assert!(MetadataRecord::decode(&bytes[..length]).is_err(), "cut to {}", length);
        }
        bytes.push(7);
        prop_assert_eq!(MetadataRecord::decode(&bytes), Err(RecordError::Trailing(1)));
    }

    #[test]
    fn no_bytes_bring_the_decoder_down(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Entry::decode(&bytes);
        let _ = MetadataRecord::decode(&bytes);
    }

    #[test]
    fn flipped_bits_never_panic(entry in entry(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = entry.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(other) = Entry::decode(&bytes) {
            prop_assert!(other != entry, "two spellings of one entry");
        }
    }
}

#[test]
fn the_bytes_of_today_are_the_bytes_of_tomorrow() {
    let entry = Entry {
        id: EntryId::new(3).unwrap(),
        expects: EntryId::new(2),
        records: vec![
            MetadataRecord::TopicCreated { id: TopicId::from_bytes([7; 16]), name: "orders".into() },
            MetadataRecord::EpochFloorRaised { broker: BrokerId(300), floor: LeaderEpoch(1) },
        ],
    };
    let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 2];
    expected.extend([25, 3, 0]);
    expected.extend([7; 16]);
    expected.extend(*b"\x06orders");
    expected.extend([5, 8, 0, 0xac, 0x02, 1]);
    assert_eq!(entry.encode(), expected);
}

#[test]
fn a_list_that_claims_to_be_endless_costs_nothing() {
    let mut bytes = vec![4, 0];
    bytes.extend([1; 16]);
    bytes.extend([0, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3]);
    assert!(matches!(MetadataRecord::decode(&bytes), Err(RecordError::Malformed(_))));
}

#[test]
fn the_future_is_refused() {
    assert_eq!(MetadataRecord::decode(&[1, 1, 0]), Err(RecordError::Unknown { kind: 1, version: 1 }));
    assert_eq!(MetadataRecord::decode(&[200, 0]), Err(RecordError::Unknown { kind: 200, version: 0 }));
    assert_eq!(Entry::decode(&[1]), Err(EntryError::UnknownVersion(1)));
}
