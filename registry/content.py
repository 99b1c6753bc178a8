"""Descriptors and manifests as values, and the port behind which registries and folders stand (image-spec v1.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from images.digest import Digest
from images.errors import ImageError
from registry.errors import Corrupt, RegistryError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
INDEXES = (INDEX, DOCKER_INDEX)
MANIFESTS = (MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX)

MAX_MANIFEST = 4 << 20
"""Bytes of the largest manifest that is read: what registries accept (distribution-spec, "Pushing Manifests")."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something else (image-spec, descriptor.md); ``size`` in bytes."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index: its exact bytes, and what they say."""

    data: bytes
    media_type: str
    digest: Digest
    blobs: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: tuple[tuple[str, str], ...] = field(default=())

    @property
    def descriptor(self) -> Descriptor:
        """What points at this manifest."""
        return Descriptor(self.media_type, self.digest, len(self.data))

    @property
    def referrer(self) -> Descriptor:
        """The same with artifactType and annotations, as a list of referrers carries them."""
        return Descriptor(self.media_type, self.digest, len(self.data), self.artifact_type, self.annotations)


def descriptor(value: object, where: str) -> Descriptor:
    """A descriptor out of JSON.

    Raises:
        RegistryError: a field is missing or mistyped; ``where`` is named.
    """
    if not isinstance(value, Mapping):
        raise RegistryError(f"{where}: a descriptor is a JSON object, not {value!r}")
    media, size = value.get("mediaType"), value.get("size")
    if not isinstance(media, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise RegistryError(f"{where}: a descriptor needs mediaType and a size that is not negative")
    try:
        digest = Digest.parse(value.get("digest"))
    except ImageError as error:
        raise RegistryError(f"{where}: {error}") from None
    kind = value.get("artifactType", "")
    return Descriptor(media, digest, size, kind if isinstance(kind, str) else "", _annotations(value, where))


def _annotations(value: Mapping[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    given = value.get("annotations") or {}
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given.values()):
        raise RegistryError(f"{where}: annotations are strings by name")
    return tuple(sorted(given.items()))


def _descriptors(value: Mapping[str, Any], key: str, where: str) -> tuple[Descriptor, ...]:
    given = value.get(key) or []
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise RegistryError(f"{where}: {key} is a list of descriptors")
    return tuple(descriptor(each, f"{where}: {key}") for each in given)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON (RFC 8259, section 4) that everyone reads alike; raises ValueError for a name that stands twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name stands twice in one JSON object")
    return value


def manifest(data: bytes, media_type: str = "", where: str = "manifest") -> Manifest:
    """A manifest from its bytes; ``media_type`` is what a place says of it, if it says anything.

    Raises:
        RegistryError: it is none that is supported, or says another type of itself than the place does.
    """
    if len(data) > MAX_MANIFEST:
        raise RegistryError(f"{where}: a manifest of {len(data)} bytes is larger than {MAX_MANIFEST}")
    try:
        value = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise RegistryError(f"{where}: a manifest is JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        raise RegistryError(f"{where}: neither an image manifest nor an index (schemaVersion 2)")
    said = media_type.split(";")[0].strip()
    own = value.get("mediaType") or said or (INDEX if "manifests" in value else MANIFEST)
    if own not in MANIFESTS or (said in MANIFESTS and said != own):
        raise RegistryError(f"{where}: media type {own!r} (served as {said!r}) is not one of {', '.join(MANIFESTS)}")
    # One body must not be readable as both (CVE-2021-41190).
    if ("manifests" in value) != (own in INDEXES) or ("layers" in value or "config" in value) == (own in INDEXES):
        raise RegistryError(f"{where}: {own} does not fit its fields")
    config = (descriptor(value["config"], f"{where}: config"),) if own not in INDEXES else ()
    kind = value.get("artifactType") or ("" if own in INDEXES or not config else config[0].media_type)
    return Manifest(
        data,
        own,
        Digest.of(data),
        config + _descriptors(value, "layers", where),
        _descriptors(value, "manifests", where),
        descriptor(value["subject"], f"{where}: subject") if value.get("subject") else None,
        kind if isinstance(kind, str) else "",
        _annotations(value, where),
    )


def checked(data: bytes, wanted: Digest, where: str) -> bytes:
    """The bytes, if they have the digest; raises Corrupt otherwise."""
    if (found := Digest.of(data)) != wanted:
        raise Corrupt(f"{where}: {wanted} was asked for, and what came has digest {found}")
    return data


class Source(Protocol):
    """Where content can be read. All that is given was checked against its digest."""

    def resolve(self, name: str | None) -> Descriptor:
        """What a tag or digest stands for (None: the one image that there is); raises NotFound."""

    def manifest(self, digest: Digest) -> Manifest:
        """A manifest; raises NotFound or Corrupt."""

    def blob(self, wanted: Descriptor) -> AbstractContextManager[Path]:
        """A file with the blob's bytes, there as long as the context; raises NotFound or Corrupt."""

    def referrers(self, subject: Digest) -> list[Manifest]:
        """The manifests whose subject this is, by digest order."""


class Target(Source, Protocol):
    """Where content can be put. Whatever is put is there when the call returns, or an error is raised."""

    def has(self, wanted: Descriptor) -> bool:
        """Whether a blob or manifest is there already, in full size."""

    def put_blob(self, wanted: Descriptor, file: Path, elsewhere: Iterable[str] = ()) -> str:
        """Put a blob from a file; ``elsewhere`` names repositories of the same registry that may have it.

        Returns how it got there: ``sent``, ``mounted`` or ``there``.
        """

    def put_manifest(self, value: Manifest) -> None:
        """Put a manifest under its digest, and list it under its subject if it has one."""

    def tag(self, name: str, value: Manifest) -> None:
        """Let a tag point at a manifest that is there."""
