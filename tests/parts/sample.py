"""Small images for tests, as layout folders."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
from collections.abc import Mapping
from pathlib import Path

from images.manifest import CONFIG, LAYER, MANIFEST, descriptor, encode
from registry import content
from registry.content import Descriptor, Manifest
from registry.layout import Layout


def layer(files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """A gzip layer and its diff_id."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    plain = raw.getvalue()
    return gzip.compress(plain, mtime=0), f"sha256:{hashlib.sha256(plain).hexdigest()}"


def add(layout: Layout, data: bytes, media_type: str) -> Descriptor:
    """Put bytes into a layout."""
    found = content.descriptor(descriptor(media_type, data), "sample")
    path = layout.folder / "blobs/sha256" / found.digest.hex
    path.write_bytes(data)
    return found


def image(folder: Path, seed: int = 1, size: int = 2000, name: str = "") -> tuple[Layout, Manifest]:
    """A layout with one image of two layers, the second of about ``size`` bytes that do not compress."""
    layout = Layout(folder, create=True)
    noise = random.Random(seed).randbytes(size)
    layers = [layer({"etc/os-release": b"ID=sample\n"}), layer({"app/main.py": b"print(1)\n", "app/noise": noise})]
    config = encode(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
        }
    )
    add(layout, config, CONFIG)
    for data, _ in layers:
        add(layout, data, LAYER)
    value = content.manifest(
        encode(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, config),
                "layers": [descriptor(LAYER, data) for data, _ in layers],
            }
        )
    )
    layout.put_manifest(value)
    layout.tag(name, value)
    return layout, value
