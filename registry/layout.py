"""Images in an OCI layout folder (image-spec v1.1, image-layout.md), the tar of one too."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.digest import Digest
from images.errors import ImageError
from registry import content
from registry.content import Descriptor, Manifest
from registry.errors import Corrupt, NotFound, RegistryError

REF_NAME = "org.opencontainers.image.ref.name"
_VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_MAX_ENTRIES = 100_000


class Layout:
    """A layout folder; ``create`` makes one where there is none.

    Referrers are listed in ``index.json`` beside the images, without a name, as oras keeps them.

    Raises:
        RegistryError: the folder is no layout, or cannot be written.
    """

    def __init__(self, folder: Path, create: bool = False) -> None:
        self.folder = folder
        if create:
            try:
                (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
                if not (folder / "oci-layout").exists():
                    _write(folder / "oci-layout", _VERSION)
                if not (folder / "index.json").exists():
                    self._write_index([])
            except OSError as error:
                raise RegistryError(f"{folder} cannot be written: {error.strerror}") from None
        try:
            version = json.loads((folder / "oci-layout").read_bytes())["imageLayoutVersion"]
        except (OSError, ValueError, KeyError, TypeError):
            raise NotFound(f"{folder} is no OCI image layout: it has no file oci-layout that says so") from None
        if version != "1.0.0":
            raise RegistryError(f"{folder} is an OCI image layout of version {version!r}; 1.0.0 is read here")

    def __str__(self) -> str:
        return str(self.folder)

    def _entries(self) -> list[dict[str, Any]]:
        path = self.folder / "index.json"
        try:
            value = json.loads(path.read_bytes(), object_pairs_hook=content.unique)
            entries = value["manifests"]
        except OSError as error:
            raise NotFound(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RegistryError(f"{path} is no index: {error}") from None
        if not isinstance(entries, list) or len(entries) > _MAX_ENTRIES:
            raise RegistryError(f"{path}: manifests is a list of up to {_MAX_ENTRIES} descriptors")
        for each in entries:
            content.descriptor(each, str(path))
        return entries

    def _described(self) -> list[Descriptor]:
        return [content.descriptor(each, f"{self.folder}/index.json") for each in self._entries()]

    def _path(self, digest: Digest) -> Path:
        return self.folder / "blobs/sha256" / digest.hex

    def resolve(self, name: str | None) -> Descriptor:
        described = self._described()
        if name and name.startswith("sha256:"):
            try:
                return self.manifest(Digest.parse(name)).descriptor
            except ImageError as error:
                raise RegistryError(f"{self}: {error}") from None
        if name:
            for each in described:
                if dict(each.annotations).get(REF_NAME) == name:
                    return self.manifest(each.digest).descriptor
            raise NotFound(f"{self} has no image named {name!r}")
        images: list[Descriptor] = []
        for each in described:
            if _is_bookkeeping(dict(each.annotations).get(REF_NAME, "")):
                continue
            found = self.manifest(each.digest)
            if found.subject is None and found.digest not in [other.digest for other in images]:
                images.append(found.descriptor)
        if len(images) != 1:
            raise NotFound(f"{self} holds {len(images)} images; name one by its tag or digest: {self}:TAG")
        return images[0]

    def manifest(self, digest: Digest) -> Manifest:
        path = self._path(digest)
        try:
            if path.stat().st_size > content.MAX_MANIFEST:
                raise RegistryError(f"{self}: {digest} is too large to be a manifest")
            data = path.read_bytes()
        except OSError:
            raise NotFound(f"{self} has no manifest {digest}") from None
        known = next((each.media_type for each in self._described() if each.digest == digest), "")
        return content.manifest(content.checked(data, digest, str(self)), known, f"{self}: {digest}")

    @contextmanager
    def blob(self, wanted: Descriptor) -> Iterator[Path]:
        path = self._path(wanted.digest)
        try:
            size, found = path.stat().st_size, Digest.of_file(path)
        except OSError:
            raise NotFound(f"{self} has no blob {wanted.digest}") from None
        if found != wanted.digest or size != wanted.size:
            raise Corrupt(
                f"{self}: blob {wanted.digest} of {wanted.size} bytes was asked for; its file has {size} bytes and "
                f"digest {found}"
            )
        yield path

    def referrers(self, subject: Digest) -> list[Manifest]:
        found = {}
        for each in self._described():
            if each.digest == subject or each.media_type not in content.MANIFESTS:
                continue
            value = self.manifest(each.digest)
            if value.subject and value.subject.digest == subject:
                found[value.digest] = value
        return [found[digest] for digest in sorted(found)]

    def has(self, wanted: Descriptor) -> bool:
        path = self._path(wanted.digest)
        return path.is_file() and path.stat().st_size == wanted.size and Digest.of_file(path) == wanted.digest

    def put_blob(self, wanted: Descriptor, file: Path, elsewhere: Iterable[str] = ()) -> str:
        if self.has(wanted):
            return "there"
        descriptor, staged = tempfile.mkstemp(dir=self.folder / "blobs", prefix=".new-")
        os.close(descriptor)
        try:
            shutil.copyfile(file, staged)
            if Digest.of_file(Path(staged)) != wanted.digest:
                raise Corrupt(f"{file} changed while it was copied to {self}")
            os.chmod(staged, 0o644)
            os.replace(staged, self._path(wanted.digest))
        except OSError as error:
            raise RegistryError(f"{self} cannot be written: {error.strerror}") from None
        finally:
            Path(staged).unlink(missing_ok=True)
        return "sent"

    def put_manifest(self, value: Manifest) -> None:
        try:
            _write(self._path(value.digest), value.data)
        except OSError as error:
            raise RegistryError(f"{self} cannot be written: {error.strerror}") from None
        if value.subject:
            self._add(value.referrer)

    def tag(self, name: str, value: Manifest) -> None:
        self._add(Descriptor(value.media_type, value.digest, len(value.data), "", ((REF_NAME, name),) if name else ()))

    def _add(self, new: Descriptor) -> None:
        with self._locked():
            entries = self._entries()
            name = dict(new.annotations).get(REF_NAME)
            if name:
                entries = [each for each in entries if (each.get("annotations") or {}).get(REF_NAME) != name]
            if any(Digest.parse(each["digest"]) == new.digest for each in entries) and not name:
                return
            self._write_index([*entries, new.to_json()])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write_index(self, entries: list[dict[str, Any]]) -> None:
        value = {"schemaVersion": 2, "mediaType": content.INDEX, "manifests": entries}
        _write(self.folder / "index.json", json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def _is_bookkeeping(name: str) -> bool:
    """Whether a name is one that referrers and older signatures are kept under, and so no image's."""
    return name.startswith("sha256-")


def _write(path: Path, data: bytes) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_bytes(data)
    staged.replace(path)


@contextmanager
def from_tar(path: Path) -> Iterator[Layout]:
    """The layout in a tar, unpacked for as long as the context.

    Raises:
        RegistryError: it is no tar of a layout, or holds a file that a layout does not.
    """
    with tempfile.TemporaryDirectory(prefix="layout-") as name:
        folder = Path(name)
        (folder / "blobs/sha256").mkdir(parents=True)
        try:
            with tarfile.open(path) as tar:
                for info in tar:
                    inner = info.name.removeprefix("./").rstrip("/")
                    if info.isdir() and inner in ("", ".", "blobs", "blobs/sha256"):
                        continue
                    if (folder / inner).exists() or not info.isreg() or not _belongs(inner):
                        raise RegistryError(f"{path}: {info.name!r} does not belong into a tar of an image layout")
                    source = tar.extractfile(info)
                    assert source is not None
                    with (folder / inner).open("wb") as out:
                        shutil.copyfileobj(source, out, 1 << 20)
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise RegistryError(f"{path} is no tar of an image layout: {error}") from None
        yield Layout(folder)


def _belongs(inner: str) -> bool:
    if inner in ("oci-layout", "index.json"):
        return True
    try:
        Digest(inner.removeprefix("blobs/sha256/"))
    except ImageError:
        return False
    return inner.startswith("blobs/sha256/")


def to_tar(layout: Layout, path: Path) -> None:
    """Write a layout as a tar with the same bytes each time: sorted, no owner, no time."""
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with tarfile.open(staged, "w", format=tarfile.USTAR_FORMAT) as tar:
            for inner in ["oci-layout", "index.json", *sorted(f"blobs/sha256/{each.name}" for each in _blobs(layout))]:
                info = tarfile.TarInfo(inner)
                file = layout.folder / inner
                info.size, info.mode = file.stat().st_size, 0o644
                with file.open("rb") as data:
                    tar.addfile(info, data)
        staged.replace(path)
    except OSError as error:
        raise RegistryError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        staged.unlink(missing_ok=True)


def _blobs(layout: Layout) -> list[Path]:
    return [each for each in (layout.folder / "blobs/sha256").iterdir() if not each.name.startswith(".")]
