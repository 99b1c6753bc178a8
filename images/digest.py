"""Content digests: SHA-256 as OCI image-spec v1.1 (descriptor.md, "Digests") writes them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from images.errors import ImageError

CHUNK = 1 << 20
"""Bytes read at once; bounds the memory of every streaming loop here."""

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, order=True)
class Digest:
    """A SHA-256 digest; `str()` gives `sha256:<hex>`."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise ImageError(f"{self.hex!r} is no SHA-256: expected 64 lower-case hexadecimal digits")

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @classmethod
    def parse(cls, text: object) -> Digest:
        """The digest written as `sha256:<hex>`; raises ImageError for every other form."""
        if not isinstance(text, str) or not text.startswith("sha256:"):
            raise ImageError(f"{text!r} is no digest that is supported: expected sha256:<64 hexadecimal digits>")
        return cls(text.removeprefix("sha256:"))

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """The digest of these bytes."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        """The digest of a file's content, read in chunks."""
        with path.open("rb") as file:
            return cls(hashlib.file_digest(file, "sha256").hexdigest())
