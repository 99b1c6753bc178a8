"""Paths and links that would lead out of a tree: they end inside it or in an error, and the machine's files stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from programs import answer

from engine.errors import EngineError
from engine.store import Store
from engine.tree import EMPTY, Entry, file_entry, link_entry
from engine.trees import Trees

_TRIES = """
async def tried(work):
    try:
        return ["gave", await work]
    except dagger.DaggerError as error:
        return ["failed", str(error)]
"""


def test_paths_and_links_of_a_tree_reach_nothing_of_the_machine(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of the machine")
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown/absolute").symlink_to(tmp_path)
    (tmp_path / "shown/climbing").symlink_to("../secret")
    body = f"""{_TRIES}
async def work(box):
    place = {str(tmp_path)!r}
    shown = dag.host().directory(place + "/shown")
    linked = dag.directory().with_symlink(place, "out")
    inside = box.with_directory("/x", shown)
    return [
        await tried(dag.directory().file("../secret").contents()),
        await tried(dag.directory().file(place + "/secret").contents()),
        await tried(shown.file("../secret").contents()),
        await tried(shown.file("absolute/secret").contents()),
        await tried(shown.file("climbing").contents()),
        await tried(shown.directory("absolute").entries()),
        await tried(linked.file("out/secret").contents()),
        await tried(linked.with_new_file("out/made", "x").sync()),
        await tried(dag.directory().with_new_file("../made", "x").sync()),
        await tried(dag.directory().with_new_file("a/../../made", "x").sync()),
        await tried(box.with_new_file(place + "/../made", "x").sync()),
        await tried(inside.with_exec(["cat", "/x/absolute/secret"]).stdout()),
        await tried(inside.with_exec(["cat", "/x/climbing"]).stdout()),
    ]
"""
    said = answer(body.replace("sync())", "sync()) and None"), busybox, environment)
    assert isinstance(said, list) and "of the machine" not in str(said)
    assert [result[0] for result in said if result is not None] == ["failed"] * 9, said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "shown"]


def test_an_export_does_not_write_through_a_link_that_stands_in_its_way(
    busybox: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    (outside / "f").write_text("untouched")
    target.mkdir()
    (target / "folder").symlink_to(outside)
    (target / "file").symlink_to(outside / "f")
    body = f"""
async def work(box):
    made = dag.directory().with_new_file("folder/f", "new").with_new_file("file", "new")
    await made.export({str(target)!r})
    await made.export({str(target)!r}, wipe=True)
    return await box.file("/bin/busybox").export({str(target / "folder")!r} + "/../../target/tool")
"""
    answer(body, busybox, environment)
    assert sorted(os.listdir(outside)) == ["f"] and (outside / "f").read_text() == "untouched"
    assert not (target / "folder").is_symlink() and (target / "folder/f").read_text() == "new"
    assert not (target / "file").is_symlink() and (target / "file").read_text() == "new"


@pytest.mark.parametrize("path", ["../../up", "a/../../up", "/../up", "loop/f", "up/" * 401])
def test_a_path_is_cut_at_the_root_or_refused(path: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    try:
        trees = Trees(store)
        root: Entry = trees.put(EMPTY, "loop", link_entry("loop"))
        try:
            root = trees.put(root, path, file_entry("0" * 64, 1))
        except EngineError:
            return
        names = [name for name, _ in trees.walk(root)]
        assert not any(".." in name.split("/") or name.startswith("/") for name in names), names
    finally:
        store.close()
