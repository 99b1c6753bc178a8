"""Documents: each command in them is one, each link leads somewhere, each file that is named is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.parts.typed import commands, complaint

HERE = Path(__file__).resolve().parents[2]
PAGES = [HERE / "README.md", *sorted((HERE / "docs").glob("*.md"))]
#: Programs of others that pages tell how to use; what comes behind them is theirs.
OTHERS = {"cosign", "docker", "helm", "kubectl", "trivy", "git"}


def typed(page: Path) -> list[str]:
    """The lines behind a prompt."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one(page: Path) -> None:
    for line in typed(page):
        found = commands(line)
        assert [told for words in found if (told := complaint(words))] == [], line
        first = line.split()[0]
        assert found or first in OTHERS or (HERE / first).is_file(), f"not a command that is known: {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / link).exists(), link
    tops = "|".join(
        re.escape(path.name) for path in HERE.iterdir() if path.is_dir() and path.name not in ("dist", ".venv")
    )
    for name in re.findall(rf"`((?:{tops})/[\w./-]+)`", text):
        if "TARGET" not in name:
            assert (HERE / name).exists(), name


def test_every_page_is_listed() -> None:
    listed = (HERE / "docs/README.md").read_text()
    assert [page.name for page in PAGES[1:] if page.name != "README.md" and f"({page.name})" not in listed] == []
