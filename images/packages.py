"""What a tree holds, by its own records: Debian packages (``status.d``), Python distributions (``*.dist-info``)."""

from __future__ import annotations

from pathlib import Path

_STATUS = "var/lib/dpkg/status.d"
_PYTHON = ("usr/local/lib", "usr/lib")


def packages(tree: Path) -> list[str]:
    """``NAME VERSION`` of each package, sorted; of a tree that records none, the paths at its second level."""
    found = [_debian(path) for path in (tree / _STATUS).glob("*") if path.suffix != ".md5sums"]
    for place in _PYTHON:
        for folder in (tree / place).glob("python3*/*-packages/*.dist-info"):
            name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
            found.append(f"{name} {version}")
    return sorted(found or (f"/{path.relative_to(tree)}" for path in tree.glob("*/*")))


def _debian(record: Path) -> str:
    fields = dict(line.partition(": ")[::2] for line in record.read_text().splitlines() if not line.startswith(" "))
    return f"{fields['Package']} {fields['Version']}"
