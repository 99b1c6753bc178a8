"""A layer's tar over a tree (OCI image-spec v1.1, layer.md). Its bytes are a stranger's: whatever they say, names stay
below the root, memory stays small, and what a file system could not hold is refused by the name of its entry."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import math
import tarfile
import zlib
from dataclasses import replace
from typing import IO, cast

from engine.errors import EngineError
from engine.store import Store
from engine.tree import Entry, file_entry, link_entry
from engine.trees import Trees

#: What a layer may unpack to, by its packed size: compilers' trees reach twenty times, a bomb of zeros a thousand.
_MOST, _MOST_TIMES = 1 << 30, 200
#: Bytes of one read. Files are read in pieces, so a longer one is a header that says it is huge.
_PIECE, _LONGEST_READ = 1 << 20, 16 << 20
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
_LARGEST_ID = 2**32 - 2
#: Seconds since 1970 that every file system can hold: until the year 2242.
_LATEST = 2**33


class _Bounded:
    """An unpacked stream that ends with an error where it grows beyond all measure."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream, self._most = stream, most

    def _check(self, end: int, length: int) -> None:
        if end > self._most or length > _LONGEST_READ:
            raise EngineError(
                f"the layer unpacks to more than {self._most >> 20} MiB, or has a header that is too long"
            )

    def read(self, size: int = -1) -> bytes:
        self._check(self._stream.tell(), size)
        return self._stream.read(_LONGEST_READ if size < 0 else size)

    def seek(self, position: int) -> int:
        self._check(position, 0)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()


def apply_layer(store: Store, root: Entry, data: bytes) -> Entry:
    """A layer over a tree: whiteouts remove, everything else is put.

    Raises:
        EngineError: no tar, a name that leaves the root, a kind of entry that no image needs, or more than a layer can be.
        OSError: of the store's disk.
    """
    trees = Trees(store)
    try:
        bounded = cast(IO[bytes], _Bounded(_unpacked(data), _MOST + _MOST_TIMES * len(data)))
        with tarfile.open(fileobj=bounded, mode="r:") as tar:
            for info in tar:
                names = _names(info, info.name)
                if names:
                    root = _apply(store, trees, root, tar, info, names)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, OverflowError) as error:
        raise EngineError(f"a layer of the image is no tar, or damaged: {error}") from None
    except OSError as error:
        # The unpackers' errors of their data are of this kind, without a number.
        if error.errno is None:
            raise EngineError(f"a layer of the image is no tar, or damaged: {error}") from None
        raise
    return root


def _unpacked(data: bytes) -> IO[bytes]:
    packed = io.BytesIO(data)
    if data.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=packed))
    if data.startswith(b"BZh"):
        return cast(IO[bytes], bz2.BZ2File(packed))
    return cast(IO[bytes], lzma.LZMAFile(packed)) if data.startswith(b"\xfd7zXZ") else packed


def _apply(
    store: Store, trees: Trees, root: Entry, tar: tarfile.TarFile, info: tarfile.TarInfo, names: list[str]
) -> Entry:
    folder, name, path = "/".join(names[:-1]), names[-1], "/".join(names)
    if name == ".wh..wh..opq":
        found = trees.find(root, folder)
        return trees.put(root, folder, trees.directory({}, found)) if found is not None and found.kind == "d" else root
    if name.startswith(".wh."):
        hidden = name.removeprefix(".wh.")
        if hidden in ("", ".", ".."):
            raise _refusal(info, "removes no file of its folder")
        return trees.remove(root, f"{folder}/{hidden}")
    uid, gid, mtime = _number(info, info.uid), _number(info, info.gid), _time(info)
    if info.isdir():
        root = trees.make_directory(root, path)
        found = trees.find(root, path)
        assert found is not None
        return trees.put(root, path, replace(found, mode=info.mode & 0o7777, uid=uid, gid=gid, mtime=mtime))
    if info.issym():
        target = info.linkname
        if not target or "\0" in target or len(target.encode("utf-8", "surrogateescape")) > _LONGEST_PATH:
            raise _refusal(info, "links to what is no path")
        return trees.put(root, path, link_entry(target, uid, gid, mtime))
    if info.islnk():
        target = "/".join(_names(info, info.linkname))
        found = trees.find(root, target, follow=False)
        if found is None or found.kind != "f":
            raise _refusal(info, f"links to {info.linkname!r}, which is no file of the image")
        return trees.put(root, path, found)
    if info.isreg() and not info.issparse():
        return trees.put(root, path, _file(store, tar, info, file_entry("", 0, info.mode & 0o7777, uid, gid, mtime)))
    raise _refusal(info, "is a device, a pipe or a sparse file, which the engine does not make")


def _file(store: Store, tar: tarfile.TarFile, info: tarfile.TarInfo, like: Entry) -> Entry:
    """A file's bytes as a blob."""
    member = tar.extractfile(info)
    assert member is not None
    digest, staged = hashlib.sha256(), store.staged()
    try:
        with staged.open("wb") as file:
            while piece := member.read(_PIECE):
                digest.update(piece)
                file.write(piece)
        entry = replace(like, ref=digest.hexdigest(), key=digest.hexdigest(), size=info.size)
        store.adopt(staged, entry)
    finally:
        staged.unlink(missing_ok=True)
    return entry


def _names(info: tarfile.TarInfo, path: str) -> list[str]:
    """The names of a path below the root."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    if path.startswith("/") or ".." in names:
        raise _refusal(info, "leaves the root")
    sizes = [len(name.encode("utf-8", "surrogateescape")) for name in names]
    if "\0" in path or max(sizes, default=0) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
        raise _refusal(info, "has a name that no file can have")
    return names


def _number(info: tarfile.TarInfo, number: int) -> int:
    if not 0 <= number <= _LARGEST_ID:
        raise _refusal(info, f"belongs to {number}, which is no user or group")
    return number


def _time(info: tarfile.TarInfo) -> int:
    """Nanoseconds since 1970."""
    if not math.isfinite(info.mtime):
        raise _refusal(info, f"has the time {info.mtime}")
    return min(max(int(info.mtime), 0), _LATEST) * 10**9


def _refusal(info: tarfile.TarInfo, why: str) -> EngineError:
    return EngineError(f"layer entry {info.name[:200]!r} {why}")
