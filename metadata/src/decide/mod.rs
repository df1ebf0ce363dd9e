//! Decisions: an image and a wish in, records or a refusal out.
//!
//! Each function is pure. What it returns is meant for [`MetadataLog::propose`](crate::MetadataLog::propose) with
//! [`Image::last_effective`](crate::Image::last_effective) of the same image; an empty list means that there is
//! nothing to decide.

mod broker;
mod cluster;
mod configs;
mod creation;
mod features;
mod growth;
mod partition;
mod placement;
mod producer;
mod quotas;
mod topic;

pub use broker::{
    Heartbeat, RegisterBroker, RegisterError, StaleBrokerEpoch, fence_broker, heartbeat, may_stop,
    register_process,
};
pub use cluster::{create_cluster, raise_epoch_floor, register_broker};
pub use configs::{AlterConfigsError, ConfigChange, ConfigOperation, ConfigTarget, alter_configs};
pub use creation::{
    CreateTopic, CreateTopicError, InvalidTopicName, NAME_LENGTH_MAX, PARTITIONS_MAX, check_topic_name,
    create_topic,
};
pub use features::{FeatureError, set_feature};
pub use growth::{CreatePartitions, CreatePartitionsError, create_partitions};
pub use partition::{
    ElectError, ElectionType, IsrChange, IsrChangeError, ReassignError, Rules, change_isr, elect_leader,
    preferred_leaders, reassign_partition, unclean_leaders,
};
pub use producer::{PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock, ProducerIdsExhausted, allocate_producer_ids};
pub use quotas::{AlterQuotasError, alter_quotas};
pub use topic::{UnknownTopic, delete_topic, purge_topic};
