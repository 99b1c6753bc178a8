"""``python -m images.validate LAYOUT``: recompute every digest, size and diff_id of a layout."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import zlib
from pathlib import Path
from typing import Any

from images.compare import manifests_of, read
from images.digest import CHUNK, Digest
from images.errors import ImageError


def validate(layout: Path) -> str:
    """The digest of a layout's image or index, once everything under it was recomputed.

    Raises:
        ImageError: the first thing that is not what it is said to be.
    """
    for _, manifest in manifests_of(layout).values():
        _image(layout, manifest)
    return str(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])


def _image(layout: Path, manifest: dict[str, Any]) -> None:
    config_bytes = read(layout, manifest["config"]["digest"])
    config = json.loads(config_bytes)
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]):
        raise ImageError(f"{layout}: {len(diff_ids)} diff_ids for {len(manifest['layers'])} layers")
    for described, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        _layer(layout, described, diff_id)


def _layer(layout: Path, described: dict[str, Any], diff_id: str) -> None:
    """Recompute a layer's digests, a chunk at a time."""
    path = layout / "blobs/sha256" / Digest.parse(described["digest"]).hex
    plain = hashlib.sha256()
    try:
        digest, size = str(Digest.of_file(path)), path.stat().st_size
        if digest != described["digest"]:
            raise ImageError(f"{layout}: blob {described['digest']} has digest {digest}")
        with gzip.open(path) as unpacked:
            while chunk := unpacked.read(CHUNK):
                plain.update(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"{layout}: blob {described['digest']}: {error}") from None
    if size != described["size"]:
        raise ImageError(f"{layout}: layer {described['digest']} has {size} bytes, not {described['size']}")
    if (found := f"sha256:{plain.hexdigest()}") != diff_id:
        raise ImageError(f"{layout}: layer {described['digest']} unpacks to {found}, not {diff_id}")


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    try:
        for word in words:
            print(word, validate(Path(word)))
    except ImageError as error:
        print(f"validate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
