"""Keys that do not leave their service (``awskms://``, ``gcpkms://``, ``azurekms://``, ``hashivault://``, ``pkcs11:``).

cosign speaks to them: it signs a file's bytes, and a DSSE signature is one over the envelope's encoding.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from signing import bundle, keys
from signing.bundle import Bundle
from signing.dsse import PAYLOAD_TYPE, Envelope, encoding
from signing.errors import SigningError, Untrusted

SCHEMES = ("awskms://", "gcpkms://", "azurekms://", "hashivault://", "k8s://", "pkcs11:")
_SECONDS = 120


def is_reference(text: str) -> bool:
    return text.startswith(SCHEMES)


@dataclass(frozen=True, slots=True)
class CosignSigner:
    """A key that cosign can reach; ``command`` are the words that start cosign."""

    reference: str
    command: tuple[str, ...]

    @property
    def public(self) -> keys.PublicKey:
        return keys.public(self._run("public-key", "--key", self.reference), self.reference)

    def sign(self, statement: bytes) -> Bundle:
        """The bundle of a statement; the same bytes each time only if the service signs so."""
        public, data = self.public, encoding(PAYLOAD_TYPE, statement)
        signature = self.raw(data)
        public.verify(data, signature)
        return bundle.of_key(Envelope(statement, signature), public.hint)

    def own(self, made: Sequence[Bundle]) -> list[Bundle]:
        """Those bundles that this key has signed: they need not be signed again."""
        public, found = self.public, []
        for each in made:
            if each.hint == public.hint:
                with suppress(Untrusted):
                    public.verify(each.envelope.signed, each.envelope.signature)
                    found.append(each)
        return found

    def raw(self, data: bytes) -> bytes:
        """The signature over bytes, as they are."""
        with tempfile.TemporaryDirectory(prefix="sign-") as folder:
            file, out = Path(folder) / "data", Path(folder) / "signature"
            file.write_bytes(data)
            flags = [
                "--key",
                self.reference,
                "--yes",
                "--tlog-upload=false",
                "--b64=false",
                "--output-signature",
                str(out),
            ]
            # cosign 3 asks a log and a timestamp authority, and writes a bundle, unless it is told not to.
            if b"--use-signing-config" in self._run("sign-blob", "--help"):
                flags += ["--use-signing-config=false", "--new-bundle-format=false"]
            self._run("sign-blob", *flags, str(file))
            return out.read_bytes()

    def _run(self, *words: str) -> bytes:
        try:
            done = subprocess.run(
                [*self.command, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise SigningError(f"cosign {words[0]} did not run: {type(error).__name__}") from None
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            if lines and "unrecognized scheme" in lines[-1]:
                raise SigningError(
                    f"{self.reference}: {self.command[0]} was built without that service (Debian's cosign is); "
                    "PIPELINES_COSIGN names another cosign"
                )
            raise SigningError(f"cosign {words[0]} --key {self.reference} failed: {lines[-1] if lines else 'silently'}")
        return done.stdout


def signer(reference: str, command: Sequence[str] = ()) -> CosignSigner:
    """A signer for a key in a service; raises SigningError where there is no cosign."""
    found = tuple(command) or tuple(os.environ.get("PIPELINES_COSIGN", "").split())
    if not found and not (path := shutil.which("cosign")):
        raise SigningError(f"{reference} is reached through cosign, and there is no cosign on PATH")
    return CosignSigner(reference, found or (str(path),))
