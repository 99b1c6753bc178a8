"""Reading a .deb with the standard library (deb(5))."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from images.errors import ImageError

_MAGIC = b"!<arch>\n"


def member(data: bytes, prefix: str, name: str) -> bytes:
    """A member of the ar archive whose name starts with ``prefix``."""
    if not data.startswith(_MAGIC):
        raise ImageError(f"{name} is not a Debian package")
    at = len(_MAGIC)
    while at + 60 <= len(data):
        header = data[at : at + 60]
        title, size = header[:16].decode().strip().rstrip("/"), int(header[48:58])
        if title.startswith(prefix):
            return data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2
    raise ImageError(f"{name} has no member {prefix}")


def extract(path: Path, target: Path) -> None:
    """Unpack a package's files into a folder.

    Raises:
        ImageError: an entry would leave the folder, or the package is damaged.
    """
    data = member(path.read_bytes(), "data.tar", path.name)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as tar:
            tar.extractall(target, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise ImageError(f"{path.name} cannot be unpacked: {error}") from None


def read_file(path: Path, name: str) -> bytes:
    """The bytes of one file of a package, by its path without a leading ``./``."""
    data = member(path.read_bytes(), "data.tar", path.name)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as tar:
        for info in tar:
            if info.name.removeprefix("./") == name:
                file = tar.extractfile(info)
                if file is not None:
                    return file.read()
    raise ImageError(f"{path.name} has no file {name}")
