"""Apply the layers of a layout to a folder, as a runtime would (OCI image-spec v1.1, layer.md: changesets, whiteouts).

Owners are not restored: whoever unpacks owns the files. Names are resolved below the folder as in a chroot, so that a
link of a lower layer never leads a file of an upper one out of it.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from images.compare import manifest_of
from images.digest import Digest
from images.errors import ImageError

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
_MAX_LINKS = 40


def unpack(layout: Path, target: Path, platform: str = "") -> None:
    """Unpack the image of a layout (of an index that for a platform, `arm-v7`) into `target`, an empty or new folder.

    Raises:
        ImageError: a layer is missing or damaged, or holds a name that leaves the folder, a device or a pipe.
    """
    _, manifest = manifest_of(layout, platform)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise ImageError(f"{target} is not empty; unpack into a new folder")
    for described in manifest["layers"]:
        blob = layout / "blobs/sha256" / Digest.parse(described["digest"]).hex
        if not blob.is_file() or str(Digest.of_file(blob)) != described["digest"]:
            raise ImageError(f"{layout}: layer {described['digest']} is missing or has another digest")
        apply(blob, target)


def apply(layer: Path, target: Path) -> None:
    """Apply one layer (a tar, compressed or not) to a folder; errors as `unpack`."""
    added: set[Path] = set()
    modes: list[tuple[Path, int]] = []
    try:
        with tarfile.open(layer) as tar:
            for info in tar:
                _entry(tar, info, target, added, modes)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ImageError(f"layer {layer.name} cannot be unpacked: {error}") from error
    for path, mode in reversed(modes):  # a folder without write permission would stop what lies in it
        path.chmod(mode)


def _entry(
    tar: tarfile.TarFile, info: tarfile.TarInfo, target: Path, added: set[Path], modes: list[tuple[Path, int]]
) -> None:
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts:
        raise ImageError(f"layer entry {info.name!r} leaves the image; refused")
    if not name.parts:
        return
    folder = _resolve(target, name.parent, info.name)
    if name.name == OPAQUE:
        for child in folder.iterdir() if folder.is_dir() else ():
            if child not in added:
                _remove(child)
        return
    path = folder / name.name.removeprefix(WHITEOUT)
    if name.name.startswith(WHITEOUT):
        if path.name in ("", ".", ".."):
            raise ImageError(f"layer entry {info.name!r} is a whiteout of nothing; refused")
        if path not in added:
            _remove(path)
        return
    folder.mkdir(parents=True, exist_ok=True)
    while folder != target.parent and folder not in added:
        added.add(folder)
        folder = folder.parent
    added.add(path)
    if not (info.isdir() and path.is_dir() and not path.is_symlink()):
        _remove(path)
    if info.isdir():
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        modes.append((path, info.mode & 0o1777))
    elif info.issym():
        _refuse_escape(name, info)
        path.symlink_to(info.linkname)
    elif info.islnk():
        linked = PurePosixPath(info.linkname)
        if linked.is_absolute() or ".." in linked.parts:
            raise ImageError(f"layer entry {info.name!r} links to {info.linkname!r}, out of the image; refused")
        os.link(_resolve(target, linked.parent, info.name) / linked.name, path, follow_symlinks=False)
    elif info.isreg():
        source = tar.extractfile(info)
        with path.open("xb") as file:
            if source is not None:
                shutil.copyfileobj(source, file)
        path.chmod(info.mode & 0o777)
    else:
        raise ImageError(f"layer entry {info.name!r} is a device or pipe; refused")


def _refuse_escape(name: PurePosixPath, info: tarfile.TarInfo) -> None:
    """A relative link that climbs above the root is refused; an absolute one means the image's root and is kept."""
    if info.linkname.startswith("/"):
        return
    depth = len(name.parent.parts)
    for part in PurePosixPath(info.linkname).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise ImageError(f"layer entry {info.name!r} links to {info.linkname!r}, out of the image; refused")


def _resolve(target: Path, name: PurePosixPath, entry: str) -> Path:
    """Where a folder of the image really lies below `target`, links followed as inside a chroot."""
    pending = list(reversed(name.parts))
    parts: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part in ("/", "."):
            continue
        if part == "..":
            parts = parts[:-1]
            continue
        found = target.joinpath(*parts, part)
        if found.is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise ImageError(f"layer entry {entry!r} runs through a loop of links; refused")
            to = PurePosixPath(os.readlink(found))
            parts = [] if to.is_absolute() else parts
            pending += reversed(to.parts)
        else:
            parts.append(part)
    return target.joinpath(*parts)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
