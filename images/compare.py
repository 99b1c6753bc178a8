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


def manifests_of(layout: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """``(digest, manifest)`` of each image of a layout by its platform (``arm-v7``), which is "" for one without an index."""
    try:
        described = json.loads((layout / "index.json").read_bytes())["manifests"][0]
        value: dict[str, Any] = json.loads(read(layout, described["digest"]))
        if "manifests" not in value:
            return {"": (described["digest"], value)}
        found = {}
        for each in value["manifests"]:
            words = (each["platform"].get("architecture"), each["platform"].get("variant"))
            found["-".join(word for word in words if word)] = each["digest"], json.loads(read(layout, each["digest"]))
        return found
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ImageError(f"{layout} is not an OCI image layout: {error}") from None


def manifest_of(layout: Path, platform: str = "") -> tuple[str, dict[str, Any]]:
    """``(digest, manifest)`` of a layout's one image, or of the one for a platform (``arm-v7``).

    Raises:
        ImageError: there is none for it, or several and no platform is given.
    """
    found = manifests_of(layout)
    if platform in found:
        return found[platform]
    if len(found) == 1 and not platform:
        return next(iter(found.values()))
    wanted = f"none for {platform}" if platform else "several; name one"
    raise ImageError(f"{layout} holds images for {', '.join(sorted(found)) or 'no platform'}: {wanted}")


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
    """Lines that say how two images, or the images of two indexes, differ; none when their digests are equal."""
    a, b = manifests_of(one), manifests_of(other)
    if set(a) != set(b):
        yield f"platforms: {', '.join(sorted(a))} | {', '.join(sorted(b))}"
    for platform in sorted(set(a) & set(b)):
        for line in _differences(one, other, a[platform], b[platform]):
            yield f"{platform} {line}".lstrip()


def _differences(
    one: Path, other: Path, left: tuple[str, dict[str, Any]], right: tuple[str, dict[str, Any]]
) -> Iterator[str]:
    (digest_a, a), (digest_b, b) = left, right
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
