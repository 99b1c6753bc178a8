"""Containers as OCI image tarballs, and back (OCI image-spec v1.1, image layout)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.graph import Container, Port
from engine.store import digest_of, remove_tree
from engine.tree import EMPTY, Entry, file_entry
from engine.unpack import apply_layer

if TYPE_CHECKING:
    from engine.solve import Solver

_OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar",
}
_DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar",
}


def config_of(box: Container) -> dict[str, Any]:
    """The ``config`` object of an image."""
    config: dict[str, Any] = json.loads(box.image_config) if box.image_config else {}
    fields: dict[str, Any] = {
        "User": box.user,
        "Env": [f"{k}={v}" for k, v in box.env],
        "Entrypoint": list(box.entrypoint),
        "Cmd": list(box.default_args),
        "WorkingDir": box.workdir,
        "Labels": dict(box.labels),
        "ExposedPorts": {f"{p.port}/{p.protocol.lower()}": {} for p in box.ports},
        "Healthcheck": dict(box.healthcheck),
    }
    for name, value in fields.items():
        if value:
            config[name] = value
        else:
            config.pop(name, None)
    return config


def container_of(box: Container, config: dict[str, Any], manifest: dict[str, Any]) -> Container:
    """The container that an image's configuration describes; its root is to be set by the caller."""
    inner = config.get("config") or {}
    env = tuple((k, v) for k, _, v in (item.partition("=") for item in inner.get("Env") or ()))
    ports = tuple(
        Port(int(number), (protocol or "tcp").upper())
        for number, _, protocol in (text.partition("/") for text in inner.get("ExposedPorts") or {})
    )
    return box.change(
        env=env,
        user=inner.get("User") or "",
        workdir=inner.get("WorkingDir") or "",
        entrypoint=tuple(inner.get("Entrypoint") or ()),
        default_args=tuple(inner.get("Cmd") or ()),
        labels=tuple((inner.get("Labels") or {}).items()),
        annotations=tuple((manifest.get("annotations") or {}).items()),
        ports=ports,
        healthcheck=tuple((inner.get("Healthcheck") or {}).items()),
        image_config=json.dumps(inner, sort_keys=True),
    )


@dataclass(frozen=True, slots=True)
class Built:
    """Images laid out as blobs: files by digest, and the descriptor that leads to the rest."""

    blobs: dict[str, Path]
    top: dict[str, Any]


def _write_layer(solver: Solver, root: Entry, target: Path, compress: bool) -> tuple[str, str, int]:
    """A tree as a layer, streamed to a file: ``(digest, digest of the tar in it, size)``, digests in hexadecimal."""
    with target.open("wb") as file:
        packed = _Hashed(file)
        zipped = gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=6, mtime=0) if compress else None
        plain = _Hashed(zipped) if zipped else packed
        with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for path, entry in solver.trees.walk(root):
                info = tarfile.TarInfo(path)
                info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime // 10**9
                if entry.kind == "d":
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                elif entry.kind == "l":
                    info.type, info.linkname = tarfile.SYMTYPE, entry.ref
                    tar.addfile(info)
                else:
                    info.size = entry.size
                    with solver.store.ensure(entry).open("rb") as content:
                        tar.addfile(info, content)
        if zipped:
            zipped.close()
    return packed.digest.hexdigest(), plain.digest.hexdigest(), packed.size


class _Hashed:
    """A file to write to that knows the digest of what went through it."""

    def __init__(self, target: Any) -> None:
        self.target, self.digest, self.size = target, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        self.target.write(data)
        return len(data)

    def flush(self) -> None:
        self.target.flush()


def build(solver: Solver, images: list[tuple[Container, Entry]], folder: Path, docker: bool, compression: str) -> Built:
    """Images as blobs in a folder, one manifest an image; several images get an index."""
    types = _DOCKER if docker else _OCI
    blobs: dict[str, Path] = {}

    def keep(value: Any, media_type: str) -> dict[str, Any]:
        data = json.dumps(value, separators=(",", ":")).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[digest] = folder / digest
        blobs[digest].write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    manifests = []
    for box, root in images:
        compress = compression != "Uncompressed"
        staged = folder / "layer"
        digest, diff_id, size = _write_layer(solver, root, staged, compress)
        blobs[digest] = staged.rename(folder / digest)
        suffix = (".gzip" if docker else "+gzip") if compress else ""
        layer = {"mediaType": types["layer"] + suffix, "digest": f"sha256:{digest}", "size": size}
        system, architecture, *variant = box.platform.split("/")
        platform = {"architecture": architecture, "os": system, **({"variant": variant[0]} if variant else {})}
        config = {
            "created": "1970-01-01T00:00:00Z",
            **platform,
            "config": config_of(box),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": types["manifest"],
            "config": keep(config, types["config"]),
            "layers": [layer],
        }
        if box.annotations:
            manifest["annotations"] = dict(box.annotations)
        manifests.append({**keep(manifest, types["manifest"]), "platform": platform})
    if len({m["platform"]["architecture"] + m["platform"].get("variant", "") for m in manifests}) < len(manifests):
        raise EngineError(f"duplicate platform among {', '.join(box.platform for box, _ in images)}")
    if len(manifests) == 1:
        return Built(blobs, manifests[0])
    return Built(blobs, keep({"schemaVersion": 2, "mediaType": types["index"], "manifests": manifests}, types["index"]))


def write_tarball(solver: Solver, images: list[tuple[Any, Entry]], docker: bool, compression: str) -> Entry:
    """An OCI layout as a tar."""
    folder = solver.store.folder()
    try:
        built = build(solver, images, folder, docker, compression)
        index = {"schemaVersion": 2, "mediaType": _OCI["index"], "manifests": [built.top]}
        target = folder / "image.tar"
        with tarfile.open(target, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, value in (("index.json", index), ("oci-layout", {"imageLayoutVersion": "1.0.0"})):
                data = json.dumps(value, separators=(",", ":")).encode()
                _add(tar, name, len(data), io.BytesIO(data))
            for digest, path in sorted(built.blobs.items()):
                with path.open("rb") as content:
                    _add(tar, f"blobs/sha256/{digest}", path.stat().st_size, content)
        entry = file_entry(digest_of(target), target.stat().st_size)
        solver.store.adopt(target, entry)
        return entry
    finally:
        remove_tree(folder)


def _add(tar: tarfile.TarFile, name: str, size: int, content: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    tar.addfile(info, content)


def chosen_manifest(manifests: list[dict[str, Any]], platform: str) -> dict[str, Any]:
    """The descriptor for a platform among those of an index.

    Raises:
        EngineError: there is none.
    """
    system, architecture, *variant = platform.split("/")
    for descriptor in manifests:
        given = descriptor.get("platform")
        fits = given and (given.get("os"), given.get("architecture")) == (system, architecture)
        if not given or (fits and (not variant or given.get("variant") in (None, variant[0]))):
            return descriptor
    known = ", ".join(f"{p.get('os')}/{p.get('architecture')}" for m in manifests if (p := m.get("platform")))
    raise EngineError(f"no match for platform {platform} among: {known or 'nothing'}")


def read_image(
    solver: Solver, file: Entry, tag: str, platform: str
) -> tuple[Entry, tuple[dict[str, Any], dict[str, Any]]]:
    """``(root, (config, manifest))`` of an OCI layout in a tar; every blob is checked against its digest.

    Raises:
        EngineError: not such a tar, a digest that does not match, or an entry that leaves the root.
    """
    try:
        with tarfile.open(solver.store.ensure(file)) as tar:

            def read(name: str) -> bytes:
                info = tar.getmember(name)
                member = tar.extractfile(info)
                # A sparse file, or one that is said to be larger than the tar, would be made of nothing in memory.
                if member is None or info.issparse() or info.size > file.size:
                    raise EngineError(f"{name} of the image is not a plain file of the tarball")
                return member.read()

            def blob(digest: str) -> bytes:
                data = read("blobs/" + digest.replace(":", "/"))
                if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
                    raise EngineError(f"blob {digest} of the image is damaged")
                return data

            manifests = json.loads(read("index.json"))["manifests"]
            chosen = [
                m
                for m in manifests
                if not tag or (m.get("annotations") or {}).get("org.opencontainers.image.ref.name") == tag
            ]
            if not chosen:
                raise EngineError(f"the image tarball has no tag {tag!r}")
            descriptor = chosen[0] if len(chosen) == 1 else chosen_manifest(chosen, platform)
            for _ in range(4):
                described = json.loads(blob(descriptor["digest"]))
                if "manifests" not in described:
                    break
                descriptor = chosen_manifest(described["manifests"], platform)
            config = json.loads(blob(described["config"]["digest"]))
            root = EMPTY
            with solver.store.transaction():
                for layer in described["layers"]:
                    root = apply_layer(solver.store, root, blob(layer["digest"]))
    except (
        tarfile.TarError,
        KeyError,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        RecursionError,
        OSError,
    ) as error:
        raise EngineError(f"not an OCI image tarball: {error}") from None
    return root, (config, described)
