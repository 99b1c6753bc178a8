"""``python3 -m images.assemble SPEC OUT``: from layers and a specification to an OCI image layout.

A layer is described as a tree that is packed here, or as ``{"packed": PATH}``, the record of one that `images.pack` has
made: the layout names it then, and whoever puts the layout together adds its blob.

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
from images.pack import check, layer_of, pack

_KEYS = {"platform", "programs", "created", "config", "annotations", "ref", "layers"}
_PACKED = {"packed"}


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
    if missing := _KEYS - {"annotations", "ref", "programs"} - set(spec):
        raise ImageError(f"the specification lacks: {', '.join(sorted(missing))}")
    for layer in spec["layers"]:
        if set(layer) != _PACKED:
            check(layer)
    return spec


def assemble(spec: dict[str, Any], out: Path) -> dict[str, Any]:
    """Write the layout; returns what is in it (digests, sizes in bytes, layers)."""
    blobs = out / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    created = int(spec["created"])
    records = [_record(described, blobs) for described in spec["layers"]]
    layers = [layer_of(record) for record in records]
    for record in records:
        _refuse_foreign(spec, record)

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
    (out / "oci-layout").write_bytes(manifests.LAYOUT)
    return {
        "digest": digest,
        "config": str(Digest.of(config)),
        "size": sum(layer.size for layer in layers),
        "uncompressed": sum(layer.uncompressed for layer in layers),
        "layers": [{key: value for key, value in record.items() if key != "programs"} for record in records],
    }


def _refuse_foreign(spec: dict[str, Any], record: dict[str, Any]) -> None:
    """A program that the image's platform cannot run is an error; the specification's ``programs`` says what it runs."""
    for machine, path in record.get("programs", {}).items():
        if spec.get("programs", machine) != machine:
            named = [str(spec["platform"][key]) for key in ("os", "architecture", "variant") if key in spec["platform"]]
            raise ImageError(
                f"layer {record['name']}: {path} is for another machine (ELF {machine}) than the image's "
                f"({spec['programs']}): an image for {'/'.join(named)} cannot run it"
            )


def _record(described: dict[str, Any], blobs: Path) -> dict[str, Any]:
    if "packed" not in described:
        return pack(described, blobs)
    try:
        record: dict[str, Any] = json.loads(Path(described["packed"]).read_text())
    except ValueError as error:
        raise ImageError(f"{described['packed']} is no record of a layer: {error}") from None
    return record


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
