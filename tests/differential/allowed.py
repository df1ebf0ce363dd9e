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
    ("DescribeConfigs", "a group.*", r".*\[(share|streams)\..*", "there are no share groups and no streams groups"),
    ("CreateTopics|DescribeConfigs", ".*", r".*\[remote.storage.enable\].*", "our topics are tiered unless told otherwise"),
    ("ElectLeaders", ".*every.*", r".*(length|__remote_log_metadata.*)", "a topic of Kafka's own for tiered storage"),
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
    ("Produce", "stamped.*", ".*LogAppendTimeMs", "each appends at its own time"),
    ("Produce", "(from the future|too old)", ".*RecordErrors.*", "we refuse the batch by its largest time, before looking at single records"),
    ("Produce", "zero records", ".*ErrorCode", "a header that contradicts itself is damage to us, a mistake to Kafka"),
    ("DescribeTopicPartitions", "unknown", ".*TopicAuthorizedOperations", "Kafka says what may be done with a topic that is not there"),
]


# Versions that Kafka does not advertise, and why we do.
NEWER = {
    ("InitProducerId", 6): "Kafka 4.3 has it behind a switch for what is unstable (KIP-939); its own client speaks it",
}


def reason(api, what, path):
    """Why this may differ; None when it may not."""
    for line in ALLOWED:
        if all(re.fullmatch(pattern, text) for pattern, text in zip(line, (api, what, path))):
            return line[3]
    return None


# The same for questions with a field changed: API, the question, the field, Kafka's codes, ours.
CODES = [
    (".*", ".*", ".*", r".*\[-1[,\]].*", "(?!.*ErrorCode': \\[0\\]}).*", "Kafka fails with an unknown error, we refuse"),
    (".*", ".*", ".*", "silent", ".*", "Kafka never answers"),
    ("Fetch", ".*", ".*MaxBytes", ".*-1.*", ".*", "Kafka fails with an unknown error, we send no byte where none are wanted"),
    ("Fetch", ".*", "Topics.*|SessionId", ".*-1.*", ".*", "Kafka fails with an unknown error, we send no byte where none are wanted"),
    ("Fetch|ListOffsets", ".*", "IsolationLevel", ".*", "closed", "an isolation level that nobody has is no request to us"),
    ("Fetch", ".*", "Replica.*", ".*", ".*31.*", "only brokers of the cluster may say that they are some"),
    ("Produce", ".*", "TimeoutMs", ".*0.*", ".*7.*", "Kafka has no sync of its log to wait for"),
    ("Produce", "transactional without id", "TransactionalId", ".*0.*", ".*87.*", "Kafka appends a transactional batch of no producer, whose transaction nobody can end"),
    ("Produce", "zero records", ".*", ".*87.*", ".*2.*", "a header that contradicts itself is damage to us, a mistake to Kafka"),
    ("Produce", ".*", r"TopicData(\.0\.PartitionData)?", ".*", ".*", "of a partition that is named twice Kafka drops everything but the last, we append it all"),
    ("TxnOffsetCommit", ".*", ".*", ".*", ".*49.*", "Kafka asks the coordinator once per partition and transaction, by producer id; we ask it each time, and first"),
    ("TxnOffsetCommit", ".*", "ProducerEpoch|TransactionalId", ".*", ".*(42|47).*", "Kafka asks the coordinator once per partition and transaction, by producer id; we ask it each time, and first"),
    ("WriteTxnMarkers", ".*", ".*", ".*", ".*42.*", "an epoch below zero is nobody's"),
    ("EndTxn", ".*", ".*", ".*", ".*51.*", "we are still ending the transaction that the question before has ended"),
    ("EndTxn", ".*", ".*", ".*51.*", ".*", "Kafka is still ending the transaction that the question before has ended"),
    ("FindCoordinator", ".*", ".*", ".*15.*", ".*0.*", "Kafka has not made the coordinators' topic yet"),
    ("InitProducerId", ".*", ".*", ".*1[456].*", ".*1[456].*", "the coordinators' topic is being made, and clients ask again"),
    ("IncrementalAlterConfigs", "(append|subtract).*", ".*", ".*0.*", ".*40.*", "our topics are tiered, and what is tiered is not compacted"),
    ("(Incremental)?AlterConfigs", ".*", ".*", ".*40.*", ".*(3|17|42).*", "Kafka looks at values before it looks for the topic, we afterwards"),
    ("CreateTopics", ".*", r"Topics(\.\d\.NumPartitions)?", ".*", ".*44.*", "numbers of partitions add up to more than 32 bits hold, and with Kafka to few"),
    ("CreatePartitions", ".*", r"Topics(\.\d\.Name)?", ".*", ".*44.*", "what coordinators write to does not grow: Kafka forgets most groups when it is started after that"),
    ("AddPartitionsToTxn", ".*", "Transactions", ".*49.*", ".*", "of two transactions under one id Kafka looks at one and answers for the other"),
    ("ListTransactions", ".*", "TransactionalIdPattern", ".*", ".*128.*", "how long an expression may be is bounded"),
    ("DescribeConfigs", "no number", "Resources", ".*42.*", ".*42.*", "Kafka refuses all resources where one is of no kind"),
    ("OffsetFetch", ".*", "Groups", ".*", "closed", "thousands of empty topics take more memory than a request of their size may"),
    ("AlterClientQuotas", ".*", ".*", ".*", "closed", "a number without end, or what is no number, is no message to us"),
]


def code_reason(api, what, changed, theirs, ours):
    """Why the codes of a changed question may differ; None when they may not."""
    asked = (api, what, changed.split(" = ")[0], str(theirs), str(ours))
    for line in CODES:
        if all(re.fullmatch(pattern, text) for pattern, text in zip(line, asked)):
            return line[5]
    return reason(api, what, "ErrorCode") if not changed else None
