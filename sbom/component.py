"""A component of an image, and an inventory of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Component:
    """Something with a name and version that is in an image.

    ``ref`` is unique in its inventory; ``kind`` is CycloneDX's component type; ``licences`` are SPDX expressions or, where a
    licence has no SPDX name, the name that its package gives it; ``sha256`` is that of the archive it came in (hex);
    ``layer`` counts from 0, -1 for what is no file of its own; ``found`` are the files that say that it is there;
    ``files`` are the paths that belong to it; ``depends`` are refs; ``model_card`` is CycloneDX's, of a trained model.
    """

    ref: str
    kind: str
    name: str
    version: str = ""
    purl: str = ""
    licences: tuple[str, ...] = ()
    supplier: str = ""
    description: str = ""
    homepage: str = ""
    sha256: str = ""
    layer: int = -1
    found: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()
    model_card: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that is in an image: ``root`` is the image itself, ``components`` the rest, sorted by ref."""

    root: Component
    components: tuple[Component, ...]

    def owned(self) -> frozenset[str]:
        return frozenset(path for component in self.components for path in component.files)


@dataclass(frozen=True, slots=True)
class Locks:
    """What locks know and an image does not: the archives that its components came in, as SHA-256 (hex).

    Keys: ``(name, version, architecture)`` of a Debian package, ``(normal name, version)`` of a wheel and of a crate.
    """

    debs: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    wheels: Mapping[tuple[str, str], str] = field(default_factory=dict)
    crates: Mapping[tuple[str, str], str] = field(default_factory=dict)
