"""Where an image is, as a person writes it: a registry's reference, a layout folder, a tar of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from registry import copy, layout, reference
from registry.content import Descriptor, Source
from registry.errors import NotFound
from registry.layout import Layout
from registry.reference import Reference
from registry.remote import Remote
from registry.transport import Settings


@dataclass(frozen=True, slots=True)
class Local:
    """A layout folder, or the tar of one; ``name`` is a tag or digest in it, None the only image."""

    path: Path
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.name}" if self.name else str(self.path)


Place = Reference | Local


def parse(text: str) -> Place:
    """A place: ``oci:PATH[:TAG|@DIGEST]`` or a path that begins with ``.`` or ``/`` or exists, else a reference.

    Raises:
        RegistryError: it is neither.
    """
    inner = text.removeprefix("oci:")
    if inner != text or text.startswith((".", "/")) or Path(text).exists():
        return _local(inner)
    return reference.parse(text)


def _local(text: str) -> Local:
    path, at, digest = text.partition("@")
    if at:
        return Local(Path(path), digest)
    head, colon, tag = text.rpartition(":")
    if colon and "/" not in tag and not Path(text).exists():
        return Local(Path(head), reference.tag(tag))
    return Local(Path(text))


def is_tar(path: Path) -> bool:
    return path.name.endswith((".tar", ".tar.gz", ".tgz"))


@contextmanager
def source(place: Place, settings: Settings) -> Iterator[tuple[Source, str | None]]:
    """What can be read at a place, and the name of the image in it.

    Raises:
        RegistryError: there is nothing.
    """
    if isinstance(place, Reference):
        with Remote(place.repository, settings) as remote:
            yield remote, place.name
    elif not place.path.exists():
        raise NotFound(f"{place.path} does not exist")
    elif place.path.is_file():
        with layout.from_tar(place.path) as unpacked:
            yield unpacked, place.name
    else:
        yield Layout(place.path), place.name


@contextmanager
def folder(source: Source, image: Descriptor) -> Iterator[Path]:
    """A layout folder with this image alone, and nothing that is attached to it, for as long as the context.

    Raises:
        RegistryError: a part of it is missing or corrupt.
    """
    with TemporaryDirectory(prefix="image-") as name:
        alone = Layout(Path(name), create=True)
        copy.send(graph := copy.graph(source, image), source, alone)
        alone.tag("", graph.root)
        yield Path(name)
