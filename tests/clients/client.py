"""What the suite asks of every client. A client that has no such thing says so and the cell of the table is empty."""

from harness.report import NotApplicable


class Refused(Exception):
    """The broker, through the client, said no; `name` is the client's own name for the error."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name


class Client:
    """One client library or program against one broker. Every method waits until the broker has answered."""

    name = ""
    # Whether the writer can set a record's timestamp, null values and headers of its own.
    writes_everything = True

    @staticmethod
    def missing():
        """Why the client cannot run here; None when it can."""
        return None

    def close(self):
        """Lets go of processes and connections."""

    def create(self, topic, configs=None, partitions=1):
        """Creates a topic of one replica."""
        raise NotApplicable

    def delete(self, topic):
        """Deletes a topic."""
        raise NotApplicable

    def produce(self, topic, records, codec="none", idempotent=False, partition=0, large=False):
        """Writes the records with acks=all and returns them with their places, as far as the client tells. `large`
        lifts the client's own limit, so that the broker's decides."""
        raise NotApplicable

    def read(self, topic, count, time=None, offset=None, partition=0):
        """Reads `count` records by assignment: from the first one at or after `time`, from `offset`, or from the
        beginning. Returns fewer when no more come for a long while."""
        raise NotApplicable

    def read_to_end(self, topic, isolation, partition=0):
        """Every record from the beginning to the end that `isolation` knows."""
        raise NotApplicable

    def shown(self, record):
        """A record as this client's `read` shows it; most show all of it."""
        return record

    def list_offset(self, topic, time, partition=0):
        """(offset, timestamp) for a time or one of the special values of ListOffsets."""
        raise NotApplicable

    def topic_configs(self, topic):
        """{key: (value, source)}"""
        raise NotApplicable

    def broker_configs(self, node):
        """{key: (value, source)}"""
        raise NotApplicable

    def cluster(self):
        """(cluster id, controller id, ["id@host:port"])"""
        raise NotApplicable
