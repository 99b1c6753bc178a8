"""The older form of cosign (specs/SIGNATURE_SPEC.md, ATTESTATION_SPEC.md): tags ``sha256-<hex>.sig`` and ``.att``.

For admission controllers that do not know bundles yet. Only keys sign so here; there is no transparency log in it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from images.digest import Digest
from registry import content
from registry.content import Descriptor, Manifest, Target
from signing.bundle import Bundle
from signing.dsse import PAYLOAD_TYPE

_CONFIG = "application/vnd.oci.image.config.v1+json"
_SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
_ENVELOPE = "application/vnd.dsse.envelope.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"


def _encode(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _artifact(target: Target, layers: Sequence[tuple[str, bytes, dict[str, str]]], tag: str) -> Manifest:
    diff_ids = [str(Digest.of(data)) for _, data, _ in layers]
    config = _encode({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}})
    blobs = [(Descriptor(_CONFIG, Digest.of(config), len(config)), config)]
    for kind, data, notes in layers:
        blobs.append((Descriptor(kind, Digest.of(data), len(data), "", tuple(sorted(notes.items()))), data))
    described = [each.to_json() for each, _ in blobs]
    value = {"schemaVersion": 2, "mediaType": content.MANIFEST, "config": described[0], "layers": described[1:]}
    made = content.manifest(_encode(value))
    with TemporaryDirectory(prefix="signature-") as folder:
        for each, data in blobs:
            file = Path(folder) / each.digest.hex
            file.write_bytes(data)
            target.put_blob(each, file)
    target.put_manifest(made)
    target.tag(tag, made)
    return made


def signature(target: Target, subject: Digest, repository: str, sign: Callable[[bytes], bytes]) -> Manifest:
    """Sign an image in the older form, as the image of this repository."""
    payload = _encode(
        {
            "critical": {
                "identity": {"docker-reference": repository},
                "image": {"docker-manifest-digest": str(subject)},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    signed = base64.b64encode(sign(payload)).decode()
    return _artifact(target, [(_SIMPLE, payload, {_SIGNATURE: signed})], f"sha256-{subject.hex}.sig")


def attestations(target: Target, subject: Digest, signed: Sequence[tuple[str, Bundle]]) -> Manifest:
    """Attest in the older form: predicate types, and the bundles whose envelopes are taken over as they are."""
    layers = []
    for kind, bundle in signed:
        envelope = {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(bundle.envelope.payload).decode(),
            "signatures": [{"keyid": "", "sig": base64.b64encode(bundle.envelope.signature).decode()}],
        }
        layers.append((_ENVELOPE, _encode(envelope), {_SIGNATURE: "", "predicateType": kind}))
    return _artifact(target, layers, f"sha256-{subject.hex}.att")
