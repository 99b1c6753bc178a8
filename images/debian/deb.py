"""Reading a .deb with the standard library (deb(5))."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

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
            yield info.replace(name=info.name.removeprefix("./"), deep=False)


def extract(path: Path, target: Path, only: Callable[[str], bool] | None = None) -> None:
    """Unpack a package's files (those for whose path `only` holds) into a folder.

    Raises:
        ImageError: an entry would leave the folder or is a device, or the package is damaged.
    """

    def keep(info: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        if only is not None and not only(info.name.removeprefix("./")):
            return None
        return tarfile.data_filter(info, folder)

    try:
        with _open(path) as tar:
            tar.extractall(target, filter=keep)
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
