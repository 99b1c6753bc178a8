"""Digests, parsed once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError

_FORM = re.compile(r"sha256:([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Digest:
    """A SHA-256 digest (OCI image-spec v1.1, descriptor.md)."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        found = _FORM.match(text)
        if found is None:
            raise ImageError(f"{text!r} is not a sha256 digest")
        return cls(found[1])

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        with path.open("rb") as file:
            return cls(hashlib.file_digest(file, "sha256").hexdigest())

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
