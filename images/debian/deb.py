"""Reading a .deb with the standard library (deb(5))."""

from __future__ import annotations

import copy
import io
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from images.errors import ImageError

_MAGIC = b"!<arch>\n"


def member(data: bytes, prefix: str, name: str) -> bytes:
    """The member of the ar archive whose name starts with `prefix`; raises ImageError if there is none."""
    if not data.startswith(_MAGIC):
        raise ImageError(f"{name} is not a Debian package")
    at = len(_MAGIC)
    while at + 60 <= len(data):
        header = data[at : at + 60]
        title = header[:16].decode("ascii", "replace").strip().rstrip("/")
        digits = header[48:58].strip()
        if not digits.isdigit() or at + 60 + int(digits) > len(data):
            raise ImageError(f"{name}: member {title!r} is damaged or cut short")
        size = int(digits)
        if title.startswith(prefix):
            if title.endswith(".zst"):
                raise ImageError(f"{name}: {title} is compressed with zstd, which is not supported; Debian 13 uses xz")
            return data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ImageError(f"{name} has no member {prefix}")


def _open(path: Path) -> tarfile.TarFile:
    data = member(path.read_bytes(), "data.tar", path.name)
    try:
        return tarfile.open(fileobj=io.BytesIO(data), mode="r:*")
    except tarfile.TarError as error:
        raise ImageError(f"{path.name} cannot be unpacked: {error}") from None


def files(path: Path) -> Iterator[tarfile.TarInfo]:
    """The entries of a package, names without a leading `./`."""
    with _open(path) as tar:
        for info in tar:
            plain = copy.copy(info)
            plain.name = info.name.removeprefix("./")
            yield plain


def _refuse_leaving(info: tarfile.TarInfo, package: str) -> None:
    """An entry whose name or link leaves the folder, or that is a device, is an error."""
    places = [info.name]
    if info.issym():
        places.append(posixpath.join(posixpath.dirname(info.name), info.linkname))
    elif info.islnk():
        places.append(info.linkname)
    leaves = any(posixpath.normpath(p).startswith(("/", "..")) for p in places)
    if leaves or not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
        raise ImageError(f"{package} cannot be unpacked: entry {info.name!r} would leave the folder, or is a device")


def extract(path: Path, target: Path, only: Callable[[str], bool] | None = None) -> None:
    """Unpack a package's files (those for whose path `only` holds) into a folder.

    Raises:
        ImageError: an entry would leave the folder or is a device, or the package is damaged.
    """

    # Python 3.11.0 to 3.11.3 have no extraction filters; what they would refuse is refused here on every version.
    filtered: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    try:
        with _open(path) as tar:
            members = [info for info in tar if only is None or only(info.name.removeprefix("./"))]
            for info in members:
                _refuse_leaving(info, path.name)
            tar.extractall(target, members=members, **filtered)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"{path.name} cannot be unpacked: {error}") from None


def read_file(path: Path, name: str) -> bytes:
    """The bytes of one file of a package, by its path without a leading `./`; ImageError if it is not there."""
    with _open(path) as tar:
        for info in tar:
            if info.name.removeprefix("./") == name and info.isreg():
                file = tar.extractfile(info)
                if file is not None:
                    return file.read()
    raise ImageError(f"{path.name} has no file {name}")
