"""Who signs, as commands are told: a key, a key in a service, or an identity."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from signing import keyless, keys, kms
from signing.bundle import Bundle
from signing.errors import SigningError

Signer = keys.KeySigner | kms.CosignSigner | keyless.KeylessSigner


def add_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    group = parser.add_argument_group("who signs")
    group.add_argument("--key", help="PEM file, or a reference such as awskms:// that cosign can reach")
    group.add_argument("--identity-token", metavar="env:NAME|file:PATH", help="OIDC token; else the one of this place")
    group.add_argument("--trust-config", type=Path, help="a private Sigstore (clienttrustconfig.v0.1+json)")
    return group


def signer(options: argparse.Namespace) -> Signer:
    """The signer that the options name.

    Raises:
        SigningError: a key or token cannot be read, or there is none.
    """
    if options.key and kms.is_reference(options.key):
        found = kms.signer(options.key)
        # Asked for before anything is sent: a service that cannot be reached is told of at once.
        _ = found.public
        return found
    if options.key:
        try:
            data = Path(options.key).read_bytes()
        except OSError as error:
            raise SigningError(f"{options.key}: {error.strerror}") from None
        return keys.private(data, os.environ.get("COSIGN_PASSWORD", ""), options.key)
    kind, _, name = (options.identity_token or "").partition(":")
    try:
        if not kind:
            token = keyless.ambient_token()
        else:
            token = os.environ[name] if kind == "env" else Path({"file": name}[kind]).read_text().strip()
    except (KeyError, OSError):
        raise SigningError("--identity-token is env:NAME of a variable that is set, or file:PATH of a file") from None
    return keyless.KeylessSigner(token, options.trust_config)


def sign_all(who: Signer, statements: Sequence[bytes]) -> list[Bundle]:
    """The bundles of statements, in their order."""
    if isinstance(who, keyless.KeylessSigner):
        return who.sign_all(list(statements)) if statements else []
    return [who.sign(each) for each in statements]
