"""What kafka-python's fixtures take from a module that its source distribution leaves out: a broker that runs already."""


class ExternalService:
    """Somebody else starts and ends it."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def open(self):
        """It is."""

    def close(self):
        """Not ours to end."""


class SpawnedService:
    """A broker that the tests would start themselves."""

    def __init__(self, *_):
        raise NotImplementedError("the tests run against a broker that is there")
