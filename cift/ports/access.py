"""Who may come in, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

SCOPES = ("read", "trade")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A client's key; ``secret`` signs its requests and is derived, never stored (see `cift.adapters.keys`)."""

    id: str
    account: int
    account_name: str
    scopes: frozenset[str]
    secret: bytes


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a rate limit says: whether this request may go on, requests left, seconds until there is one again."""

    allowed: bool
    limit: int
    remaining: int
    retry_after: float


class Keys(Protocol):
    """The keys that were issued."""

    def find(self, key_id: str) -> ApiKey | None: ...

    def any(self) -> bool:
        """Whether keys are in use: once one was issued, also after the last was revoked or their file is gone.

        Raises:
            Misconfigured: they cannot be read; nobody gets in.
        """


class Admission(Protocol):
    """What all workers must agree on: how often a key was used, and which nonces."""

    def spend(self, key: str, cost: int) -> Allowance: ...

    def first_use(self, key: str, nonce: str, until: float) -> bool:
        """True once for each nonce of a key; it is remembered until then (seconds since 1970).

        Raises:
            Unavailable: there is no room for another just now.
        """
