"""The service's family of errors. Each says what was wrong and what to do; the API maps them to problem+json."""

from __future__ import annotations


class CiftError(Exception):
    """Anything that this package raises on purpose."""


class InvalidInput(CiftError, ValueError):
    """A value that a client sent and that cannot be used; the message names it."""


class Unavailable(CiftError):
    """Nothing was taken: the matcher or its journal cannot accept commands just now."""


class OutcomeUnknown(CiftError):
    """The matcher died while it held the request: its client order id tells what became of it."""


class Misconfigured(CiftError):
    """What the operator has given cannot be used; requests are refused until it is mended."""


class Corrupt(CiftError):
    """A journal or snapshot whose bytes are not what was written; the message has file and offset."""
