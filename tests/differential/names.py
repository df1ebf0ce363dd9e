"""Topics and ids that all questions know."""

import uuid

NOWHERE = uuid.UUID(int=77).bytes
LONG = "x" * 250
BASIC, SMALL = "basic", "small"
