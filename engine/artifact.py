"""A store's results as an OCI artifact in a layout folder (image-spec v1.1, image-layout.md), and back.

The first layer holds what is known: directory nodes, each after all that it names, then results, as lines of JSON.
The others hold bytes, one tar a stage, each file under its SHA-256. Cache volumes, the salt of secrets' keys and times of use stay
at home. All bytes are recomputed on the way in; that a step gave a result can only be believed, so an artifact is as
trustworthy as who made it: pin it by its digest.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import tarfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.index import Missing, Result
from engine.store import Store, digest_of, remove_tree
from engine.tree import BEGINNING, EMPTY, Entry, decode, encode, entry_of, file_entry
from engine.trees import DEEPEST
from images import manifest as oci

ARTIFACT = "application/vnd.pipelines.cache.v1"
KNOWN = ARTIFACT + ".known+gzip"
BYTES = ARTIFACT + ".bytes.tar+gzip"
_EMPTY = ("application/vnd.oci.empty.v1+json", b"{}")
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
#: Bytes of a manifest, of a line, and of all lines: what a store of this size never needs, and memory and disk bear.
_LONGEST_MANIFEST, _LONGEST_LINE, _LONGEST_KNOWN = 4 << 20, 600 << 20, 8 << 30
_HEX = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"(http|step \d+) [0-9a-f]{64}")
_OUTCOME = {"exit": int, "stdout": str, "stderr": str, "combined": str}


@dataclass(frozen=True, slots=True)
class Shipped:
    """What went out or came in; ``size`` in bytes, ``digest`` the manifest's."""

    digest: str
    results: int
    files: int
    size: int


# out


def export(store: Store, folder: Path, used_within: float = 0.0) -> Shipped:
    """Write results, those used in the last seconds or all, and what they name, into a new layout folder.

    Raises:
        EngineError: the folder is there, or cannot be written.
    """
    if folder.exists():
        raise EngineError(f"{folder} is there already; remove it or name another folder")
    staged = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        blobs = staged / "blobs/sha256"
        blobs.mkdir(parents=True)
        results, nodes, files = _gathered(store, time.time() - used_within if used_within else 0.0)
        layers = [_known(store, blobs, results, nodes)]
        for stage, entries in sorted(files.items()):
            layers.append(_bytes(store, blobs, stage, entries))
        config = _keep(blobs, *_EMPTY)
        value = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "artifactType": ARTIFACT, "config": config}
        top = _keep(blobs, oci.MANIFEST, oci.encode({**value, "layers": layers}))
        (staged / "oci-layout").write_bytes(_LAYOUT)
        (staged / "index.json").write_bytes(oci.index([{**top, "artifactType": ARTIFACT}]))
        staged.rename(folder)
    except OSError as error:
        if str(error.filename or "").startswith(str(store.root)):
            raise
        raise EngineError(f"{folder} cannot be written: {error.strerror}") from None
    finally:
        remove_tree(staged)
    count = sum(len(entries) for entries in files.values())
    return Shipped(top["digest"], len(results), count, sum(layer["size"] for layer in layers))


def _keep(blobs: Path, media_type: str, data: bytes) -> dict[str, Any]:
    described = oci.descriptor(media_type, data)
    (blobs / described["digest"].removeprefix("sha256:")).write_bytes(data)
    return described


def _gathered(store: Store, since: float) -> tuple[list[Result], list[str], dict[str, dict[str, Entry]]]:
    """Results that are whole, nodes with each after all that it names, and files by stage and digest."""
    results, nodes = list[Result](), dict[str, None]()
    owner, files = dict[str, str](), defaultdict[str, dict[str, Entry]](dict)

    def visit(entry: Entry, stage: str) -> None:
        if entry.kind == "f" and entry.ref not in owner:
            owner[entry.ref] = stage
            files[stage][entry.ref] = entry
        elif entry.kind == "d" and entry.ref not in nodes:
            for _, child in sorted(store.node(entry.ref).items()):
                visit(child, stage)
            nodes[entry.ref] = None

    for result in sorted(store.index.results(since), key=lambda each: (each.stage, each.key)):
        if not _KEY.fullmatch(result.key):
            continue
        try:
            entries = _entries(result.key, result.value)
            if not all(store.whole(entry) or _copied(store, entry) for entry in entries):
                continue
        except Missing:
            continue
        for entry in entries:
            visit(entry, result.stage)
        results.append(result)
    return results, list(nodes), files


def _copied(store: Store, entry: Entry) -> bool:
    """Whether a file's bytes are there under another mode or time, as a download's may be."""
    return entry.kind == "f" and store.other_copy(entry) is not None


@contextmanager
def _layer(blobs: Path, described: dict[str, Any]) -> Iterator[gzip.GzipFile]:
    """A compressed blob to write; ``described`` is filled with its digest and size at the end."""
    staged = blobs / ".staged"
    with staged.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed:
        yield packed
    digest = digest_of(staged)
    described |= {"digest": f"sha256:{digest}", "size": staged.stat().st_size}
    staged.rename(blobs / digest)


def _known(store: Store, blobs: Path, results: list[Result], nodes: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": KNOWN}
    with _layer(blobs, described) as file:
        for ref in nodes:
            data = store.index.node(ref)
            if data is None:
                raise store.missing(f"node {ref[:12]}")
            file.write(json.dumps(["node", data.decode("ascii")]).encode() + b"\n")
        for result in results:
            value = {name: part for name, part in result.value.items() if name != "bases"}
            file.write(json.dumps(["result", result.key, result.stage, value], sort_keys=True).encode() + b"\n")
    return described


def _bytes(store: Store, blobs: Path, stage: str, entries: dict[str, Entry]) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": BYTES, "annotations": {"pipelines.stage": stage or "downloads"}}
    with _layer(blobs, described) as file, tarfile.open(fileobj=file, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for digest, entry in sorted(entries.items()):
            info = tarfile.TarInfo(digest)
            info.size, info.mode = entry.size, 0o644
            with store.ensure(entry).open("rb") as content:
                tar.addfile(info, content)
    return described


# in


class Hostile(EngineError):
    """An artifact that is not what it says, or asks for what no export writes."""


@dataclass
class _Wanted:
    """What the first layer names: nodes by ``ref`` (key, depth), files by digest and size, results."""

    nodes: dict[str, tuple[str, int]] = field(default_factory=lambda: {EMPTY.ref: (EMPTY.key, 1)})
    files: dict[str, set[Entry]] = field(default_factory=lambda: defaultdict(set))
    results: list[tuple[str, str, Any]] = field(default_factory=list)


def take_in(store: Store, folder: Path, digest: str = "") -> Shipped:
    """Take the results of an exported folder into the store. Nothing is remembered before all that it names is there.

    Raises:
        Hostile: a digest does not match, or something is in it that no export writes.
        EngineError: the folder is no export, or the disk has no room for it.
    """
    found, layers = _manifest(folder, digest)
    with store.transaction():
        wanted = _read_known(store, _verified(folder, layers[0]))
    needed = sum(entry.size for entries in wanted.files.values() for entry in entries)
    disk = os.statvfs(store.root)
    if needed > (free := disk.f_bavail * disk.f_frsize):
        raise EngineError(f"{folder}: {needed / 1e9:.2f} GB are needed, and {store.root} has {free / 1e9:.2f} GB left")
    todo = dict(wanted.files)
    for layer in layers[1:]:
        with gzip.open(_verified(folder, layer)) as file, _readable(folder):
            for name, size in _members(file):
                entries = todo.pop(name, None)
                if entries is None:
                    raise Hostile(f"{folder}: a file {name[:12]} that no result names, or that came before")
                _take_file(store, file, name, size, entries)
    if todo:
        raise Hostile(f"{folder}: {len(todo)} files are missing, the first with digest {min(todo)}")
    for key, stage, value in wanted.results:
        store.remember(key, value, stage)
    return Shipped(found, len(wanted.results), len(wanted.files), sum(layer["size"] for layer in layers))


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, tarfile.TarError, ValueError, TypeError, KeyError, LookupError) as error:
        raise Hostile(f"{folder} is no export of a store: {error}") from None
    except RecursionError:
        raise Hostile(f"{folder} is no export of a store: nested too deep") from None


def _manifest(folder: Path, wanted: str) -> tuple[str, list[dict[str, Any]]]:
    """``(digest, layers)`` of the artifact in a layout folder."""
    with _readable(folder):
        try:
            index = json.loads(_small(folder / "index.json"))
            entries = [
                each
                for each in index["manifests"]
                if (each["digest"] == wanted if wanted else each.get("artifactType", ARTIFACT) == ARTIFACT)
            ]
            if len(entries) != 1:
                what = f"no manifest {wanted}" if wanted else f"{len(entries)} exports of a store; name one by --digest"
                raise EngineError(f"{folder} has {what}")
            value = json.loads(_small(_verified(folder, entries[0])))
        except OSError as error:
            raise EngineError(f"{folder} is no OCI image layout: {error.strerror}: {error.filename}") from None
        layers = value["layers"]
        if value.get("artifactType") != ARTIFACT or [each["mediaType"] for each in layers] != [
            KNOWN,
            *[BYTES] * (len(layers) - 1),
        ]:
            raise Hostile(f"{folder}: the manifest is of {value.get('artifactType')}, not of {ARTIFACT}")
        return entries[0]["digest"], layers


def _small(path: Path) -> bytes:
    if path.stat().st_size > _LONGEST_MANIFEST:
        raise Hostile(f"{path} is too large")
    return path.read_bytes()


def _verified(folder: Path, described: dict[str, Any]) -> Path:
    """The path of a blob with the digest and size that its descriptor says."""
    with _readable(folder):
        scheme, _, digest = described["digest"].partition(":")
        if scheme != "sha256" or not _HEX.fullmatch(digest):
            raise Hostile(f"{folder}: {described['digest']!r} is no SHA-256 digest")
        path: Path = folder / "blobs/sha256" / digest
        if not path.is_file():
            raise Hostile(f"{folder} lacks the blob {digest}")
        if path.stat().st_size != described["size"] or digest_of(path) != digest:
            raise Hostile(f"{folder}: blob {digest} does not have the digest and size that its manifest says")
    return path


def _read_known(store: Store, path: Path) -> _Wanted:
    wanted, total = _Wanted(), 0
    with gzip.open(path) as file, _readable(path):
        while line := file.readline(_LONGEST_LINE):
            total += len(line)
            if total > _LONGEST_KNOWN or not line.endswith(b"\n"):
                raise Hostile(f"{path}: more than {_LONGEST_KNOWN >> 30} GiB, or a line without an end")
            kind, *rest = json.loads(line)
            if kind == "node" and len(rest) == 1:
                _read_node(store, rest[0], wanted)
            elif kind == "result" and len(rest) == 3:
                _read_result(rest[0], rest[1], rest[2], wanted)
            else:
                raise Hostile(f"{path}: a line of an unknown kind {str(kind)[:20]!r}")
    return wanted


def _read_node(store: Store, text: str, wanted: _Wanted) -> None:
    data = text.encode("ascii")
    node = decode(data)
    ref, key, again = encode(node)
    if again != data:
        raise Hostile("a directory that is not written as directories are")
    depth = 1
    for name, entry in node.items():
        if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
            raise Hostile(f"a directory with a file named {name!r}")
        depth = max(depth, 1 + _checked(entry, wanted))
    if depth > DEEPEST:
        raise Hostile(f"a directory with more than {DEEPEST} others in each other")
    wanted.nodes[ref] = (key, depth)
    store.keep(ref, data)


def _checked(entry: Entry, wanted: _Wanted) -> int:
    """The depth of an entry whose every field is what it has to be; its file is wanted."""
    numbers = (entry.mode, entry.uid, entry.gid, entry.size, entry.mtime)
    if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers) or not (
        0 <= entry.mode <= 0o7777
        and 0 <= min(entry.uid, entry.gid) <= max(entry.uid, entry.gid) < 1 << 32
        and 0 <= entry.size < 1 << 50
        and abs(entry.mtime) < 1 << 63
    ):
        raise Hostile(f"an entry with impossible numbers: {numbers}")
    if entry.kind == "d":
        key, depth = wanted.nodes.get(entry.ref, ("", 0))
        if not key or key != entry.key:
            raise Hostile(f"a directory {str(entry.ref)[:12]} that was not told of, or with another key")
        return depth
    fits = entry.kind == "l" or (entry.kind == "f" and _HEX.fullmatch(entry.ref))
    if (
        not isinstance(entry.ref, str)
        or not fits
        or entry.key != entry.ref
        or (entry.kind == "l" and "\0" in entry.ref)
    ):
        raise Hostile(f"an entry of kind {entry.kind!r} with key {str(entry.key)[:12]!r}")
    if entry.kind == "f":
        known = wanted.files[entry.ref]
        if any(other.size != entry.size for other in known):
            raise Hostile(f"a file {entry.ref[:12]} of two sizes")
        known.add(entry)
    return 0


def _entries(key: str, value: dict[str, Any]) -> list[Entry]:
    """The trees and files that a result names."""
    scheme, _, digest = key.rpartition(" ")
    if scheme == "http":
        return [file_entry(digest, value["size"], mtime=BEGINNING * 10**9)]
    return [entry_of(row) for row in (value["root"], *value["mounts"].values())]


def _read_result(key: str, stage: str, value: dict[str, Any], wanted: _Wanted) -> None:
    if not isinstance(stage, str) or not _KEY.fullmatch(key):
        raise Hostile(f"a result with the key {str(key)[:40]!r}")
    if key.startswith("step "):
        if not all(isinstance(at, str) and at.startswith("/") for at in value["mounts"]):
            raise Hostile("a result with a mount that is no path")
        if "bases" in value:
            raise Hostile("a result with what only the store that it was made in knows")
        for name, kind in _OUTCOME.items():
            if not isinstance(value.get(name, kind()), kind):
                raise Hostile(f"a result whose {name} is no {kind.__name__}")
    elif set(value) != {"size"}:
        raise Hostile("a download with more than its size")
    for entry in _entries(key, value):
        _checked(entry, wanted)
    wanted.results.append((key, stage, value))


def _members(file: gzip.GzipFile) -> Iterator[tuple[str, int]]:
    """``(name, size)`` of each file of a tar, which the caller reads before it asks for the next.

    Read block by block: an export has plain files named by a digest and nothing else, no headers that go on elsewhere.
    """
    while (block := file.read(_BLOCK)) and block.count(0) < _BLOCK:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        if info.type != tarfile.REGTYPE or not _HEX.fullmatch(info.name) or info.size < 0:
            raise Hostile(f"an entry {info.name[:80]!r} that is no plain file under its digest")
        yield info.name, info.size
        file.read(-info.size % _BLOCK)


def _take_file(store: Store, file: gzip.GzipFile, name: str, size: int, entries: set[Entry]) -> None:
    first, *more = sorted(entries, key=lambda entry: (entry.mode, entry.uid, entry.gid, entry.mtime))
    if size != first.size:
        raise Hostile(f"file {name[:12]} has {size} bytes, and {first.size} were told of")
    staged, digest, left = store.staged(), hashlib.sha256(), size
    try:
        with staged.open("wb") as out:
            while left and (chunk := file.read(min(left, _CHUNK))):
                digest.update(chunk)
                out.write(chunk)
                left -= len(chunk)
        if digest.hexdigest() != name:
            raise Hostile(f"file {name} has digest {digest.hexdigest()}")
        with store.index.batch():
            store.adopt(staged, first)
            for entry in more:
                store.ensure(entry)
    finally:
        staged.unlink(missing_ok=True)
