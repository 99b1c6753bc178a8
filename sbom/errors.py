"""The error family of this room."""


class SbomError(Exception):
    """Something that was given is not what it should be; the message names it and says what to do."""
