"""The error family of this room."""


class ScanError(Exception):
    """A policy, an exception or a report that cannot be followed; the message names it and says what to do."""
