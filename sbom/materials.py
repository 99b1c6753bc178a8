"""What a build takes in: each thing with its digest and the stages that it went to."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packageurl import PackageURL

from sbom.errors import SbomError
from sbom.python import normal


@dataclass(frozen=True, slots=True)
class Material:
    """``ref`` is unique in a build; ``kind`` a CycloneDX component type; ``sha256`` in hex, or ``commit`` a git revision."""

    ref: str
    kind: str
    name: str
    version: str = ""
    purl: str = ""
    sha256: str = ""
    commit: str = ""
    stages: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()


def archives(text: str, stage: str) -> Iterator[Material]:
    """The wheels that a stage installed, out of its ``archives.json``.

    Raises:
        SbomError: it is not such a file.
    """
    try:
        for each in json.loads(text):
            name, version = normal(each["name"]), each["version"]
            purl = PackageURL("pypi", None, name, version, {"file_name": each["file"]}).to_string()
            yield Material(purl, "library", name, version, purl, each["sha256"], stages=(stage,))
    except (ValueError, KeyError, TypeError) as error:
        raise SbomError(f"the archives of stage {stage} cannot be read: {error!r}") from None


def crates(text: str, stage: str) -> Iterator[Material]:
    """The crates of a ``Cargo.lock``; those of the workspace itself have no checksum and are left out.

    Raises:
        SbomError: it is not such a file.
    """
    for (name, version), sha256 in crate_hashes(text).items():
        purl = PackageURL("cargo", None, name, version).to_string()
        yield Material(purl, "library", name, version, purl, sha256, stages=(stage,))


def crate_hashes(text: str) -> Mapping[tuple[str, str], str]:
    """SHA-256 (hex) by name and version, as a ``Cargo.lock`` has them; errors as :func:`crates`."""
    try:
        packages = tomllib.loads(text).get("package", [])
        return {(p["name"], p["version"]): p["checksum"] for p in packages if p.get("checksum")}
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise SbomError(f"Cargo.lock cannot be read: {error}") from None


_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(\[[^]]*\])?==(?P<version>[^\s;\\]+)")


def pins(text: str) -> Mapping[tuple[str, str], int]:
    """The line (from 1) of each requirement ``NAME==VERSION`` of a requirements file, by normal name and version."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := _PIN.match(line):
            found[normal(match["name"]), match["version"]] = number
    return found
