"""A layer as a pure function of a tree and a policy: sorted names, fixed owner and times, modes by one rule.

Tar is ustar with pax records only where a name or link does not fit (Python's ``PAX_FORMAT``); gzip is zlib's, at level
6 unless the layer says another, without name or time. Which zlib that is, is fixed by the locked base that this runs in.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from images.errors import ImageError

LEVEL = 6
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A tree to be a layer: ``prefix`` is where it lands, ``directories`` have a mode and owner of their own.

    ``mtime`` (seconds since 1970) is the time of each entry. It is not the commit's: else every commit would
    rewrite every layer, and what an engine does to the times of files would show. ``level`` is gzip's, 1 to 9.
    """

    name: str
    source: Path
    prefix: str = ""
    uid: int = 0
    gid: int = 0
    exclude: tuple[str, ...] = ()
    directories: tuple[tuple[str, int, int, int], ...] = ()
    mtime: int = 0
    level: int = LEVEL


@dataclass(frozen=True, slots=True)
class Layer:
    """A written layer. Sizes in bytes; ``uncompressed`` is that of the tar."""

    name: str
    digest: str
    diff_id: str
    size: int
    uncompressed: int
    files: int


class _Gzip:
    """A gzip stream with no time, name or system in its header, that knows its digests."""

    def __init__(self, target: IO[bytes], level: int) -> None:
        self._target = target
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        self.compressed, self.plain = hashlib.sha256(), hashlib.sha256()
        self.size = self.length = self._crc = 0
        self._emit(_GZIP_HEADER)

    def _emit(self, data: bytes) -> None:
        self.compressed.update(data)
        self.size += len(data)
        self._target.write(data)

    def write(self, data: bytes) -> int:
        self.plain.update(data)
        self._crc = zlib.crc32(data, self._crc)
        self.length += len(data)
        self._emit(self._deflate.compress(data))
        return len(data)

    def tell(self) -> int:
        return self.length

    def finish(self) -> None:
        self._emit(self._deflate.flush())
        self._emit(self._crc.to_bytes(4, "little") + (self.length & 0xFFFFFFFF).to_bytes(4, "little"))


def _paths(source: Path, exclude: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    def scan(folder: Path, above: str) -> Iterator[tuple[str, os.stat_result]]:
        for item in sorted(os.scandir(folder), key=lambda e: e.name):
            path = above + item.name
            if any(fnmatch.fnmatchcase(path, pattern) for pattern in exclude):
                continue
            found = item.stat(follow_symlinks=False)
            yield path, found
            if stat.S_ISDIR(found.st_mode):
                yield from scan(Path(item.path), path + "/")

    yield from scan(source, "")


def write_layer(spec: LayerSpec, target: Path) -> Layer:
    """Write a layer to a file.

    Raises:
        ImageError: the source is missing, or holds a thing that is no file, link or directory, or a whiteout's name.
    """
    if spec.level not in range(1, 10):
        raise ImageError(f"layer {spec.name}: level {spec.level} is none of gzip's, 1 to 9")
    if not spec.source.is_dir():
        raise ImageError(f"layer {spec.name}: source {spec.source} is not a directory")
    files = 0
    with target.open("wb") as raw:
        out = _Gzip(raw, spec.level)
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:  # type: ignore[call-overload]
            done: set[str] = set()
            prefix = spec.prefix.strip("/")

            def add(info: tarfile.TarInfo, file: IO[bytes] | None = None) -> None:
                info.mtime, info.uname, info.gname = spec.mtime, "", ""
                tar.addfile(info, file)
                done.add(info.name)

            def folder(name: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
                info = tarfile.TarInfo(name)
                info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, uid, gid
                add(info)

            special = {path.strip("/"): (mode, uid, gid) for path, mode, uid, gid in spec.directories}
            for number in range(1, len(prefix.split("/")) + 1 if prefix else 0):
                name = "/".join(prefix.split("/")[:number])
                folder(name, *special.get(name, (0o755, 0, 0)))
            for path, found in _paths(spec.source, spec.exclude):
                name = f"{prefix}/{path}" if prefix else path
                if path.rpartition("/")[2].startswith(".wh."):
                    raise ImageError(f"layer {spec.name}: {path} would be read as a whiteout; rename it")
                info = tarfile.TarInfo(name)
                info.uid, info.gid = spec.uid, spec.gid
                if stat.S_ISDIR(found.st_mode):
                    info.type = tarfile.DIRTYPE
                    info.mode, info.uid, info.gid = special.get(name, (0o755, spec.uid, spec.gid))
                    add(info)
                elif stat.S_ISLNK(found.st_mode):
                    info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, os.readlink(spec.source / path)
                    add(info)
                    files += 1
                elif stat.S_ISREG(found.st_mode):
                    info.mode = 0o755 if found.st_mode & 0o100 else 0o644
                    info.size = found.st_size
                    with (spec.source / path).open("rb") as file:
                        add(info, file)
                    files += 1
                else:
                    raise ImageError(f"layer {spec.name}: {path} is a device, pipe or socket, which no image may hold")
            for name, (mode, uid, gid) in sorted(special.items()):
                if name not in done:
                    for number in range(1, name.count("/") + 1):
                        above = "/".join(name.split("/")[:number])
                        if above not in done:
                            folder(above)
                    folder(name, mode, uid, gid)
        out.finish()
    return Layer(
        spec.name,
        "sha256:" + out.compressed.hexdigest(),
        "sha256:" + out.plain.hexdigest(),
        out.size,
        out.length,
        files,
    )
