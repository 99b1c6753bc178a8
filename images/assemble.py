"""``python3 -m images.assemble SPEC OUT``: from trees and a specification to an OCI image layout.

A step of the pipelines: it runs in the locked Python base, needs the standard library alone, and reads no clock.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from images import manifest as manifests
from images.digest import Digest
from images.errors import ImageError
from images.layer import Layer, LayerSpec, write_layer
from images.packages import packages

_KEYS = {"platform", "created", "config", "annotations", "ref", "layers"}
_LAYER_KEYS = {"name", "source", "prefix", "uid", "gid", "exclude", "directories", "mtime"}


def parse(text: str) -> dict[str, Any]:
    """The specification.

    Raises:
        ImageError: not JSON, or with keys that are not known or missing.
    """
    try:
        spec: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise ImageError(f"the specification is not JSON: {error}") from None
    if unknown := set(spec) - _KEYS:
        raise ImageError(f"the specification has unknown keys: {', '.join(sorted(unknown))}")
    if missing := _KEYS - {"annotations", "ref"} - set(spec):
        raise ImageError(f"the specification lacks: {', '.join(sorted(missing))}")
    for layer in spec["layers"]:
        if unknown := set(layer) - _LAYER_KEYS:
            raise ImageError(f"layer {layer.get('name')!r} has unknown keys: {', '.join(sorted(unknown))}")
    return spec


def assemble(spec: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the layout; returns what is in it (digests, sizes in bytes, layers)."""
    blobs = out / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    created = int(spec["created"])
    layers: list[Layer] = []
    holds: list[list[str]] = []
    for number, described in enumerate(spec["layers"]):
        layer_spec = LayerSpec(
            described["name"],
            Path(described["source"]),
            described.get("prefix", ""),
            described.get("uid", 0),
            described.get("gid", 0),
            tuple(described.get("exclude", ())),
            tuple((path, int(mode, 8), uid, gid) for path, mode, uid, gid in described.get("directories", ())),
            int(described.get("mtime", 0)),
        )
        staged = blobs / f".layer-{number}"
        layer = write_layer(layer_spec, staged)
        staged.rename(blobs / Digest.parse(layer.digest).hex)
        layers.append(layer)
        holds.append(packages(layer_spec.source))

    def keep(data: bytes) -> str:
        digest = Digest.of(data)
        (blobs / digest.hex).write_bytes(data)
        return str(digest)

    config = manifests.config(spec["platform"], created, spec["config"], layers)
    manifest = manifests.manifest(config, layers, spec.get("annotations", {}))
    ref = {"annotations": {"org.opencontainers.image.ref.name": spec["ref"]}} if spec.get("ref") else {}
    keep(config)
    digest = keep(manifest)
    described = manifests.descriptor(manifests.MANIFEST, manifest, platform=spec["platform"], **ref)
    (out / "index.json").write_bytes(manifests.index([described]))
    (out / "oci-layout").write_bytes(manifests.encode({"imageLayoutVersion": "1.0.0"}))
    return {
        "digest": digest,
        "config": str(Digest.of(config)),
        "size": sum(layer.size for layer in layers),
        "uncompressed": sum(layer.uncompressed for layer in layers),
        "layers": [
            {
                "name": layer.name,
                "digest": layer.digest,
                "diff_id": layer.diff_id,
                "size": layer.size,
                "uncompressed": layer.uncompressed,
                "files": layer.files,
                "holds": held,
            }
            for layer, held in zip(layers, holds, strict=True)
        ],
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m images.assemble", description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--report", type=Path, help="write digests and sizes here as JSON")
    options = parser.parse_args(argv)
    try:
        report = assemble(parse(options.spec.read_text()), options.out)
    except (ImageError, OSError) as error:
        print(f"assemble: {error}", file=sys.stderr)
        return 1
    if options.report:
        options.report.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
