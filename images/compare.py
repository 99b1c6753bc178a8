"""``python -m images.compare A B``: which file of which layer differs between two layouts, and how."""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from images.digest import Digest
from images.errors import ImageError


def read(layout: Path, digest: str) -> bytes:
    """A blob of a layout, its digest recomputed.

    Raises:
        ImageError: it is missing or has another digest.
    """
    path = layout / "blobs/sha256" / Digest.parse(digest).hex
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{layout}: blob {digest}: {error.strerror}") from None
    if str(Digest.of(data)) != digest:
        raise ImageError(f"{layout}: blob {digest} has digest {Digest.of(data)}")
    return data


def manifest_of(layout: Path) -> tuple[str, dict[str, Any]]:
    """``(digest, manifest)`` of a layout's one image."""
    try:
        described = json.loads((layout / "index.json").read_bytes())["manifests"][0]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ImageError(f"{layout} is not an OCI image layout: {error}") from None
    manifest: dict[str, Any] = json.loads(read(layout, described["digest"]))
    return described["digest"], manifest


def files_of(layout: Path, digest: str) -> dict[str, tuple[object, ...]]:
    """What a layer says of each path: kind, mode, owner, time, link, size, digest of the bytes."""
    path = layout / "blobs/sha256" / Digest.parse(digest).hex
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(path, "r:gz") as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isreg() else None
            content = hashlib.file_digest(file, "sha256").hexdigest() if file else ""  # type: ignore[arg-type]
            found[info.name] = (
                info.type.decode(),
                oct(info.mode),
                f"{info.uid}:{info.gid}",
                int(info.mtime),
                info.linkname,
                info.size,
                content,
            )
    return found


def differences(one: Path, other: Path) -> Iterator[str]:
    """Lines that say how two images differ; none when their digests are equal."""
    digest_a, a = manifest_of(one)
    digest_b, b = manifest_of(other)
    if digest_a == digest_b:
        return
    config_a, config_b = (json.loads(read(where, m["config"]["digest"])) for where, m in ((one, a), (other, b)))
    for key in sorted(set(config_a) | set(config_b)):
        if key not in ("rootfs", "history") and config_a.get(key) != config_b.get(key):
            yield f"config {key}: {config_a.get(key)} | {config_b.get(key)}"
    if a.get("annotations") != b.get("annotations"):
        yield f"annotations: {a.get('annotations')} | {b.get('annotations')}"
    names = [h["created_by"] for h in config_a["history"]]
    if len(a["layers"]) != len(b["layers"]):
        yield f"layers: {len(a['layers'])} | {len(b['layers'])}"
    for number, (x, y) in enumerate(zip(a["layers"], b["layers"], strict=False)):
        if x["digest"] == y["digest"]:
            continue
        in_a, in_b = files_of(one, x["digest"]), files_of(other, y["digest"])
        changed = [p for p in sorted(set(in_a) | set(in_b)) if in_a.get(p) != in_b.get(p)]
        for path in changed:
            yield f"layer {names[number]}: {path}: {in_a.get(path)} | {in_b.get(path)}"
        if not changed:
            yield f"layer {names[number]}: the same files, packed in another way"


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if len(words) != 2:
        print("usage: python -m images.compare LAYOUT LAYOUT", file=sys.stderr)
        return 2
    try:
        lines = list(differences(Path(words[0]), Path(words[1])))
    except ImageError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines) if lines else "the same image")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
