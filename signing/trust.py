"""Who may sign: keys, and identities that an OIDC issuer vouches for. Any of them is enough; none at all is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sbom.errors import SbomError
from sbom.statements import Statement, parse
from signing.bundle import Bundle
from signing.dsse import PAYLOAD_TYPE
from signing.errors import SigningError, Untrusted
from signing.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement, and who said it."""

    statement: Statement
    signer: str


class Verifier(Protocol):
    """One who may sign."""

    def check(self, bundle: Bundle) -> str:
        """The signer, in words; raises Untrusted where the bundle is not theirs or does not hold."""


@dataclass(frozen=True, slots=True)
class KeyVerifier:
    """The holder of a key."""

    key: PublicKey

    def check(self, bundle: Bundle) -> str:
        if not bundle.hint:
            raise Untrusted("it is signed by an identity, not by a key")
        if bundle.hint != self.key.hint:
            raise Untrusted(f"it is signed by another key, {bundle.hint}")
        self.key.verify(bundle.envelope.signed, bundle.envelope.signature)
        return str(self.key)


def signed(bundle: Bundle, verifiers: Sequence[Verifier]) -> Signed:
    """What a bundle says, if one of those who may sign has signed it.

    Raises:
        SigningError: there is nobody who may sign, or the payload is no in-toto Statement v1.
        Untrusted: nobody of them has signed it; the reasons are joined.
    """
    if not verifiers:
        raise SigningError("nobody is trusted to sign: nothing can be verified; name a key or an identity")
    reasons = []
    for each in verifiers:
        try:
            who = each.check(bundle)
        except Untrusted as error:
            reasons.append(str(error))
            continue
        if bundle.envelope.payload_type != PAYLOAD_TYPE:
            raise Untrusted(f"what is signed is {bundle.envelope.payload_type!r}, not an in-toto statement")
        try:
            return Signed(parse(bundle.envelope.payload), who)
        except SbomError as error:
            raise SigningError(str(error)) from None
    raise Untrusted("; ".join(dict.fromkeys(reasons)))
