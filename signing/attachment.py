"""Bundles as referrers of images, in the form that cosign 3 writes (cosign, specs/BUNDLE_SPEC.md; image-spec v1.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from images.digest import Digest
from registry import content
from registry.content import EMPTY, Descriptor, Manifest, Source, Target
from registry.errors import Corrupt, RegistryError
from signing import bundle as bundles
from signing.bundle import MEDIA_TYPE, Bundle
from signing.errors import SigningError

_CONTENT = "dev.sigstore.bundle.content"
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_NOTHING = b"{}"
MAX_BUNDLE = 64 << 20
"""Bytes of the largest bundle that is read."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A referrer and the bundle in it; ``problem`` says why there is none that can be read."""

    manifest: Manifest
    bundle: Bundle | None
    problem: str = ""


def manifest(subject: Manifest, bundle: Bundle, predicate_type: str) -> Manifest:
    """The referrer that carries a bundle. It has no time in it: the same bundle gives the same digest."""
    value = {
        "schemaVersion": 2,
        "mediaType": content.MANIFEST,
        "artifactType": MEDIA_TYPE,
        "config": Descriptor(EMPTY, Digest.of(_NOTHING), len(_NOTHING)).to_json(),
        "layers": [Descriptor(MEDIA_TYPE, Digest.of(bundle.data), len(bundle.data)).to_json()],
        "subject": subject.descriptor.to_json(),
        "annotations": {_CONTENT: "dsse-envelope", _PREDICATE_TYPE: predicate_type},
    }
    return content.manifest(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def attach(target: Target, subject: Manifest, bundle: Bundle, predicate_type: str) -> Manifest:
    """Put a bundle beside an image that is there.

    Raises:
        RegistryError: the image is not there as it is said to be, or the bundle cannot be put.
    """
    if target.manifest(subject.digest).data != subject.data:
        raise Corrupt(f"{target}: {subject.digest} reads back otherwise than it was sent; nothing is signed")
    made = manifest(subject, bundle, predicate_type)
    with TemporaryDirectory(prefix="bundle-") as folder:
        for described, data in zip(made.blobs, (_NOTHING, bundle.data), strict=True):
            file = Path(folder) / described.digest.hex
            file.write_bytes(data)
            target.put_blob(described, file)
    target.put_manifest(made)
    return made


def find(source: Source, subject: Digest) -> Iterator[Attachment]:
    """The bundles beside an image, each blob of theirs intact; nothing in them is believed yet.

    Referrers of other kinds are passed over.
    """
    for each in source.referrers(subject):
        if each.artifact_type != MEDIA_TYPE:
            continue
        layers = [blob for blob in each.blobs if blob.media_type == MEDIA_TYPE]
        if len(layers) != 1 or layers[0].size > MAX_BUNDLE:
            yield Attachment(each, None, "it does not hold one bundle")
            continue
        data = b""
        try:
            for blob in each.blobs:
                with source.blob(blob) as file:
                    data = file.read_bytes() if blob is layers[0] else data
            yield Attachment(each, bundles.parse(data))
        except (RegistryError, SigningError) as error:
            yield Attachment(each, None, str(error))
