"""Read a finished image's layout into :class:`sbom.contents.Contents`, every digest recomputed on the way."""

from __future__ import annotations

import hashlib
import json
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from images import compare
from images.digest import CHUNK, Digest
from images.errors import ImageError
from images.unpack import OPAQUE, WHITEOUT
from pipelines import listings
from pipelines.errors import PipelineError
from sbom import crates
from sbom.contents import Contents, File, Layer, resolve, wanted

#: Of a file larger than this nothing but its digest is read: no record and no extension module is.
_LARGEST = 256 << 20


@dataclass
class _Applied:
    """A layer as it was read: entries in their order, with the bytes that are wanted of them."""

    entries: list[tuple[str, File | None]] = field(default_factory=list)
    texts: dict[str, bytes] = field(default_factory=dict)
    crates: dict[str, bytes] = field(default_factory=dict)


#: Layers that were read, by their digests; images of one build share most of theirs.
Known = dict[tuple[str, str], _Applied]


def read(layout: Path, known: Known | None = None, platform: str = "", kept: Path | None = None) -> Contents:
    """The contents of a layout's image, of an index that for a platform (``arm-v7``); ``known`` is filled, and spares reading
    a layer twice; ``kept`` is a folder of :mod:`pipelines.listings`, where what was read outlives this run.

    Raises:
        PipelineError: it is no layout, a blob is missing or has another digest, or a layer is no tar.
    """
    known = {} if known is None else known
    try:
        digest, manifest = compare.manifest_of(layout, platform)
        config: dict[str, Any] = json.loads(compare.read(layout, manifest["config"]["digest"]))
        named = [entry.get("created_by", "") for entry in config.get("history", ()) if not entry.get("empty_layer")]
        diff_ids = config["rootfs"]["diff_ids"]
        layers = tuple(
            Layer(named[number] if number < len(named) else "", described["digest"], diff_ids[number])
            for number, described in enumerate(manifest["layers"])
        )
        applied = []
        for layer in layers:
            key = (layer.digest, layer.name)
            known[key] = known.get(key) or _read(layout, layer, kept)
            applied.append(known[key])
    except ImageError as error:
        raise PipelineError(str(error)) from None
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise PipelineError(f"{layout}: not an image that can be read: {error!r}") from None
    return _apply(digest, config, layers, applied)


def _read(layout: Path, layer: Layer, kept: Path | None) -> _Applied:
    path = layout / "blobs/sha256" / Digest.parse(layer.digest).hex
    found = _Applied()
    try:
        if str(Digest.of_file(path)) != layer.digest:
            raise PipelineError(f"{layout}: layer {layer.digest} has another digest; build or copy the image again")
        if kept and (before := listings.load(kept, layer.digest, layer.name)):
            return _Applied(*before)
        with tarfile.open(path) as tar:
            for info in tar:
                name = str(PurePosixPath(info.name.lstrip("/")))
                if info.issym():
                    found.entries.append((name, File(name, 0, link=info.linkname)))
                elif info.islnk():
                    found.entries.append((name, File(name, 0, link="\0" + info.linkname)))
                elif info.isreg():
                    found.entries.append((name, _file(tar, info, name, layer.name, found)))
                elif not info.isdir():
                    found.entries.append((name, File(name, 0)))
    except (tarfile.TarError, OSError, EOFError) as error:
        raise PipelineError(f"{layout}: layer {layer.digest} cannot be read: {error}") from None
    if kept:
        listings.save(kept, layer.digest, layer.name, found.entries, found.texts, found.crates)
    return found


def _file(tar: tarfile.TarFile, info: tarfile.TarInfo, name: str, layer: str, found: _Applied) -> File:
    source = tar.extractfile(info)
    kept = wanted(name, layer)
    first = source.read(CHUNK) if source else b""
    digest, data = hashlib.sha256(first), bytearray(first)
    program = first.startswith(crates.PROGRAM)
    while source and (more := source.read(CHUNK)):
        digest.update(more)
        # Of what is neither a record nor a program, nothing but its digest is needed, and it may be of any size.
        if (kept or program) and len(data) < _LARGEST:
            data += more
    if kept:
        found.texts[name] = bytes(data)
    if program and (section := crates.section(data)):
        found.crates[name] = section
    return File(name, 0, f"sha256:{digest.hexdigest()}")


def _apply(digest: str, config: dict[str, Any], layers: tuple[Layer, ...], applied: list[_Applied]) -> Contents:
    """The layers over each other (OCI image-spec v1.1, layer.md): later ones win, whiteouts remove."""
    files: dict[str, File] = {}
    texts: dict[str, bytes] = {}
    programs: dict[str, bytes] = {}
    for number, layer in enumerate(applied):
        for name, entry in layer.entries:
            folder, _, last = name.rpartition("/")
            if last.startswith(WHITEOUT):
                hidden = folder if last == OPAQUE else f"{folder}/{last.removeprefix(WHITEOUT)}".lstrip("/")
                for path in [
                    p for p in files if (p == hidden or p.startswith(hidden + "/")) and files[p].layer < number
                ]:
                    del files[path]
                continue
            if entry is None:
                continue
            place = resolve(name, files)
            if entry.link.startswith("\0"):
                linked = files.get(resolve(entry.link[1:], files), File(place, number))
                entry = File(place, number, linked.digest, linked.link)
            files[place] = replace(entry, path=place, layer=number)
            for source, target in ((layer.texts, texts), (layer.crates, programs)):
                target.pop(place, None)
                if name in source:
                    target[place] = source[name]
    alive = files.keys()
    return Contents(
        digest,
        config,
        layers,
        files,
        {p: data for p, data in sorted(texts.items()) if p in alive},
        {p: data for p, data in sorted(programs.items()) if p in alive},
    )
