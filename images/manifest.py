"""Configuration, manifest and index as values (OCI image-spec v1.1)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from images.digest import Digest
from images.layer import Layer

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
"""The file `oci-layout`."""


def encode(value: object) -> bytes:
    """The one JSON form that is hashed: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **more}


def config(platform: Mapping[str, str], created: int, inner: Mapping[str, Any], layers: Sequence[Layer]) -> bytes:
    """The image configuration; ``created`` in seconds since 1970."""
    when = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return encode(
        {
            "created": when,
            **platform,
            "config": dict(inner),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": when, "created_by": layer.name} for layer in layers],
        }
    )


def manifest(config_bytes: bytes, layers: Sequence[Layer], annotations: Mapping[str, str]) -> bytes:
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, config_bytes),
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
    }
    if annotations:
        value["annotations"] = dict(annotations)
    return encode(value)


def index(manifests: Sequence[Mapping[str, Any]]) -> bytes:
    return encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)})


def nested(images: Sequence[Mapping[str, Any]], ref: str) -> tuple[bytes, bytes]:
    """An index of images by their descriptors, and the ``index.json`` of a layout that holds it under a name.

    The images stand in the order of their platforms' names, whatever order they were asked for in.
    """
    kept = ("mediaType", "digest", "size", "platform")
    plain = [{key: each[key] for key in kept} for each in images]
    inner = index(
        sorted(plain, key=lambda each: [each["platform"].get(k, "") for k in ("os", "architecture", "variant")])
    )
    annotations = {"annotations": {"org.opencontainers.image.ref.name": ref}}
    return inner, index([descriptor(INDEX, inner, **annotations)])
