"""A store exported as an OCI artifact and taken in by an empty one; artifacts that lie are refused whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.artifact import Hostile, export, take_in
from engine.errors import EngineError
from engine.store import Store
from engine.tree import directory_entry, file_entry, link_entry
from registry.copy import copy
from registry.layout import Layout

KEY = "step 2 " + "0" * 64


def made(root: Path) -> Store:
    """A store with one result: a folder with a file under two names and times, and a link."""
    store = Store(root)
    data = b"hello\n" * 1000
    digest = hashlib.sha256(data).hexdigest()
    entries = {name: file_entry(digest, len(data), mtime=(n + 1) * 10**9) for n, name in enumerate(("one", "two"))}
    for entry in entries.values():
        store.write(data, entry)
    inner, kept = directory_entry(entries)
    store.keep(inner.ref, kept)
    outer, kept = directory_entry({"inner": inner, "link": link_entry("inner/one")})
    store.keep(outer.ref, kept)
    outcome = {"root": outer.row(""), "mounts": {}, "exit": 0, "stdout": "done\n", "stderr": "", "combined": "done\n"}
    store.remember(KEY, outcome, "making")
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    export(made(tmp_path / "store"), tmp_path / "out")
    return tmp_path / "out"


def test_what_was_exported_is_there_after_an_import_and_exports_to_the_same_digest(tmp_path: Path) -> None:
    first = made(tmp_path / "store")
    sent = export(first, tmp_path / "out")
    second = Store(tmp_path / "other")
    assert take_in(second, tmp_path / "out", sent.digest) == sent
    assert second.recall(KEY) == first.recall(KEY)
    assert export(second, tmp_path / "again").digest == sent.digest


def test_a_result_whose_bytes_are_gone_is_not_exported(tmp_path: Path) -> None:
    store = made(tmp_path / "store")
    for blob in (tmp_path / "store/blobs").rglob("*.*"):
        blob.unlink()
    assert export(store, tmp_path / "out").results == 0


def test_an_export_travels_as_any_artifact_does(folder: Path, tmp_path: Path) -> None:
    source = Layout(folder)
    copy(source, source.resolve(None), Layout(tmp_path / "elsewhere", create=True), ["warm"])
    assert take_in(Store(tmp_path / "other"), tmp_path / "elsewhere").results == 1


def test_a_folder_that_is_there_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="is there already"):
        export(Store(tmp_path / "other"), folder)


def test_another_digest_than_was_told_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no manifest sha256:1111"):
        take_in(Store(tmp_path / "other"), folder, "sha256:" + "1" * 64)


def rebuilt(folder: Path, layers: list[bytes]) -> None:
    """The artifact with other layers, every digest of the layout right."""
    from images import manifest as oci

    blobs = folder / "blobs/sha256"

    def keep(data: bytes, media_type: str) -> dict[str, Any]:
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
        return oci.descriptor(media_type, data)

    index = json.loads((folder / "index.json").read_bytes())
    value = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_bytes())
    value["layers"] = [keep(d, old["mediaType"]) for d, old in zip(layers, value["layers"], strict=True)]
    top = keep(oci.encode(value), oci.MANIFEST)
    (folder / "index.json").write_bytes(oci.index([top]))


def layers_of(folder: Path) -> list[bytes]:
    blobs = folder / "blobs/sha256"
    index = json.loads((folder / "index.json").read_bytes())
    value = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_bytes())
    return [gzip.decompress((blobs / layer["digest"][7:]).read_bytes()) for layer in value["layers"]]


def lines(edit: Callable[[list[Any]], object]) -> Callable[[list[bytes]], None]:
    """A change of the first layer's lines."""

    def change(layers: list[bytes]) -> None:
        rows = [json.loads(line) for line in layers[0].splitlines()]
        layers[0] = b"".join(json.dumps(row).encode() + b"\n" for row in edit(rows) or rows)  # type: ignore[attr-defined]

    return change


def row(column: int, value: Any) -> Callable[[list[Any]], object]:
    """A change of a field of the first directory's first entry."""

    def edit(rows: list[Any]) -> None:
        node = json.loads(rows[0][1])
        node[0][column] = value
        rows[0][1] = json.dumps(sorted(node, key=str), separators=(",", ":"))

    return edit


def outcome(**more: Any) -> Callable[[list[Any]], object]:
    def edit(rows: list[Any]) -> None:
        rows[-1][3].update(more)

    return edit


def tar_of(*members: tuple[str, bytes, bytes]) -> Callable[[list[bytes]], None]:
    def change(layers: list[bytes]) -> None:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, data, kind in members:
                info = tarfile.TarInfo(name)
                info.size, info.type, info.linkname = len(data), kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
                tar.addfile(info, io.BytesIO(data))
        layers[1] = out.getvalue()

    return change


def nested(rows: list[Any]) -> list[Any]:
    entry, data = directory_entry({})
    deep = []
    for _ in range(500):
        entry, data = directory_entry({"d": entry})
        deep.append(["node", data.decode()])
    return [*deep, *rows]


GOOD = b"hello\n" * 1000
NAME = hashlib.sha256(GOOD).hexdigest()
LIES: dict[str, Callable[[list[bytes]], None]] = {
    "a name that climbs": lines(row(0, "../../x")),
    "a name that is no text": lines(row(0, 7)),
    "a kind that is none": lines(row(1, "c")),
    "another key": lines(row(3, "1" * 64)),
    "a set-uid bit and more": lines(row(4, 1 << 20)),
    "an owner below zero": lines(row(5, -1)),
    "more bytes than any disk": lines(row(8, 1 << 49)),
    "less bytes than there are": lines(row(8, 5)),
    "a directory that was not told of": lines(lambda rows: rows[1:]),
    "directories without an end": lines(nested),
    "a line of another kind": lines(lambda rows: [*rows, ["salt", "x"]]),
    "a line that is no list": lines(lambda rows: [*rows, 7]),
    "a root that is another tree": lines(outcome(root=["", "d", "2" * 64, "2" * 64, 493, 0, 0, 0, 0, 0])),
    "an exit code that is text": lines(outcome(exit="0")),
    "a mount that is no path": lines(outcome(mounts={"etc": ["", "l", "x", "x", 511, 0, 0, 0, 1, 0]})),
    "a key of another form": lines(lambda rows: [*rows[:-1], ["result", "volume x", "", {}]]),
    "no file": tar_of(),
    "another file": tar_of((NAME, GOOD[::-1], tarfile.REGTYPE)),
    "a file twice": tar_of((NAME, GOOD, tarfile.REGTYPE), (NAME, GOOD, tarfile.REGTYPE)),
    "a file that nobody asked for": tar_of((hashlib.sha256(b"x").hexdigest(), b"x", tarfile.REGTYPE)),
    "a link": tar_of((NAME, b"", tarfile.SYMTYPE)),
    "a path": tar_of(("/etc/" + NAME, GOOD, tarfile.REGTYPE)),
    "a long name's header": tar_of(("x" * 300, GOOD, tarfile.REGTYPE)),
    "no tar": lambda layers: layers.__setitem__(1, b"no tar" * 1000),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_artifact_that_lies_is_refused_and_nothing_of_it_is_remembered(
    lie: str, folder: Path, tmp_path: Path
) -> None:
    layers = layers_of(folder)
    LIES[lie](layers)
    rebuilt(folder, [gzip.compress(layer, 1) for layer in layers])
    store = Store(tmp_path / "other")
    with pytest.raises(EngineError):
        take_in(store, folder)
    assert store.index.results() == []


@pytest.mark.parametrize("spoil", ["cut", "changed", "gone", "a folder"])
def test_a_blob_that_was_damaged_on_the_way_is_refused(spoil: str, folder: Path, tmp_path: Path) -> None:
    blob = max((folder / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    if spoil == "cut":
        os.truncate(blob, blob.stat().st_size - 1)
    elif spoil == "changed":
        data = bytearray(blob.read_bytes())
        data[-20] ^= 1
        blob.write_bytes(data)
    else:
        blob.unlink()
        if spoil == "a folder":
            blob.mkdir()
    with pytest.raises(Hostile):
        take_in(Store(tmp_path / "other"), folder)


def test_a_stream_that_is_cut_inside_its_blob_is_refused(folder: Path, tmp_path: Path) -> None:
    layers = [gzip.compress(layer, 1) for layer in layers_of(folder)]
    rebuilt(folder, [layers[0], layers[1][: len(layers[1]) // 2]])
    with pytest.raises(Hostile):
        take_in(Store(tmp_path / "other"), folder)
