"""DumpLogSegments on what the coordinators have written, in Kafka's own formats."""

from .tool import expect


def offsets(tools):
    """The offsets of a group that has read, and that there is such a group."""
    said = dump(tools, "__consumer_offsets", "--offsets-decoder")
    if tools.old:
        expect(said, r"key: offset_commit::group=verifier,partition=verified-0 payload: offset=500")
        expect(said, r"key: group_metadata::group=verifier payload: .*")
    else:
        expect(said, r'"group":"verifier","topic":"verified","partition":0\}\} payload: .*"offset":500')
        expect(said, r'"group":"verifier"\}\} payload: .*"protocolType":"consumer"')


def transactions(tools):
    """A transaction that has been committed."""
    said = dump(tools, "__transaction_state", "--transaction-log-decoder")
    if tools.old:
        expect(said, r"key: transaction_metadata::transactionalId=performer payload: .*state=CompleteCommit")
    else:
        # The number is that of a complete commit.
        expect(said, r'"transactionalId":"performer"\}\} payload: .*"transactionStatus":4')


def dump(tools, topic, decoder):
    """What the tool says of all segments of a topic that have anything."""
    files = sorted(str(file) for file in tools.data.glob(f"{topic}-*/*.log") if file.stat().st_size)
    return tools.run("DumpLogSegments", decoder, "--files", ",".join(files), server=None)
