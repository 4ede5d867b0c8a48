"""How much of the time a section may use."""

import time


class Clock:
    """The time of all sections. What one leaves goes to those after it."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.limit = self.end

    def open(self, share: float) -> None:
        """Begin a section, which may use this share of what is left."""
        now = time.monotonic()
        self.limit = now + share * max(self.end - now, 0)

    def left(self) -> float:
        """Return the seconds that are left to the section."""
        return self.limit - time.monotonic()
