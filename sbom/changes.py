"""In what two images differ: layer by layer, component by component, file by file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sbom.component import Component, Inventory
from sbom.contents import Contents, File

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class FileChange:
    """``path`` is relative to the image's root."""

    path: str
    change: str


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """A component by its kind of package (``deb``, ``pypi``, ``cargo``, ``generic``, "" for a file of ours) and name.

    The versions are equal where only its files are others; ``change`` is from the component's point of view.
    """

    ecosystem: str
    name: str
    old: str
    new: str
    change: str
    files: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class LayerChange:
    """Layers are the same by name; a digest is empty where an image lacks the layer."""

    name: str
    old: str
    new: str
    components: tuple[ComponentChange, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """``config`` are the image configuration's values that differ, by dotted key, old and new."""

    old: str
    new: str
    config: tuple[tuple[str, str, str], ...]
    layers: tuple[LayerChange, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image and what was found in it."""

    contents: Contents
    inventory: Inventory


def between(old: Image, new: Image) -> Changes:
    """All differences; no layer and no config where the digests are equal."""
    if old.contents.digest == new.contents.digest:
        return Changes(old.contents.digest, new.contents.digest, (), ())
    return Changes(
        old.contents.digest,
        new.contents.digest,
        tuple(_config(old.contents.config, new.contents.config)),
        tuple(_layers(old, new)),
    )


def _config(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    one, other = (dict(_flat(value, "")) for value in (old, new))
    for key in sorted(one.keys() | other.keys()):
        if key.partition(".")[0] not in ("rootfs", "history") and one.get(key) != other.get(key):
            yield key, one.get(key, ""), other.get(key, "")


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    else:
        yield key, str(value)


def _layers(old: Image, new: Image) -> Iterator[LayerChange]:
    one, other = ({layer.name: n for n, layer in enumerate(each.contents.layers)} for each in (old, new))
    for name in dict.fromkeys((*other, *one)):
        a, b = one.get(name), other.get(name)
        digests = [each.contents.layers[n].digest if n is not None else "" for each, n in ((old, a), (new, b))]
        if digests[0] != digests[1]:
            yield LayerChange(name, digests[0], digests[1], tuple(_components(old, a, new, b)))


def _components(old: Image, a: int | None, new: Image, b: int | None) -> Iterator[ComponentChange]:
    one, other = _of_layer(old, a), _of_layer(new, b)
    files = _changed(_files(old.contents, a), _files(new.contents, b))
    owners = {path: _key(c) for image in (old, new) for c in image.inventory.components for path in c.files}
    by_owner: dict[tuple[str, str], list[FileChange]] = {}
    for each in files:
        by_owner.setdefault(owners.get(each.path, ("", f"/{each.path}")), []).append(each)
    for key in sorted({*one, *other, *by_owner}):
        before, after = one.get(key), other.get(key)
        versions = (before or "", after or "")
        if versions[0] != versions[1] or key in by_owner:
            change = CHANGED if before is not None and after is not None else ADDED if after is not None else REMOVED
            if before is None and after is None:
                change = by_owner[key][0].change
            yield ComponentChange(*key, *versions, change, tuple(by_owner.get(key, ())))


def _key(component: Component) -> tuple[str, str]:
    ecosystem = component.purl.partition(":")[2].partition("/")[0] if component.purl else ""
    return ecosystem, component.name


def _of_layer(image: Image, layer: int | None) -> dict[tuple[str, str], str]:
    """Versions by component; of two versions of one crate, both."""
    found: dict[tuple[str, str], set[str]] = {}
    for each in image.inventory.components:
        if each.layer == layer and each.kind != "operating-system":
            found.setdefault(_key(each), set()).add(each.version)
    return {key: ", ".join(sorted(versions)) for key, versions in found.items()}


def _files(contents: Contents, layer: int | None) -> dict[str, File]:
    return {path: file for path, file in contents.files.items() if file.layer == layer}


def _changed(old: Mapping[str, File], new: Mapping[str, File]) -> Iterator[FileChange]:
    for path in sorted(old.keys() | new.keys()):
        if path not in old:
            yield FileChange(path, ADDED)
        elif path not in new:
            yield FileChange(path, REMOVED)
        elif (old[path].digest, old[path].link) != (new[path].digest, new[path].link):
            yield FileChange(path, CHANGED)
