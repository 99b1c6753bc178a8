"""Copying an image with all that belongs to it from one place to another, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from registry.content import Descriptor, Manifest, Source, Target
from registry.errors import Corrupt, NotFound, RegistryError

_AT_ONCE = 4
_DEEPEST = 8
_LEGACY = (".sig", ".att", ".sbom")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Graph:
    """What belongs together: blobs once each, manifests with each after all that it points at, the root last."""

    blobs: tuple[Descriptor, ...]
    manifests: tuple[Manifest, ...]

    @property
    def root(self) -> Manifest:
        return self.manifests[-1]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(each.size for each in self.blobs) + sum(len(each.data) for each in self.manifests)


@dataclass(slots=True)
class Sent:
    """What became of each blob, counted; ``size`` in bytes, of those that travelled."""

    blobs: dict[str, int] = field(default_factory=lambda: {"sent": 0, "mounted": 0, "there": 0})
    manifests: int = 0
    size: int = 0

    def __add__(self, other: Sent) -> Sent:
        blobs = {name: self.blobs[name] + other.blobs[name] for name in self.blobs}
        return Sent(blobs, self.manifests + other.manifests, self.size + other.size)


def graph(source: Source, root: Descriptor) -> Graph:
    """All that a manifest or index points at.

    Raises:
        RegistryError: something of it is missing, corrupt, or nested too deep.
    """
    blobs: dict[str, Descriptor] = {}
    manifests: dict[str, Manifest] = {}

    def visit(wanted: Descriptor, depth: int) -> None:
        if str(wanted.digest) in manifests:
            return
        if depth > _DEEPEST:
            raise RegistryError(f"{source}: {root.digest} is an index nested deeper than {_DEEPEST} levels")
        value = source.manifest(wanted.digest)
        if len(value.data) != wanted.size:
            raise Corrupt(f"{source}: manifest {wanted.digest} has {len(value.data)} bytes, not {wanted.size}")
        for child in value.manifests:
            visit(child, depth + 1)
        for blob in value.blobs:
            known = blobs.setdefault(str(blob.digest), blob)
            if known.size != blob.size:
                raise Corrupt(f"{source}: blob {blob.digest} is said to have {known.size} and {blob.size} bytes")
        manifests[str(wanted.digest)] = value

    visit(root, 0)
    return Graph(tuple(blobs.values()), tuple(manifests.values()))


def attached(source: Source, subjects: Iterable[Manifest]) -> list[Manifest]:
    """The referrers of manifests, and theirs, each after its subject."""
    found: dict[str, Manifest] = {}
    waiting = list(subjects)
    while waiting:
        for each in source.referrers(waiting.pop(0).digest):
            if str(each.digest) not in found:
                found[str(each.digest)] = each
                waiting.append(each)
    return list(found.values())


def send(
    what: Graph, source: Source, target: Target, elsewhere: Sequence[str] = (), tell: Tell = lambda _: None
) -> Sent:
    """Put a graph where it is wanted: blobs, several at once, then manifests, then a look at what is there.

    Nothing that is there already is sent again. ``elsewhere`` names repositories of the target's registry that may
    have blobs.

    Raises:
        RegistryError: a part could not be sent, or is not there afterwards; no tag was touched.
    """
    result = Sent()

    def put(blob: Descriptor) -> tuple[Descriptor, str]:
        if target.has(blob):
            return blob, "there"
        with source.blob(blob) as file:
            return blob, target.put_blob(blob, file, elsewhere)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for blob, how in _first_error(pool, put, what.blobs):
            result.blobs[how] += 1
            result.size += blob.size if how == "sent" else 0
            if how != "there":
                tell(f"{target}: blob {str(blob.digest)[:19]} {how}, {blob.size / 1e6:.1f} MB")
    for each in what.manifests:
        if not target.has(each.descriptor) or each.subject:
            target.put_manifest(each)
            result.manifests += 1
    read_back(what, target)
    return result


def _first_error(
    pool: ThreadPoolExecutor, work: Callable[[Descriptor], tuple[Descriptor, str]], blobs: Sequence[Descriptor]
) -> Iterator[tuple[Descriptor, str]]:
    futures = [pool.submit(work, each) for each in blobs]
    try:
        for each in futures:
            yield each.result()
    finally:
        for each in futures:
            each.cancel()


def read_back(what: Graph, target: Target) -> None:
    """Look whether all of a graph is there: manifests by their bytes, blobs by digest and size.

    Raises:
        RegistryError: the first part that is not.
    """
    for each in what.manifests:
        if target.manifest(each.digest).data != each.data:
            raise Corrupt(f"{target}: manifest {each.digest} reads back otherwise than it was sent")
    for blob in what.blobs:
        if not target.has(blob):
            raise NotFound(f"{target}: blob {blob.digest} is not there although the registry took it")


def current(target: Target, name: str) -> str:
    """The digest that a tag points at, or nothing."""
    try:
        return str(target.resolve(name).digest)
    except NotFound:
        return ""


def may_tag(target: Target, name: str, value: Manifest, move: bool) -> bool:
    """Whether a tag still has to be set.

    Raises:
        RegistryError: it points at something else, and ``move`` was not asked for.
    """
    found = current(target, name)
    if found and found != str(value.digest) and not move:
        raise RegistryError(
            f"{target}:{name} is {found} already, and would become {value.digest}; choose another tag, or ask for "
            "it to be moved with --move-tags"
        )
    return found != str(value.digest)


def everything(source: Source, root: Descriptor) -> tuple[Graph, list[Graph], list[tuple[str, Graph]]]:
    """An image, the graphs of its referrers, and its older signatures with the tags that they stand under."""
    image = graph(source, root)
    referrers = attached(source, image.manifests)
    older = []
    for each in (*image.manifests, *referrers):
        for suffix in _LEGACY:
            name = f"sha256-{each.digest.hex}{suffix}"
            try:
                older.append((name, graph(source, source.resolve(name))))
            except NotFound:
                continue
    return image, [graph(source, each.descriptor) for each in referrers], older


def copy(
    source: Source,
    root: Descriptor,
    target: Target,
    tags: Sequence[str],
    move: bool = False,
    elsewhere: Sequence[str] = (),
    tell: Tell = lambda _: None,
) -> Sent:
    """Copy an image with its referrers and older signatures; tags are set when all is there.

    Raises:
        RegistryError: anything was missing, corrupt, or refused; then no tag of the image was touched.
    """
    image, referrers, older = everything(source, root)
    for name in tags:
        may_tag(target, name, image.root, move)
    result = Sent()
    for each in (image, *referrers, *(old for _, old in older)):
        result += send(each, source, target, elsewhere, tell)
    for name, old in older:
        if may_tag(target, name, old.root, True):
            target.tag(name, old.root)
    for name in tags:
        if may_tag(target, name, image.root, move):
            target.tag(name, image.root)
    return result
