"""Layers and layouts: exact bytes, independence of the folder, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from images import unpack
from images.assemble import assemble, main, parse
from images.compare import differences, manifest_of
from images.errors import ImageError
from images.validate import validate


def tree(folder: Path, mode: int = 0o644, mtime: int = 7) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/tool").write_bytes(b"tool\n")
    (folder / "bin/tool").chmod(mode | 0o4100)
    (folder / "data").write_bytes(b"data\n")
    (folder / "data").chmod(mode)
    os.utime(folder / "data", (mtime, mtime))
    (folder / "link").symlink_to("bin/tool")
    return folder


def spec(source: Path, **more: Any) -> dict[str, Any]:
    layers = [{"name": "base", "source": str(source), "prefix": "app", "uid": 3, "gid": 4, "exclude": ["*.pyc"]}]
    value = {"platform": {"os": "linux", "architecture": "amd64"}, "created": 86400, "config": {"User": "1000"}}
    return parse(json.dumps({**value, "layers": layers, "ref": "test", **more}))


def test_a_layer_has_exactly_these_entries_and_bytes(tmp_path: Path) -> None:
    report = assemble(spec(tree(tmp_path / "in")), tmp_path / "out")
    layer = report["layers"][0]
    blob = (tmp_path / "out/blobs/sha256" / layer["digest"].removeprefix("sha256:")).read_bytes()
    assert blob[:10].hex() == "1f8b08000000000000ff"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as tar:
        found = [(each.name, each.type, each.mode, each.uid, each.gid, each.mtime, each.linkname) for each in tar]
    assert found == [
        ("app", b"5", 0o755, 0, 0, 0, ""),
        ("app/bin", b"5", 0o755, 3, 4, 0, ""),
        ("app/bin/tool", b"0", 0o755, 3, 4, 0, ""),
        ("app/data", b"0", 0o644, 3, 4, 0, ""),
        ("app/link", b"2", 0o777, 3, 4, 0, "bin/tool"),
    ]
    assert layer["diff_id"] == "sha256:1bc2afef73f3723eeb0d46e3736a294019f864e12f0689dc49486e4c20daa7cc"


def test_folder_time_mode_and_umask_do_not_count(tmp_path: Path) -> None:
    one = assemble(spec(tree(tmp_path / "a")), tmp_path / "one")
    before = os.umask(0o077)
    try:
        two = assemble(spec(tree(tmp_path / "elsewhere/b", mode=0o600, mtime=99999)), tmp_path / "two")
    finally:
        os.umask(before)
    assert one == two
    assert list(differences(tmp_path / "one", tmp_path / "two")) == []


def test_a_layout_is_valid_and_a_flipped_byte_is_found(tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = assemble(spec(tree(tmp_path / "in")), out)
    assert validate(out) == report["digest"] == manifest_of(out)[0]
    for path in sorted((out / "blobs/sha256").iterdir()):
        good = path.read_bytes()
        path.write_bytes(good[:40] + bytes([good[40] ^ 1]) + good[41:])
        with pytest.raises(ImageError, match=path.name):
            validate(out)
        path.write_bytes(good)


def test_another_commit_leaves_a_layer_of_the_same_files_as_it_is(tmp_path: Path) -> None:
    source = tree(tmp_path / "in")
    one, two = assemble(spec(source), tmp_path / "one"), assemble(spec(source, created=99999), tmp_path / "two")
    assert one["layers"] == two["layers"] and one["digest"] != two["digest"]


def test_a_file_that_reads_as_a_whiteout_is_refused(tmp_path: Path) -> None:
    (tree(tmp_path / "in") / ".wh.data").touch()
    with pytest.raises(ImageError, match=r"\.wh\.data would be read as a whiteout"):
        assemble(spec(tmp_path / "in"), tmp_path / "out")


def test_compare_names_the_layer_and_the_file_that_differ(tmp_path: Path) -> None:
    assemble(spec(tree(tmp_path / "a")), tmp_path / "one")
    (tree(tmp_path / "b") / "data").write_bytes(b"else\n")
    assemble(spec(tmp_path / "b"), tmp_path / "two")
    (line,) = differences(tmp_path / "one", tmp_path / "two")
    assert line.startswith("layer base: app/data: ")


@pytest.mark.parametrize("where", ["top", "layer"])
def test_an_unknown_key_is_refused_by_name(tmp_path: Path, where: str) -> None:
    value = spec(tmp_path)
    (value if where == "top" else value["layers"][0])["sorce"] = 1
    with pytest.raises(ImageError, match="sorce"):
        parse(json.dumps(value))


def test_a_missing_source_is_named_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(spec(tmp_path / "missing")))
    assert main([str(tmp_path / "spec.json"), str(tmp_path / "out")]) == 1
    assert "missing is not a directory" in capsys.readouterr().err


def layer(path: Path, *entries: tuple[str, bytes, str]) -> Path:
    """A layer of (name, tar type, link target or content)."""
    with tarfile.open(path, "w") as tar:
        for name, kind, text in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(text)
            else:
                info.linkname = text
            tar.addfile(info, io.BytesIO(text.encode()))
    return path


FILE, LINK, HARD, FOLDER = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE


def test_unpacking_gives_the_tree_back(tmp_path: Path) -> None:
    assemble(spec(tree(tmp_path / "in")), tmp_path / "out")
    unpack.unpack(tmp_path / "out", tmp_path / "root")
    assert (tmp_path / "root/app/link").read_bytes() == b"tool\n"


def test_whiteouts_remove_what_lower_layers_hold(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    unpack.apply(layer(tmp_path / "1", ("a/one", FILE, "1"), ("a/two", FILE, "2"), ("b/old", FILE, "3")), root)
    unpack.apply(
        layer(tmp_path / "2", ("a/.wh.one", FILE, ""), ("b/new", FILE, "4"), ("b/.wh..wh..opq", FILE, "")), root
    )
    assert sorted(str(each.relative_to(root)) for each in root.rglob("*")) == ["a", "a/two", "b", "b/new"]


@pytest.mark.parametrize(
    "entry",
    [("../x", FILE, ""), ("/x", FILE, ""), ("a", LINK, "../x"), ("a", HARD, "../x"), ("a", tarfile.CHRTYPE, ""),
     ("a", tarfile.FIFOTYPE, ""), (".wh...", FILE, "")],
)  # fmt: skip
def test_a_hostile_layer_is_refused(tmp_path: Path, entry: tuple[str, bytes, str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(ImageError, match="refused"):
        unpack.apply(layer(tmp_path / "1", entry), root)


def test_a_link_of_a_lower_layer_leads_nowhere_outside(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    unpack.apply(layer(tmp_path / "1", ("evil", LINK, str(outside)), ("evil/x", FILE, "inside")), root)
    assert list(outside.iterdir()) == []
