"""Envelopes (secure-systems-lab/dsse, protocol.md and envelope.md, v1.0)."""

from __future__ import annotations

from dataclasses import dataclass

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with the one signature that a Sigstore bundle allows."""

    payload: bytes
    signature: bytes
    payload_type: str = PAYLOAD_TYPE

    @property
    def signed(self) -> bytes:
        """The bytes that the signature is over."""
        return encoding(self.payload_type, self.payload)


def encoding(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding, PAE: lengths make it impossible to read one part as another."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
