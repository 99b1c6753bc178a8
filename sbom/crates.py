"""Rust crates that a program or an extension was compiled from.

Two sources, both in the image: the ``.dep-v0`` section (rust-secure-code/cargo-auditable, PARSING.md), which says what was
resolved for this very build, and a CycloneDX document in a wheel's ``sboms`` folder (PEP 770), which knows licences.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from packageurl import PackageURL

from sbom.errors import SbomError

SECTION = b".dep-v0"
#: How an ELF file of 64 bits, least significant byte first, begins.
PROGRAM = b"\x7fELF\x02\x01"
_MAX_JSON = 8 << 20


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate; ``build`` if only the build needed it; ``depends`` are keys, which are name and version."""

    name: str
    version: str
    build: bool = False
    licence: str = ""
    description: str = ""
    homepage: str = ""
    sha256: str = ""
    depends: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        return self.name, self.version


@dataclass(frozen=True, slots=True)
class Crates:
    """The crates of one program, and which of them is the program itself."""

    root: tuple[str, str]
    crates: tuple[Crate, ...]


def purl(crate: Crate) -> str:
    return PackageURL("cargo", None, crate.name, crate.version).to_string()


def section(program: bytes | bytearray) -> bytes:
    """The ``.dep-v0`` section of an ELF file of 64 bits, least significant byte first; empty if there is none."""
    if not program.startswith(PROGRAM) or SECTION not in program:
        return b""
    try:
        (table,) = struct.unpack_from("<Q", program, 0x28)
        size, count, names = struct.unpack_from("<HHH", program, 0x3A)
        headers = [struct.unpack_from("<II4Q", program, table + number * size) for number in range(count)]
        start, length = headers[names][4:6]
        strings = program[start : start + length]
    except (struct.error, IndexError, OverflowError):
        return b""
    for name, _, _, _, offset, length in headers:
        if strings[name : strings.find(b"\0", name)] == SECTION:
            return bytes(program[offset : offset + length])
    return b""


def of_section(data: bytes, where: str) -> Crates:
    """The crates that a section names.

    Raises:
        SbomError: it is not what cargo-auditable's format says.
    """
    try:
        inflate = zlib.decompressobj()
        packages = json.loads(inflate.decompress(data, _MAX_JSON))["packages"]
        named = [(str(p["name"]), str(p["version"])) for p in packages]
        crates = tuple(
            Crate(
                *named[number],
                build=package.get("kind") == "build",
                depends=tuple(sorted(named[index] for index in package.get("dependencies", ()))),
            )
            for number, package in enumerate(packages)
        )
        root = next(named[number] for number, package in enumerate(packages) if package.get("root"))
    except (zlib.error, ValueError, KeyError, TypeError, IndexError, AttributeError, StopIteration) as error:
        raise SbomError(f"{where}: its section .dep-v0 is not in cargo-auditable's format: {error!r}") from None
    return Crates(root, crates)


def of_document(data: bytes, where: str) -> Crates | None:
    """The crates that a CycloneDX document in JSON names; None for one that is about something else.

    Raises:
        SbomError: not JSON, or not CycloneDX.
    """
    try:
        document: dict[str, Any] = json.loads(data)
        if document.get("bomFormat") != "CycloneDX":
            return None
        root = document.get("metadata", {}).get("component") or {}
        listed = [c for c in (root, *document.get("components", ())) if str(c.get("purl")).startswith("pkg:cargo/")]
        keys = {c["bom-ref"]: (str(c["name"]), str(c["version"])) for c in listed}
        edges = {d["ref"]: d.get("dependsOn", ()) for d in document.get("dependencies", ())}
        crates = tuple(
            Crate(
                *keys[c["bom-ref"]],
                build=c.get("scope") == "excluded",
                licence=_licence(c),
                description=c.get("description", ""),
                homepage=next(
                    (r["url"] for r in c.get("externalReferences", ()) if r["type"] in ("website", "vcs")), ""
                ),
                sha256=next((h["content"] for h in c.get("hashes", ()) if h["alg"] == "SHA-256"), ""),
                depends=tuple(sorted(keys[ref] for ref in edges.get(c["bom-ref"], ()) if ref in keys)),
            )
            for c in listed
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SbomError(f"{where}: not a CycloneDX document that can be read: {error!r}") from None
    return Crates(keys[root["bom-ref"]], crates) if root.get("bom-ref") in keys else None


def _licence(component: dict[str, Any]) -> str:
    for choice in component.get("licenses", ()):
        if "expression" in choice:
            return str(choice["expression"])
        licence = choice.get("license", {})
        return str(licence.get("id") or licence.get("name") or "")
    return ""


def merged(resolved: Crates, described: Crates | None) -> Crates:
    """What the section says is there, with what a document knows of it."""
    known = {crate.key: crate for crate in described.crates} if described else {}
    crates = []
    for crate in resolved.crates:
        more = known.get(crate.key, crate)
        crates.append(
            Crate(
                crate.name,
                crate.version,
                crate.build,
                more.licence,
                more.description,
                more.homepage,
                more.sha256,
                crate.depends,
            )
        )
    return Crates(resolved.root, tuple(crates))
