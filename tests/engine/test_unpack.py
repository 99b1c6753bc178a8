"""Layers from strangers: each trick is refused by name, or stays below the root, and memory stays small."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import unpack
from engine.errors import EngineError
from engine.store import Store
from engine.tree import EMPTY, Entry
from engine.trees import Trees


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> tuple[object, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def layer(*members: tuple[object, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))  # type: ignore[arg-type]
    return out.getvalue()


def paths(store: Store, root: Entry) -> list[str]:
    return [path for path, _ in Trees(store).walk(root)]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([member("../up", content=b"x")], "leaves the root"),
        ([member("a/../../up", content=b"x")], "leaves the root"),
        ([member("/etc/passwd", content=b"x")], "leaves the root"),
        ([member("x", content=b"x", pax_headers={"path": "../../up"})], "leaves the root"),
        ([member("x", content=b"x", pax_headers={"path": "/up"})], "leaves the root"),
        ([member("link", tarfile.LNKTYPE, linkname="../../etc/shadow")], "leaves the root"),
        ([member("link", tarfile.LNKTYPE, linkname="/etc/shadow")], "leaves the root"),
        ([member("link", tarfile.LNKTYPE, linkname="etc/shadow")], "no file of the image"),
        ([member("s", tarfile.SYMTYPE, linkname="/etc"), member("l", tarfile.LNKTYPE, linkname="s")], "no file"),
        ([member("disk", tarfile.BLKTYPE, devmajor=8)], "is a device"),
        ([member("null", tarfile.CHRTYPE, devmajor=1, devminor=3)], "is a device"),
        ([member("pipe", tarfile.FIFOTYPE)], "is a device, a pipe"),
        ([member("d/.wh...", content=b"")], "removes no file"),
        ([member("d/.wh..", content=b"")], "removes no file"),
        ([member("d/.wh.", content=b"")], "removes no file"),
        ([member("s", tarfile.SYMTYPE, linkname="")], "no path"),
        ([member("n" * 300, content=b"x")], "name that no file can have"),
        ([member("d/" * 3000 + "f", content=b"x")], "name that no file can have"),
        ([member("d/" * 1500 + "f", content=b"x")], "a path of more than"),
        ([member("f", content=b"x", pax_headers={"mtime": "nan"})], "time nan"),
        ([member("f", content=b"x", pax_headers={"mtime": "inf"})], "time inf"),
        ([member("f", content=b"x", uid=2**40)], "no user or group"),
        ([member("f", content=b"x", pax_headers={"uid": "-1"})], "no user or group"),
        (
            [
                member(
                    "f",
                    content=b"0" * 512,
                    pax_headers={
                        "GNU.sparse.size": str(2**40),
                        "GNU.sparse.major": "1",
                        "GNU.sparse.minor": "0",
                        "GNU.sparse.name": "f",
                    },
                )
            ],
            "sparse|damaged|more than",
        ),
    ],
)
def test_a_layer_with_an_entry_that_no_image_needs_is_refused_by_that_entrys_name(
    members: list[tuple[object, bytes]], words: str, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=words):
        unpack.apply_layer(store, EMPTY, layer(*members))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert [path.name for path in store.tmp.iterdir()] == ["held"]


def test_a_file_written_through_a_link_stays_in_the_image(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    data = layer(
        member("absolute", tarfile.SYMTYPE, linkname=str(outside)),
        member("absolute/f", content=b"x"),
        member("climbing", tarfile.SYMTYPE, linkname="../" * 30 + str(outside)),
        member("climbing/g", content=b"x"),
        member("loop", tarfile.SYMTYPE, linkname="loop"),
    )
    root = unpack.apply_layer(store, EMPTY, data)
    assert list(outside.iterdir()) == []
    inside = str(outside).lstrip("/")
    assert {f"{inside}/f", f"{inside}/g"} <= set(paths(store, root)) or "absolute/f" in paths(store, root)


def test_whiteouts_remove_what_is_below_and_keep_the_folder_as_it_was(store: Store) -> None:
    below = layer(
        member("d", tarfile.DIRTYPE, mode=0o700, uid=7), member("d/a", content=b"1"), member("b", content=b"2")
    )
    root = unpack.apply_layer(store, EMPTY, below)
    over = unpack.apply_layer(
        store, root, layer(member("d/.wh..wh..opq"), member("d/c", content=b"3"), member(".wh.b"))
    )
    assert paths(store, over) == ["d", "d/c"]
    found = Trees(store).find(over, "d")
    assert found is not None and (found.mode, found.uid) == (0o700, 7)


@pytest.mark.parametrize("headers", [False, True], ids=["a file", "a header"])
def test_a_bomb_is_refused_before_it_fills_the_memory(
    headers: bool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_MOST", 1 << 20)
    info = tarfile.TarInfo("bomb")
    info.type, info.size = (tarfile.XHDTYPE if headers else tarfile.REGTYPE), 64 << 20
    plain = info.tobuf(tarfile.GNU_FORMAT) + bytes(info.size + 1024)
    with pytest.raises(EngineError, match="unpacks to more than"):
        unpack.apply_layer(store, EMPTY, gzip.compress(plain))


def test_a_file_that_is_said_to_be_larger_than_its_tar_is_damage(store: Store) -> None:
    info = tarfile.TarInfo("huge")
    info.size = 2**50
    with pytest.raises(EngineError, match=r"damaged|more than"):
        unpack.apply_layer(store, EMPTY, info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def test_any_bytes_are_a_tree_or_one_clear_error(store: Store, tmp_path: Path) -> None:
    from fuzz import tars

    tars(store, random.Random(4), 400)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
