"""What may differ, and why. Each line: API, the question, the field's path (patterns over the whole text), a reason."""

import re

ALLOWED = [
    (".*", ".*", r".*ThrottleTimeMs", "how long a client is held up depends on the moment"),
    (".*", ".*", r".*(ErrorMessage|Message)", "we say it in our own words; codes are what programs go by"),
    (".*", ".*", r".*\[highwater\..*", "keys of our own"),
    # Each broker has its own.
    ("InitProducerId|EndTxn|WriteTxnMarkers|DescribeTransactions|ListTransactions", ".*", r".*ProducerId", "each counts for itself"),
    ("ConsumerGroupHeartbeat", "no member id", "MemberId", "made at random"),
    ("DescribeTransactions", "going on|over", ".*TransactionStartTimeMs", "each began at its own time"),
    ("JoinGroup", ".*", "MemberId", "made at random"),
    ("Metadata|DescribeCluster|FindCoordinator", ".*", r".*(ClusterId|Host|Port)", "each has its own address and cluster"),
    ("DescribeLogDirs", ".*", r".*(LogDir|PartitionSize|TotalBytes|UsableBytes)", "each has its own directory"),
    # What we do not have, or have more of.
    ("ApiVersions", ".*", r"(SupportedFeatures|FinalizedFeatures|ApiKeys).*", "we offer less, and fewer versions of it"),
    ("CreateTopics|DescribeConfigs", ".*", r".*Configs\.length", "a topic has one key of ours more"),
    ("CreateTopics|DescribeConfigs", ".*", r".*\[remote.storage.enable\].*", "our topics are tiered unless told otherwise"),
    ("ListOffsets", "special -6", ".*(Offset|LeaderEpoch)", "our topics are tiered: there is something to upload"),
    ("IncrementalAlterConfigs", "append", ".*ErrorCode", "our topics are tiered, and what is tiered is not compacted"),
    ("CreateTopics|DescribeConfigs", ".*", r".*\[min.insync.replicas\].*", "Kafka sets it for the whole cluster when eligible leaders are on (KIP-966)"),
    ("DescribeConfigs", ".*", r".*Synonyms.*", "where the broker has hours and the topic milliseconds Kafka shows no default; we do"),
    # Where we do what Kafka does in two steps, or more.
    ("TxnOffsetCommit", "unknown id", ".*ErrorCode", "Kafka asks the coordinator once per partition and transaction, by producer id; we ask it each time"),
    ("Metadata", "created", ".*", "we create the topic inside the request, Kafka answers that it is about to"),
    ("CreateTopics", "only validated", ".*TopicId", "Kafka draws an id for a topic that it does not create"),
    # Where Kafka fails with an unknown error.
    ("Metadata", "null name", ".*", "Kafka fails with an unknown error, we say that there is no such id"),
    ("Produce", "unknown codec", ".*", "Kafka fails with an unknown error, we name the codec"),
    ("WriteTxnMarkers", "an older epoch", ".*ErrorCode", "Kafka fails with an unknown error where the epoch is negative, we call it invalid"),
    ("IncrementalAlterConfigs", "unknown operation", ".*ErrorCode", "Kafka fails with an unknown error, we call it invalid"),
    # Details of refusals that no client reads.
    ("Produce", ".*", r".*LogStartOffset", "with some errors Kafka tells where the log starts, which clients only read of one that it no longer sends"),
    ("Produce", "the same again", ".*LogAppendTimeMs", "Kafka shows a client's own time as the log's for a batch that it had already"),
    ("Produce", "from the future", ".*RecordErrors.*", "we refuse the batch by its largest time, before looking at single records"),
    ("Produce", "zero records", ".*ErrorCode", "a header that contradicts itself is damage to us, a mistake to Kafka"),
    ("DescribeTopicPartitions", "unknown", ".*TopicAuthorizedOperations", "Kafka says what may be done with a topic that is not there"),
]


def reason(api, what, path):
    """Why this may differ; None when it may not."""
    for line in ALLOWED:
        if all(re.fullmatch(pattern, text) for pattern, text in zip(line, (api, what, path))):
            return line[3]
    return None
