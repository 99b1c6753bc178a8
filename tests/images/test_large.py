"""A layer's size is no matter of memory: a tree with a large file is packed, described and checked within a small limit."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from images.assemble import assemble, parse

HERE = Path(__file__).resolve().parents[2]
SIZE = 256 << 20
#: Of address space: Python itself takes half of it, and the file would take it all.
MOST = 180 << 20


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))


def _run(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=HERE,
        preexec_fn=_limited,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with a file of hundreds of megabytes in it, packed under the limit."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "tree/lib").mkdir(parents=True)
    with (folder / "tree/lib/huge.so").open("wb") as file:
        file.truncate(SIZE)
    (folder / "layer.json").write_text(json.dumps({"name": "huge", "source": str(folder / "tree")}))
    _run("-m", "images.pack", str(folder / "layer.json"), str(folder / "packed"))
    value = {"platform": {"os": "linux", "architecture": "amd64"}, "created": 0, "config": {}}
    spec = json.dumps({**value, "layers": [{"packed": str(folder / "packed/layer.json")}]})
    report = assemble(parse(spec), folder / "packed")
    assert report["layers"][0]["uncompressed"] > SIZE
    return folder / "packed"


def test_a_layer_larger_than_the_memory_is_checked_in_pieces(layout: Path) -> None:
    _run("-m", "images.validate", str(layout))


def test_a_layer_larger_than_the_memory_is_read_for_its_description_in_pieces(layout: Path) -> None:
    program = (
        "import sys, pathlib; from pipelines import contents; print(contents.read(pathlib.Path(sys.argv[1])).files)"
    )
    _run("-c", program, str(layout))
