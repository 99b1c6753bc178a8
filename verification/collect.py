"""Gathering what is known of an image, from wherever it lies. Everything is recomputed; nothing is decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from registry import copy
from registry.content import Manifest, Source
from signing import attachment, keyless, keys, trust
from signing.errors import SigningError
from verification.decide import Evidence
from verification.errors import PolicyError
from verification.policy import Policy

Differences = Callable[[Mapping[str, Any]], Sequence[str]]


def verifiers(policy: Policy) -> list[trust.Verifier]:
    """Who may sign; raises PolicyError for a key or trusted root that cannot be read."""
    found: list[trust.Verifier] = []
    for each in policy.signers:
        if each.trusted_root and not each.trusted_root.is_file():
            raise PolicyError(f"{each.trusted_root}: there is no trusted root there, and the policy names it")
        if each.key is None:
            found.append(keyless.IdentityVerifier(each.identity, each.issuer, each.trusted_root))
            continue
        try:
            found.append(trust.KeyVerifier(keys.public(each.key.read_bytes(), str(each.key))))
        except OSError as error:
            raise PolicyError(f"{each.key}: {error.strerror}") from None
        except SigningError as error:
            raise PolicyError(str(error)) from None
    return found


def read(source: Source, graph: copy.Graph) -> None:
    """Read each byte of an image, and compare it with its digest.

    Raises:
        RegistryError: a part is missing, or is not what its digest says.
    """
    for blob in graph.blobs:
        with source.blob(blob):
            pass


def evidence(
    source: Source, image: Manifest, trusted: Sequence[trust.Verifier], differences: Differences | None = None
) -> Evidence:
    """What is said of one manifest by those who may, and what was refused."""
    said, refused = [], []
    for each in attachment.find(source, image.digest):
        if each.bundle is None:
            refused.append(f"{each.manifest.digest}: {each.problem}")
            continue
        try:
            found = trust.signed(each.bundle, trusted)
        except SigningError as error:
            refused.append(f"{each.manifest.digest}: {error}")
            continue
        if found.statement.is_about(str(image.digest)):
            said.append(found)
        else:
            refused.append(f"{each.manifest.digest}: it is about {', '.join(found.statement.subjects)}, another image")
    return Evidence(str(image.digest), tuple(said), tuple(refused), differences)
