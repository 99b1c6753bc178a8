"""``python -m images.validate LAYOUT``: recompute every digest, size and diff_id of a layout."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

from images.compare import manifest_of, read
from images.errors import ImageError


def validate(layout: Path) -> str:
    """The image's digest, once everything under it was recomputed.

    Raises:
        ImageError: the first thing that is not what it is said to be.
    """
    digest, manifest = manifest_of(layout)
    config_bytes = read(layout, manifest["config"]["digest"])
    config = json.loads(config_bytes)
    diff_ids = config["rootfs"]["diff_ids"]
    if len(diff_ids) != len(manifest["layers"]):
        raise ImageError(f"{layout}: {len(diff_ids)} diff_ids for {len(manifest['layers'])} layers")
    for described, diff_id in zip(manifest["layers"], diff_ids, strict=True):
        data = read(layout, described["digest"])
        if len(data) != described["size"]:
            raise ImageError(f"{layout}: layer {described['digest']} has {len(data)} bytes, not {described['size']}")
        plain = "sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest()
        if plain != diff_id:
            raise ImageError(f"{layout}: layer {described['digest']} unpacks to {plain}, not {diff_id}")
    return digest


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
