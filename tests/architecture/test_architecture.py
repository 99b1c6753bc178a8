"""The house: who may import whom, and what may stand in a file."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
# Written in pieces, so that this file does not hold what it looks for.
REGISTRIES = [
    r"pypi\." + "org",
    r"pythonhosted\." + "org",
    r"(?<!/)crates\." + "io(?!-index)",
    r"debian\." + "org",
    r"npmjs\." + "org",
]


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=HERE,
        capture_output=True,
        check=True,
    )
    return [HERE / name for name in listed.stdout.decode().split("\0") if name and (HERE / name).is_file()]


def test_imports_point_one_way() -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([program], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_host_of_a_package_registry_stands_in_a_file() -> None:
    hits = [
        f"{path.relative_to(HERE)}: {found[0]}"
        for path in _tracked()
        for found in [re.search("|".join(REGISTRIES), path.read_text(errors="replace"))]
        if found
    ]
    assert hits == []


def test_no_source_file_is_longer_than_400_lines_without_a_reason() -> None:
    # The fields of Container are many by Dagger's choice, and each is a few lines.
    known = {"engine/api/containers.py"}
    long = [
        str(path.relative_to(HERE))
        for path in _tracked()
        if path.suffix in (".py", ".rs", ".sh") and len(path.read_text().splitlines()) > 400
    ]
    assert set(long) <= known


def test_pipelines_name_no_project() -> None:
    assert [p for p in (HERE / "pipelines").rglob("*.py") if "cift" in p.read_text().lower()] == []


def test_no_two_test_files_share_a_name() -> None:
    names = [path.name for path in (HERE / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
