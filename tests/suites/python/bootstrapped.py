"""A plugin for pytest: consumers of kafka-python subscribe once their first metadata is there, and not beside it.

What `subscribe` asks for while the answer to the first request is being taken in is forgotten: `update_metadata` says
that nothing is wanted any more (kafka/cluster.py of 3.0.12), and the next request goes out after five minutes. The tests
name the broker's version, so that nothing else makes a consumer wait for that answer.
"""

from kafka import KafkaConsumer

subscribe = KafkaConsumer.subscribe


def subscribe_later(self, *topics, **options):
    """Subscribes when the first metadata is there."""
    self.bootstrap(timeout_ms=30_000, refresh=False)
    return subscribe(self, *topics, **options)


KafkaConsumer.subscribe = subscribe_later
